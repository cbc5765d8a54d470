//! What is rendered loads again as the same configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::gauges::with_gauges;
use super::jwt::with_identity;
use super::{callers, loaded, overload, unset};
use crate::config::weights::shares;
use crate::config::{
    Address, Admin, Audit, Balance, Bulkhead, Canary, Concurrency, Config, Drain, Endpoint, Identity, Limits,
    Listen, Log, LogFormat, MetricsListener, NonStreaming, Passthrough, Pool, Route, RouteTimeouts, Secret,
    Target, Timeouts, Tls, UpstreamArgument, Usage, WhenFull, from_upstreams, load, to_json,
};
use crate::dialect::DialectSet;

/// The configuration with pools and routes in the order in which JSON objects have them.
fn sorted(mut config: Config) -> Config {
    let names: Vec<_> = config.pools.iter().map(|pool| pool.name.clone()).collect();
    config.pools.sort_by(|a, b| a.name.cmp(&b.name));
    config.routes.sort_by(|a, b| a.name.cmp(&b.name));
    let places: Vec<_> = config.segments.iter().map(|segment| segment.name.clone()).collect();
    config.segments.sort_by(|a, b| a.name.cmp(&b.name));
    let place = |index: &usize| config.segments.iter().position(|one| one.name == places[*index]).unwrap();
    config.anonymous = config.anonymous.as_ref().map(place);
    for allow in config.routes.iter_mut().filter_map(|route| route.allow.as_mut()) {
        *allow = allow.iter().map(place).collect();
    }
    let targets =
        config.routes.iter_mut().flat_map(|route| &mut route.targets).map(|target| &mut target.pool);
    for index in targets.chain(config.passthrough.iter_mut().map(|one| &mut one.pool)) {
        *index = config.pools.iter().position(|pool| pool.name == names[*index]).unwrap();
    }
    config
}

fn round_trip(config: Config) {
    let text = to_json(&config).to_string();
    let again = load(&text, &unset).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
    assert_eq!(again.config, sorted(config), "{text}");
    super::schema::assert_takes(&text);
}

#[test]
fn every_default_is_filled_in() {
    let segment = json!({
        "share": 1, "order": "fair", "priority": "realtime", "objective": {}, "max_inflight_ratio": 1, "keys": [],
    });
    let text = "pools:\n  api:\n    endpoints: [{ url: 'https://api.example.com/v1' }]\n    key: { file: /run/key }\n\
                routes: { '*': { targets: [{ pool: api }] } }\n";
    let expected = json!({
        "listen": [{ "address": "127.0.0.1:8080", "trust_headers": false }],
        "admin": { "address": "127.0.0.1:9901" },
        "limits": {
            "head": "64KiB",
            "uri": "8KiB",
            "body": "32MiB",
            "body_memory": "512MiB",
            "connections": 10_000,
            "header_read": "10s",
            "body_read": "30s",
            "body_rate": "1KiB",
            "idle": "75s",
            "client_stall": "1m",
            "send_buffer": "128KiB",
        },
        "drain": { "grace": "5s", "requests": "30s", "streams": "30s" },
        "log": { "format": "auto", "access": true, "headers": [] },
        "pools": { "api": {
            "endpoints": [{ "url": "https://api.example.com" }],
            "dialects": ["openai", "anthropic"],
            "key": { "file": "/run/key" },
            "balance": "least_request",
            "timeouts":
                { "connect": "1s", "headers": "1m", "first_token": "1m", "idle": "1m", "answer": "10m" },
            "http2": false,
            "usage": "auto",
            "concurrency": { "algorithm": "first_token_window", "gateways": 1 },
            "non_streaming": "estimate",
            "bulkhead": {},
            "batch": { "reserve": 0.2, "minimum": 0 },
        } },
        "routes": { "*": {
            "targets": [{ "pool": "api", "weight": 1.0 }],
            "canary": [],
            "timeouts": {},
            "when_full": "spill",
            "queue": { "wait": "1m", "requests": 10_000 },
        } },
        "passthrough": [],
        "segments": { "default": segment },
        "anonymous": "default",
        "identity": {},
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

fn address() -> impl Strategy<Value = Address> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(Ipv6Addr::from(octets))),
    ];
    let tcp = (ip, 0..=u16::MAX).prop_map(|place| Address::Tcp(SocketAddr::from(place)));
    prop_oneof![tcp, unix()]
}

fn unix() -> impl Strategy<Value = Address> {
    "/[!-~äß ]{0,30}[!-.0-~]".prop_map(|path| Address::Unix(path.into()))
}

/// A time between these many microseconds.
fn time(least: u64, most: u64) -> impl Strategy<Value = Duration> {
    (least..=most).prop_map(Duration::from_micros)
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let clock = || time(1_000, 3_600_000_000);
    (clock(), clock(), clock(), clock(), time(1_000, 86_400_000_000)).prop_map(
        |(connect, headers, first_token, idle, answer)| Timeouts {
            connect,
            headers,
            first_token,
            idle,
            answer,
        },
    )
}

