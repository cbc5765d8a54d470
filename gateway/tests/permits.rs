//! A place at an endpoint is given back on every way out of a call: in line, under way, by whoever's doing. Behind
//! each of them the books are even, and the next call gets the one place there is.

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::client::{Connection, chat, request};
use support::config::{ASK, ASK_STREAM};
use support::events::is_error_event;
use support::held::{HOW, Held, ask, ask_at, nothing_left, one_at_a_time, stands, the_next_is_served, topic};
use support::http2::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Raw, fields, frame, post_head};
use support::refusal::{DIALECTS, OPENAI, assert_refused};
use support::socket::BlackHole;
use support::upstream::{Upstream, answer, completion};
use support::weir::{Folder, Weir};
use support::{eventually, pause};

const BEGUN: &[(&str, &str)] = &[(HOW, "begun")];

fn start(pool: &str, file: &str) -> (Held, Weir) {
    let held = Held::new();
    let weir = Weir::configured(&one_at_a_time(&held.url(), pool, "", file));
    (held, weir)
}

/// A call under way, of whose stream the first token has come.
fn begin(weir: &Weir, name: &str) -> Connection {
    let mut call = ask(weir, name, BEGUN, ASK_STREAM);
    assert_eq!(call.head().status, 200);
    assert!(call.chunk().is_some());
    call
}

/// A call of HTTP/2 with its whole body.
fn raw_call(stream: u32, name: &str, how: &str) -> Vec<u8> {
    let mut head = post_head(OPENAI);
    head.extend(fields(&[("x-test-name", name), (HOW, how)]));
    let body = ASK_STREAM.as_bytes();
    [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, END_STREAM, stream, body)].concat()
}

#[test]
fn when_the_answer_has_ended() {
    let (held, weir) = start("", "");
    for path in DIALECTS {
        for (how, body) in [("", ASK), ("", ASK_STREAM), ("begun", ASK_STREAM)] {
            let mut call = ask_at(&weir, path, "one", &[(HOW, how)], body);
            stands(&weir, 0, 1);
            held.let_go(1);
            let answer = call.answer();
            assert!(answer.status == 200 && answer.whole, "{answer:?}");
            nothing_left(&weir);
        }
    }
    the_next_is_served(&weir, &held);
}

#[test]
fn when_the_caller_leaves_the_line() {
    let (held, weir) = start("", "");
    let mut first = begin(&weir, "first");
    let leaves = ask(&weir, "leaves", &[], ASK);
    stands(&weir, 1, 1);
    let mut stays = ask(&weir, "stays", &[], ASK);
    stands(&weir, 2, 1);
    drop(leaves);
    stands(&weir, 1, 1);
    assert_eq!(weir.call_line("leaves")["end"], "client_gone");
    held.let_go(2);
    assert!(first.chunks(&mut Vec::new()));
    assert_eq!(stays.answer().status, 200);
    assert_eq!(held.names(), ["first", "stays"], "who left is not sent up");
    the_next_is_served(&weir, &held);
}

/// Behind bytes that nobody reads yet the end of the connection is hard to see.
#[test]
fn when_a_caller_leaves_the_line_that_had_sent_more_than_its_call() {
    let (held, weir) = start("", "");
    let mut first = begin(&weir, "first");
    let mut leaves = ask(&weir, "leaves", &[], ASK);
    leaves.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    stands(&weir, 1, 1);
    drop(leaves);
    stands(&weir, 0, 1);
    held.let_go(1);
    assert!(first.chunks(&mut Vec::new()));
    the_next_is_served(&weir, &held);
}

#[test]
fn when_the_caller_leaves_before_the_first_byte() {
    let (held, weir) = start("", "");
    for body in [ASK, ASK_STREAM] {
        let call = ask(&weir, "leaves", &[], body);
        stands(&weir, 0, 1);
        let mut waits = ask(&weir, "waits", &[], body);
        stands(&weir, 1, 1);
        drop(call);
        stands(&weir, 0, 1);
        held.let_go(1);
        assert_eq!(waits.answer().status, 200);
        the_next_is_served(&weir, &held);
    }
}

