//! The operators' listener: what it shows, to whom, and that clients do not reach it.

#![expect(clippy::float_cmp, reason = "counts are whole numbers, which floats hold exactly")]

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use support::client::{Connection, chat, get, post, request, send};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::outcome::weir;
use support::refusal::ANTHROPIC;
use support::upstream::{FINISH, LAST_CHUNK, SSE_HEAD, Upstream, chunk, delta};
use support::weir::{Folder, Weir};
use support::{eventually, metrics, pause};

const PAGES: [&str; 7] = [
    "/metrics",
    "/health",
    "/health/live",
    "/health/ready",
    "/admin/v1/routes",
    "/admin/v1/pools",
    "/admin/v1/config",
];

/// A route `m` with two targets, one of them behind a key, and a canary.
fn config(mini: &Upstream, full: &Upstream, key_file: &str) -> String {
    format!(
        "pools:\n\
         \x20 mini: {{ endpoints: [{{ url: \"{}\" }}], key: {{ env: MINI_KEY }}, balance: round_robin }}\n\
         \x20 full: {{ endpoints: [{{ url: \"{}/base\" }}], dialects: [openai], key: {{ file: \"{key_file}\" }} }}\n\
         routes:\n\
         \x20 m:\n\
         \x20   targets: [{{ pool: mini, model: small, weight: 0.75 }}, {{ pool: full, weight: 0.25 }}]\n\
         \x20   canary: [{{ header: X-Api-Version, equals: v2, target: full }}]\n",
        mini.url(),
        full.url()
    )
}

/// An upstream whose streams go on until the flag is set.
fn held() -> (Upstream, Arc<AtomicBool>) {
    let finish = Arc::new(AtomicBool::new(false));
    let told = finish.clone();
    let upstream = Upstream::with(move |_, socket| {
        let mut alive = socket.write_all(&[SSE_HEAD, &chunk(&delta("a"))].concat()).is_ok();
        while alive && !told.load(Ordering::SeqCst) {
            pause(Duration::from_millis(10));
            alive = socket.write_all(&chunk(&delta("b"))).is_ok();
        }
        alive && socket.write_all(&[&chunk(FINISH)[..], LAST_CHUNK].concat()).is_ok()
    });
    (upstream, finish)
}

