//! An upstream that is silent for too long is given up: with a 504 before its head has come, with an error event
//! in a stream, else by aborting. Every clock has its own code and its own count.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::client::{Answer, Connection, post, request};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::events::{finish, is_error_event, token};
use support::pause;
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI, assert_refused};
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, chunk, completion};
use support::weir::Weir;

/// An upstream that sends these bytes and then nothing until Weir hangs up.
fn silent_after(bytes: Vec<u8>) -> Upstream {
    Upstream::with(move |_, socket| {
        socket.write_all(&bytes).unwrap_or_default();
        wait_for_hangup(socket);
        false
    })
}

fn wait_for_hangup(socket: &mut TcpStream) {
    while socket.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
}

fn weir(upstream: &Upstream, timeouts: &str) -> Weir {
    Weir::configured(&one_pool(&[upstream.url()], &format!(", timeouts: {{ {timeouts} }}")))
}

fn ask(weir: &Weir, path: &str, body: &str) -> Answer {
    post(&weir.data, path, &[("x-request-id", "late")], body)
}

/// How the call's line and the counters tell it.
fn assert_counted(weir: &Weir, end: &str, reason: &str, limit: &str) {
    let line = weir.call_line("late");
    assert_eq!((&line["end"], &line["reason"]), (&end.into(), &reason.into()), "{line}");
    assert_eq!(line["source"], "upstream");
    let counted = weir.metric(&format!("weir_limit_hits_total{{limit=\"{limit}\"}}"));
    assert!(counted >= 1.0, "{limit} is not counted");
    assert_eq!(weir.inflight(), 0);
}

#[test]
fn a_head_that_does_not_come_is_a_504() {
    let cases = [
        ("headers: 100ms", ASK_STREAM, "headers_timeout", "headers"),
        ("first_token: 100ms", ASK_STREAM, "first_token_timeout", "first_token"),
        ("answer: 100ms", ASK, "answer_timeout", "answer"),
    ];
    for (timeouts, body, code, limit) in cases {
        let upstream = silent_after(b"HTTP/1.1 200".to_vec());
        let weir = weir(&upstream, timeouts);
        for path in DIALECTS {
            let answer = ask(&weir, path, body);
            assert_refused(&answer, path, 504, code);
        }
        assert_counted(&weir, "refused", code, limit);
        support::eventually("the upstream is hung up on", || (upstream.gone() == 2).then_some(()));
    }
}

#[test]
fn a_connection_that_does_not_come_is_counted() {
    let hole = support::socket::BlackHole::new();
    let config = one_pool(&[format!("http://{}", hole.address)], ", timeouts: { connect: 100ms }");
    let weir = Weir::configured(&config);
    assert_refused(&ask(&weir, OPENAI, ASK), OPENAI, 502, "connect_timeout");
    assert_counted(&weir, "refused", "connect_timeout", "connect");
}

#[test]
fn a_stream_whose_first_token_does_not_come_ends_with_an_error_event() {
    // A comment and an empty delta are no tokens.
    let begun = [SSE_HEAD, &chunk(b": wait\n\n")].concat();
    for path in DIALECTS {
        let weir = weir(&silent_after(begun.clone()), "first_token: 200ms");
        let answer = ask(&weir, path, ASK_STREAM);
        assert!(answer.status == 200 && answer.whole, "{path}");
        let event = answer.text().strip_prefix(": wait\n\n").map(str::to_owned);
        let event = event.unwrap_or_else(|| panic!("{path}: {}", answer.text()));
        assert!(is_error_event(path, &event), "{event}");
        let kind = if path == ANTHROPIC { "\"timeout_error\"" } else { "\"first_token_timeout\"" };
        assert!(event.contains(kind), "{event}");
        assert_counted(&weir, "upstream_cut", "first_token_timeout", "first_token");
    }
}

#[test]
fn a_stream_that_falls_silent_ends_with_an_error_event() {
    for path in DIALECTS {
        let begun = token(path, "Dear");
        let weir = weir(&silent_after([SSE_HEAD, &chunk(&begun)].concat()), "idle: 200ms");
        let answer = ask(&weir, path, ASK_STREAM);
        assert!(answer.status == 200 && answer.whole && answer.body.starts_with(&begun), "{path}");
        let event = String::from_utf8_lossy(&answer.body[begun.len()..]).into_owned();
        assert!(is_error_event(path, &event), "{event}");
        let kind = if path == ANTHROPIC { "\"timeout_error\"" } else { "\"idle_timeout\"" };
        assert!(event.contains(kind), "{event}");
        assert_counted(&weir, "upstream_cut", "idle_timeout", "upstream_idle");
    }
}

