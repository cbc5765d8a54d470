//! What is logged, and what never is: one line for each call with its facts, and not a word of what callers and
//! models say to each other or of the keys that they show.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use support::client::{Connection, chat, get, post, request, send};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::eventually;
use support::refusal::{ANTHROPIC, OPENAI};
use support::upstream::{FINISH, Got, LAST_CHUNK, SSE_HEAD, Upstream, answer, chunk, completion, delta};
use support::weir::Weir;

/// Stops the process, so that all that it will ever log is there.
fn whole_log(mut weir: Weir) -> String {
    weir.signal("INT");
    weir.wait();
    eventually("the last line", || Some(weir.log()).filter(|log| log.contains("drained")))
}

/// Asserts that these fields of a line are numbers.
fn assert_numbers(line: &Value, fields: &[&str]) {
    for field in fields {
        assert!(line[field].is_u64(), "{field}: {line}");
    }
}

#[test]
fn a_call_has_one_line_with_its_facts() {
    let upstream = Upstream::new();
    let config = one_pool(&[upstream.url()], "").replace("pool: p", "pool: p, model: small");
    let weir = Weir::configured(&config);
    let answer = post(&weir.data, OPENAI, &[("x-request-id", "mine-1")], ASK);
    assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("mine-1")));

    let line = weir.call_line("mine-1");
    let facts = serde_json::json!({
        "event": "call", "request_id": "mine-1", "dialect": "openai", "operation": "chat_completions", "route": "m",
        "target": "p/small", "endpoint": upstream.address, "stream": false, "status": 200, "attempts": 1,
        "end": "complete", "finish": "stop", "bytes_in": ASK.len(), "bytes_out": answer.body.len(),
        "prompt_tokens": 7, "completion_tokens": 2, "queue_ms": 0,
    });
    for (name, value) in facts.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name}: {line}");
    }
    assert_numbers(&line, &["upstream_ms", "total_ms", "overhead_us"]);
    assert!(line["ts"].as_str().unwrap().ends_with('Z'), "{line}");
    let log = whole_log(weir);
    assert_eq!(log.lines().count(), 3, "the call's, and two of the end: {log}");
}

