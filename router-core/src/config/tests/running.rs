//! How Weir runs: its limits and clocks, its end, its log.

use std::time::Duration;

use super::{loaded, problems, refused, with_pool, with_top};
use crate::config::{LogFormat, RouteTimeouts, Usage};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn limits_take_sizes_counts_and_times() {
    assert_eq!(loaded(&with_top("limits: {body: 1KiB}")).limits.body_bytes, 1024);
    assert_eq!(loaded(&with_top("limits: {}")).limits.body_bytes, 32 << 20);
    let limits = loaded(&with_top(
        "limits: {head: 4KiB, uri: 4096, body: 1GiB, body_memory: 1GiB, connections: 1, header_read: 10ms,\n\
         \x20 body_read: 1h, body_rate: 0, idle: 1.5s, client_stall: 60s, send_buffer: 16KiB}",
    ))
    .limits;
    assert_eq!((limits.head_bytes, limits.uri_bytes), (4096, 4096));
    assert_eq!((limits.body_bytes, limits.body_memory_bytes), (1 << 30, 1 << 30));
    assert_eq!((limits.connections, limits.body_rate_bytes), (1, 0));
    assert_eq!((limits.header_read, limits.body_read), (Duration::from_millis(10), secs(3600)));
    assert_eq!(limits.send_buffer_bytes, 16 << 10);
    assert_eq!((limits.idle, limits.client_stall), (Duration::from_millis(1500), secs(60)));
}

#[test]
fn limits_that_are_refused() {
    let cases = [
        ("body: 1023", "limits.body", "out of range; 1KiB to 1GiB"),
        ("body: 2GiB", "limits.body", "out of range"),
        ("head: 4095", "limits.head", "out of range; 4KiB to 1MiB"),
        ("uri: 255", "limits.uri", "out of range; 256 to 64KiB"),
        ("connections: 0", "limits.connections", "`0` is out of range; 1 to 1000000"),
        ("connections: 1000001", "limits.connections", "out of range"),
        ("connections: 10k", "limits.connections", "expected a whole number, found `10k`"),
        ("connections: 99999999999999999999", "limits.connections", "out of range"),
        ("header_read: 9ms", "limits.header_read", "out of range; 10ms to 1h"),
        ("body_read: 61m", "limits.body_read", "out of range"),
        ("body_rate: 1KiB/s", "limits.body_rate", "expected a size"),
        ("idle: 75", "limits.idle", "expected a duration"),
        ("client_stall: 0", "limits.client_stall", "out of range"),
        ("send_buffer: 1KiB", "limits.send_buffer", "out of range; 16KiB to 64MiB"),
        ("hed: 8KiB", "limits.hed", "did you mean `head`?"),
    ];
    for (limit, path, message) in cases {
        refused(&with_top(&format!("limits: {{{limit}}}")), path, message);
    }
}

#[test]
fn a_part_fits_into_the_whole() {
    let cases = [
        ("uri: 16KiB, head: 8KiB", "limits.uri", "`uri` (16KiB) is larger than `head` (8KiB)"),
        ("head: 4KiB", "limits.head", "`uri` (8KiB by default) is larger than `head` (4KiB)"),
        (
            "body: 1GiB",
            "limits.body",
            "`body` (1GiB) is larger than `body_memory` (512MiB by default); `body_memory` has to be at least what `body` is",
        ),
        (
            "body_memory: 1MiB, body: 2MiB",
            "limits.body_memory",
            "`body` (2MiB) is larger than `body_memory` (1MiB)",
        ),
        ("body_memory: 16MiB", "limits.body_memory", "`body` (32MiB by default) is larger"),
    ];
    for (limits, path, message) in cases {
        refused(&with_top(&format!("limits: {{{limits}}}")), path, message);
    }
    assert_eq!(
        problems(&with_top("limits: {body: 5GiB, body_memory: 1KiB}")).len(),
        1,
        "one cause, one report"
    );
}