#[test]
fn when_the_caller_leaves_after_the_first_byte() {
    let (held, weir) = start("", "");
    let call = begin(&weir, "leaves");
    let mut waits = ask(&weir, "waits", &[], ASK);
    stands(&weir, 1, 1);
    drop(call);
    stands(&weir, 0, 1);
    held.let_go(1);
    assert_eq!(waits.answer().status, 200);
    the_next_is_served(&weir, &held);
}

/// Whoever is told to start at the moment at which it leaves gives back what it got.
#[test]
fn when_many_callers_leave_at_all_moments() {
    let (held, weir) = start("", "");
    held.let_go(1_000_000);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let weir = &weir;
            scope.spawn(move || {
                for round in 0..30_u64 {
                    let mut call = ask(weir, "one", &[], ASK_STREAM);
                    match (number + round) % 3 {
                        0 => assert_eq!(call.answer().status, 200),
                        // From before its turn to after its end.
                        _ => pause(Duration::from_micros(300 * (round % 16))),
                    }
                }
            });
        }
    });
    the_next_is_served(&weir, &held);
    assert!(weir.metric("weir_panics_total") < 0.5);
}

#[test]
fn when_the_upstream_resets_the_connection() {
    let (held, weir) = start("", "");
    for path in DIALECTS {
        let mut early = ask_at(&weir, path, "early", &[(HOW, "reset")], ASK_STREAM);
        stands(&weir, 0, 1);
        let mut late = ask_at(&weir, path, "late", &[(HOW, "begun, reset")], ASK_STREAM);
        stands(&weir, 1, 1);
        held.let_go(1);
        assert_refused(&early.answer(), path, 502, "bad_response");
        assert_eq!(late.head().status, 200);
        assert!(late.chunk().is_some());
        held.let_go(1);
        let mut rest = Vec::new();
        assert!(late.chunks(&mut rest));
        assert!(is_error_event(path, &String::from_utf8(rest).unwrap()));
        the_next_is_served(&weir, &held);
    }
}

/// Three calls that this clock ends one after another, and one that it does not.
fn assert_free_after(clock: &str, how: &str, body: &str, code: Option<&str>) {
    let (held, weir) = start(&format!(", timeouts: {{ {clock} }}"), "");
    let mut calls: Vec<_> = (0..3).map(|_| ask(&weir, "late", &[(HOW, how)], body)).collect();
    for call in &mut calls {
        let answer = call.answer();
        match code {
            Some(code) => drop(assert_refused(&answer, OPENAI, 504, code)),
            None => assert!(answer.status == 200 && answer.text().contains("idle_timeout"), "{answer:?}"),
        }
    }
    nothing_left(&weir);
    held.let_go(1);
    assert_eq!(ask(&weir, "next", &[], body).answer().status, 200, "{clock}");
    nothing_left(&weir);
}

#[test]
fn when_a_clock_of_the_upstreams_runs_out() {
    let cases = [
        ("headers: 1s", "", ASK_STREAM, Some("headers_timeout")),
        ("first_token: 1s", "", ASK_STREAM, Some("first_token_timeout")),
        ("answer: 1s", "", ASK, Some("answer_timeout")),
        ("idle: 1s", "begun", ASK_STREAM, None),
    ];
    std::thread::scope(|scope| {
        for (clock, how, body, code) in cases {
            scope.spawn(move || assert_free_after(clock, how, body, code));
        }
    });
}

#[test]
fn when_no_connection_comes_about() {
    let hole = BlackHole::new();
    let url = format!("http://{}", hole.address);
    let weir = Weir::configured(&one_at_a_time(&url, ", timeouts: { connect: 100ms }", "", ""));
    let mut calls: Vec<_> = (0..3).map(|_| ask(&weir, "lost", &[], ASK)).collect();
    for call in &mut calls {
        assert_refused(&call.answer(), OPENAI, 502, "connect_timeout");
    }
    nothing_left(&weir);
}

