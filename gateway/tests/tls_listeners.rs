//! TLS towards callers: both protocols, what is refused, and that what holds in the clear holds here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::client::{Connection, request};
use support::config::{ASK, ASK_STREAM};
use support::events::finish;
use support::http2::Client;
use support::refusal::OPENAI;
use support::secure::{Authority, connect, over};
use support::secured::Secured;
use support::socket::narrow_connection;
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, chunk, delta};
use support::{eventually, pause};

#[test]
fn callers_choose_http1_or_http2_and_upstreams_hear_of_https() {
    let upstream = Upstream::new();
    let secured = Secured::before(&upstream);
    for protocols in [&["http/1.1"][..], &[]] {
        let caller = secured.authority.client(protocols, None);
        let mut connection = Connection::on(connect(&secured.weir.data, caller).unwrap());
        let chosen = connection.inner().conn.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(chosen, protocols.first().map(|name| name.as_bytes().to_vec()));
        for _ in 0..3 {
            connection.send(request("POST", OPENAI, &[("x-forwarded-proto", "http")], ASK.as_bytes()));
            assert_eq!(connection.answer().status, 200);
        }
    }
    let caller = secured.authority.client(&["h2", "http/1.1"], None);
    let mut client = Client::over_tls(&secured.weir.data, caller);
    for _ in 0..3 {
        assert_eq!(client.send("POST", OPENAI, &[("content-type", "application/json")], ASK).status, 200);
    }
    let got = upstream.got();
    assert_eq!(got.len(), 9);
    for got in got {
        assert_eq!(got.header("x-forwarded-proto"), Some("https"));
        assert_eq!(got.header("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[test]
fn who_chooses_http2_and_speaks_http1_is_not_served() {
    let upstream = Upstream::new();
    let secured = Secured::before(&upstream);
    let caller = secured.authority.client(&["h2"], None);
    let mut connection = Connection::on(connect(&secured.weir.data, caller).unwrap());
    connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    assert!(connection.is_closed_in_the_end());
    assert!(upstream.got().is_empty());
    let strange = secured.authority.client(&["acme-tls/1"], None);
    assert!(connect(&secured.weir.data, strange).is_err(), "no protocol in common");
    eventually("a count", || (secured.refused("protocol") > 0.5).then_some(()));
}

#[test]
fn http_without_tls_is_told_so_and_anything_else_is_closed() {
    let upstream = Upstream::new();
    let secured = Secured::before(&upstream);
    let answer = support::client::chat(&secured.weir.data, ASK);
    assert_eq!((answer.status, answer.text().as_str()), (400, "HTTPS is spoken here only"));
    let mut connection = Connection::to(&secured.weir.data);
    connection.send([0, 1, 2, 3]);
    assert!(connection.is_closed_in_the_end());
    assert!(upstream.got().is_empty());
    eventually("a count", || (secured.refused("not_tls") > 1.5).then_some(()));
    eventually("a line", || {
        secured.weir.log().contains("TLS handshake of 127.0.0.1 was refused").then_some(())
    });
    // A load balancer's probe is nobody's fault.
    drop(TcpStream::connect(&secured.weir.data).unwrap());
    pause(Duration::from_millis(100));
    assert!(secured.refused("left") < 0.5);
}

#[test]
fn who_does_not_trust_weir_leaves_and_is_counted() {
    let secured = Secured::before(&Upstream::new());
    assert!(connect(&secured.weir.data, Authority::new().client(&[], None)).is_err());
    eventually("a count", || (secured.refused("alert") > 0.5).then_some(()));
}

/// A `ClientHello` of TLS 1.0 or 1.1, which says in 1.2's way what it would speak at most.
fn old_hello(version: u8) -> Vec<u8> {
    let mut hello = vec![3, version];
    hello.extend([7; 32]);
    // No session; AES128-SHA, ECDHE-ECDSA-AES128-SHA; no compression.
    hello.extend([0, 0, 4, 0, 0x2f, 0xc0, 0x09, 1, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let message = [&[1, 0, 0, length], &hello[..]].concat();
    [&[22, 3, 1, 0, length + 4], &message[..]].concat()
}

#[test]
fn versions_before_1_2_are_refused() {
    let secured = Secured::before(&Upstream::new());
    for version in [1, 2] {
        let mut stream = TcpStream::connect(&secured.weir.data).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&old_hello(version)).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        // A fatal alert and nothing else.
        assert_eq!((said.first(), said.get(5), said.len()), (Some(&21), Some(&2), 7), "{said:?}");
    }
    eventually("a count", || (secured.refused("protocol") > 1.5).then_some(()));
}

#[test]
fn a_handshake_that_does_not_come_or_does_not_end_is_cut() {
    let upstream = Upstream::new();
    let secured = Secured::with(&upstream, "", "limits: { header_read: 300ms }");
    let mut silent = Connection::to(&secured.weir.data);
    let mut slow = Connection::to(&secured.weir.data);
    slow.send([22, 3, 1, 2, 0, 1, 0]);
    assert!(silent.is_closed_in_the_end() && slow.is_closed_in_the_end());
    // Nor does one that says nothing after it last.
    assert!(secured.connect().is_closed_in_the_end());
    eventually("counts", || (secured.refused("timeout") > 1.5).then_some(()));
    assert!(secured.weir.metric("weir_limit_hits_total{limit=\"header_read\"}") > 2.5);
    assert_eq!(secured.post(OPENAI, &[], ASK).status, 200);
}

#[test]
fn callers_without_the_right_certificate_are_not_let_in() {
    let upstream = Upstream::new();
    let secured = Secured::with(&upstream, ", client_ca: FOLDER/ca.pem", "");
    let authority = &secured.authority;
    let good = authority.identity("caller.example");
    let strange = Authority::new().identity("caller.example");
    let ended = authority.identity_until("caller.example", 2001);
    let call = |own: Option<&support::secure::Identity>| {
        let caller = authority.client(&["http/1.1"], own);
        // In TLS 1.3 a caller hears only afterwards that it was refused.
        let mut connection = Connection::on(connect(&secured.weir.data, caller).ok()?);
        let sent = connection.inner_mut().write_all(&request("POST", OPENAI, &[], ASK.as_bytes()));
        sent.ok()?;
        (!connection.is_closed()).then(|| connection.answer().status)
    };
    assert_eq!(call(Some(&good)), Some(200));
    for refused in [None, Some(&strange), Some(&ended)] {
        assert_eq!(call(refused), None);
    }
    assert_eq!(call(Some(&good)), Some(200));
    assert_eq!(upstream.got().len(), 2);
    eventually("counts", || (secured.refused("client_certificate") > 2.5).then_some(()));
}

#[test]
fn a_stream_comes_down_as_it_goes_up() {
    let (go_on, told) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::with(move |_, socket| {
        let sent = socket.write_all(&[SSE_HEAD, &chunk(&delta("Dear"))].concat()).is_ok();
        told.lock().unwrap().recv().unwrap_or_default();
        sent && socket.write_all(&[&chunk(finish(OPENAI))[..], LAST_CHUNK].concat()).is_ok()
    });
    let secured = Secured::before(&upstream);
    let mut connection = secured.connect();
    connection.send(request("POST", OPENAI, &[("x-request-id", "s")], ASK_STREAM.as_bytes()));
    assert_eq!(connection.head().status, 200);
    assert_eq!(connection.chunk().expect("a token at once"), delta("Dear"));
    go_on.send(()).unwrap();
    let mut rest = Vec::new();
    assert!(connection.chunks(&mut rest));
    assert_eq!(rest, finish(OPENAI));
    assert_eq!(secured.weir.call_line("s")["end"], "complete");
    connection.send(request("GET", "/health", &[], b""));
    assert_eq!(connection.answer().status, 200);
}

/// An upstream that never ends.
fn endless() -> Upstream {
    Upstream::with(|_, socket| {
        let event = chunk(&delta(&"x".repeat(4000)));
        socket.write_all(SSE_HEAD).unwrap_or_default();
        while socket.write_all(&event).is_ok() {}
        false
    })
}

#[test]
fn an_answer_that_is_not_taken_ends_its_connection() {
    let upstream = endless();
    let secured = Secured::with(&upstream, "", "limits: { client_stall: 500ms }");
    let socket = narrow_connection(&secured.weir.data, 16 * 1024);
    let mut stalled = Connection::on(over(socket, secured.caller.clone()).unwrap());
    stalled.send(request("POST", OPENAI, &[("x-request-id", "stalls")], ASK_STREAM.as_bytes()));
    eventually("the limit", || {
        (secured.weir.metric("weir_limit_hits_total{limit=\"client_stall\"}") > 0.5).then_some(())
    });
    let line = secured.weir.call_line("stalls");
    assert_eq!((&line["end"], &line["reason"]), (&"client_gone".into(), &"client_stall".into()), "{line}");
    eventually("the end upstream", || (upstream.gone() == 1 && secured.weir.inflight() == 0).then_some(()));
    drop(stalled);
}

#[test]
fn a_caller_that_reads_slowly_is_not_cut_and_gets_every_byte() {
    const EVENTS: usize = 2_000;
    let event = |number: usize| delta(&format!("{number:>0900}"));
    let upstream = Upstream::with(move |_, socket| {
        let all = socket.write_all(SSE_HEAD).is_ok()
            && (0..EVENTS).all(|number| socket.write_all(&chunk(&event(number))).is_ok());
        all && socket.write_all(&[&chunk(finish(OPENAI))[..], LAST_CHUNK].concat()).is_ok()
    });
    let secured = Secured::with(&upstream, "", "limits: { client_stall: 1s, send_buffer: 16KiB }");
    let socket = narrow_connection(&secured.weir.data, 16 * 1024);
    let mut slow = Connection::on(over(socket, secured.caller.clone()).unwrap());
    slow.send(request("POST", OPENAI, &[("x-request-id", "slow")], ASK_STREAM.as_bytes()));
    assert_eq!(slow.head().status, 200);
    let mut body = Vec::new();
    let mut pauses = 0;
    while let Some(data) = slow.chunk() {
        body.extend(data);
        // As long as the clock in all, but never at a time.
        if body.len() / 100_000 > pauses {
            pauses += 1;
            pause(Duration::from_millis(150));
        }
    }
    let expected: Vec<u8> = (0..EVENTS).flat_map(event).chain(finish(OPENAI).iter().copied()).collect();
    assert!(body == expected, "{} bytes of {}", body.len(), expected.len());
    assert!(pauses > 10);
    assert_eq!(secured.weir.call_line("slow")["end"], "complete");
}

#[test]
fn a_caller_that_leaves_ends_its_call() {
    let upstream = endless();
    let secured = Secured::before(&upstream);
    let mut connection = secured.connect();
    connection.send(request("POST", OPENAI, &[("x-request-id", "gone")], ASK_STREAM.as_bytes()));
    assert_eq!(connection.head().status, 200);
    drop(connection);
    assert_eq!(secured.weir.call_line("gone")["end"], "client_gone");
    eventually("the end upstream", || (upstream.gone() == 1).then_some(()));
}
