//! Weights that change while Weir runs: through the admin API and through `weir router`, while calls go on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::client::{Answer, Connection, chat, get, post, request, send};
use support::config::ASK;
use support::outcome::{self, Outcome};
use support::socket::dead_address;
use support::upstream::{FINISH, LAST_CHUNK, SSE_HEAD, Upstream, chunk, completion, delta};
use support::weir::{Folder, Weir, command};
use support::{eventually, pause};

/// Two pools, `a` and `b`, with a model each, and routes over them with these weights.
fn config(upstreams: &[Upstream; 2], routes: &[(&str, f64)]) -> String {
    let [a, b] = upstreams.each_ref().map(Upstream::url);
    let route = |(name, weight): &(&str, f64)| {
        let rest = 1.0 - weight;
        format!(
            "  {name}: {{ targets: [{{ pool: a, model: small, weight: {weight} }}, {{ pool: b, model: big, weight: {rest:.3} }}] }}\n"
        )
    };
    let routes: String = routes.iter().map(route).collect();
    format!(
        "pools:\n  a: {{ endpoints: [{{ url: {a} }}] }}\n  b: {{ endpoints: [{{ url: {b} }}] }}\nroutes:\n{routes}"
    )
}

fn upstreams() -> [Upstream; 2] {
    [Upstream::new(), Upstream::new()]
}

/// A Weir with a route `m`, 0.6 to `a/small` and 0.4 to `b/big`.
fn usual(upstreams: &[Upstream; 2]) -> Weir {
    Weir::configured(&config(upstreams, &[("m", 0.6)]))
}

fn ask(weir: &Weir, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(&weir.admin, request(method, path, headers, body.as_bytes()))
}

fn adjust(weir: &Weir, route: &str, target: &str, weight: impl Into<Value>) -> Answer {
    let path = format!("/admin/v1/routes/{route}/targets/{}", target.replace('/', "%2F"));
    ask(weir, "PATCH", &path, &[], &json!({ "weight": weight.into() }))
}