#[test]
fn what_is_no_stream_is_aborted() {
    let head = |kind: &str, framing: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n").into_bytes()
    };
    let announced = "content-length: 500";
    let cases = [
        (head("application/json", "transfer-encoding: chunked"), ASK_STREAM, "idle_timeout", "upstream_idle"),
        (head("application/json", announced), ASK, "answer_timeout", "answer"),
    ];
    for (bytes, body, reason, limit) in cases {
        let weir = weir(&silent_after(bytes), "first_token: 200ms, idle: 400ms, answer: 200ms");
        let answer = ask(&weir, OPENAI, body);
        assert!(answer.status == 200 && !answer.whole, "{reason}: dressed as complete");
        assert_counted(&weir, "upstream_cut", reason, limit);
    }
}

#[test]
fn a_slow_stream_is_no_silent_one() {
    let upstream = Upstream::with(|_, socket| {
        socket.write_all(SSE_HEAD).unwrap_or_default();
        for _ in 0..20 {
            pause(Duration::from_millis(50));
            socket.write_all(&chunk(&token(OPENAI, "word "))).unwrap_or_default();
        }
        socket.write_all(&[&chunk(finish(OPENAI)), LAST_CHUNK].concat()).is_ok()
    });
    let weir = weir(&upstream, "headers: 900ms, first_token: 900ms, idle: 900ms, answer: 1ms");
    let answer = ask(&weir, OPENAI, ASK_STREAM);
    assert!(answer.whole && answer.text().ends_with("[DONE]\n\n"), "{}", answer.text());
    assert_eq!(weir.call_line("late")["end"], "complete");
}

#[test]
fn the_callers_own_timeout_counts_where_it_is_smaller() {
    let upstream = silent_after(Vec::new());
    let weir = weir(&upstream, "answer: 1h, headers: 1h");
    for (name, value) in
        [("x-stainless-read-timeout", "0.2"), ("x-stainless-timeout", "0.2"), ("x-weir-deadline-ms", "200")]
    {
        for (body, code) in [(ASK, "answer_timeout"), (ASK_STREAM, "headers_timeout")] {
            let answer = post(&weir.data, OPENAI, &[(name, value)], body);
            assert_refused(&answer, OPENAI, 504, code);
        }
    }
    assert_eq!(upstream.got()[0].header("x-weir-deadline-ms"), None);
}

/// What a caller leaves unread stays where it is; the upstream that waits for it is not silent.
#[test]
fn a_caller_that_does_not_read_is_not_the_upstreams_silence() {
    const PIECES: usize = 64;
    let event = token(OPENAI, &"x".repeat(256 * 1024));
    let sent = event.clone();
    let upstream = Upstream::with(move |_, socket| {
        socket.write_all(SSE_HEAD).unwrap_or_default();
        for _ in 0..PIECES {
            if socket.write_all(&chunk(&sent)).is_err() {
                return false;
            }
        }
        socket.write_all(&[&chunk(finish(OPENAI)), LAST_CHUNK].concat()).is_ok()
    });
    let weir = weir(&upstream, "idle: 300ms, first_token: 300ms");
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[("x-request-id", "late")], ASK_STREAM.as_bytes()));
    assert_eq!(connection.head().status, 200);
    pause(Duration::from_millis(1500));
    let mut body = Vec::new();
    assert!(connection.chunks(&mut body), "cut after {} bytes", body.len());
    assert_eq!(body.len(), PIECES * event.len() + finish(OPENAI).len());
    assert_eq!(weir.call_line("late")["end"], "complete");
}

#[test]
fn an_answer_in_time_is_not_disturbed() {
    let upstream = Upstream::with(|_, socket| {
        pause(Duration::from_millis(100));
        socket.write_all(&completion()).is_ok()
    });
    let weir = weir(&upstream, "headers: 1ms, first_token: 1ms, idle: 1ms, answer: 20s");
    assert_eq!(ask(&weir, OPENAI, ASK).status, 200);
}