#[test]
fn the_metrics_are_what_a_scraper_takes() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    chat(&weir.data, ASK);
    chat(&weir.data, r#"{"model":"other"}"#);
    get(&weir.data, "/nowhere");
    eventually("the calls", || (weir.metric_sum("weir_requests_total") >= 3.0).then_some(()));

    let answer = get(&weir.admin, "/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    let families = metrics::parse(&answer.text());
    for (name, family) in &families {
        assert!(name.starts_with("weir_"), "{name}");
        assert!(!family.help.is_empty() && !family.kind.is_empty(), "{name}");
        let counts = name.ends_with("_total") || name.ends_with("_offset");
        assert_eq!(counts, family.kind == "counter", "{name}");
        assert!(family.kind != "histogram" || name.ends_with("_seconds"), "{name}");
    }
    let contract = [
        ("weir_requests_total", "counter", &["code", "dialect", "route", "segment", "target"][..]),
        ("weir_request_duration_seconds", "histogram", &["route", "segment", "target"]),
        ("weir_first_token_seconds", "histogram", &["route", "segment", "target"]),
        ("weir_inter_token_seconds", "histogram", &["route", "segment", "target"]),
        ("weir_overhead_seconds", "histogram", &[]),
        ("weir_inflight", "gauge", &["target"]),
        ("weir_tokens_total", "counter", &["direction", "route", "segment", "target"]),
        ("weir_limit_hits_total", "counter", &["limit"]),
        ("weir_panics_total", "counter", &[]),
        ("weir_build_info", "gauge", &["version"]),
    ];
    for (name, kind, labels) in contract {
        let family = families.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((family.kind.as_str(), family.label_names()), (kind, labels.to_vec()), "{name}");
    }
    assert_eq!(families["weir_build_info"].samples[0].labels["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn histograms_add_up() {
    let weir = Weir::configured(&one_pool(&[Upstream::new().url()], ""));
    (0..5).for_each(|_| drop(chat(&weir.data, ASK)));
    eventually("five calls", || (weir.metric_sum("weir_requests_total") >= 5.0).then_some(()));
    let families = metrics::parse(&get(&weir.admin, "/metrics").text());
    let duration = &families["weir_request_duration_seconds"].samples;
    let of = |suffix: &str| {
        duration
            .iter()
            .filter(|sample| sample.name.ends_with(suffix))
            .map(|sample| sample.value)
            .collect::<Vec<_>>()
    };
    let buckets = of("_bucket");
    assert!(buckets.is_sorted(), "{buckets:?}");
    assert_eq!((buckets.last(), of("_count")), (Some(&5.0), vec![5.0]));
    assert!(of("_sum")[0] > 0.0);
}

#[test]
fn counters_move_by_the_calls_made() {
    let (mini, full, files) = (Upstream::new(), Upstream::new(), Folder::new());
    let key = files.write("key", "k\n").display().to_string();
    let text = format!("limits: {{ body: 1KiB }}\n{}", config(&mini, &full, &key));
    let weir = Weir::configured_with(&text, &[("MINI_KEY", "k")]);
    for _ in 0..4 {
        assert_eq!(chat(&weir.data, ASK).status, 200);
    }
    assert_eq!(post(&weir.data, ANTHROPIC, &[], ASK).status, 200);
    assert_eq!(chat(&weir.data, r#"{"model":"other"}"#).status, 404);
    assert_eq!(chat(&weir.data, format!("{{\"x\":\"{}\"}}", "x".repeat(2048))).status, 413);
    assert_eq!(get(&weir.data, "/nowhere").status, 404);
    eventually("eight calls", || (weir.metric_sum("weir_requests_total") >= 8.0).then_some(()));

    let requests = |dialect: &str, code: u16, route: &str, target: &str| {
        let labels = format!(
            "code=\"{code}\",dialect=\"{dialect}\",route=\"{route}\",segment=\"default\",target=\"{target}\""
        );
        weir.metric(&format!("weir_requests_total{{{labels}}}"))
    };
    assert_eq!(requests("openai", 200, "m", "mini/small"), 3.0);
    assert_eq!(requests("openai", 200, "m", "full"), 1.0);
    assert_eq!(requests("anthropic", 200, "m", "mini/small"), 1.0);
    assert_eq!(requests("openai", 404, "none", "none"), 1.0);
    assert_eq!(requests("openai", 413, "none", "none"), 1.0);
    assert_eq!(requests("none", 404, "none", "none"), 1.0);
    let labels = "route=\"m\",segment=\"default\",target=\"full\"}";
    assert_eq!(weir.metric(&format!("weir_tokens_total{{direction=\"prompt\",{labels}")), 7.0);
    assert_eq!(weir.metric(&format!("weir_tokens_total{{direction=\"completion\",{labels}")), 2.0);
    assert_eq!(weir.metric(&format!("weir_request_duration_seconds_count{{{labels}")), 1.0);
    assert_eq!(weir.metric("weir_limit_hits_total{limit=\"body\"}"), 1.0);
    assert_eq!(weir.metric_sum("weir_inflight"), 0.0);
    assert_eq!(weir.metric("weir_panics_total"), 0.0);
}

#[test]
fn routes_and_pools_show_what_is_in_flight() {
    let (mini, finish) = held();
    let (full, files) = (Upstream::new(), Folder::new());
    let key = files.write("key", "k\n").display().to_string();
    let weir = Weir::configured_with(&config(&mini, &full, &key), &[("MINI_KEY", "k")]);
    let mut stream = Connection::to(&weir.data);
    stream.send(request("POST", "/v1/chat/completions", &[], ASK_STREAM.as_bytes()));
    assert_eq!(stream.head().header("x-weir-target"), Some("mini/small"));

    let told = get(&weir.admin, "/admin/v1/routes").json();
    let (route, targets) = (&told["routes"][0], &told["routes"][0]["targets"]);
    assert_eq!(
        (&told["revision"], &route["route"], &route["source"]),
        (&json!(1), &json!("m"), &json!("file"))
    );
    let canary = json!([{ "header": "x-api-version", "equals": "v2", "target": "full" }]);
    assert_eq!((&route["canary"], targets.as_array().map(Vec::len)), (&canary, Some(2)));
    let expected = [("mini/small", "mini", json!("small"), 0.75, 1), ("full", "full", json!(null), 0.25, 0)];
    for (index, (target, pool, model, weight, inflight)) in expected.into_iter().enumerate() {
        let told = &targets[index];
        assert_eq!((&told["target"], &told["pool"], &told["model"]), (&json!(target), &json!(pool), &model));
        assert_eq!((&told["weight"], &told["inflight"]), (&json!(weight), &json!(inflight)));
    }
    let expected = json!({ "pools": [
        { "pool": "mini", "dialects": ["openai", "anthropic"], "balance": "round_robin",
          "endpoints": [{ "endpoint": mini.address, "inflight": 1 }] },
        { "pool": "full", "dialects": ["openai"], "balance": "least_request",
          "endpoints": [{ "endpoint": full.address, "inflight": 0 }] },
    ] });
    assert_eq!(get(&weir.admin, "/admin/v1/pools").json(), expected);
    assert_eq!(weir.metric("weir_inflight{target=\"mini/small\"}"), 1.0);

    finish.store(true, Ordering::SeqCst);
    assert!(stream.chunks(&mut Vec::new()));
    eventually("nothing in flight", || (weir.metric_sum("weir_inflight") == 0.0).then_some(()));
    assert_eq!(get(&weir.admin, "/admin/v1/pools").json()["pools"][0]["endpoints"][0]["inflight"], 0);
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let (mini, full, files) = (Upstream::new(), Upstream::new(), Folder::new());
    let key = files.write("key", "hunter2-in-a-file\n").display().to_string();
    let weir = Weir::configured_with(&config(&mini, &full, &key), &[("MINI_KEY", "hunter2-in-a-variable")]);
    let answer = get(&weir.admin, "/admin/v1/config");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert!(!answer.text().contains("hunter2"), "{}", answer.text());
    let shown = answer.json();
    assert_eq!(shown["pools"]["mini"]["key"], json!({ "env": "MINI_KEY" }));
    assert_eq!(shown["pools"]["full"]["key"], json!({ "file": key }));
    assert_eq!(shown["pools"]["full"]["endpoints"][0]["url"], format!("{}/base", full.url()));

    let same = files.write("shown.yaml", &answer.text()).display().to_string();
    let outcome = weir_check(&same);
    assert!(outcome.contains("ok, pools: 2, routes: 1"), "what is shown can be run: {outcome}");
}

fn weir_check(file: &str) -> String {
    let outcome = weir(&["check", file]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome.stdout
}

#[test]
fn clients_reach_nothing_of_it() {
    let upstream = Upstream::new();
    let weir = Weir::before(&[upstream.url()]);
    let paths = [
        "/metrics",
        "/metrics/",
        "/metrics?x=1",
        "//metrics",
        "/./metrics",
        "/v1/../metrics",
        "/v1/models/../../metrics",
        "/%6detrics",
        "/%2Fmetrics",
        "/METRICS",
        "/admin",
        "/admin/v1/config",
        "/admin/v1/routes",
        "/admin/v1/pools",
        "/admin%2Fv1%2Fconfig",
        "/v1/%2e%2e/admin/v1/config",
        "/admin/v1/config;x",
        "/health/ready/../../metrics",
    ];
    for path in paths {
        for method in ["GET", "POST", "HEAD", "OPTIONS"] {
            let mut connection = Connection::to(&weir.data);
            connection.send(request(method, path, &[], b""));
            // 400 where the path could be read as another one.
            assert!(matches!(connection.head().status, 400 | 404), "{method} {path}");
        }
    }
    let admin = &weir.admin;
    for head in [
        format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\n\r\n"),
        format!("GET http://{admin}/metrics HTTP/1.1\r\nhost: {admin}\r\n\r\n"),
        format!("GET http://{admin}/admin/v1/config HTTP/1.1\r\nhost: x\r\n\r\n"),
    ] {
        assert_eq!(send(&weir.data, &head).status, 404, "{head}");
    }
    let mut tunnel = Connection::to(&weir.data);
    tunnel.send(format!("CONNECT {admin} HTTP/1.1\r\nhost: {admin}\r\n\r\n"));
    assert!(tunnel.head().status >= 400);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_web_page_reaches_nothing_of_it() {
    let weir = Weir::before(&[Upstream::new().url()]);
    let ask = |page: &str, headers: &str| send(&weir.admin, format!("GET {page} HTTP/1.1\r\n{headers}\r\n"));
    for page in PAGES.into_iter().chain(["/nowhere"]) {
        for origin in ["https://page.example", "null", "http://127.0.0.1:9901", ""] {
            let answer = ask(page, &format!("host: {}\r\norigin: {origin}\r\n", weir.admin));
            assert_eq!(
                (answer.status, &answer.json()["error"]["code"]),
                (403, &json!("origin_refused")),
                "{page}"
            );
        }
        for host in [
            "rebound.example",
            "rebound.example:9901",
            "10.0.0.1",
            "127.0.0.1.example",
            "0.0.0.0:9901",
            "",
            "[",
        ] {
            let answer = ask(page, &format!("host: {host}\r\n"));
            assert_eq!(
                (answer.status, &answer.json()["error"]["code"]),
                (403, &json!("host_refused")),
                "{page} {host}"
            );
        }
        assert_eq!(ask(page, "").status, 403, "{page} without a host");
        assert_eq!(send(&weir.admin, format!("GET {page} HTTP/1.0\r\n\r\n")).status, 403, "{page}");
    }
    for host in ["localhost", "LOCALHOST:9901", "127.0.0.1", "127.1.2.3:80", "[::1]:9901"] {
        assert_eq!(ask("/metrics", &format!("host: {host}\r\n")).status, 200, "{host}");
    }
}

#[test]
fn it_is_only_read() {
    let weir = Weir::before(&[Upstream::new().url()]);
    for page in PAGES {
        assert_eq!(get(&weir.admin, page).status, 200, "{page}");
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let answer = send(&weir.admin, request(method, page, &[], b""));
            assert_eq!(answer.status, 405, "{method} {page}");
            assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{method} {page}");
        }
    }
    let answer = get(&weir.admin, "/admin/v1/nowhere");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("not_found")));
}