#[test]
fn a_stream_has_its_tokens_and_its_first_one_has_a_time() {
    let upstream = Upstream::with(|_, socket| {
        let events = [&delta("Dear")[..], &delta(" reader"), FINISH].concat();
        socket.write_all(&[SSE_HEAD, &chunk(&events), LAST_CHUNK].concat()).is_ok()
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let answer = chat(&weir.data, ASK_STREAM);
    assert!(answer.whole && answer.status == 200);
    let line = weir.call_line(answer.header("x-request-id").unwrap());
    assert_eq!(
        (&line["stream"], &line["end"], &line["finish"]),
        (&true.into(), &"complete".into(), &"stop".into())
    );
    assert_eq!((&line["prompt_tokens"], &line["completion_tokens"]), (&7.into(), &2.into()));
    assert_eq!(line["bytes_out"], answer.body.len());
    assert_numbers(&line, &["first_token_ms", "upstream_ms", "total_ms"]);
}

#[test]
fn a_call_that_is_refused_has_its_reason() {
    let weir = Weir::configured(&one_pool(&[Upstream::new().url()], ""));
    let cases = [
        (chat(&weir.data, r#"{"model":"other"}"#), 404, "model_not_found"),
        (chat(&weir.data, "{"), 400, "invalid_json"),
        (get(&weir.data, "/nowhere"), 404, "unknown_path"),
        (get(&weir.data, ANTHROPIC), 405, "method_not_allowed"),
    ];
    for (answer, status, reason) in cases {
        let line = weir.call_line(answer.header("x-request-id").unwrap());
        assert_eq!((&line["status"], &line["reason"]), (&status.into(), &reason.into()));
        assert_eq!((&line["end"], &line["attempts"]), (&"refused".into(), &0.into()));
        assert_eq!(line["bytes_out"], answer.body.len());
        assert_eq!((line.get("target"), line.get("endpoint")), (None, None), "{line}");
    }
}

#[test]
fn an_id_that_is_not_sane_is_replaced() {
    let weir = Weir::configured(&one_pool(&[Upstream::new().url()], ""));
    for bad in ["", "two words", "\u{e9}", "tab\there", &"x".repeat(129)] {
        let answer = post(&weir.data, OPENAI, &[("x-request-id", bad)], ASK);
        let id = answer.header("x-request-id").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(weir.call_line(id)["status"], 200);
    }
}

#[test]
fn without_access_no_call_is_logged() {
    let weir =
        Weir::configured(&format!("log: {{ access: false }}\n{}", one_pool(&[Upstream::new().url()], "")));
    assert_eq!(chat(&weir.data, ASK).status, 200);
    assert_eq!(get(&weir.data, "/nowhere").status, 404);
    let log = whole_log(weir);
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(log.lines().all(|line| line.contains("dra")), "{log}");
}

#[test]
fn only_listed_headers_are_logged() {
    let log = "log: { headers: [X-Team, x-absent, x-binary] }\n";
    let weir = Weir::configured(&format!("{log}{}", one_pool(&[Upstream::new().url()], "")));
    let headers = [("x-request-id", "h1"), ("x-team", "writers"), ("x-other", "not listed")];
    post(&weir.data, OPENAI, &headers, ASK);
    assert_eq!(weir.call_line("h1")["headers"], serde_json::json!({ "x-team": "writers" }));
    assert!(!weir.log().contains("not listed"));
    let binary = format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nx-request-id: h2\r\nx-binary: \u{e9}\r\ncontent-length: 0\r\n\r\n"
    );
    send(&weir.data, binary);
    assert_eq!(weir.call_line("h2").get("headers"), None);
    post(&weir.data, OPENAI, &[("x-request-id", "h3")], ASK);
    assert_eq!(weir.call_line("h3").get("headers"), None);
}

#[test]
fn lines_are_json_for_machines_and_text_for_humans() {
    let upstream = Upstream::new();
    for (format, json) in [("auto", true), ("json", true), ("human", false)] {
        let weir =
            Weir::configured(&format!("log: {{ format: {format} }}\n{}", one_pool(&[upstream.url()], "")));
        post(&weir.data, OPENAI, &[("x-request-id", "mine-1")], ASK);
        let log = whole_log(weir);
        let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
        assert!(log.lines().all(|line| is_json(line) == json), "{format}: {log}");
        let call = log.lines().find(|line| line.contains("mine-1")).unwrap();
        assert!(["200", "complete", "m", "p"].iter().all(|word| call.contains(word)), "{call}");
    }
}

/// Stands in every place where a key, a prompt or a completion may.
const MARK: &str = "MARK7f3a";

/// Answers what the header `x-act` says, with the mark in all that it says.
fn act(got: &Got, socket: &mut TcpStream) -> bool {
    // As long as the words in whose place it stands.
    let whole = String::from_utf8(completion()).unwrap().replace("Dear reader", "MARK7f3a...");
    let stream = |end: &[u8]| [SSE_HEAD, &chunk(&delta(MARK)), end].concat();
    let finish = [&chunk(FINISH)[..], LAST_CHUNK].concat();
    let json = [("content-type", "application/json"), ("x-mark", MARK)];
    let (bytes, stays) = match got.header("x-act").unwrap() {
        "whole" => (whole.into_bytes(), true),
        "stream" => (stream(&finish), true),
        "cut" => (stream(b""), false),
        "cut-in-an-event" => (stream(&chunk(format!("data: {{\"x\":\"{MARK}").as_bytes())), false),
        "bad-event" => (
            stream(&[&chunk(format!("data: {{{MARK}\n\n{MARK}: 1\n\n").as_bytes()), &finish[..]].concat()),
            true,
        ),
        "error-event" => (
            stream(
                &[
                    &chunk(format!("data: {{\"error\":{{\"message\":\"{MARK}\"}}}}\n\n").as_bytes()),
                    LAST_CHUNK,
                ]
                .concat(),
            ),
            true,
        ),
        "bad-chunk" => (stream(format!("{MARK}\r\n{MARK}\r\n").as_bytes()), false),
        "bad-json" => (answer("200 OK", &json, MARK.as_bytes()), true),
        "error" => (answer("400 Bad Request", &json, format!("{{\"error\":\"{MARK}\"}}").as_bytes()), true),
        "key-refused" => (answer("401 Unauthorized", &json, MARK.as_bytes()), true),
        "no-http" => (format!("{MARK} {MARK}\r\n\r\n").into_bytes(), false),
        "bad-header" => (format!("HTTP/1.1 200 OK\r\n{MARK} {MARK}\r\n\r\n").into_bytes(), false),
        "bad-status" => (format!("HTTP/1.1 {MARK} OK\r\n\r\n").into_bytes(), false),
        "bad-length" => (format!("HTTP/1.1 200 OK\r\ncontent-length: {MARK}\r\n\r\n").into_bytes(), false),
        "short" => (format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{MARK}").into_bytes(), false),
        "nothing" => (Vec::new(), false),
        other => panic!("{other}"),
    };
    socket.write_all(&bytes).is_ok() && stays
}

const ACTS: [&str; 16] = [
    "whole",
    "stream",
    "cut",
    "cut-in-an-event",
    "bad-event",
    "error-event",
    "bad-chunk",
    "bad-json",
    "error",
    "key-refused",
    "no-http",
    "bad-header",
    "bad-status",
    "bad-length",
    "short",
    "nothing",
];

/// Those of them that are no answer.
const NO_ANSWERS: [&str; 5] = ["no-http", "bad-header", "bad-status", "bad-length", "nothing"];

/// Bodies that are refused, and the status that they get.
fn bad_bodies() -> Vec<(u16, String)> {
    let deep = "[".repeat(70);
    vec![
        (400, MARK.to_owned()),
        (400, format!("{{\"model\":\"m\",\"messages\":\"{MARK}")),
        (400, format!("{{\"model\":\"m\" {MARK}}}")),
        (400, format!("{{\"model\":\"m\",\"model\":\"m\",\"x\":\"{MARK}\"}}")),
        (400, format!("{{\"model\":[\"{MARK}\"]}}")),
        (400, format!("{{\"{MARK}\":\"{MARK}\"}}")),
        (400, format!("{{\"model\":\"m\",\"x\":\"{MARK}\",\"y\":{deep}")),
        (404, format!("{{\"model\":\"other\",\"messages\":\"{MARK}\",\"{MARK}\":1}}")),
        (413, format!("{{\"model\":\"m\",\"x\":\"{MARK}{}\"}}", "x".repeat(4096))),
    ]
}

/// Everything that comes down, which may be nothing where an upstream breaks off an answer at once.
fn everything(address: &str, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map(drop).unwrap_or_default();
    String::from_utf8(answer).unwrap()
}

#[test]
fn no_key_and_no_word_of_a_conversation_is_seen_anywhere() {
    let upstream = Upstream::with(act);
    let keyed = Upstream::with(act);
    let config = format!(
        "limits: {{ body: 4KiB }}\n\
         pools: {{ p: {{ endpoints: [{{ url: \"{}\" }}] }}, k: {{ endpoints: [{{ url: \"{}\" }}], key: {{ env: PROVIDER_KEY }} }} }}\n\
         routes: {{ m: {{ targets: [{{ pool: p }}] }}, keyed: {{ targets: [{{ pool: k }}] }} }}\n",
        upstream.url(),
        keyed.url()
    );
    let weir = Weir::configured_with(&config, &[("PROVIDER_KEY", MARK)]);
    let mut secret = vec![("cookie", MARK), ("api-key", MARK), ("x-other", MARK), ("user-agent", MARK)];
    let bearer = format!("Bearer {MARK}");
    secret.extend([("x-api-key", MARK), ("authorization", &*bearer)]);
    let path = |path: &str| format!("{path}?key={MARK}");
    let mut calls = 0_u32;
    let mut ask = |api: &str, act: &str, body: &[u8]| {
        calls += 1;
        let headers = [&secret[..], &[("x-act", act), ("connection", "close")]].concat();
        everything(&weir.data, &request("POST", &path(api), &headers, body))
    };

    for api in [OPENAI, ANTHROPIC] {
        for model in ["m", "keyed"] {
            for act in ACTS {
                let body = format!(
                    "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{MARK}\"}}],\"{MARK}\":\"{MARK}\",\"stream\":true}}"
                );
                let answer = ask(api, act, body.as_bytes());
                let refused = NO_ANSWERS.contains(&act) || (act, model) == ("key-refused", "keyed");
                assert_eq!(answer.starts_with("HTTP/1.1 502 "), refused, "{act}: {answer}");
                assert!(act == "short" || answer.contains(MARK) != refused, "{act}: {answer}");
            }
        }
        for (status, body) in bad_bodies() {
            let answer = ask(api, "whole", body.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{body}: {answer}");
            assert!(!answer.contains(MARK), "{answer}");
        }
    }
    for unknown in ["/v1/files", "/", "/v1/chat/completions/"] {
        assert!(!ask(unknown, "whole", MARK.as_bytes()).contains(MARK));
    }
    let mut broken = Connection::to(&weir.data);
    broken.send(format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nauthorization: {MARK}\r\ncontent-length: 99\r\n\r\n{MARK}"
    ));
    drop(broken);
    send(&weir.data, format!("{MARK}\r\n\r\n"));
    assert!(keyed.got().iter().all(|got| got.headers.iter().any(|(_, value)| value.contains(MARK))));

    let ended = || (weir.metric_sum("weir_requests_total") >= f64::from(calls + 1)).then_some(());
    eventually("the end of every call", ended);
    for page in ["/metrics", "/admin/v1/config", "/admin/v1/routes", "/admin/v1/pools"] {
        let text = get(&weir.admin, page).text();
        assert!(!text.is_empty() && !text.contains(MARK), "{page}: {text}");
    }
    let log = whole_log(weir);
    assert!(log.lines().count() >= usize::try_from(calls).unwrap() + 2, "{log}");
    for line in log.lines() {
        assert!(!line.contains(MARK), "{line}");
    }
}

#[test]
fn the_path_of_an_unknown_call_is_logged_without_its_query() {
    let weir = Weir::configured(&one_pool(&[Upstream::new().url()], ""));
    let answer = get(&weir.data, "/v1/files/abc?api_key=hunter2#hunter2");
    let line = weir.call_line(answer.header("x-request-id").unwrap());
    assert_eq!(line["unknown"], "GET /v1/files/abc");
    assert!(!weir.log().contains("hunter2"));
    let long = get(&weir.data, &format!("/{}", "x".repeat(20_000)));
    let line = weir.call_line(long.header("x-request-id").unwrap());
    assert!(line["unknown"].as_str().unwrap().len() < 300, "{line}");
    let method = "M".repeat(20_000);
    let long = send(&weir.data, request(&method, "/x", &[], b""));
    let line = weir.call_line(long.header("x-request-id").unwrap());
    assert!(line["unknown"].as_str().unwrap().len() < 300, "{line}");
}

/// Requests that try to end their line and begin one of their own, or to move a terminal's cursor.
fn forgeries() -> Vec<Vec<u8>> {
    let paths: [&[u8]; 9] = [
        b"/a\nforged",
        b"/a\r\nforged",
        b"/a\rforged",
        b"/a%0aforged",
        b"/a\x7fforged",
        b"/a\x1b[2Jforged",
        "/a\u{9b}2Jforged".as_bytes(),
        "/a\u{85}forged".as_bytes(),
        "/a\u{2028}forged".as_bytes(),
    ];
    let headers: [&[u8]; 4] = [b"a\nforged", b"a\rforged", b"a\x1b[2Jforged", b"a\r\n forged"];
    let path = |path: &[u8]| [b"GET ", path, b" HTTP/1.1\r\nhost: x\r\n\r\n"].concat();
    let header = |value: &[u8]| {
        [b"GET /a HTTP/1.1\r\nhost: x\r\nx-team: ", value, b"\r\nx-request-id: ", value, b"\r\n\r\n"].concat()
    };
    paths.into_iter().map(path).chain(headers.into_iter().map(header)).collect()
}

#[test]
fn nobody_forges_a_line() {
    for format in ["json", "human"] {
        let log = format!("log: {{ format: {format}, headers: [x-team] }}\n");
        let weir = Weir::configured(&format!("{log}{}", one_pool(&[Upstream::new().url()], "")));
        let mut answered = 0;
        for bytes in forgeries() {
            let answer = send(&weir.data, bytes);
            // What hyper refuses itself has no call and no line.
            answered += usize::from(answer.header("x-request-id").is_some());
        }
        assert!(answered >= 3, "{answered}");
        let log = whole_log(weir);
        assert_eq!(log.lines().count(), answered + 2, "{log}");
        assert!(log.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{2028}')), "{log:?}");
        assert!(!log.lines().any(|line| line.starts_with("forged")), "{log}");
    }
}
