//! Callers with keys: who is let in, to what, and that no key ever shows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::Write;

use serde_json::Value;
use support::client::{Answer, Connection, get, post, request, send};
use support::config::ASK;
use support::eventually;
use support::held::{trusting, write};
use support::http2::Client;
use support::outcome::weir as run;
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI};
use support::upstream::{Upstream, answer};
use support::weir::Weir;

/// A key, and what a configuration knows of it.
struct Key {
    key: String,
    sha256: String,
}

impl Key {
    /// A new one, as operators make them.
    fn new() -> Self {
        let outcome = run(&["key", "new", "--json"]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
        let made: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self { key: text("key"), sha256: text("sha256") }
    }

    /// What nobody else may see.
    fn secret(&self) -> &str {
        self.key.strip_prefix("weir-").unwrap()
    }

    fn item(&self, id: &str, more: &str) -> String {
        format!("{{ id: {id}, sha256: \"{}\"{more} }}", self.sha256)
    }

    fn bearer(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.key))
    }
}

/// Routes `m` and `gold-only`, a passthrough, and these segments, before one upstream.
fn config(upstream: &Upstream, segments: &str) -> String {
    format!(
        "pools: {{ p: {{ endpoints: [{{ url: \"{}\" }}] }} }}\n\
         routes:\n  m: {{ targets: [{{ pool: p }}] }}\n  gold-only: {{ targets: [{{ pool: p }}], allow: [gold] }}\n\
         passthrough: [{{ prefix: /chain, pool: p }}]\n{segments}\n",
        upstream.url()
    )
}

fn call(weir: &Weir, path: &str, headers: &[(&str, &str)]) -> Answer {
    post(&weir.data, path, headers, ASK)
}

fn with(key: &Key, address: &str, path: &str, model: &str) -> Answer {
    let (name, value) = key.bearer();
    let body = ASK.replace("\"m\"", &format!("\"{model}\""));
    post(address, path, &[(name, &value)], body)
}

const PATHS: [&str; 3] = [OPENAI, ANTHROPIC, "/chain/invoke"];

