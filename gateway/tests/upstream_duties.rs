//! What a proxy owes its callers of an upstream's answers (RFC 9110, RFC 9112): interim answers stay where they
//! are, an answer that could be read in two ways is none, and what follows an answer belongs to nobody.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;

use support::client::{Answer, Connection, post, request};
use support::config::{ASK, one_pool};
use support::eventually;
use support::refusal::{OPENAI, assert_refused};
use support::upstream::{Upstream, answer, chunk, completion};
use support::weir::Weir;

/// Answers a call that asks for a case by name; others get a small completion.
fn upstream(cases: &'static [(&'static str, &'static [u8])]) -> Upstream {
    Upstream::with(move |got, socket| {
        let wanted = got.header("x-test");
        let case = cases.iter().find(|(name, _)| Some(*name) == wanted);
        // A refused upstream may already have been hung up on.
        socket.write_all(case.map_or(&completion(), |(_, bytes)| bytes)).is_ok()
    })
}

fn ask(connection: &mut Connection, case: &str) -> Answer {
    connection.send(request("POST", OPENAI, &[("x-test", case)], ASK.as_bytes()));
    connection.answer()
}

/// On the same connection of a caller's, and whatever connections Weir has: an ordinary call.
fn assert_serves_on(connection: &mut Connection, after: &str) {
    for _ in 0..3 {
        let next = ask(connection, "");
        let text = next.text();
        assert!(next.status == 200 && text.contains("Dear reader"), "the call after {after}: {text}");
    }
}