fn route_timeouts() -> impl Strategy<Value = RouteTimeouts> {
    let clock = || prop::option::of(time(1_000, 3_600_000_000));
    (clock(), clock(), clock(), clock()).prop_map(|(headers, first_token, idle, answer)| RouteTimeouts {
        headers,
        first_token,
        idle,
        answer,
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let clock = || time(10_000, 3_600_000_000);
    let head = (4_096..=1_048_576_u64).prop_flat_map(|head| (Just(head), 256..=head.min(65_536)));
    let body = (1_024..=1_u64 << 30).prop_flat_map(|body| (Just(body), body..=1 << 40));
    let send_buffer = 16_384..=1_u64 << 26;
    (head, body, 1..=1_000_000_u64, 0..=16_777_216_u64, send_buffer, (clock(), clock(), clock(), clock()))
        .prop_map(
            |(
                head,
                body,
                connections,
                body_rate_bytes,
                send_buffer_bytes,
                (header_read, body_read, idle, client_stall),
            )| Limits {
                head_bytes: head.0,
                uri_bytes: head.1,
                body_bytes: body.0,
                body_memory_bytes: body.1,
                connections,
                header_read,
                body_read,
                body_rate_bytes,
                idle,
                client_stall,
                send_buffer_bytes,
            },
        )
}

fn drain() -> impl Strategy<Value = Drain> {
    (0..=3_600_000_u64, 0..=3_600_000_u64, 0..=3_600_000_u64).prop_map(|(grace, one, other)| {
        let time = Duration::from_millis;
        Drain { grace: time(grace), requests: time(one.min(other)), streams: time(one.max(other)) }
    })
}

/// Listeners that do not meet; port 0 meets nothing.
fn doors() -> impl Strategy<Value = (Vec<Listen>, Admin)> {
    let operators = prop_oneof![
        (0..=u16::MAX).prop_map(|port| Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
        unix(),
    ];
    let secured = || (address(), prop::option::of(tls()));
    (
        prop::collection::vec(secured(), 1..4),
        (operators, prop::option::of(tls())),
        prop::option::of(secured()),
    )
        .prop_map(|(listen, (operators, tls), metrics)| {
            let mut places = vec![operators.clone()];
            let mut free = |address: &Address| {
                let free = places.iter().all(|other| !address.meets(other) && address != other);
                places.push(address.clone());
                free
            };
            let mut listen: Vec<_> = listen
                .into_iter()
                .filter(|(address, _)| free(address))
                .map(|(address, tls)| {
                    let trust_headers = address.to_string().len() % 2 == 0;
                    Listen { trust_headers, tls: over_tcp(&address, tls), address }
                })
                .collect();
            if listen.is_empty() {
                let last_resort = Address::Unix("/run/weir.sock".into());
                listen.extend(free(&last_resort).then_some(Listen {
                    address: last_resort,
                    trust_headers: true,
                    tls: None,
                }));
            }
            let metrics = metrics.filter(|(address, _)| free(address));
            let metrics =
                metrics.map(|(address, tls)| MetricsListener { tls: over_tcp(&address, tls), address });
            let keys = Vec::new();
            (listen, Admin { keys, tls: over_tcp(&operators, tls), address: operators, metrics })
        })
}

fn over_tcp(address: &Address, tls: Option<Tls>) -> Option<Tls> {
    tls.filter(|_| matches!(address, Address::Tcp(_)))
}

fn tls() -> impl Strategy<Value = Tls> {
    let key = prop_oneof![
        "/[ -~]{1,20}".prop_map(|path| Secret::File(path.into())),
        "[A-Z_][A-Z0-9_]{0,20}".prop_map(Secret::Env),
    ];
    ("[ -~äöü]{1,20}", key, prop::option::of("[ -~äöü]{1,20}")).prop_map(|(certificate, key, client_ca)| {
        Tls { certificate: certificate.into(), key, client_ca: client_ca.map(Into::into) }
    })
}

fn passthrough(pools: usize) -> impl Strategy<Value = Vec<Passthrough>> {
    let prefix = "(/[a-z0-9$&+,=:@!~{}-]{1,9}){1,3}";
    let one = (prefix, 0..pools, prop::option::of(time(1_000, 3_600_000_000)));
    prop::collection::vec(one, 0..4).prop_map(|entries| {
        let mut found: Vec<Passthrough> = Vec::new();
        for (prefix, pool, timeout) in entries {
            let own = ["/v1", "/health", "/weir"].iter().any(|own| prefix.starts_with(own));
            if !own && found.iter().all(|other| other.prefix != prefix) {
                found.push(Passthrough { prefix, pool, timeout });
            }
        }
        found
    })
}

pub(super) fn endpoint() -> impl Strategy<Value = Endpoint> {
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
    let ca = prop::option::of("[ -~äöü]{1,20}");
    let ways = (any::<bool>(), any::<bool>(), prop::sample::select(Usage::ALL.to_vec()));
    let ways = (ways, overload::concurrency_of_any_kind(), overload::bulkhead(), overload::batch());
    let endpoints = prop::collection::vec(endpoint(), 1..4);
    let pool = (endpoints, dialects, key, ca, ways, timeouts()).prop_map(
        |(mut endpoints, (openai, anthropic), key, ca, (ways, concurrency, bulkhead, batch), timeouts)| {
            let (turns, http2, usage) = ways;
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
                timeouts,
                http2,
                usage,
                concurrency: Some(concurrency),
                non_streaming: NonStreaming::Estimate,
                bulkhead: if http2 { Bulkhead { connections: None, ..bulkhead } } else { bulkhead },
                batch,
                gauges: None,
            }
        },
    );
    (pool, endpoint()).prop_flat_map(|(pool, page)| with_gauges(pool, page))
}

fn route(pools: usize) -> impl Strategy<Value = Route> {
    let name = prop_oneof![Just("*".to_owned()).boxed(), "[!-~äß日本]{1,12}".boxed()];
    let target = (0..pools, prop::option::of("[!-~äß日本]{1,12}"), 0..1_000_u64);
    let rule = ("[a-z][a-z0-9-]{0,8}", "[!-~]([ -~]{0,8}[!-~])?", any::<prop::sample::Index>());
    let targets = prop::collection::vec(target, 1..5);
    let waiting = (prop::sample::select(WhenFull::ALL.to_vec()), overload::queue());
    (name, targets, prop::collection::vec(rule, 0..4), route_timeouts(), waiting).prop_map(
        |(name, targets, rules, timeouts, (when_full, queue))| {
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
            Route { name, targets: kept, canary, timeouts, when_full, queue, allow: None }
        },
    )
}

fn audit() -> impl Strategy<Value = Option<Audit>> {
    let key = prop::sample::select(vec![
        None,
        Some(Secret::Env("AUDIT_KEY".to_owned())),
        Some(Secret::File("/run/audit ${x}.pem".into())),
    ]);
    prop::option::of(key.prop_map(|key| Audit { path: "/var/log/weir/audit.jsonl".into(), key }))
}

fn config() -> impl Strategy<Value = Config> {
    let parts = prop::collection::vec(pool(), 1..5).prop_flat_map(|pools| {
        let routes = prop::collection::vec(route(pools.len()), 1..5);
        let passthrough = passthrough(pools.len());
        (Just(pools), routes, passthrough)
    });
    let log = (
        prop::sample::select(LogFormat::ALL.to_vec()),
        any::<bool>(),
        prop::sample::subsequence(vec!["x-a", "user-agent", "x_b"], 0..3),
    );
    (parts, (log, audit()), doors(), limits(), drain(), overload::segments(), callers::access()).prop_map(
        |(
            (mut pools, mut routes, passthrough),
            ((format, access, headers), audit),
            (listen, admin),
            limits,
            drain,
            (segments, anonymous),
            rights,
        )| {
            for (index, pool) in pools.iter_mut().enumerate() {
                pool.name = format!("pool-{}", 9 - index);
            }
            let mut seen = Vec::new();
            routes.retain(|route| {
                let new = !seen.contains(&route.name) && !route.name.contains("${");
                seen.push(route.name.clone());
                new && !["stream", "pools"].contains(&&*route.name)
            });
            let mut config = Config {
                listen,
                admin,
                limits,
                drain,
                log: Log { format, access, headers: headers.into_iter().map(str::to_owned).collect() },
                audit,
                pools,
                routes,
                passthrough,
                segments,
                anonymous,
                identity: Identity::default(),
            };
            callers::give_access(&mut config, rights);
            only_by_path(&mut config);
            config
        },
    )
}

/// What a pool has to which only paths lead.
fn only_by_path(config: &mut Config) {
    for (index, pool) in config.pools.iter_mut().enumerate() {
        let by_model = config.routes.iter().flat_map(|route| &route.targets).any(|one| one.pool == index);
        if by_model || config.passthrough.iter().all(|one| one.pool != index) {
            continue;
        }
        if matches!(pool.concurrency, Some(Concurrency::FirstTokenWindow(_))) {
            pool.concurrency = None;
        }
        pool.gauges = None;
        let Bulkhead { connections, pending, streams } = pool.bulkhead;
        pool.bulkhead = Bulkhead {
            connections: connections.or(Some(100)).filter(|_| !pool.http2),
            pending: pending.or(Some(50)),
            streams: streams.or(Some(100)),
        };
    }
}

proptest! {
    #[test]
    fn any_configuration_round_trips(config in config().prop_flat_map(with_identity)) {
        prop_assume!(!config.routes.is_empty() || !config.passthrough.is_empty());
        prop_assume!(!config.listen.is_empty());
        round_trip(config);
    }
}