fn deploy(weir: &Weir) -> Answer {
    post(&weir.admin, "/admin/v1/deploy", &[], b"")
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

fn route(weir: &Weir, name: &str) -> Value {
    let routes = get(&weir.admin, "/admin/v1/routes").json()["routes"].clone();
    let found = routes.as_array().unwrap().iter().find(|route| route["route"] == name);
    found.unwrap().clone()
}

/// The weights in force, or the staged ones.
fn weights(route: &Value, key: &str) -> Vec<f64> {
    route["targets"].as_array().unwrap().iter().filter_map(|target| target[key].as_f64()).collect()
}

fn cli(arguments: &[&str], admins: &[&str]) -> Outcome {
    let mut command = command();
    command.arg("router").args(arguments);
    for admin in admins {
        command.args(["--admin", admin]);
    }
    outcome::of(command)
}

/// Asserts a refusal with this exit code that says all these words.
fn assert_refused(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{}", outcome.stderr);
    for word in words {
        assert!(outcome.stderr.contains(word), "no {word:?} in: {}", outcome.stderr);
    }
}

/// Calls, each on a connection that is kept; which target each went to.
fn calls(weir: &Weir, count: usize) -> Vec<String> {
    let mut connection = Connection::to(&weir.data);
    let ask = request("POST", "/v1/chat/completions", &[], ASK.as_bytes());
    let call = |_| {
        connection.send(&ask);
        let answer = connection.answer();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("x-weir-target").unwrap().to_owned()
    };
    (0..count).map(call).collect()
}

#[test]
fn a_weight_is_staged_then_deployed_then_rolled_back() {
    let upstreams = upstreams();
    let weir = usual(&upstreams);
    let before = get(&weir.admin, "/admin/v1/routes");
    assert_eq!(before.header("etag"), Some("\"1\""));
    assert_eq!(
        (&route(&weir, "m")["source"], weights(&route(&weir, "m"), "weight")),
        (&"file".into(), vec![0.6, 0.4])
    );

    let staged = adjust(&weir, "m", "a/small", 0.9);
    assert_eq!((staged.status, staged.header("etag")), (200, Some("\"1+1\"")));
    assert_eq!(weights(&route(&weir, "m"), "staged_weight"), [0.9, 0.1]);
    assert_eq!(weights(&route(&weir, "m"), "weight"), [0.6, 0.4], "nothing is in force yet");
    let counted = calls(&weir, 10).iter().filter(|target| *target == "a/small").count();
    assert_eq!(counted, 6);

    let deployed = deploy(&weir);
    assert_eq!(
        (deployed.status, deployed.header("etag"), &deployed.json()["revision"]),
        (200, Some("\"2\""), &json!(2))
    );
    let now = route(&weir, "m");
    assert_eq!((weights(&now, "weight"), weights(&now, "staged_weight")), (vec![0.9, 0.1], vec![]));
    assert_eq!((&now["source"], &now["source_revision"]), (&"run_time".into(), &json!(2)));
    assert_eq!(calls(&weir, 10).iter().filter(|target| *target == "a/small").count(), 9);
    assert!((weir.metric("weir_config_revision") - 2.0).abs() < f64::EPSILON);

    let back = post(&weir.admin, "/admin/v1/rollback", &[], b"");
    assert_eq!(
        (back.status, &back.json()["restored"], &back.json()["revision"]),
        (200, &json!(1), &json!(3))
    );
    assert_eq!(
        (&route(&weir, "m")["source"], weights(&route(&weir, "m"), "weight")),
        (&"file".into(), vec![0.6, 0.4])
    );
    assert_eq!(
        calls(&weir, 10).iter().filter(|target| *target == "a/small").count(),
        6,
        "and calls go by it"
    );
    assert_eq!(code(&post(&weir.admin, "/admin/v1/rollback", &[], b"")), (409, "nothing_earlier".into()));
}

#[test]
fn what_cannot_be_is_refused_each_by_its_own_name() {
    let upstreams = upstreams();
    let alone = "  alone: { targets: [{ pool: a }] }\n";
    let weir = Weir::configured(&(config(&upstreams, &[("m", 0.6)]) + alone));
    for weight in [json!(1.1), json!(-0.1), json!("0.5"), json!(null), json!([1])] {
        assert_eq!(code(&adjust(&weir, "m", "a/small", weight)), (422, "invalid_weight".into()));
    }
    assert_eq!(code(&adjust(&weir, "nowhere", "a/small", 0.5)), (404, "unknown_route".into()));
    let unknown = adjust(&weir, "m", "a/huge", 0.5);
    assert_eq!(code(&unknown), (404, "unknown_target".into()));
    assert!(unknown.text().contains("its targets are a/small, b/big"), "{}", unknown.text());
    assert_eq!(code(&adjust(&weir, "alone", "a", 0.5)), (409, "single_target".into()));
    assert_eq!(code(&deploy(&weir)), (409, "nothing_staged".into()));
    let path = "/admin/v1/routes/m/staged";
    assert_eq!(code(&ask(&weir, "DELETE", path, &[], &Value::Null)), (409, "nothing_staged".into()));
    let odd = json!({ "weights": { "a/small": 0.6, "b/big": 0.6 } });
    assert_eq!(code(&ask(&weir, "PUT", path, &[], &odd)), (422, "invalid_weight".into()));
    assert_eq!(get(&weir.admin, "/admin/v1/routes").header("etag"), Some("\"1\""), "nothing has changed");
}

#[test]
fn a_change_of_something_stale_is_refused() {
    let upstreams = upstreams();
    let weir = usual(&upstreams);
    let path = "/admin/v1/routes/m/targets/a/small";
    let first = ask(&weir, "PATCH", path, &[("if-match", "\"1\"")], &json!({ "weight": 0.7 }));
    assert_eq!((first.status, first.header("etag")), (200, Some("\"1+1\"")), "a slash needs no escape");
    let second = ask(&weir, "PATCH", path, &[("if-match", "\"1\"")], &json!({ "weight": 0.8 }));
    assert_eq!(code(&second), (412, "stale_revision".into()));
    assert!(second.text().contains("asked of 1, but 1+1 is current"), "{}", second.text());
    assert_eq!(code(&ask(&weir, "POST", "/admin/v1/deploy", &[("if-match", "\"1\"")], &Value::Null)).0, 412);
    let deployed = ask(&weir, "POST", "/admin/v1/deploy", &[("if-match", "\"1+1\"")], &Value::Null);
    assert_eq!(deployed.status, 200);
    assert_eq!(
        weights(&route(&weir, "m"), "weight"),
        [0.7, 0.3],
        "what the second one asked for is not there"
    );
}

#[test]
fn under_load_no_call_fails_and_the_share_is_the_new_weight_at_once() {
    let upstreams = upstreams();
    let weir = usual(&upstreams);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let url = format!("http://{}", weir.admin);
    std::thread::scope(|scope| {
        // 200 calls a second.
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    served.fetch_add(calls(&weir, 1).len(), Ordering::SeqCst);
                    pause(Duration::from_millis(20));
                }
            });
        }
        for (weight, revision) in [("0.25", 2), ("0.9", 3), ("0.7", 4)] {
            pause(Duration::from_millis(500));
            let staged = cli(&["adjust", "--model", "small", "--weight", weight], &[&url]);
            assert_eq!(staged.code, 0, "{}", staged.stderr);
            let deployed = cli(&["deploy"], &[&url]);
            assert_eq!(deployed.code, 0, "{}", deployed.stderr);
            assert!(
                deployed.stdout.contains(&format!("In force as revision {revision}")),
                "{}",
                deployed.stdout
            );
        }
        let counted: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| calls(&weir, 500))).collect();
            let targets = callers.into_iter().flat_map(|caller| caller.join().unwrap());
            targets.filter(|target| target == "a/small").count()
        });
        stop.store(true, Ordering::SeqCst);
        assert!((1380..=1420).contains(&counted), "{counted} of 2000 for a weight of 0.7");
    });
    assert!(served.load(Ordering::SeqCst) > 100);
    let status = route(&weir, "m");
    let small = &status["targets"][0];
    assert!((small["observed_share"].as_f64().unwrap() - 0.7).abs() < 0.01, "{status}");
    assert_eq!((&small["skewed"], &small["error_ratio"]), (&json!(false), &json!(0.0)), "{status}");
}

