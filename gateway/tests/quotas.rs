//! What a segment may use: who exceeds it is told so as its library reads it, what was not used comes back, and an
//! operator changes it while calls go on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::client::{Answer, Connection, chat, get, post, request, send};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::eventually;
use support::held::{Held, ask, ask_at};
use support::outcome::{Outcome, weir as run};
use support::refusal::{ANTHROPIC, OPENAI};
use support::socket::dead_address;
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, answer, chunk, completion, delta};
use support::weir::{Folder, Weir, command};

/// So slow that nothing comes back while a test runs.
const NEVER: &str = "requests_per_second: 0.001";

/// One route `m` before one pool, and a segment `s` with this quota.
fn config(url: &str, pool: &str, quota: &str) -> String {
    format!("{}segments: {{ s: {{ quota: {{ {quota} }} }} }}\n", one_pool(&[url.to_owned()], pool))
}

fn weir(url: &str, quota: &str) -> Weir {
    Weir::configured(&config(url, "", quota))
}

fn refused(weir: &Weir, kind: &str) -> f64 {
    weir.metric(&format!("weir_rate_limited_total{{kind=\"{kind}\",segment=\"s\"}}"))
}

/// What the admin API says of the segment.
fn segment(weir: &Weir) -> Value {
    get(&weir.admin, "/admin/v1/segments").json()["segments"][0].clone()
}

fn put(weir: &Weir, segment: &str, quota: &str) -> Answer {
    let path = format!("/admin/v1/segments/{segment}/quota");
    send(&weir.admin, request("PUT", &path, &[("content-type", "application/json")], quota.as_bytes()))
}

/// Checks an answer to a call beyond its quota.
fn assert_over(answer: &Answer, path: &str, kind: &str) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.whole && answer.header("content-type") == Some("application/json"));
    assert_eq!(answer.header("x-weir-reason"), Some(format!("quota-{kind}").as_str()));
    assert_eq!((answer.header("x-weir-attempts"), answer.header("x-weir-target")), (Some("0"), None));
    let number = |name: &str| -> u64 { answer.header(name).unwrap().parse().unwrap() };
    let (seconds, ms) = (number("retry-after"), number("retry-after-ms"));
    assert!((1..=30).contains(&seconds) && seconds == ms.div_ceil(1000), "{seconds} s, {ms} ms");
    let body = answer.json();
    let message = match path {
        OPENAI => {
            assert_eq!(body["error"]["code"], "rate_limit_exceeded", "{body}");
            assert_eq!(body["error"]["type"], "rate_limit_error", "{body}");
            &body["error"]["message"]
        }
        ANTHROPIC => {
            assert_eq!(
                (&body["type"], &body["error"]["type"]),
                (&"error".into(), &"rate_limit_error".into())
            );
            assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"));
            &body["error"]["message"]
        }
        _ => &body["detail"],
    };
    assert!(message.as_str().is_some_and(|message| message.contains(kind)), "{body}");
}

#[test]
fn requests_beyond_the_burst_are_refused_in_the_callers_shape() {
    let upstream = Upstream::new();
    let quota = format!("{NEVER}, burst: 3");
    let chain = "passthrough: [{ prefix: /chain, pool: p }]\n";
    let weir = Weir::configured(&(config(&upstream.url(), "", &quota) + chain));
    for path in [OPENAI, ANTHROPIC, "/chain/invoke"] {
        assert_eq!(post(&weir.data, path, &[], ASK).status, 200, "{path}");
    }
    for path in [OPENAI, ANTHROPIC, "/chain/invoke"] {
        assert_over(&post(&weir.data, path, &[], ASK), path, "requests");
    }
    assert_eq!(upstream.got().len(), 3, "nobody is asked for what is refused");
    assert!((refused(&weir, "requests") - 3.0).abs() < 0.5);
    let line = weir.call_line(get(&weir.data, "/v1/models").header("x-request-id").unwrap());
    assert_eq!(line["status"], 200, "lists are not counted");
    assert_eq!(segment(&weir)["remaining"], json!({ "requests": 0, "tokens": null, "concurrent": null }));
}

