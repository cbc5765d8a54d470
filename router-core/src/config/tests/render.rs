//! What is rendered loads again as the same configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::{loaded, unset};
use crate::config::weights::shares;
use crate::config::{
    Admin, Balance, Canary, Config, Drain, Endpoint, Limits, Listen, Log, LogFormat, Pool, Route,
    RouteTimeouts, Secret, Target, Timeouts, UpstreamArgument, Usage, from_upstreams, load, to_json,
};
use crate::dialect::DialectSet;

/// The configuration with pools and routes in the order in which JSON objects have them.
fn sorted(mut config: Config) -> Config {
    let names: Vec<_> = config.pools.iter().map(|pool| pool.name.clone()).collect();
    config.pools.sort_by(|a, b| a.name.cmp(&b.name));
    config.routes.sort_by(|a, b| a.name.cmp(&b.name));
    for target in config.routes.iter_mut().flat_map(|route| &mut route.targets) {
        target.pool = config.pools.iter().position(|pool| pool.name == names[target.pool]).unwrap();
    }
    config
}

fn round_trip(config: Config) {
    let text = to_json(&config).to_string();
    let again = load(&text, &unset).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
    assert_eq!(again.config, sorted(config), "{text}");
}

#[test]
fn every_default_is_filled_in() {
    let text = "pools:\n  api:\n    endpoints: [{ url: 'https://api.example.com/v1' }]\n    key: { file: /run/key }\n\
                routes: { '*': { targets: [{ pool: api }] } }\n";
    let expected = json!({
        "listen": [{ "address": "127.0.0.1:8080" }],
        "admin": { "address": "127.0.0.1:9901" },
        "limits": { "body": "32MiB" },
        "drain": "30s",
        "log": { "format": "auto", "access": true, "headers": [] },
        "pools": { "api": {
            "endpoints": [{ "url": "https://api.example.com" }],
            "dialects": ["openai", "anthropic"],
            "key": { "file": "/run/key" },
            "balance": "least_request",
            "timeouts": { "connect": "1s" },
        } },
        "routes": { "*": { "targets": [{ "pool": "api", "weight": 1.0 }], "canary": [] } },
    });
    assert_eq!(to_json(&loaded(text)), expected);
}

#[test]
fn the_starting_configuration_round_trips() {
    round_trip(loaded(include_str!("../../../../config/weir.yaml")));
    let upstreams = ["http://a=1", "https://[::1]:8443/x=2"].map(|one| UpstreamArgument::parse(one).unwrap());
    round_trip(from_upstreams(&upstreams, Some("KEY")).unwrap());
}

#[test]
fn text_that_looks_like_a_variable_round_trips() {
    let text = super::with_route(
        "{pool: mini, model: '$${MODEL}'}",
        "{header: x, equals: '$$${v}', target: 'full/$${x}'}",
    );
    let config = loaded(&text);
    assert_eq!(config.routes[0].targets[0].model.as_deref(), Some("${MODEL}"));
    assert_eq!(config.routes[0].canary[0].equals, "$${v}");
    round_trip(config);
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(Ipv6Addr::from(octets))),
    ];
    (ip, 0..=u16::MAX).prop_map(SocketAddr::from)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let prefix = prop_oneof![Just(String::new()), "(/[a-z0-9~$&=:%][a-z0-9.]{0,5}){1,3}(/v1){0,2}"];
    let host = prop_oneof!["[a-z0-9][a-z0-9.-]{0,12}".boxed(), Just("2001:db8::1".to_owned()).boxed()];
    (any::<bool>(), host, 1..=u16::MAX, prefix).prop_map(|(tls, host, port, path_prefix)| Endpoint {
        tls,
        host,
        port,
        path_prefix,
    })
}