#[test]
fn streams_that_are_open_go_on_over_a_deployment() {
    let slow = || {
        Upstream::with(|got, socket| {
            use std::io::Write;
            if !String::from_utf8_lossy(&got.body).contains("stream") {
                return socket.write_all(&completion()).is_ok();
            }
            socket.write_all(&[SSE_HEAD, &chunk(&delta("Dear"))].concat()).unwrap();
            pause(Duration::from_millis(600));
            socket.write_all(&[&chunk(FINISH), LAST_CHUNK].concat()).is_ok()
        })
    };
    let upstreams = [slow(), slow()];
    let weir = usual(&upstreams);
    let mut stream = Connection::to(&weir.data);
    stream.send(request(
        "POST",
        "/v1/chat/completions",
        &[],
        br#"{"model":"m","messages":[],"stream":true}"#,
    ));
    assert_eq!(stream.head().status, 200);
    assert_eq!(adjust(&weir, "m", "b/big", 1).status, 200);
    assert_eq!(deploy(&weir).status, 200);
    assert_eq!(calls(&weir, 5), ["b/big"; 5]);
    let mut body = Vec::new();
    assert!(stream.chunks(&mut body), "the stream came to its end");
    assert!(String::from_utf8_lossy(&body).ends_with("data: [DONE]\n\n"));
}

