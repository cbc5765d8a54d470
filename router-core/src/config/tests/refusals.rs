//! Each section's keys: what they accept and what they refuse.

use std::time::Duration;

use super::{loaded, problem, problems, refused, with_pool, with_route, with_top, with_url};
use crate::config::{Balance, Config, Drain, Limits, LogFormat, RouteTimeouts, Timeouts, Usage, WEIGHT_SUM};

#[test]
fn a_small_file_has_every_default() {
    let config = loaded(&with_top(""));
    assert_eq!(config.listen[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9901");
    assert_eq!(config.limits.body_bytes, 32 << 20);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.drain, Drain::default());
    assert_eq!((config.admin.metrics, config.passthrough.len()), (None, 0));
    assert_eq!((config.log.format, config.log.access, config.log.headers.len()), (LogFormat::Auto, true, 0));
    assert_eq!(config.routes[0].timeouts, RouteTimeouts::default());
    let pool = &config.pools[0];
    assert_eq!((&pool.timeouts, pool.http2, pool.usage), (&Timeouts::default(), false, Usage::Auto));
    assert!(pool.dialects.openai && pool.dialects.anthropic);
    assert_eq!((pool.balance, pool.timeouts.connect), (Balance::LeastRequest, Duration::from_secs(1)));
    assert_eq!((&pool.key, &pool.ca), (&None, &None));
    assert_eq!(config.routes[0].targets[0].weight, WEIGHT_SUM);
}

#[test]
fn listeners() {
    let config =
        loaded(&with_top("listen: [{address: '[::1]:0'}, {address: localhost:80}, {address: 0.0.0.0:81}]"));
    let addresses: Vec<_> = config.listen.iter().map(|one| one.address.to_string()).collect();
    assert_eq!(addresses, ["[::1]:0", "127.0.0.1:80", "0.0.0.0:81"]);
    loaded(&with_top("listen: [{address: localhost:0}, {address: localhost:0}]"));
    let cases = [
        ("listen: []", "listen", "at least one address"),
        ("listen: [{}]", "listen[0]", "missing key `address`"),
        ("listen: [{address: example.com:80}]", "listen[0].address", "expected an IP address"),
        ("listen: [{address: ':80'}]", "listen[0].address", "expected an IP address"),
        ("listen: [{address: localhost:70000}]", "listen[0].address", "expected an IP address"),
        ("listen: [{address: 'unix:run/weir.sock'}]", "listen[0].address", "the absolute path of a file"),
        (
            "listen: [{address: unix:/run/a}, {address: unix:/run/a}]",
            "listen[1].address",
            "unix:/run/a is listened on already",
        ),
        (
            "listen: [{address: 0.0.0.0:1}, {address: 127.0.0.1:1}]",
            "listen[1].address",
            "127.0.0.1:1 is listened on already; nobody can listen there and on 0.0.0.0:1",
        ),
        ("admin: {address: 0.0.0.0:9901}", "admin.address", "loopback only"),
        ("admin: {address: '[::]:9901'}", "admin.address", "loopback only"),
        (
            "listen: [{address: unix:/run/a}]\nadmin: {address: unix:/run/a}",
            "listen",
            "unix:/run/a is also where operators",
        ),
        ("listen: [{address: 0.0.0.0:9901}]", "listen", "`admin.address` is 127.0.0.1:9901"),
        ("admin: {metrics: 9902}", "admin.metrics", "expected a mapping"),
        ("admin: {metrics: {}}", "admin.metrics", "missing key `address`"),
        ("admin: {metrics: {address: 9902}}", "admin.metrics.address", "expected an IP address"),
        (
            "admin: {metrics: {address: 0.0.0.0:9901}}",
            "admin.metrics.address",
            "where operators are listened for",
        ),
        (
            "admin: {metrics: {address: localhost:8080}}",
            "admin.metrics.address",
            "where clients are listened for",
        ),
    ];
    for (top, path, message) in cases {
        refused(&with_top(top), path, message);
    }
}

#[test]
fn unix_sockets_and_an_address_for_metrics() {
    let config = loaded(&with_top(
        "listen: [{address: unix:/run/a}, {address: 127.0.0.1:1}]\n\
         admin: {address: unix:/run/b, metrics: {address: 0.0.0.0:2}}",
    ));
    let addresses: Vec<_> = config.listen.iter().map(|one| one.address.to_string()).collect();
    assert_eq!(addresses, ["unix:/run/a", "127.0.0.1:1"]);
    assert_eq!(config.admin.address.to_string(), "unix:/run/b");
    assert_eq!(config.admin.metrics.unwrap().address.to_string(), "0.0.0.0:2");
    let config = loaded(&with_top("admin: {metrics: {address: 0.0.0.0:0}}"));
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9901", "only the metrics are placed");
    assert_eq!(loaded(&with_top("admin: {}")).admin.metrics, None);
}

#[test]
fn no_header_with_a_credential_is_logged_or_compared() {
    for name in ["authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "Set-Cookie"] {
        refused(&with_top(&format!("log: {{headers: [{name}]}}")), "log.headers[0]", "carries credentials");
        let rule = format!("{{header: {name}, equals: x, target: full}}");
        refused(&with_route("{pool: mini}", &rule), "routes.r.canary[0].header", "carries credentials");
    }
}

#[test]
fn pools() {
    let pool = loaded(&with_pool(
        "dialects: [anthropic], ca: /etc/ca.pem, balance: round_robin, timeouts: {connect: 60s}",
    ))
    .pools
    .remove(0);
    assert!(!pool.dialects.openai && pool.dialects.anthropic);
    assert_eq!(pool.ca.as_deref(), Some("/etc/ca.pem".as_ref()));
    assert_eq!((pool.balance, pool.timeouts.connect), (Balance::RoundRobin, Duration::from_secs(60)));
    let cases = [
        ("dialects: []", "pools.a.dialects", "at least one dialect"),
        ("dialects: [openai, openai]", "pools.a.dialects[1]", "listed twice"),
        ("dialects: [opnai]", "pools.a.dialects[0]", "did you mean `openai`?"),
        ("ca: ''", "pools.a.ca", "expected the path of a file"),
        ("balance: random", "pools.a.balance", "expected least_request or round_robin"),
        ("balance: affinity", "pools.a.balance", "not supported by this version"),
        ("timeouts: {connect: 0s}", "pools.a.timeouts.connect", "out of range; 1ms to 1h"),
        ("timeouts: {connect: 61m}", "pools.a.timeouts.connect", "out of range"),
        ("timeouts: {min_rate: 1}", "pools.a.timeouts.min_rate", "not supported by this version"),
        ("http2: on", "pools.a.http2", "expected true or false, found `on`"),
        ("usage: allways", "pools.a.usage", "did you mean `always`?"),
        ("url: http://h", "pools.a.url", "it belongs to `pools.NAME.endpoints[]`"),
        (
            "nonsense: 1",
            "pools.a.nonsense",
            "`pools.NAME` has endpoints, dialects, key, ca, balance, timeouts, http2, usage, concurrency",
        ),
    ];
    for (fields, path, message) in cases {
        refused(&with_pool(fields), path, message);
    }
    refused(
        &with_pool("ca: x").replace("https:", "http:"),
        "pools.a.ca",
        "no endpoint of this pool has an https",
    );
    refused("pools: {}\nroutes: {r: {targets: [{pool: a}]}}", "pools", "at least one pool");
    refused("routes: {r: {targets: [{pool: a}]}}", "", "missing key `pools`");
    for name in ["''", "a/b", "-a", "a b", "ä", &"x".repeat(65)] {
        let text = with_top("").replace("{a: ", &format!("{{{name}: ")).replace("pool: a", "pool: x");
        assert!(problems(&text)[0].contains("cannot be the name of a pool"), "{name}");
    }
}

#[test]
fn endpoints() {
    let two = "http://h:1'}, {url: 'http://H:1/v1";
    refused(&with_url(two), "pools.a.endpoints[1].url", "listed twice in the pool");
    refused(&with_url("http://h?x=1"), "pools.a.endpoints[0].url", "no query");
    refused(&with_url("h"), "pools.a.endpoints[0].url", "expected a URL");
    refused(&with_top("").replace("url: http://h:1", ""), "pools.a.endpoints[0]", "missing key `url`");
    refused(&with_top("").replace("{url: http://h:1}", ""), "pools.a.endpoints", "at least one endpoint");
    refused(&with_top("").replace("{url: http://h:1}", "http://h:1"), "pools.a.endpoints[0]", "found a text");
    refused(
        &with_top("").replace("url: http://h:1", "url: http://h:1, weight: 1"),
        "pools.a.endpoints[0].weight",
        "not supported by this version",
    );
}

fn targets(config: &Config) -> Vec<(usize, Option<&str>, u32)> {
    config.routes[0].targets.iter().map(|one| (one.pool, one.model.as_deref(), one.weight)).collect()
}

#[test]
fn targets_and_weights() {
    let config = loaded(&with_route("{pool: full, model: 4, weight: 1e-1}, {pool: mini, weight: .9}", ""));
    assert_eq!(targets(&config), [(1, Some("4"), 100_000), (0, None, 900_000)]);
    let thirds = "{pool: mini, model: a, weight: 0.333333}, {pool: mini, model: b, weight: 0.333333}, \
                  {pool: mini, model: c, weight: 0.333333}";
    let weights: Vec<_> = targets(&loaded(&with_route(thirds, ""))).iter().map(|target| target.2).collect();
    assert_eq!(weights, [333_334, 333_333, 333_333]);
    let cases = [
        ("", "routes.r.targets", "at least one target"),
        ("{model: x}", "routes.r.targets[0]", "missing key `pool`"),
        ("{pool: fulll}", "routes.r.targets[0].pool", "no pool `fulll`, did you mean `full`?"),
        ("{pool: other}", "routes.r.targets[0].pool", "no pool `other`; the pools are `mini`, `full`"),
        ("{pool: mini, model: ''}", "routes.r.targets[0].model", "cannot be a name"),
        ("{pool: mini, model: ~}", "routes.r.targets[0].model", "found nothing"),
        ("{pool: mini, weight: 0.5}", "routes.r.targets", "weights sum to 0.5 instead of 1; 1 would do"),
        ("{pool: mini, weight: 1}, {pool: full}", "routes.r.targets[1]", "missing key `weight`"),
        ("{pool: mini, weight: -1}", "routes.r.targets[0].weight", "not between 0 and 1"),
        ("{pool: mini, weight: .nan}", "routes.r.targets[0].weight", "expected a number, found `.nan`"),
        ("{pool: mini, weight: 60%}", "routes.r.targets[0].weight", "expected a number"),
        (
            "{pool: mini, weight: 0}, {pool: full, weight: 0}",
            "routes.r.targets",
            "weights sum to 0 instead of 1; at least one must be above 0",
        ),
        (
            "{pool: mini, model: x, weight: 0.5}, {pool: mini, model: x, weight: 0.5}",
            "routes.r.targets[1]",
            "a target of the route already",
        ),
    ];
    for (targets, path, message) in cases {
        refused(&with_route(targets, ""), path, message);
    }
}

#[test]
fn canary_rules_find_or_add_their_target() {
    let targets_text = "{pool: mini, model: gpt-4o-mini, weight: 0.6}, {pool: full, weight: 0.4}";
    let rules = "{header: X-Api-Version, equals: v2, target: full/gpt/4o}, {header: x-b, equals: 2, target: full}, \
                 {header: x-c, equals: y, target: mini/gpt-4o-mini}, {header: x-d, equals: z, target: full/gpt/4o}";
    let config = loaded(&with_route(targets_text, rules));
    assert_eq!(
        targets(&config),
        [(0, Some("gpt-4o-mini"), 600_000), (1, None, 400_000), (1, Some("gpt/4o"), 0)]
    );
    let rules: Vec<_> =
        config.routes[0].canary.iter().map(|one| (&*one.header, &*one.equals, one.target)).collect();
    assert_eq!(rules, [("x-api-version", "v2", 2), ("x-b", "2", 1), ("x-c", "y", 0), ("x-d", "z", 2)]);
}

#[test]
fn canary_rules_that_are_refused() {
    let cases = [
        ("{equals: v2, target: full}", "", "missing key `header`"),
        ("{header: authorization, equals: x, target: full}", ".header", "carries credentials"),
        ("{header: 'x y', equals: x, target: full}", ".header", "not the name of a header"),
        ("{header: x, equals: ' v2', target: full}", ".equals", "no request can have"),
        ("{header: x, equals: \"a\\nb\", target: full}", ".equals", "no request can have"),
        ("{header: x, equals: ä, target: full}", ".equals", "no request can have"),
        ("{header: x, equals: ~, target: full}", ".equals", "found nothing"),
        ("{header: x, equals: v2, target: ful/gpt-4o}", ".target", "did you mean `full`?"),
        ("{header: x, equals: v2, target: full/}", ".target", "cannot be a name"),
        ("{header: x, equals: v2, target: full, guard: {}}", ".guard", "not supported by this version"),
    ];
    for (rule, key, message) in cases {
        refused(&with_route("{pool: mini}", rule), &format!("routes.r.canary[0]{key}"), message);
    }
    let twice = "{header: x, equals: v2, target: full}, {header: X, equals: v2, target: mini}";
    refused(
        &with_route("{pool: mini}", twice),
        "routes.r.canary[1]",
        "an earlier rule has the same header and value",
    );
}

#[test]
fn route_names() {
    for name in ["'*'", "openai/gpt-4o", "日本語", "gpt-4.1"] {
        loaded(&with_top("").replace("{r: ", &format!("{{{name}: ")));
    }
    for name in ["stream", "pools", "''", "'a b'", "\"a\\tb\"", &"x".repeat(257)] {
        let text = with_top("").replace("{r: ", &format!("{{{name}: "));
        assert!(problem(&text).message.contains("cannot be"), "{name}");
    }
    refused(&with_top("").replace("r: {targets: [{pool: a}]}", ""), "routes", "at least one route");
    refused("pools: {a: {endpoints: [{url: http://h}]}}", "", "missing key `routes`");
}

#[test]
fn keys_of_later_versions_are_refused_by_name() {
    for key in ["degrade", "backpressure", "quota_store"] {
        refused(&with_top(&format!("{key}: x")), key, "is not supported by this version");
    }
    for key in ["fallback", "retry", "degrade", "hedge"] {
        let text = with_top("").replace("{targets", &format!("{{{key}: x, targets"));
        refused(&text, &format!("routes.r.{key}"), "is not supported by this version");
    }
}

#[test]
fn one_wrong_pool_is_reported_once() {
    let text = with_top("").replace("endpoints", "endpoint");
    assert_eq!(
        problems(&text),
        ["2:13: pools.a.endpoint: unknown key `endpoint`, did you mean `endpoints`?",],
        "neither are the endpoints called missing nor the pool of the route's target unknown"
    );
    assert_eq!(
        problems(&with_top("").replace("pools: {", "pools: [{").replacen("}}\n", "}}]\n", 1)).len(),
        1
    );
}