#[test]
fn drain_is_a_duration_or_a_mapping() {
    let drain = |value: &str| {
        let drain = loaded(&with_top(&format!("drain: {value}"))).drain;
        (drain.grace, drain.requests, drain.streams)
    };
    assert_eq!(drain("0"), (secs(5), Duration::ZERO, Duration::ZERO));
    assert_eq!(drain("10s"), (secs(5), secs(10), secs(10)));
    assert_eq!(drain("{}"), (secs(5), secs(30), secs(30)));
    assert_eq!(drain("{grace: 0, requests: 45s}"), (Duration::ZERO, secs(45), secs(45)));
    assert_eq!(drain("{streams: 5m}"), (secs(5), secs(30), secs(300)));
    let cases = [
        ("61m", "drain", "out of range; 0s to 1h"),
        ("-1s", "drain", "expected a duration"),
        ("[1s]", "drain", "expected a duration or a mapping, found a list"),
        ("{grace: 61m}", "drain.grace", "out of range"),
        ("{streams: 10s}", "drain.streams", "streams get 10s, other answers 30s"),
        ("{requests: 2m, streams: 1m}", "drain.streams", "streams get 1m, other answers 2m"),
        ("{stream: 1m}", "drain.stream", "did you mean `streams`?"),
    ];
    for (value, path, message) in cases {
        refused(&with_top(&format!("drain: {value}")), path, message);
    }
    assert_eq!(problems(&with_top("drain: {requests: x, streams: 1s}")).len(), 1, "nothing to compare with");
}

#[test]
fn logs() {
    let log = loaded(&with_top("log: {format: json, access: false, headers: [User-Agent]}")).log;
    assert_eq!(
        (log.format, log.access, log.headers),
        (LogFormat::Json, false, vec!["user-agent".to_owned()])
    );
    let many =
        format!("log: {{headers: [{}]}}", (0..17).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(", "));
    let cases = [
        ("log: {access: yes}", "log.access", "expected true or false, found `yes`"),
        ("log: {access: 1}", "log.access", "expected true or false"),
        ("log: {format: jsno}", "log.format", "did you mean `json`?"),
        ("log: {headers: [user agent]}", "log.headers[0]", "not the name of a header"),
        ("log: {headers: [X-API-Key]}", "log.headers[0]", "carries credentials"),
        ("log: {headers: [cookie]}", "log.headers[0]", "carries credentials"),
        ("log: {headers: [x-a, X-A]}", "log.headers[1]", "logged already"),
        (&*many, "log.headers", "17 headers, more than 16"),
    ];
    for (top, path, message) in cases {
        refused(&with_top(top), path, message);
    }
}

#[test]
fn timeouts_of_pools_and_routes() {
    let pool = loaded(&with_pool(
        "http2: true, usage: never, timeouts: {connect: 1h, headers: 1ms, first_token: 2s, idle: 3s, answer: 24h}",
    ))
    .pools
    .remove(0);
    assert_eq!((pool.http2, pool.usage), (true, Usage::Never));
    let times = &pool.timeouts;
    assert_eq!((times.connect, times.headers), (secs(3600), Duration::from_millis(1)));
    assert_eq!((times.first_token, times.idle, times.answer), (secs(2), secs(3), secs(86_400)));

    let route =
        |timeouts: &str| with_top("").replace("{targets", &format!("{{timeouts: {{{timeouts}}}, targets"));
    let config = loaded(&route("first_token: 5s, answer: 10s"));
    let expected =
        RouteTimeouts { first_token: Some(secs(5)), answer: Some(secs(10)), ..RouteTimeouts::default() };
    assert_eq!(config.routes[0].timeouts, expected);
    let over = config.routes[0].timeouts.over(&config.pools[0].timeouts);
    assert_eq!((over.first_token, over.idle, over.answer), (secs(5), secs(60), secs(10)));
    refused(&route("answer: 25h"), "routes.r.timeouts.answer", "out of range; 1ms to 24h");
    refused(&route("headers: 61m"), "routes.r.timeouts.headers", "out of range; 1ms to 1h");
    refused(&route("connect: 1s"), "routes.r.timeouts.connect", "it belongs to `pools.NAME.timeouts`");
}