#[test]
fn status_tells_how_each_target_did() {
    let failing = Upstream::with(|_, socket| {
        use std::io::Write;
        socket.write_all(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n").is_ok()
    });
    let streaming = Upstream::with(|_, socket| {
        use std::io::Write;
        let events = [delta("Dear"), FINISH.to_vec()].concat();
        socket.write_all(&[SSE_HEAD, &chunk(&events), LAST_CHUNK].concat()).is_ok()
    });
    let upstreams = [streaming, failing];
    let weir = usual(&upstreams);
    for _ in 0..10 {
        chat(&weir.data, br#"{"model":"m","messages":[],"stream":true}"#);
    }
    let counted = |status: &Value, index: usize| status["targets"][index]["calls"].as_u64().unwrap_or(0);
    let status = eventually("the last call's account", || {
        Some(route(&weir, "m")).filter(|status| counted(status, 0) + counted(status, 1) == 10)
    });
    let (good, bad) = (&status["targets"][0], &status["targets"][1]);
    assert_eq!((&good["observed_share"], &good["error_ratio"]), (&json!(0.6), &json!(0.0)), "{status}");
    assert_eq!((&bad["error_ratio"], &bad["first_token_p95_ms"]), (&json!(1.0), &Value::Null), "{status}");
    assert!(good["first_token_p50_ms"].is_u64() && good["concurrency_limit"].is_u64(), "{status}");
    assert_eq!(
        (&good["state"], &good["pool"], &good["model"]),
        (&"ready".into(), &"a".into(), &"small".into())
    );

    let shown = cli(&["status"], &[&format!("http://{}", weir.admin)]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    for word in ["route m (weights of the file)", "TARGET", "SHARE", "a/small", "0.6", "ready"] {
        assert!(shown.stdout.contains(word), "no {word:?} in:\n{}", shown.stdout);
    }
    let json = cli(&["status", "--json"], &[&format!("http://{}", weir.admin)]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["replicas"][0]["routes"][0]["targets"][0]["observed_share"], json!(0.6));
}

#[test]
fn what_a_canary_rule_chooses_is_no_skew() {
    let upstreams = upstreams();
    let canary = "0.500 }], canary: [{ header: x-test, equals: \"1\", target: b/big }] }";
    let text = config(&upstreams, &[("m", 0.5)]).replace("0.500 }] }", canary);
    let weir = Weir::configured(&text);
    for _ in 0..40 {
        post(&weir.data, "/v1/chat/completions", &[("x-test", "1")], ASK);
    }
    calls(&weir, 10);
    let status = eventually("the last call's account", || {
        let status = route(&weir, "m");
        let calls: u64 =
            status["targets"].as_array().unwrap().iter().filter_map(|one| one["calls"].as_u64()).sum();
        (calls == 50).then_some(status)
    });
    assert_eq!(
        (&status["targets"][1]["calls"], &status["targets"][1]["turns"]),
        (&json!(45), &json!(5)),
        "{status}"
    );
    assert_eq!(
        (&status["targets"][1]["observed_share"], &status["targets"][1]["skewed"]),
        (&json!(0.5), &json!(false))
    );
}

#[test]
fn a_reload_keeps_what_was_deployed_and_a_file_that_changes_it_wins() {
    let upstreams = upstreams();
    let files = Folder::new();
    let path = files.write("weir.yaml", &config(&upstreams, &[("m", 0.6), ("n", 0.5)]));
    let mut command = command();
    command.arg("run").arg("--config").arg(path);
    let weir = Weir::start(command, None);
    for name in ["m", "n"] {
        assert_eq!(adjust(&weir, name, "a/small", 0.8).status, 200);
    }
    assert_eq!(deploy(&weir).status, 200);
    assert_eq!(adjust(&weir, "m", "a/small", 0.9).status, 200);

    let reload = || post(&weir.admin, "/admin/v1/reload", &[], b"").json();
    assert_eq!(reload()["revision"], 3);
    assert_eq!(weights(&route(&weir, "m"), "weight"), [0.8, 0.2]);
    assert_eq!(weights(&route(&weir, "m"), "staged_weight"), [0.9, 0.1], "what is staged stays, too");

    files.write("weir.yaml", &config(&upstreams, &[("m", 0.3), ("n", 0.5)]));
    let told = reload();
    assert!(told["warnings"].to_string().contains("routes.m: the file has changed"), "{told}");
    let (m, n) = (route(&weir, "m"), route(&weir, "n"));
    assert_eq!(
        (&m["source"], weights(&m, "weight"), weights(&m, "staged_weight")),
        (&"file".into(), vec![0.3, 0.7], vec![])
    );
    assert_eq!((&n["source"], weights(&n, "weight")), (&"run_time".into(), vec![0.8, 0.2]));
    eventually("the log", || weir.log().contains("those staged are gone").then_some(()));
}

#[test]
fn the_command_shows_before_and_after_and_refuses_in_one_line() {
    let upstreams = upstreams();
    let weir = Weir::configured(&config(&upstreams, &[("m", 0.6), ("n", 0.5)]));
    let url = format!("http://{}", weir.admin);
    let on = |arguments: &[&str]| cli(arguments, &[&url]);
    assert_refused(&on(&["adjust", "--model", "huge", "--weight", "0.5"]), 2, &["huge", "a/small, b/big"]);
    assert_refused(
        &on(&["adjust", "--model", "small", "--weight", "0.5"]),
        2,
        &["several routes", "m, n", "--route"],
    );
    for weight in ["1.5", "-0.1", "NaN", "much"] {
        assert_refused(
            &on(&["adjust", "--model", "small", "--route", "m", "--weight", weight]),
            2,
            &["--weight", "0 to 1"],
        );
    }
    assert_refused(&on(&["deploy"]), 1, &["nothing is staged"]);
    assert_refused(&on(&["rollback"]), 1, &["no earlier revision"]);
    assert_refused(&cli(&["status"], &[&dead_address()]), 1, &["cannot be reached"]);
    assert_refused(&cli(&["status"], &["nonsense"]), 2, &["nonsense", "unix:/PATH"]);

    let staged = on(&["adjust", "--model", "small", "--route", "m", "--weight", "0.7"]);
    assert_eq!(staged.code, 0, "{}", staged.stderr);
    for word in ["BEFORE", "0.6", "0.7", "0.4", "0.3", "weir router deploy"] {
        assert!(staged.stdout.contains(word), "no {word:?} in:\n{}", staged.stdout);
    }
    assert_eq!(on(&["discard", "--route", "m"]).code, 0);
    assert_refused(&on(&["deploy"]), 1, &["nothing is staged"]);
    let json = on(&["adjust", "--model", "a", "--route", "n", "--weight", "1", "--json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["replicas"][0]["after"]["routes"][0]["targets"][0]["staged_weight"], json!(1.0));
    assert_eq!((on(&["deploy"]).code, on(&["rollback"]).code), (0, 0));
}

#[test]
fn all_replicas_are_changed_or_none() {
    let upstreams = upstreams();
    let weirs = [usual(&upstreams), usual(&upstreams)];
    let [one, other] = weirs.each_ref().map(|weir| weir.admin.as_str());
    let dead = dead_address();
    let adjust = ["adjust", "--model", "small", "--weight", "0.7"];
    let refused = cli(&adjust, &[one, &dead]);
    assert_refused(&refused, 1, &[&dead, "cannot be reached"]);
    assert_eq!(weights(&route(&weirs[0], "m"), "staged_weight"), [0.0; 0], "none is changed");

    let staged = cli(&adjust, &[one, other]);
    assert_eq!(staged.code, 0, "{}", staged.stderr);
    assert!(staged.stdout.contains("on all 2"), "{}", staged.stdout);
    assert_eq!(cli(&["deploy"], &[one, other]).code, 0);
    for weir in &weirs {
        assert_eq!(weights(&route(weir, "m"), "weight"), [0.7, 0.3]);
    }
    assert_eq!(cli(&adjust[..], &[one]).code, 0);
    assert_eq!(cli(&["adjust", "--model", "small", "--weight", "0.9"], &[one]).code, 0);
    assert_refused(&cli(&["deploy"], &[one, other]), 1, &["same staged weights", "nothing was changed"]);
    assert_refused(
        &cli(&["adjust", "--model", "big", "--weight", "0.5"], &[one, other]),
        1,
        &["same weights of route m"],
    );
    assert_refused(&cli(&["deploy"], &[one, &dead]), 1, &["cannot be reached"]);
    assert_eq!(weights(&route(&weirs[0], "m"), "weight"), [0.7, 0.3]);
}

#[test]
fn when_one_replica_refuses_the_others_are_put_back() {
    let upstreams = upstreams();
    let weir = usual(&upstreams);
    // One that tells the same state and then refuses every change.
    let (state, staged) = (get(&weir.admin, "/admin/v1/routes").body, AtomicBool::new(false));
    let staged = std::sync::Arc::new(staged);
    let shown = staged.clone();
    let stubborn = Upstream::with(move |got, socket| {
        use std::io::Write;
        let mut state: Value = serde_json::from_slice(&state).unwrap();
        if shown.load(Ordering::SeqCst) {
            state["routes"][0]["targets"][0]["staged_weight"] = json!(0.7);
            state["routes"][0]["targets"][1]["staged_weight"] = json!(0.3);
        }
        let refusal =
            json!({ "error": { "code": "stale_revision", "message": "stale revision: for the test" } });
        let (status, body) =
            if got.line.starts_with("GET") { ("200 OK", state) } else { ("412 Stale", refusal) };
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all([head, body].concat().as_bytes()).is_ok()
    });
    let admins = [weir.admin.as_str(), &stubborn.address];
    let refused = cli(&["adjust", "--model", "small", "--weight", "0.7"], &admins);
    assert_refused(&refused, 1, &["stale revision: for the test", "put back as before", "as before"]);
    assert_eq!(weights(&route(&weir, "m"), "staged_weight"), [0.0; 0]);

    assert_eq!(cli(&["adjust", "--model", "small", "--weight", "0.7"], &admins[..1]).code, 0);
    staged.store(true, Ordering::SeqCst);
    assert_refused(&cli(&["deploy"], &admins), 1, &["stale revision: for the test", "put back as before"]);
    let now = route(&weir, "m");
    assert_eq!(
        (weights(&now, "weight"), weights(&now, "staged_weight")),
        (vec![0.6, 0.4], vec![0.7, 0.3]),
        "all as it was"
    );
    assert_eq!(code(&post(&weir.admin, "/admin/v1/rollback", &[], b"")), (409, "nothing_earlier".into()));
}

#[test]
fn replicas_that_would_go_back_to_different_weights_are_not_rolled_back() {
    let upstreams = upstreams();
    let weirs = [usual(&upstreams), usual(&upstreams)];
    for (weir, first) in weirs.iter().zip([0.1, 0.2]) {
        for weight in [first, 0.9] {
            assert_eq!((adjust(weir, "m", "a/small", weight).status, deploy(weir).status), (200, 200));
        }
    }
    let refused = cli(&["rollback"], &[&weirs[0].admin, &weirs[1].admin]);
    assert_refused(&refused, 1, &["earlier weights", "nothing was changed"]);
    assert_eq!(cli(&["rollback"], &[&weirs[0].admin]).code, 0);
    assert_eq!(weights(&route(&weirs[0], "m"), "weight"), [0.1, 0.9]);
}

#[test]
fn a_replica_that_breaks_off_is_looked_at_again() {
    let upstreams = upstreams();
    let weir = usual(&upstreams);
    let state = get(&weir.admin, "/admin/v1/routes").body;
    let dying = Upstream::with(move |got, socket| {
        use std::io::Write;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", state.len());
        got.line.starts_with("GET") && socket.write_all(&[head.as_bytes(), &state].concat()).is_ok()
    });
    let adjust = ["adjust", "--model", "small", "--weight", "0.7"];
    let refused = cli(&adjust, &[&weir.admin, &dying.address]);
    assert_refused(
        &refused,
        1,
        &["no answer", "put back as before", &format!("{}: as before", dying.address)],
    );
    assert_eq!(weights(&route(&weir, "m"), "staged_weight"), [0.0; 0]);
}