#[test]
fn a_call_beyond_its_quota_is_refused_before_its_body_comes() {
    let upstream = Upstream::new();
    let weir = weir(&upstream.url(), &format!("{NEVER}, burst: 1"));
    assert_eq!(chat(&weir.data, ASK).status, 200);
    let mut connection = Connection::to(&weir.data);
    connection.send("POST /v1/chat/completions HTTP/1.1\r\nhost: w\r\ncontent-length: 1000000\r\n\r\n{");
    assert_over(&connection.answer(), OPENAI, "requests");
}

#[test]
fn what_callers_at_once_get_is_exactly_the_burst() {
    let upstream = Upstream::new();
    let weir = weir(&upstream.url(), &format!("{NEVER}, burst: 40"));
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..30 {
                    let answer = chat(&weir.data, ASK);
                    served.fetch_add(usize::from(answer.status == 200), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!((served.into_inner(), upstream.got().len()), (40, 40));
    assert!((refused(&weir, "requests") - 80.0).abs() < 0.5);
}

#[test]
fn callers_are_told_what_they_have_left_in_place_of_what_the_upstream_says() {
    let upstream = Upstream::with(|_, socket| {
        let headers = [
            ("content-type", "application/json"),
            ("x-ratelimit-remaining-requests", "7777"),
            ("x-ratelimit-limit-images", "1"),
            ("anthropic-ratelimit-input-tokens-limit", "1"),
            ("ratelimit", "\"theirs\";r=1"),
        ];
        socket.write_all(&answer("200 OK", &headers, &completion_body())).is_ok()
    });
    let limited =
        weir(&upstream.url(), "requests_per_second: 0.01, burst: 5, tokens_per_minute: 6000, concurrent: 9");
    let first = chat(&limited.data, ASK);
    let told = |answer: &Answer, name: &str| answer.header(name).unwrap_or_default().to_owned();
    assert_eq!(told(&first, "x-ratelimit-limit-requests"), "5");
    assert_eq!(told(&first, "x-ratelimit-remaining-requests"), "4");
    assert!(told(&first, "x-ratelimit-reset-requests").starts_with("1m"), "{first:?}");
    assert_eq!(told(&first, "x-ratelimit-limit-tokens"), "6000");
    assert!(told(&first, "x-ratelimit-remaining-tokens").parse::<u32>().unwrap() > 5000);
    assert!(told(&first, "x-ratelimit-reset-tokens").ends_with('s'));
    let policy = "\"requests\";q=5;w=500, \"tokens\";q=6000;w=60;qu=\"tokens\", \"concurrency\";q=9;qu=\"concurrent-requests\"";
    assert_eq!(told(&first, "ratelimit-policy"), policy);
    let left = told(&first, "ratelimit");
    assert!(left.starts_with("\"requests\";r=4;t=") && left.ends_with("\"concurrency\";r=8"), "{left}");
    for theirs in ["x-ratelimit-limit-images", "anthropic-ratelimit-input-tokens-limit"] {
        assert_eq!(first.header(theirs), None, "what the upstream says is not about this caller");
    }
    let anthropic = post(&limited.data, ANTHROPIC, &[], ASK);
    assert_eq!(told(&anthropic, "anthropic-ratelimit-requests-remaining"), "3");
    let reset = told(&anthropic, "anthropic-ratelimit-tokens-reset");
    assert!(reset.len() == 20 && reset.ends_with('Z') && reset.contains('T'), "{reset}");
    assert_eq!(anthropic.header("x-ratelimit-limit-requests"), None);
    let bad = chat(&limited.data, "{");
    assert_eq!(
        (bad.status, told(&bad, "x-ratelimit-limit-requests").as_str()),
        (400, "5"),
        "on every answer"
    );

    let free = Weir::before(&[upstream.url()]);
    let answer = chat(&free.data, ASK);
    assert_eq!(
        told(&answer, "x-ratelimit-remaining-requests"),
        "7777",
        "without a quota it goes on as it came"
    );
    assert_eq!(told(&answer, "ratelimit"), "\"theirs\";r=1");
}

fn completion_body() -> Vec<u8> {
    let whole = completion();
    let start = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    whole[start + 4..].to_vec()
}

/// Tokens of the segment that are left, once no call is under way.
fn tokens_left(weir: &Weir) -> u64 {
    eventually("the end of all calls", || (weir.inflight() == 0).then_some(()));
    segment(weir)["remaining"]["tokens"].as_u64().unwrap()
}

/// A bucket that hardly refills while a test runs.
const BUCKET: u64 = 1000;

#[test]
fn an_answer_costs_what_its_upstream_counted() {
    let upstream = Upstream::with(|_, socket| {
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":300,"completion_tokens":250}}"#;
        socket.write_all(&answer("200 OK", &[("content-type", "application/json")], usage.as_bytes())).is_ok()
    });
    let weir = weir(&upstream.url(), &format!("tokens_per_minute: {BUCKET}"));
    assert_eq!(chat(&weir.data, ASK).status, 200);
    let left = tokens_left(&weir);
    // What comes back in a second or two is less than a twentieth.
    assert!((450..550).contains(&left), "{left}");
    assert_eq!(chat(&weir.data, ASK).status, 200, "its prompt and a usual answer are there");
    assert_over(&chat(&weir.data, ASK), OPENAI, "tokens");
    assert_over(&post(&weir.data, ANTHROPIC, &[], ASK), ANTHROPIC, "tokens");
    assert!((refused(&weir, "tokens") - 2.0).abs() < 0.5);
    let line = post(&weir.data, "/v1/messages/count_tokens", &[], ASK);
    assert_eq!(line.status, 200, "counting costs nothing");
}

#[test]
fn the_callers_own_maximum_is_what_is_reserved_if_it_is_less() {
    let held = Held::new();
    let weir = weir(&held.url(), &format!("tokens_per_minute: {BUCKET}"));
    let ask_for = |most: &str| ASK.replace('}', &format!(",{most}}}"));
    let mut calls = Vec::new();
    for most in ["\"max_tokens\":5", "\"max_completion_tokens\":5", "\"max_output_tokens\":5"] {
        calls.push(ask(&weir, "small", &[], &ask_for(most)));
    }
    eventually("all of them", || (held.names().len() == 3).then_some(()));
    let left = segment(&weir)["remaining"]["tokens"].as_u64().unwrap();
    assert!((900..970).contains(&left), "{left}");
    calls.push(ask(&weir, "usual", &[], &ask_for("\"max_tokens\":90000")));
    eventually("it too", || (held.names().len() == 4).then_some(()));
    let left = segment(&weir)["remaining"]["tokens"].as_u64().unwrap();
    assert!((600..710).contains(&left), "as much as is usual, not what it may ask for: {left}");
    held.let_go(4);
    calls.iter_mut().for_each(|call| assert_eq!(call.answer().status, 200));
    let left = tokens_left(&weir);
    assert!(left > 940, "four times nine tokens were used: {left}");
}

#[test]
fn a_stream_is_asked_for_its_counts_where_a_quota_depends_on_them() {
    let upstream = Upstream::with(|_, socket| {
        let usage = b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":500}}\n\n";
        let events = [
            &delta("Hi"),
            &b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"[..],
            usage,
            b"data: [DONE]\n\n",
        ];
        socket.write_all(&[SSE_HEAD, &chunk(&events.concat()), LAST_CHUNK].concat()).is_ok()
    });
    let counted = weir(&upstream.url(), &format!("tokens_per_minute: {BUCKET}"));
    let answer = chat(&counted.data, ASK_STREAM);
    assert!(answer.whole && !answer.text().contains("usage"), "{}", answer.text());
    let asked = |upstream: &Upstream| {
        String::from_utf8_lossy(&upstream.got().pop().unwrap().body).contains("include_usage")
    };
    assert!(asked(&upstream));
    let left = tokens_left(&counted);
    assert!((400..500).contains(&left), "{left}");
    let requests = weir(&upstream.url(), "requests_per_second: 100");
    assert!(chat(&requests.data, ASK_STREAM).text().contains("usage") && !asked(&upstream));
    let never = config(&upstream.url(), ", usage: never", &format!("tokens_per_minute: {BUCKET}"));
    assert!(chat(&Weir::configured(&never).data, ASK_STREAM).whole && !asked(&upstream));
}

#[test]
fn a_stream_whose_caller_leaves_costs_what_had_come() {
    let held = Held::new();
    let weir = weir(&held.url(), &format!("tokens_per_minute: {BUCKET}, concurrent: 1"));
    let mut caller = ask(&weir, "leaves", &[("x-test", "begun")], ASK_STREAM);
    assert_eq!(caller.head().status, 200);
    assert!(caller.chunk().is_some(), "its first token is there");
    let reserved = segment(&weir)["remaining"].clone();
    assert!(reserved["tokens"].as_u64().unwrap() < 780 && reserved["concurrent"] == 0, "{reserved}");
    assert_over(&chat(&weir.data, ASK), OPENAI, "concurrency");
    drop(caller);
    eventually("its place", || (segment(&weir)["remaining"]["concurrent"] == 1).then_some(()));
    let left = tokens_left(&weir);
    assert!(left > 960, "a short prompt and one token: {left}");
    held.let_go(1);
    assert_eq!(chat(&weir.data, ASK).status, 200);
    assert!((refused(&weir, "concurrency") - 1.0).abs() < 0.5);
}

#[test]
fn what_weir_refuses_itself_costs_nothing() {
    let quota = format!("{NEVER}, burst: 5, tokens_per_minute: {BUCKET}, concurrent: 2");
    let dead = weir(&format!("http://{}", dead_address()), &quota);
    for _ in 0..10 {
        assert_eq!(chat(&dead.data, ASK).status, 502, "no endpoint answers");
        assert_eq!(chat(&dead.data, "{").status, 400);
        assert_eq!(chat(&dead.data, ASK.replace("\"m\"", "\"other\"")).status, 404);
    }
    assert_eq!(segment(&dead)["remaining"], json!({ "requests": 5, "tokens": BUCKET, "concurrent": 2 }));

    let held = Held::new();
    let full = support::held::one_at_a_time(&held.url(), "", ", queue: { requests: 0 }", "");
    let full = Weir::configured(&format!("{full}segments: {{ s: {{ quota: {{ {NEVER}, burst: 2 }} }} }}\n"));
    let mut first = ask(&full, "first", &[], ASK);
    eventually("the first", || (held.names() == ["first"]).then_some(()));
    for _ in 0..5 {
        let shed = chat(&full.data, ASK);
        assert_eq!((shed.status, shed.header("x-weir-reason")), (429, Some("queue-full")));
        assert_eq!(shed.header("x-ratelimit-limit-requests"), Some("2"));
    }
    held.let_go(2);
    assert_eq!(first.answer().status, 200);
    assert_eq!(chat(&full.data, ASK).status, 200, "only one was used until now");
    assert_over(&chat(&full.data, ASK), OPENAI, "requests");
}

#[test]
fn an_upstreams_error_costs_a_request_and_no_tokens() {
    let upstream = Upstream::with(|_, socket| {
        socket.write_all(&answer("500 Internal Server Error", &[], b"{\"error\":{}}")).is_ok()
    });
    let weir = weir(&upstream.url(), &format!("{NEVER}, burst: 5, tokens_per_minute: {BUCKET}"));
    assert_eq!(chat(&weir.data, ASK).status, 500);
    assert_eq!(tokens_left(&weir), BUCKET);
    assert_eq!(segment(&weir)["remaining"]["requests"], 4);
}

#[test]
fn a_quota_that_is_tried_out_counts_and_refuses_nobody() {
    let upstream = Upstream::new();
    let weir = weir(&upstream.url(), &format!("{NEVER}, burst: 1, enforce: false"));
    for _ in 0..5 {
        let answer = chat(&weir.data, ASK);
        assert_eq!((answer.status, answer.header("x-ratelimit-limit-requests")), (200, None));
    }
    assert!(refused(&weir, "requests") < 0.5);
    let shadow = weir.metric("weir_rate_limited_shadow_total{kind=\"requests\",segment=\"s\"}");
    assert!((shadow - 4.0).abs() < 0.5, "{shadow}");
}

#[test]
fn an_operator_changes_a_quota_and_it_survives_a_reload_until_the_file_changes_it() {
    let upstream = Upstream::new();
    let files = Folder::new();
    let with = |quota: &str| config(&upstream.url(), "", quota);
    let path = files.write("weir.yaml", &with(&format!("{NEVER}, burst: 1")));
    let mut run = command();
    run.arg("run").arg("--config").arg(path);
    let weir = Weir::start(run, None);
    let reload = || assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    assert_eq!((chat(&weir.data, ASK).status, chat(&weir.data, ASK).status), (200, 429));
    assert_eq!(segment(&weir)["source"], "file");

    let changed = put(&weir, "s", r#"{"requests_per_second":0.001,"burst":3}"#);
    assert_eq!((changed.status, &changed.json()["before"]["burst"]), (200, &json!(1)), "{}", changed.text());
    assert_eq!(segment(&weir)["source"], "run_time");
    assert_eq!(
        (&segment(&weir)["quota"]["burst"], &segment(&weir)["quota_of_file"]["burst"]),
        (&json!(3), &json!(1))
    );
    let asks = || (0..4).map(|_| chat(&weir.data, ASK).status).collect::<Vec<_>>();
    assert_eq!(asks(), [200, 200, 429, 429], "at once, and what was used stays used");

    files.write("weir.yaml", &format!("{}log: {{ access: false }}\n", with(&format!("{NEVER}, burst: 1"))));
    reload();
    assert_eq!(segment(&weir)["quota"]["burst"], 3, "the file says of it what it said");
    files.write("weir.yaml", &with(&format!("{NEVER}, burst: 2")));
    reload();
    assert_eq!((&segment(&weir)["quota"]["burst"], &segment(&weir)["source"]), (&json!(2), &json!("file")));
    assert_eq!(chat(&weir.data, ASK).status, 429, "and still nothing was forgotten");

    assert_eq!(put(&weir, "s", r#"{"concurrent":5}"#).status, 200);
    assert_eq!(chat(&weir.data, ASK).status, 200);
    let back = send(&weir.admin, request("DELETE", "/admin/v1/segments/s/quota", &[], b""));
    assert_eq!((back.status, &back.json()["quota"]["burst"]), (200, &json!(2)));

    for (name, quota, status, told) in [
        ("s", r#"{"requests_per_second":0}"#, 422, "out of range"),
        ("s", r#"{"requests_per_second":"x","burst":0}"#, 422, "expected a number"),
        ("s", r#"{"burst":4}"#, 422, "without `requests_per_second`"),
        ("s", r#"{"rps":4}"#, 422, "unknown"),
        ("s", "", 422, ""),
        ("other", r#"{"concurrent":1}"#, 404, "no segment"),
    ] {
        let answer = put(&weir, name, quota);
        assert_eq!(answer.status, status, "{quota}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(told), "{}", answer.text());
    }
    assert_eq!(segment(&weir)["quota"]["burst"], 2, "what is refused changes nothing");
}

#[test]
fn a_quota_given_at_run_time_to_who_had_none_and_taken_again_counts_places_right() {
    let held = Held::new();
    let weir = Weir::configured(&format!("{}segments: {{ s: {{}} }}\n", one_pool(&[held.url()], "")));
    assert_eq!(segment(&weir)["quota"], Value::Null);
    let mut before = ask(&weir, "before", &[], ASK);
    eventually("it", || (held.names().len() == 1).then_some(()));
    assert_eq!(put(&weir, "s", r#"{"concurrent":1}"#).status, 200);
    let mut first = ask_at(&weir, OPENAI, "first", &[], ASK);
    eventually("it too", || (held.names().len() == 2).then_some(()));
    assert_over(&chat(&weir.data, ASK), OPENAI, "concurrency");
    assert_eq!(send(&weir.admin, request("DELETE", "/admin/v1/segments/s/quota", &[], b"")).status, 200);
    held.let_go(2);
    assert_eq!((before.answer().status, first.answer().status), (200, 200));
    assert_eq!(put(&weir, "s", r#"{"concurrent":1}"#).status, 200);
    eventually("its place", || (segment(&weir)["remaining"]["concurrent"] == 1).then_some(()));
}

#[test]
fn a_change_that_is_asked_of_an_older_quota_is_refused() {
    let upstream = Upstream::new();
    let weir = weir(&upstream.url(), "concurrent: 7");
    let path = "/admin/v1/segments/s/quota";
    let ask = |method: &str, tag: &str, quota: &str| {
        let tag = format!("\"{tag}\"");
        send(&weir.admin, request(method, path, &[("if-match", &tag)], quota.as_bytes()))
    };
    let tag = || segment(&weir)["etag"].as_str().unwrap().to_owned();
    let first = tag();
    let changed = ask("PUT", &first, r#"{"concurrent":8}"#);
    assert_eq!((changed.status, changed.json()["etag"].as_str()), (200, Some(tag().as_str())));
    assert_eq!(changed.header("etag"), Some(format!("\"{}\"", tag()).as_str()));
    for (method, quota) in [("PUT", r#"{"concurrent":9}"#), ("DELETE", "")] {
        let stale = ask(method, &first, quota);
        assert_eq!((stale.status, &stale.json()["error"]["code"]), (412, &json!("stale_revision")));
        assert_eq!(segment(&weir)["quota"]["concurrent"], 8, "{method}");
    }
    let same = ask("PUT", &tag(), r#"{"concurrent":7}"#);
    assert!(same.status == 200 && tag() != first, "the file's word is not an operator's");
    assert_eq!(ask("DELETE", &tag(), "").status, 200);
    assert_eq!(tag(), first);
}

/// A caller's key: itself, and what is known of it.
fn key() -> (String, String) {
    let made = run(&["key", "new", "--json"]);
    let made: Value = serde_json::from_str(&made.stdout).unwrap();
    (made["key"].as_str().unwrap().to_owned(), made["sha256"].as_str().unwrap().to_owned())
}

fn with(weir: &Weir, key: &str) -> Answer {
    post(&weir.data, OPENAI, &[("authorization", &format!("Bearer {key}"))], ASK)
}

#[test]
fn a_caller_has_its_own_quota_within_that_of_its_segment() {
    let upstream = Upstream::new();
    let keys: Vec<(String, String)> = (0..3).map(|_| key()).collect();
    let item =
        |id: &str, place: usize, quota: &str| format!("{{ id: {id}, sha256: {}{quota} }}", keys[place].1);
    let own = |burst: u32| format!(", quota: {{ {NEVER}, burst: {burst} }}");
    let with_keys = |items: &[String]| {
        let pool = one_pool(&[upstream.url()], "");
        format!(
            "{pool}segments: {{ s: {{ quota: {{ {NEVER}, burst: 6 }}, keys: [{}] }} }}\n",
            items.join(", ")
        )
    };
    let files = Folder::new();
    let path = files
        .write("weir.yaml", &with_keys(&[item("a", 0, &own(2)), item("a", 1, &own(2)), item("b", 2, "")]));
    let mut run = command();
    run.arg("run").arg("--config").arg(path);
    let weir = Weir::start(run, None);
    let first = with(&weir, &keys[0].0);
    assert_eq!(
        (first.status, first.header("x-ratelimit-limit-requests")),
        (200, Some("2")),
        "the tighter one"
    );
    assert_eq!(with(&weir, &keys[1].0).status, 200);
    for key in &keys[..2] {
        assert_over(&with(&weir, &key.0), OPENAI, "requests");
    }
    assert_eq!(
        segment(&weir)["remaining"]["requests"],
        4,
        "what a caller's own quota refuses costs its segment nothing"
    );
    files.write("weir.yaml", &with_keys(&[item("a", 1, &own(3)), item("b", 2, "")]));
    assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    assert_eq!(with(&weir, &keys[0].0).status, 401);
    assert_eq!(with(&weir, &keys[1].0).status, 200, "one more, and what was used stays used");
    assert_over(&with(&weir, &keys[1].0), OPENAI, "requests");
    let asks: Vec<u16> = (0..5).map(|_| with(&weir, &keys[2].0).status).collect();
    assert_eq!(asks, [200, 200, 200, 429, 429], "what is left of the segment's");
}

#[test]
fn a_quota_of_a_file_of_keys_holds_over_its_changes() {
    let upstream = Upstream::new();
    let (secret, sha256) = key();
    let item = |burst: u32, more: &str| {
        format!("- {{ id: a, segment: s, sha256: {sha256}, quota: {{ {NEVER}, burst: {burst} }} }}\n{more}")
    };
    let files = Folder::new();
    let list = files.write("keys.yaml", &item(1, ""));
    let pool = one_pool(&[upstream.url()], "");
    let text = format!("{pool}segments: {{ s: {{}} }}\nidentity: {{ keys_file: {} }}\n", list.display());
    let path = files.write("weir.yaml", &text);
    let mut run = command();
    run.arg("run").arg("--config").arg(path);
    let weir = Weir::start(run, None);
    assert_eq!((with(&weir, &secret).status, with(&weir, &secret).status), (200, 429));
    files.write("keys.yaml", &item(2, &format!("- {{ id: b, segment: s, sha256: {} }}\n", key().1)));
    eventually("one more", || (with(&weir, &secret).status == 200).then_some(()));
    assert_eq!(with(&weir, &secret).status, 429, "what was used stays used");
}

/// `weir quota` at these admin listeners: exit code, and what it prints where.
fn operate(arguments: &[&str], weirs: &[&str]) -> Outcome {
    let admins = weirs.iter().flat_map(|admin| ["--admin", admin]);
    run(&["quota"].into_iter().chain(arguments.iter().copied()).chain(admins).collect::<Vec<_>>())
}

#[test]
fn a_command_shows_and_sets_quotas_on_all_replicas_or_none() {
    let upstream = Upstream::new();
    let quota = format!("{NEVER}, burst: 1, concurrent: 7");
    let weirs = [weir(&upstream.url(), &quota), weir(&upstream.url(), &quota)];
    let admins: Vec<&str> = weirs.iter().map(|weir| weir.admin.as_str()).collect();
    let quotas = || weirs.iter().map(|weir| segment(weir)["quota"].clone()).collect::<Vec<_>>();
    let shown = operate(&["show"], &admins);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    assert!(shown.stdout.contains("SEGMENT") && shown.stdout.contains("0.001"), "{}", shown.stdout);
    let json: Value = serde_json::from_str(&operate(&["show", "--json"], &admins).stdout).unwrap();
    assert_eq!(json["replicas"][1]["segments"][0]["remaining"]["concurrent"], 7);

    let set = operate(&["set", "--segment", "s", "--burst", "4", "--concurrent", "none"], &admins);
    assert_eq!((set.code, set.stderr.as_str()), (0, ""), "{}", set.stdout);
    let row = |key: &str| set.stdout.lines().find(|line| line.trim().starts_with(key)).unwrap().to_owned();
    assert_eq!(row("burst").split_whitespace().collect::<Vec<_>>(), ["burst", "1", "4"]);
    let expected = json!({ "requests_per_second": 0.001, "burst": 4, "enforce": true });
    assert_eq!(quotas(), [expected.clone(), expected.clone()]);

    let nobody = dead_address();
    for (arguments, admins, code, told) in [
        (&["set", "--segment", "s", "--burst", "9"][..], [admins[0], &nobody], 1, "cannot be reached"),
        (
            &["set", "--segment", "t", "--burst", "9"],
            [admins[0], admins[1]],
            1,
            "no segment of the name \"t\"",
        ),
        (&["set", "--segment", "s", "--burst", "0"], [admins[0], admins[1]], 1, "out of range"),
        (&["set", "--segment", "s", "--burst", "x"], [admins[0], admins[1]], 1, "whole number"),
        (
            &["set", "--segment", "s", "--requests-per-second", "-1"],
            [admins[0], admins[1]],
            1,
            "out of range",
        ),
        (
            &["set", "--segment", "s", "--requests-per-second", "none"],
            [admins[0], admins[1]],
            1,
            "count something",
        ),
        (&["set", "--segment", "s"], [admins[0], admins[1]], 2, "nothing is to be set"),
        (&["set", "--segment", "s", "--reset", "--burst", "1"], [admins[0], admins[1]], 2, "--reset"),
    ] {
        let refused = operate(arguments, &admins);
        assert_eq!(refused.code, code, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(told), "{arguments:?}: {}", refused.stderr);
        assert_eq!(quotas(), [expected.clone(), expected.clone()], "{arguments:?}");
    }

    let reset = operate(&["set", "--segment", "s", "--reset", "--json"], &admins);
    assert_eq!((reset.code, reset.stderr.as_str()), (0, ""));
    assert!(quotas().iter().all(|quota| quota["concurrent"] == 7 && quota["burst"] == 1));
    assert_eq!(segment(&weirs[0])["source"], "file");
}

#[test]
fn what_one_replica_takes_and_another_refuses_is_put_back() {
    let upstream = Upstream::new();
    let weirs = [weir(&upstream.url(), NEVER), weir(&upstream.url(), "concurrent: 7")];
    let admins: Vec<&str> = weirs.iter().map(|weir| weir.admin.as_str()).collect();
    let before: Vec<Value> = weirs.iter().map(|weir| segment(weir)["quota"].clone()).collect();
    let refused = operate(&["set", "--segment", "s", "--burst", "9"], &admins);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("without `requests_per_second`"), "{}", refused.stderr);
    assert!(refused.stderr.contains("everything is as it was"), "{}", refused.stderr);
    assert_eq!(weirs.iter().map(|weir| segment(weir)["quota"].clone()).collect::<Vec<_>>(), before);
    assert_eq!(segment(&weirs[0])["source"], "file");
}

/// A replica that takes no changes, and where somebody else changes the first one's quota as it is asked by `method`.
fn meddling(first: String, method: &'static str) -> Upstream {
    Upstream::with(move |got, socket| {
        if got.line.starts_with(method) {
            let theirs = request("PUT", "/admin/v1/segments/s/quota", &[], br#"{"concurrent":3}"#);
            assert_eq!(send(&first, theirs).status, 200);
        }
        let segments = br#"{"segments":[{"segment":"s","quota":{"concurrent":7},"source":"file"}]}"#;
        let status = if got.line.starts_with("GET") { "200 OK" } else { "500 Internal Server Error" };
        socket.write_all(&answer(status, &[("content-type", "application/json")], segments)).is_ok()
    })
}

#[test]
fn a_command_leaves_what_somebody_else_changes_meanwhile() {
    let upstream = Upstream::new();
    for (method, told) in [("GET", "nothing was changed"), ("PUT", "could not be put back")] {
        let weir = weir(&upstream.url(), "concurrent: 7");
        let other = meddling(weir.admin.clone(), method);
        let set = operate(&["set", "--segment", "s", "--concurrent", "9"], &[&weir.admin, &other.address]);
        assert_eq!(set.code, 1, "{method}: {}", set.stdout);
        assert!(set.stderr.contains("somebody else has changed"), "{method}: {}", set.stderr);
        assert!(set.stderr.contains(told), "{method}: {}", set.stderr);
        assert_eq!(segment(&weir)["quota"]["concurrent"], 3, "{method}");
    }
}

#[test]
fn a_changed_quota_is_in_the_audit_log() {
    let upstream = Upstream::new();
    let files = Folder::new();
    let log = files.0.join("audit.jsonl");
    let text =
        config(&upstream.url(), "", "concurrent: 7") + &format!("audit: {{ path: {} }}\n", log.display());
    let weir = Weir::configured(&text);
    assert_eq!(put(&weir, "s", r#"{"concurrent":2}"#).status, 200);
    let lines = std::fs::read_to_string(&log).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((&last["action"], &last["target"]), (&json!("quota"), &json!("segments/s/quota")), "{last}");
    assert_eq!(
        (&last["before"]["concurrent"], &last["after"]["concurrent"]),
        (&json!(7), &json!(2)),
        "{last}"
    );
    let verified = run(&["audit", "verify", log.to_str().unwrap()]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}