/// A pool; its name is set by where it stands.
fn pool() -> impl Strategy<Value = Pool> {
    let key = prop_oneof![
        Just(None),
        "/[ -~]{1,20}".prop_map(|path| Some(Secret::File(path.into()))),
        "[A-Z_][A-Z0-9_]{0,20}".prop_map(|name| Some(Secret::Env(name))),
    ];
    let dialects = prop::sample::select(vec![(true, true), (true, false), (false, true)]);
    let connect = (1_000_000..=60_000_000_000_u64).prop_map(Duration::from_nanos);
    let ca = prop::option::of("[ -~äöü]{1,20}");
    (prop::collection::vec(endpoint(), 1..4), dialects, key, ca, any::<bool>(), connect).prop_map(
        |(mut endpoints, (openai, anthropic), key, ca, turns, connect)| {
            let mut seen: Vec<Endpoint> = Vec::new();
            endpoints.retain(|one| {
                !seen.contains(one) && {
                    seen.push(one.clone());
                    true
                }
            });
            let tls = endpoints.iter().any(|endpoint| endpoint.tls);
            Pool {
                name: String::new(),
                endpoints,
                dialects: DialectSet { openai, anthropic },
                key,
                ca: ca.filter(|_| tls).map(Into::into),
                balance: if turns { Balance::RoundRobin } else { Balance::LeastRequest },
                timeouts: Timeouts { connect, ..Timeouts::default() },
                http2: false,
                usage: Usage::Auto,
            }
        },
    )
}

fn route(pools: usize) -> impl Strategy<Value = Route> {
    let name = prop_oneof![Just("*".to_owned()).boxed(), "[!-~äß日本]{1,12}".boxed()];
    let target = (0..pools, prop::option::of("[!-~äß日本]{1,12}"), 0..1_000_u64);
    let rule = ("[a-z][a-z0-9-]{0,8}", "[!-~]([ -~]{0,8}[!-~])?", any::<prop::sample::Index>());
    (name, prop::collection::vec(target, 1..5), prop::collection::vec(rule, 0..4)).prop_map(
        |(name, targets, rules)| {
            let mut parts = Vec::new();
            let mut kept: Vec<Target> = Vec::new();
            for (pool, model, part) in targets {
                if kept.iter().all(|one| one.pool != pool || one.model != model) {
                    kept.push(Target { pool, model, weight: 0 });
                    parts.push(part + u64::from(parts.is_empty()));
                }
            }
            kept.iter_mut().zip(shares(&parts)).for_each(|(target, share)| target.weight = share);
            let mut canary: Vec<Canary> = Vec::new();
            for (header, equals, index) in rules {
                if canary.iter().all(|one| one.header != header || one.equals != equals) {
                    canary.push(Canary { header, equals, target: index.index(kept.len()) });
                }
            }
            Route { name, targets: kept, canary, timeouts: RouteTimeouts::default() }
        },
    )
}

fn config() -> impl Strategy<Value = Config> {
    let parts = prop::collection::vec(pool(), 1..5).prop_flat_map(|pools| {
        let routes = prop::collection::vec(route(pools.len()), 1..5);
        (Just(pools), routes)
    });
    let log = (
        prop::sample::select(LogFormat::ALL.to_vec()),
        any::<bool>(),
        prop::sample::subsequence(vec!["x-a", "user-agent", "x_b"], 0..3),
    );
    let service =
        (prop::collection::vec(address(), 1..3), 0..=u16::MAX, 1024..=(1_u64 << 30), 0..=3_600_000_u64);
    (parts, log, service).prop_map(
        |((mut pools, mut routes), (format, access, headers), (listen, port, body_bytes, drain))| {
            for (index, pool) in pools.iter_mut().enumerate() {
                pool.name = format!("pool-{}", 9 - index);
            }
            let mut seen = Vec::new();
            routes.retain(|route| {
                let new = !seen.contains(&route.name) && !route.name.contains("${");
                seen.push(route.name.clone());
                new && !["stream", "pools"].contains(&&*route.name)
            });
            let mut listen: Vec<_> =
                listen.into_iter().map(|address: SocketAddr| Listen { address: address.into() }).collect();
            listen.dedup();
            Config {
                listen,
                admin: Admin { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into(), metrics: None },
                limits: Limits { body_bytes, ..Limits::default() },
                drain: Drain {
                    requests: Duration::from_millis(drain),
                    streams: Duration::from_millis(drain),
                    ..Drain::default()
                },
                log: Log { format, access, headers: headers.into_iter().map(str::to_owned).collect() },
                pools,
                routes,
                passthrough: Vec::new(),
            }
        },
    )
}

proptest! {
    #[test]
    fn any_configuration_round_trips(config in config()) {
        prop_assume!(!config.routes.is_empty());
        round_trip(config);
    }
}