#[test]
fn what_is_no_answer_is_a_502() {
    const CASES: &[(&str, &[u8])] = &[
        ("a length that is none", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}"),
        ("a signed length", b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}"),
        ("a length beyond numbers", b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n{}"),
        ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} "),
        ("two lengths in one", b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\n{} "),
        (
            "length and chunks",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ),
        ("another coding", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked twice", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("a bad chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        ("a negative chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n"),
        (
            "a chunk beyond numbers",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        ),
        ("no HTTP", b"hello there, this is not a status line\r\n\r\n"),
        ("HTTP/0.9", b"<html>hello</html>\n\n"),
        ("another version", b"HTTP/3.0 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
        ("a status that is none", b"HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\n{}"),
        ("NUL in a value", b"HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 2\r\n\r\n{}"),
        ("CR in a value", b"HTTP/1.1 200 OK\r\nx-a: b\rx-b: c\r\ncontent-length: 2\r\n\r\n{}"),
        ("a space before the colon", b"HTTP/1.1 200 OK\r\nx-a : b\r\ncontent-length: 2\r\n\r\n{}"),
        ("a folded line", b"HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 2\r\n\r\n{}"),
        ("no colon", b"HTTP/1.1 200 OK\r\nnonsense\r\ncontent-length: 2\r\n\r\n{}"),
        (
            "an unasked switch",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        ),
    ];
    let upstream = upstream(CASES);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    for (case, _) in CASES {
        let refused = ask(&mut connection, case);
        assert_eq!(refused.status, 502, "{case}: {}", refused.text());
        assert_refused(&refused, OPENAI, 502, "bad_response");
        assert_serves_on(&mut connection, case);
    }
    assert_eq!(weir.inflight(), 0);
}

#[test]
fn a_head_that_is_too_large_is_a_502() {
    let upstream = Upstream::with(|got, socket| {
        let bytes = match got.header("x-test") {
            Some("long") => answer("200 OK", &[("x-a", &"x".repeat(64 * 1024))], b"{}"),
            Some("many") => answer("200 OK", &[("x-a", "b"); 1000], b"{}"),
            _ => completion(),
        };
        socket.write_all(&bytes).is_ok()
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    for case in ["long", "many"] {
        assert_refused(&ask(&mut connection, case), OPENAI, 502, "bad_response");
        assert_serves_on(&mut connection, case);
    }
}

#[test]
fn interim_answers_go_no_further() {
    const FINAL: &[u8] = b"HTTP/1.1 200 OK\r\nx-final: 1\r\ncontent-length: 2\r\n\r\n{}";
    const INTERIM: [&[u8]; 3] = [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\nx-early: 1\r\n\r\n",
    ];
    let upstream = Upstream::with(|_, socket| {
        // At once with the answer, and on their own before it.
        INTERIM.iter().all(|interim| socket.write_all(interim).is_ok())
            && socket.write_all(&[&INTERIM.concat(), FINAL].concat()).is_ok()
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    for _ in 0..2 {
        let answer = ask(&mut connection, "");
        assert_eq!((answer.status, answer.header("x-final"), answer.text().as_str()), (200, Some("1"), "{}"));
        assert_eq!((answer.header("x-early"), answer.header("link")), (None, None));
    }
    assert_eq!(upstream.connections(), 1);
}

/// Whatever an upstream sends beyond its answer must not become the answer to another call.
#[test]
fn what_follows_an_answer_is_nobodys() {
    const CASES: &[(&str, &[u8])] = &[
        ("204", b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL"),
        ("304", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nEVIL"),
        ("too long", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}EVIL"),
        (
            "two answers",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL",
        ),
        (
            "after chunks",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nEVIL",
        ),
    ];
    let upstream = upstream(CASES);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    for (case, _) in CASES {
        let mut connection = Connection::to(&weir.data);
        connection.send(request("POST", OPENAI, &[("x-test", case)], ASK.as_bytes()));
        let head = connection.head();
        let mut body = Vec::new();
        match head.status {
            204 | 304 => {}
            _ if head.header("transfer-encoding").is_some() => assert!(connection.chunks(&mut body)),
            _ => body = vec![b'{', b'}'],
        }
        assert!(body.is_empty() || body == b"{}", "{case}: {}", String::from_utf8_lossy(&body));
        assert_serves_on(&mut Connection::to(&weir.data), case);
    }
}

#[test]
fn a_chunk_that_breaks_after_the_head_is_never_an_end() {
    let half = chunk(br#"{"choices":[{"mess"#);
    let sent =
        [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n", &*half];
    let sent = [&sent.concat(), &b"zz\r\n"[..]].concat();
    let upstream = Upstream::with(move |_, socket| socket.write_all(&sent).is_ok());
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let answer = post(&weir.data, OPENAI, &[], ASK);
    assert!(answer.status == 200 && !answer.whole, "{}", answer.text());
}

#[test]
fn both_ways_a_message_tells_through_whom_it_went() {
    let upstream = Upstream::with(|got, socket| {
        let version = got.header("x-test").unwrap_or_default();
        let bytes = format!("{version} 200 OK\r\nvia: 1.1 theirs\r\ncontent-length: 2\r\n\r\n{{}}");
        socket.write_all(bytes.as_bytes()).is_ok()
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    for (version, via) in [("HTTP/1.1", "1.1 weir"), ("HTTP/1.0", "1.0 weir")] {
        let answer = post(&weir.data, OPENAI, &[("x-test", version), ("via", "1.0 fred")], ASK);
        let all = |headers: &[(String, String)]| -> Vec<String> {
            headers.iter().filter(|(name, _)| name == "via").map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(all(&answer.headers), ["1.1 theirs", via]);
        let got = upstream.got().pop().unwrap();
        assert_eq!(all(&got.headers), ["1.0 fred", "1.1 weir"]);
    }
}

#[test]
fn an_unused_connection_that_its_upstream_closes_is_closed() {
    let upstream = Upstream::with(|_, socket| {
        socket.write_all(&completion()).unwrap_or_default();
        socket.shutdown(Shutdown::Write).unwrap_or_default();
        while socket.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        false
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    assert_eq!(post(&weir.data, OPENAI, &[], ASK).status, 200);
    eventually("Weir closes its side", || (upstream.gone() == 1).then_some(()));
    assert_eq!(post(&weir.data, OPENAI, &[], ASK).status, 200);
}