/// Checks a 401 or 403 as SDKs read it; gives its message.
fn assert_denied(answer: &Answer, path: &str, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    assert!(answer.whole && answer.header("x-request-id").is_some());
    assert_eq!(answer.header("www-authenticate"), (status == 401).then_some("Bearer"));
    let body = answer.json();
    let (error, kind) =
        (&body["error"], if status == 401 { "invalid_request_error" } else { "permission_error" });
    match path {
        OPENAI | "/v1/models" => assert_eq!((&error["type"], &error["code"]), (&kind.into(), &code.into())),
        ANTHROPIC => {
            let kind = if status == 401 { "authentication_error" } else { "permission_error" };
            assert_eq!((&body["type"], &error["type"]), (&"error".into(), &kind.into()));
        }
        _ => return body["detail"].as_str().unwrap().to_owned(),
    }
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn who_has_a_key_is_known_and_everybody_else_is_refused() {
    let upstream = Upstream::new();
    let (good, old, other) = (Key::new(), Key::new(), Key::new());
    let weir = Weir::configured(&config(
        &upstream,
        &format!(
            "segments: {{ gold: {{ keys: [{}, {}] }}, free: {{}} }}",
            good.item("acme", ""),
            old.item("acme", ", expires: '2020-01-01T00:00:00Z'"),
        ),
    ));
    let mut refused = 0;
    for path in PATHS {
        for (headers, told) in [
            (vec![], "A key is needed"),
            (vec![("authorization", "Bearer ".to_owned())], "A key is needed"),
            (vec![other.bearer()], "not known"),
            (vec![("x-api-key", "EMPTY".to_owned())], "not known"),
            (vec![("x-api-key", "k".repeat(4000))], "not known"),
            (vec![("authorization", "Basic dTpw".to_owned())], "authorization: Bearer KEY"),
            (vec![old.bearer()], "expired"),
            (vec![good.bearer(), ("x-api-key", other.key.clone())], "different keys"),
        ] {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let message = assert_denied(&call(&weir, path, &headers), path, 401, "invalid_api_key");
            assert!(message.contains(told), "{headers:?}: {message}");
            refused += 1;
        }
    }
    assert_eq!(upstream.got().len(), 0);
    call(&weir, OPENAI, &[("x-api-key", &other.key), ("x-request-id", "unknown")]);
    assert_eq!(weir.call_line("unknown")["cause"], "unknown key, from 127.0.0.1");
    call(&weir, OPENAI, &[("x-api-key", &old.key), ("x-request-id", "old")]);
    assert_eq!(weir.call_line("old")["cause"], "a key of the caller acme has expired");
    let line = "weir_requests_total{code=\"401\"";
    let counted = || {
        let text = get(&weir.admin, "/metrics").text();
        let lines = text.lines().filter(|one| one.starts_with(line) && one.contains("segment=\"none\""));
        lines.map(|one| one.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
    };
    eventually("the refusals to be counted", || (counted() > f64::from(refused) - 0.5).then_some(()));
    for path in PATHS {
        let (name, value) = good.bearer();
        assert_eq!(call(&weir, path, &[(name, &value), ("x-request-id", "known")]).status, 200);
        assert_eq!(call(&weir, path, &[("x-api-key", &good.key)]).status, 200);
        assert_eq!(
            call(&weir, path, &[(name, &value), ("X-API-Key", &good.key)]).status,
            200,
            "twice the same"
        );
    }
    let line = weir.call_line("known");
    assert_eq!((&line["segment"], &line["caller"]), (&"gold".into(), &"acme".into()));
    assert!(!get(&weir.admin, "/metrics").text().contains("acme"), "callers are no labels");
}

#[test]
fn nothing_of_a_body_is_read_before_its_caller_is_known() {
    let upstream = Upstream::new();
    let key = Key::new();
    let segments = format!("segments: {{ gold: {{ keys: [{}] }} }}", key.item("acme", ""));
    let weir = Weir::configured(&config(&upstream, &segments));
    for path in DIALECTS {
        let mut connection = Connection::to(&weir.data);
        // The body never comes.
        connection.send(format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nexpect: 100-continue\r\n\r\n"
        ));
        assert_denied(&connection.answer(), path, 401, "invalid_api_key");
        let encoded = call(&weir, path, &[("content-encoding", "gzip")]);
        assert_denied(&encoded, path, 401, "invalid_api_key");
    }
}

#[test]
fn one_key_can_follow_another() {
    let upstream = Upstream::new();
    let (old, new) = (Key::new(), Key::new());
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let soon = router_core::config::render_timestamp(soon);
    let weir = Weir::configured(&config(
        &upstream,
        &format!(
            "segments: {{ gold: {{ keys: [{}, {}] }} }}",
            old.item("acme", &format!(", expires: '{soon}'")),
            new.item("acme", "")
        ),
    ));
    assert_eq!(with(&old, &weir.data, OPENAI, "m").status, 200, "both are good while they overlap");
    assert_eq!(with(&new, &weir.data, OPENAI, "m").status, 200);
    eventually("the end of the old key", || {
        let answer = with(&old, &weir.data, OPENAI, "m");
        assert!([200, 401].contains(&answer.status));
        (answer.status == 401).then_some(())
    });
    assert_eq!(with(&new, &weir.data, OPENAI, "m").status, 200);
}

#[test]
fn what_a_caller_may_not_use_is_forbidden_and_in_no_list() {
    let upstream = Upstream::new();
    let (gold, narrow, chain, free) = (Key::new(), Key::new(), Key::new(), Key::new());
    let weir = Weir::configured(&config(
        &upstream,
        &format!(
            "segments: {{ gold: {{ keys: [{}, {}, {}] }}, free: {{ keys: [{}] }} }}",
            gold.item("all", ""),
            narrow.item("narrow", ", routes: [m]"),
            chain.item("chain", ", routes: ['passthrough:/chain', gold-only]"),
            free.item("free", ""),
        ),
    ));
    let cases = [
        (&gold, [true, true, true]),
        (&narrow, [true, false, false]),
        (&chain, [false, true, true]),
        (&free, [true, false, true]),
    ];
    for (key, [m, gold_only, passthrough]) in cases {
        let mut names = Vec::new();
        for (model, may) in [("m", m), ("gold-only", gold_only)] {
            names.extend(may.then_some(model));
            for path in DIALECTS {
                let answer = with(key, &weir.data, path, model);
                if may {
                    assert_eq!(answer.status, 200, "{}", answer.text());
                } else {
                    let message = assert_denied(&answer, path, 403, "route_forbidden");
                    assert!(message.contains(model), "{message}");
                }
            }
        }
        let answer = with(key, &weir.data, "/chain/invoke", "x");
        if passthrough {
            assert_eq!(answer.status, 200);
        } else {
            assert_denied(&answer, "/chain/invoke", 403, "route_forbidden");
        }
        assert_eq!(listed(&weir, key), names);
        let unknown = with(key, &weir.data, OPENAI, "none");
        let message = unknown.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(unknown.status == 404 && message.ends_with(&format!(": {}.", names.join(", "))), "{message}");
        let (name, value) = key.bearer();
        for (model, may) in [("m", m), ("gold-only", gold_only)] {
            let path = format!("/v1/models/{model}");
            let answer = send(&weir.data, request("GET", &path, &[(name, &value)], b""));
            assert_eq!(answer.status, if may { 200 } else { 404 }, "{}", answer.text());
        }
    }
    for path in ["/v1/models", "/v1/models/m"] {
        assert_denied(&get(&weir.data, path), "/v1/models", 401, "invalid_api_key");
    }
}

fn listed(weir: &Weir, key: &Key) -> Vec<String> {
    let (name, value) = key.bearer();
    let list = send(&weir.data, request("GET", "/v1/models", &[(name, &value)], b"")).json();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_anonymous_segment_is_for_those_who_send_no_key() {
    let upstream = Upstream::new();
    let (good, bad) = (Key::new(), Key::new());
    let segments =
        format!("segments: {{ gold: {{ keys: [{}] }}, free: {{}} }}\nanonymous: free", good.item("acme", ""));
    let weir = Weir::configured(&config(&upstream, &segments));
    for path in PATHS {
        assert_eq!(call(&weir, path, &[("x-request-id", "nobody")]).status, 200);
        let (name, value) = bad.bearer();
        assert_denied(&call(&weir, path, &[(name, &value)]), path, 401, "invalid_api_key");
    }
    assert_denied(
        &post(&weir.data, OPENAI, &[], ASK.replace("\"m\"", "\"gold-only\"")),
        OPENAI,
        403,
        "route_forbidden",
    );
    assert_eq!(with(&good, &weir.data, OPENAI, "gold-only").status, 200);
    let line = weir.call_line("nobody");
    assert_eq!((&line["segment"], line.get("caller")), (&"free".into(), None));
}

#[test]
fn who_tries_keys_is_told_to_stop_and_shuts_nobody_out() {
    let upstream = Upstream::new();
    let good = Key::new();
    let segments = format!("segments: {{ gold: {{ keys: [{}] }} }}", good.item("acme", ""));
    let weir = Weir::configured(&config(&upstream, &segments));
    let mut connection = Connection::to(&weir.data);
    let mut last = String::new();
    eventually("too many tries", || {
        let key = format!("weir-{:064x}", rand::random::<u128>());
        connection.send(request(
            "POST",
            OPENAI,
            &[("x-api-key", &key), ("x-request-id", "trial")],
            ASK.as_bytes(),
        ));
        let answer = connection.answer();
        last = assert_denied(&answer, OPENAI, 401, "invalid_api_key");
        answer.header("retry-after").map(|wait| assert!(["1", "2"].contains(&wait)))
    });
    assert!(last.starts_with("Too many"), "{last}");
    assert_eq!(with(&good, &weir.data, OPENAI, "m").status, 200);
    assert!(weir.metric("weir_limit_hits_total{limit=\"unknown_keys\"}") > 0.5);
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn before_the_first_key_any_credential_is_nobodys_business() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&config(&upstream, "segments: { gold: {}, free: {} }\nanonymous: free"));
    for path in PATHS {
        let answer = call(&weir, path, &[("authorization", "Basic x"), ("x-api-key", "whatever")]);
        assert_eq!(answer.status, 200);
    }
    assert!(upstream.got().iter().all(|got| got.header("x-api-key") == Some("whatever")));
    let closed = Weir::configured(&config(&upstream, "segments: { gold: {} }\nanonymous: refuse"));
    assert_denied(&call(&closed, OPENAI, &[]), OPENAI, 401, "invalid_api_key");
}

#[test]
fn who_may_name_a_segment_needs_no_key_and_keeps_to_the_routes_of_one() {
    let upstream = Upstream::new();
    let (key, bad) = (Key::new(), Key::new());
    let segments = format!(
        "segments: {{ gold: {{}}, free: {{ keys: [{}] }} }}",
        key.item("acme", ", routes: [gold-only]")
    );
    let (weir, _files) = trusting(&config(&upstream, &segments));
    let segment = ("x-weir-segment", "gold");
    assert_eq!(call(&weir, OPENAI, &[segment]).status, 200);
    assert_denied(&call(&weir, OPENAI, &[]), OPENAI, 401, "invalid_api_key");
    let (name, value) = bad.bearer();
    assert_denied(&call(&weir, OPENAI, &[segment, (name, &value)]), OPENAI, 401, "invalid_api_key");
    let (name, value) = key.bearer();
    assert_denied(&call(&weir, OPENAI, &[segment, (name, &value)]), OPENAI, 403, "route_forbidden");
    let body = ASK.replace("\"m\"", "\"gold-only\"");
    assert_denied(&post(&weir.data, OPENAI, &[(name, &value)], &body), OPENAI, 403, "route_forbidden");
    assert_eq!(post(&weir.data, OPENAI, &[segment, (name, &value)], &body).status, 200);
}

#[test]
fn a_callers_key_goes_nowhere() {
    let upstream = Upstream::new();
    let (key, bad) = (Key::new(), Key::new());
    let segments =
        format!("segments: {{ gold: {{ keys: [{}] }}, free: {{}} }}\nanonymous: free", key.item("acme", ""));
    let star = "routes:\n  \"*\": { targets: [{ pool: p }] }\n";
    let config = config(&upstream, &segments).replace("routes:\n", star);
    let config = format!("{config}log: {{ headers: [x-team] }}\n");
    let weir = Weir::configured(&config);
    let others =
        [("api-key", key.key.as_str()), ("cookie", &key.key), ("x-api-key", &key.key), ("x-team", "red")];
    let mut said = String::new();
    let (name, value) = key.bearer();
    for path in PATHS {
        let all: Vec<_> = others.iter().copied().chain([(name, value.as_str())]).collect();
        let answer = call(&weir, path, &all);
        assert_eq!(answer.status, 200, "{}", answer.text());
        said += &format!("{answer:?}");
        for wrong in [vec![bad.bearer()], vec![key.bearer(), ("x-api-key", bad.key.clone())]] {
            let wrong: Vec<_> = wrong.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = call(&weir, path, &wrong);
            assert_eq!(answer.status, 401);
            said += &format!("{:?} {}", answer.headers, answer.text());
        }
        let answer = send(&weir.data, request("POST", "/nowhere", &all, b"{}"));
        said += &format!("{:?} {}", answer.headers, answer.text());
    }
    for path in ["/v1/models", "/v1/models/else"] {
        let answer = send(&weir.data, request("GET", path, &[(name, &value)], b""));
        said += &format!("{:?} {}", answer.headers, answer.text());
    }
    assert!(upstream.got().len() > 4, "the list of models was asked for, too");
    for got in upstream.got() {
        let head = format!("{} {:?}", got.line, got.headers);
        assert!(!head.contains(key.secret()) && !head.contains("cookie"), "{head}");
    }
    for path in ["/metrics", "/admin/v1/config", "/admin/v1/routes", "/admin/v1/pools"] {
        said += &get(&weir.admin, path).text();
    }
    eventually("the log", || weir.log().contains("/nowhere").then_some(()));
    said += &weir.log();
    for secret in [key.secret(), bad.secret()] {
        assert!(!said.contains(secret), "a key shows");
    }
    assert!(!said.contains(&key.sha256), "nor does what could be tried against");
}

#[test]
fn what_a_route_for_everything_else_serves_is_for_those_who_may_use_it() {
    let models = r#"{"data":[{"id":"theirs"},{"id":"gold-only"},{"id":"m"}]}"#;
    let upstream = Upstream::with(move |_, socket| {
        socket
            .write_all(&answer("200 OK", &[("content-type", "application/json")], models.as_bytes()))
            .is_ok()
    });
    let (all, star, named) = (Key::new(), Key::new(), Key::new());
    let segments = format!(
        "segments: {{ gold: {{ keys: [{}, {}, {}] }} }}",
        all.item("all", ""),
        star.item("star", ", routes: ['*']"),
        named.item("named", ", routes: [m]"),
    );
    let config = config(&upstream, &segments);
    let config = config.replace("routes:\n", "routes:\n  \"*\": { targets: [{ pool: p }] }\n");
    let weir = Weir::configured(&config);
    assert_eq!(listed(&weir, &named), ["m"]);
    assert_eq!(listed(&weir, &star), ["theirs"], "`*` is a route, not all of them");
    assert_eq!(listed(&weir, &all), ["m", "gold-only", "theirs"]);
    for (key, statuses) in [(&all, [200, 200, 200]), (&star, [403, 403, 200]), (&named, [200, 403, 403])] {
        for (model, status) in ["m", "gold-only", "theirs"].into_iter().zip(statuses) {
            assert_eq!(with(key, &weir.data, OPENAI, model).status, status, "{model}");
            let (name, value) = key.bearer();
            let one =
                send(&weir.data, request("GET", &format!("/v1/models/{model}"), &[(name, &value)], b""));
            assert_eq!(one.status, if status == 200 { 200 } else { 404 }, "{model}: {}", one.text());
        }
    }
}

#[test]
fn an_upstream_that_refuses_does_not_speak_of_its_callers_key() {
    let upstream = Upstream::with(|_, socket| {
        socket.write_all(&answer("401 Unauthorized", &[("www-authenticate", "Bearer")], b"{}")).is_ok()
    });
    let key = Key::new();
    let segments = format!("segments: {{ gold: {{ keys: [{}] }} }}", key.item("acme", ""));
    let weir = Weir::configured(&config(&upstream, &segments));
    for path in DIALECTS {
        let answer = with(&key, &weir.data, path, "m");
        assert_eq!((answer.status, answer.header("www-authenticate")), (502, None), "{}", answer.text());
    }
}

#[test]
fn keys_of_the_configuration_come_and_go_with_it() {
    let upstream = Upstream::new();
    let (one, two) = (Key::new(), Key::new());
    let with_key = |key: &Key| {
        config(
            &upstream,
            &format!("segments: {{ gold: {{ keys: [{}] }}, free: {{}} }}", key.item("acme", "")),
        )
    };
    let (weir, files) = trusting(&with_key(&one));
    let reload = |config: &str| {
        write(&files, config);
        assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    };
    assert_eq!([&one, &two].map(|key| with(key, &weir.data, OPENAI, "m").status), [200, 401]);
    reload(&with_key(&two));
    assert_eq!([&one, &two].map(|key| with(key, &weir.data, OPENAI, "m").status), [401, 200]);
    reload(&config(&upstream, "segments: { gold: {}, free: {} }\nanonymous: free"));
    assert_eq!([&one, &two].map(|key| with(key, &weir.data, OPENAI, "m").status), [200, 200]);
    assert_eq!(with(&two, &weir.data, OPENAI, "gold-only").status, 403);
    assert!(upstream.got().last().is_some_and(|got| got.header("authorization").is_some()));
}

#[test]
fn callers_of_http2_are_known_likewise() {
    let upstream = Upstream::new();
    let key = Key::new();
    let segments = format!("segments: {{ gold: {{ keys: [{}] }} }}", key.item("acme", ", routes: [m]"));
    let weir = Weir::configured(&config(&upstream, &segments));
    let mut client = Client::to(&weir.data);
    let (name, value) = key.bearer();
    assert_eq!(client.send("POST", OPENAI, &[(name, &value)], ASK).status, 200);
    let answer = client.send("POST", OPENAI, &[], ASK);
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (401, Some("invalid_api_key")));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(client.send("POST", "/chain/invoke", &[(name, &value)], ASK).status, 403);
    assert!(client.is_open());
}
