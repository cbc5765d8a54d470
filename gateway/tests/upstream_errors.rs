//! An upstream that gives no answer becomes a 502 that says of what kind; an error that it gives as an answer
//! stays as it came.

mod support;

use std::io::Write;

use support::client::{Connection, chat, post, request};
use support::config::{ASK, one_pool};
use support::refusal::{DIALECTS, OPENAI, assert_refused};
use support::socket::{BlackHole, dead_address, reset_on_close};
use support::upstream::{Upstream, answer, completion};
use support::weir::Weir;

#[test]
fn a_dead_upstream_is_a_failed_connection() {
    let weir = Weir::configured(&one_pool(&[format!("http://{}", dead_address())], ""));
    for path in DIALECTS {
        let answer = post(&weir.data, path, &[("x-request-id", "dead")], ASK);
        let message = assert_refused(&answer, path, 502, "connect_failed");
        assert!(!message.contains("127.0.0.1"), "where upstreams are is not the caller's to know: {message}");
        assert_eq!(answer.header("x-weir-attempts"), Some("1"));
        assert_eq!(answer.header("x-weir-target"), None);
    }
    let line = weir.call_line("dead");
    assert_eq!(
        (&line["end"], &line["reason"], &line["target"]),
        (&"refused".into(), &"connect_failed".into(), &"p".into())
    );
    assert!(line["cause"].as_str().unwrap().contains("refused"), "{line}");
}

#[test]
fn an_upstream_that_does_not_take_connections_is_a_timeout() {
    let hole = BlackHole::new();
    let config = one_pool(&[format!("http://{}", hole.address)], ", timeouts: { connect: 200ms }");
    let weir = Weir::configured(&config);
    for path in DIALECTS {
        let answer = post(&weir.data, path, &[], ASK);
        assert_refused(&answer, path, 502, "connect_timeout");
    }
}

#[test]
fn what_is_no_answer_is_refused_and_the_callers_connection_serves_on() {
    let upstream = Upstream::with(|got, socket| {
        let bytes: &[u8] = match got.header("x-test") {
            Some("close") => b"",
            Some("reset") => {
                reset_on_close(socket);
                b""
            }
            Some("garbage") => b"\x16\x03\x01 this is not HTTP\r\n\r\n",
            Some("cut head") => b"HTTP/1.1 200 OK\r\ncontent-type: app",
            Some("bad name") => b"HTTP/1.1 200 OK\r\nbad name: 1\r\ncontent-length: 0\r\n\r\n",
            Some("two lengths") => b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            Some("endless head") => &[b'x'; 100_000],
            Some("switch") => {
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"
            }
            _ => return socket.write_all(&completion()).is_ok(),
        };
        // A refused upstream may already have been hung up on.
        socket.write_all(bytes).unwrap_or_default();
        false
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    for path in DIALECTS {
        for fault in
            ["close", "reset", "garbage", "cut head", "bad name", "two lengths", "endless head", "switch"]
        {
            connection.send(request("POST", path, &[("x-test", fault)], ASK.as_bytes()));
            let refused = connection.answer();
            assert_refused(&refused, path, 502, "bad_response");
            assert_eq!(refused.header("upgrade"), None);
            connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
            assert_eq!(connection.answer().status, 200, "the call after {fault}");
        }
    }
}

#[test]
fn an_upstreams_own_error_stays_as_it_came() {
    const BODY: &str = r#"{ "error": { "message": "as they say it",  "code": 1.50 } }"#;
    let upstream = Upstream::with(|got, socket| {
        let status = got.header("x-test").unwrap_or_default();
        let headers = [("content-type", "application/problem+json"), ("x-theirs", "1")];
        socket.write_all(&answer(status, &headers, BODY.as_bytes())).is_ok()
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let statuses = [
        "400 Bad Request",
        "401 No",
        "403 No",
        "404 Not Found",
        "422 What",
        "429 Slow",
        "500 Oh",
        "503 Later",
        "529 Busy",
    ];
    for path in DIALECTS {
        for status in statuses {
            let answer = post(&weir.data, path, &[("x-test", status)], ASK);
            assert!(status.starts_with(&answer.status.to_string()), "{status}: {}", answer.status);
            assert_eq!(answer.text(), BODY);
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert_eq!((answer.header("x-theirs"), answer.header("x-weir-target")), (Some("1"), Some("p")));
        }
    }
    assert_eq!(upstream.connections(), 1, "an error that came whole is no reason to connect anew");
}

#[test]
fn who_is_told_to_wait_is_told_how_long() {
    let upstream = Upstream::with(|got, socket| {
        let status = got.header("x-test").unwrap_or_default();
        let theirs = [("retry-after", "77")];
        let headers = if got.header("x-with").is_some() { &theirs[..] } else { &[] };
        socket.write_all(&answer(status, headers, b"{}")).is_ok()
    });
    for status in ["429 Slow", "503 Later", "529 Busy"] {
        // What it says to one call holds for all that this Weir sends it.
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        let ask = |with: &[_]| post(&weir.data, OPENAI, &[&[("x-test", status)], with].concat(), ASK);
        let answer = ask(&[]);
        let number = |name| answer.header(name).and_then(|value| value.parse::<u64>().ok()).expect(name);
        assert!((1..=30).contains(&number("retry-after")), "{:?}", answer.headers);
        assert!((1..=30_000).contains(&number("retry-after-ms")), "{:?}", answer.headers);

        let answer = ask(&[("x-with", "1")]);
        assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some("77"), None));
    }
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    assert_eq!(post(&weir.data, OPENAI, &[("x-test", "500 Oh")], ASK).header("retry-after"), None);
}

#[test]
fn an_upstream_that_comes_back_is_served_from_at_once() {
    let address = dead_address();
    let weir = Weir::configured(&one_pool(&[format!("http://{address}")], ""));
    assert_eq!(chat(&weir.data, ASK).status, 502);
    let upstream = Upstream::at(&address);
    assert_eq!(chat(&weir.data, ASK).status, 200);
    assert_eq!(upstream.got().len(), 1);
}