/// An upstream that answers its first call with this status and `retry-after`, and all others well.
fn refusing_once(status: &'static str, after: &'static str) -> Upstream {
    let calls = AtomicUsize::new(0);
    Upstream::with(move |_, socket| {
        let refusal = answer(status, &[("retry-after", after)], br#"{"error":{"message":"busy"}}"#);
        let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        socket.write_all(&if first { refusal } else { completion() }).is_ok()
    })
}

/// A pool's own key.
fn own_key(files: &Folder) -> String {
    format!(", key: {{ file: \"{}\" }}", files.write("key", "k\n").display())
}

#[test]
fn when_the_upstream_takes_no_more_and_it_is_left_alone_for_as_long_as_it_says() {
    let files = Folder::new();
    let key = own_key(&files);
    let (spent, unavailable, overloaded) =
        ("429 Too Many Requests", "503 Service Unavailable", "529 Site Is Overloaded");
    let cases =
        [(spent, &*key), (unavailable, ""), (unavailable, &key), (overloaded, ""), (overloaded, &key)];
    for (status, key) in cases {
        let upstream = refusing_once(status, "3");
        let weir = Weir::configured(&one_at_a_time(&upstream.url(), key, "", ""));
        let refused = chat(&weir.data, ASK);
        assert!(status.starts_with(&refused.status.to_string()), "{refused:?}");
        assert_eq!(refused.header("retry-after"), Some("3"), "the upstream's own word");
        nothing_left(&weir);
        assert_eq!(topic(&weir, "m")["endpoints_ready"], 0, "{status}");
        let mut waits = ask(&weir, "waits", &[], ASK);
        stands(&weir, 1, 0);
        assert_eq!(upstream.got().len(), 1, "it rests");
        assert_eq!(waits.answer().status, 200);
        nothing_left(&weir);
        assert_eq!(topic(&weir, "m")["endpoints_ready"], 1);
    }
}

/// Where the caller's own key goes up, a 429 is about that key, however long it is to last.
#[test]
fn when_one_callers_key_is_spent_the_others_are_served() {
    let upstream = Upstream::with(|got, socket| {
        let spent = [("retry-after", "60"), ("retry-after-ms", "60000")];
        let refusal = answer("429 Too Many Requests", &spent, br#"{"error":{"message":"spent"}}"#);
        let is_spent = got.header("authorization") == Some("Bearer spent");
        socket.write_all(&if is_spent { refusal } else { completion() }).is_ok()
    });
    let weir = Weir::configured(&one_at_a_time(&upstream.url(), "", ", queue: { wait: 30s }", ""));
    for round in 1..=3 {
        let refused = ask(&weir, "spent", &[("authorization", "Bearer spent")], ASK).answer();
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")), "the upstream's own");
        let served = ask(&weir, "other", &[("authorization", "Bearer other")], ASK).answer();
        assert_eq!(served.status, 200, "{}", served.text());
        assert_eq!(upstream.got().len(), 2 * round);
    }
    nothing_left(&weir);
}

#[test]
fn when_one_of_two_endpoints_rests_the_other_gets_the_calls() {
    let files = Folder::new();
    let (resting, other) = (refusing_once("429 Too Many Requests", "60"), Upstream::new());
    let second = format!("{}\" }}, {{ url: \"{}", resting.url(), other.url());
    let pool = format!(", balance: round_robin{}", own_key(&files));
    let weir = Weir::configured(&one_at_a_time(&second, &pool, "", ""));
    let answers: Vec<_> = (0..10).map(|_| chat(&weir.data, ASK).status).collect();
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 1, "{answers:?}");
    assert_eq!((resting.got().len(), other.got().len()), (1, 9));
    nothing_left(&weir);
}

#[test]
fn when_the_rest_is_longer_than_any_call_waits_the_answer_is_no_endpoint() {
    let upstream = refusing_once("503 Service Unavailable", "60");
    let weir = Weir::configured(&one_at_a_time(&upstream.url(), "", ", queue: { wait: 5s }", ""));
    assert_eq!(chat(&weir.data, ASK).status, 503);
    for _ in 0..3 {
        let answer = chat(&weir.data, ASK);
        assert_refused(&answer, OPENAI, 503, "no_endpoint");
        assert_eq!(answer.header("x-weir-reason"), Some("no-endpoint"));
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        let after_ms: u64 = answer.header("retry-after-ms").unwrap().parse().unwrap();
        // It rests for a minute; nobody is told to wait longer than half of that.
        assert!((24..=30).contains(&after) && after == after_ms.div_ceil(1000), "{after} s, {after_ms} ms");
    }
    assert_eq!(upstream.got().len(), 1);
    nothing_left(&weir);
}

#[test]
fn when_the_caller_resets_a_stream_of_http2() {
    let (held, weir) = start("", "");
    let mut raw = Raw::to(&weir.data, &[]);
    let reset = |stream: u32| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    assert!(raw.send(&raw_call(1, "begun", "begun")));
    eventually("its first token", || raw.next_of(DATA).map(|_| ()));
    assert!(raw.send(&raw_call(3, "in line", "")) && raw.send(&raw_call(5, "sent up", "")));
    stands(&weir, 2, 1);
    assert!(raw.send(&reset(3)), "in line");
    stands(&weir, 1, 1);
    assert!(raw.send(&reset(1)), "after the first byte");
    stands(&weir, 0, 1);
    eventually("the last one's turn", || (held.names() == ["begun", "sent up"]).then_some(()));
    assert!(raw.send(&reset(5)), "before the first byte");
    the_next_is_served(&weir, &held);
}

#[test]
fn when_it_stops_calls_in_line_are_served_as_long_as_there_is_time() {
    let (held, mut weir) = start("", "drain: { grace: 0s, requests: 10m }\n");
    let mut first = begin(&weir, "first");
    let mut waits = ask(&weir, "waits", &[], ASK);
    stands(&weir, 1, 1);
    weir.signal("TERM");
    eventually("a closed door", || std::net::TcpStream::connect(&weir.data).is_err().then_some(()));
    stands(&weir, 1, 1);
    held.let_go(1);
    assert!(first.chunks(&mut Vec::new()));
    stands(&weir, 0, 1);
    held.let_go(1);
    assert_eq!(waits.answer().status, 200);
    assert_eq!(weir.wait(), 0);
}

#[test]
fn when_it_stops_and_the_time_is_over_calls_in_line_are_refused() {
    let (held, mut weir) = start("", "drain: { grace: 0s, requests: 300ms }\n");
    let mut first = begin(&weir, "first");
    let mut calls: Vec<_> = [ASK, ASK_STREAM].iter().map(|body| ask(&weir, "waits", &[], body)).collect();
    stands(&weir, 2, 1);
    weir.signal("TERM");
    for call in &mut calls {
        let answer = call.answer();
        assert_refused(&answer, OPENAI, 503, "draining");
        assert_eq!(answer.header("x-weir-reason"), Some("draining"));
        assert!(answer.header("retry-after").is_some() && answer.header("retry-after-ms").is_some());
    }
    let mut rest = Vec::new();
    assert!(first.chunks(&mut rest));
    assert!(String::from_utf8(rest).unwrap().contains("\"draining\""));
    assert_eq!(weir.wait(), 0);
    assert_eq!(held.names(), ["first"], "who waited was never sent up");
}

/// Calls that one caller has in line on one connection all leave with it.
#[test]
fn when_a_connection_of_http2_breaks() {
    let (held, weir) = start("", "");
    let raw = Arc::new(std::sync::Mutex::new(Raw::to(&weir.data, &[])));
    for stream in [1, 3, 5, 7] {
        assert!(raw.lock().unwrap().send(&raw_call(stream, "gone", "")));
    }
    stands(&weir, 3, 1);
    drop(raw);
    the_next_is_served(&weir, &held);
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    held.let_go(1);
    assert_eq!(connection.answer().status, 200);
}
