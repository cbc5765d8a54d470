//! A caller that leaves stops the work that was done for it, at once and wherever its call stood.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use loadtest::modelsim;
use support::client::{Connection, request};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::events::token;
use support::eventually;
use support::refusal::OPENAI;
use support::upstream::{SSE_HEAD, Upstream, chunk};
use support::weir::Weir;

/// An upstream that sends `first` and then stays silent until the other side goes away.
fn silent_after(first: Vec<u8>) -> Upstream {
    Upstream::with(move |_, socket| {
        socket.write_all(&first).unwrap_or_default();
        wait_for_end(socket);
        false
    })
}

fn wait_for_end(socket: &mut TcpStream) {
    while socket.read(&mut [0]).is_ok_and(|length| length > 0) {}
}

/// The head of a stream and its first token.
fn begun() -> Vec<u8> {
    [SSE_HEAD, &chunk(&token(OPENAI, "Dear"))].concat()
}

/// A call that has reached the upstream.
fn call(weir: &Weir, upstream: &Upstream, id: &str) -> Connection {
    let before = upstream.got().len();
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[("x-request-id", id)], ASK_STREAM.as_bytes()));
    eventually("the call at the upstream", || (upstream.got().len() > before).then_some(()));
    connection
}

fn assert_stopped(weir: &Weir, upstream: &Upstream) {
    eventually("the end of the upstream's connections", || {
        (upstream.gone() == upstream.connections()).then_some(())
    });
    eventually("no call in flight", || (weir.inflight() == 0).then_some(()));
}

#[test]
fn in_the_middle_of_a_stream() {
    let upstream = silent_after(begun());
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = call(&weir, &upstream, "mid-stream");
    assert!(connection.head().status == 200 && connection.chunk().is_some());
    drop(connection);
    assert_stopped(&weir, &upstream);
    let line = weir.call_line("mid-stream");
    assert_eq!((&line["end"], &line["status"]), (&"client_gone".into(), &200.into()), "{line}");
    assert_eq!(line["bytes_out"], token(OPENAI, "Dear").len(), "{line}");
}

#[test]
fn in_the_middle_of_a_stream_that_does_not_pause() {
    let upstream = Upstream::with(|_, socket| {
        let event = chunk(&token(OPENAI, "Dear"));
        socket.write_all(SSE_HEAD).unwrap_or_default();
        while socket.write_all(&event).is_ok() {}
        false
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = call(&weir, &upstream, "busy");
    assert!(connection.head().status == 200 && connection.chunk().is_some());
    drop(connection);
    assert_stopped(&weir, &upstream);
    assert_eq!(weir.call_line("busy")["end"], "client_gone");
}

#[test]
fn before_the_first_byte() {
    let upstream = silent_after(Vec::new());
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    drop(call(&weir, &upstream, "early"));
    assert_stopped(&weir, &upstream);
    let line = weir.call_line("early");
    assert_eq!((&line["end"], &line["attempts"]), (&"client_gone".into(), &1.into()), "{line}");
    let left = r#"weir_requests_total{code="499",dialect="openai",route="m",segment="default",target="p"}"#;
    assert!((weir.metric(left) - 1.0).abs() < 0.1);
}

#[test]
fn while_the_body_is_still_being_sent() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    for length in [10, 100_000] {
        let mut connection = Connection::to(&weir.data);
        let id = format!("sending-{length}");
        let all = request("POST", OPENAI, &[("x-request-id", &id)], &vec![b' '; 2 * length]);
        connection.send(&all[..all.len() - length]);
        drop(connection);
        let line = weir.call_line(&id);
        // A caller that only shut its sending half could still read the refusal, so it is refused.
        assert_eq!(
            (&line["end"], &line["reason"], &line["attempts"]),
            (&"refused".into(), &"body_incomplete".into(), &0.into())
        );
    }
    assert_eq!((upstream.connections(), weir.inflight()), (0, 0));
}

#[test]
fn who_stops_sending_in_the_middle_of_a_body_can_read_why_it_is_refused() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    let all = request("POST", OPENAI, &[], ASK.as_bytes());
    connection.send(&all[..all.len() - 5]);
    connection.socket().shutdown(Shutdown::Write).unwrap();
    support::refusal::assert_refused(&connection.answer(), OPENAI, 400, "body_incomplete");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_hundred_at_once_leave_nothing_behind() {
    let upstream = silent_after(begun());
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut callers = Vec::new();
    for number in 0..100 {
        let mut connection = Connection::to(&weir.data);
        let id = format!("of-hundred-{number}");
        connection.send(request("POST", OPENAI, &[("x-request-id", &id)], ASK_STREAM.as_bytes()));
        callers.push(connection);
    }
    for connection in &mut callers {
        assert!(connection.head().status == 200 && connection.chunk().is_some());
    }
    assert_eq!((weir.inflight(), upstream.connections()), (100, 100));
    drop(callers);
    assert_stopped(&weir, &upstream);
    for number in 0..100 {
        assert_eq!(weir.call_line(&format!("of-hundred-{number}"))["end"], "client_gone");
    }
}

#[test]
fn a_model_server_stops_generating() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        modelsim::serve(listener, modelsim::Settings::default()).unwrap()
    });
    let weir = Weir::configured(&one_pool(&[server.url()], ""));
    let body = r#"{"model":"m","stream":true,"max_tokens":4000,"messages":[{"role":"user","content":"Write a letter."}]}"#;
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[], body.as_bytes()));
    assert_eq!(connection.head().status, 200);
    for _ in 0..3 {
        assert!(connection.chunk().is_some());
    }
    assert_eq!((server.stats().running, server.stats().cancelled), (1, 0));
    drop(connection);
    eventually("the cancellation", || (server.stats().cancelled == 1).then_some(()));
    eventually("an idle engine", || (server.stats().running == 0).then_some(()));
    assert_eq!((server.stats().finished, weir.inflight()), (0, 0));
}

/// hyper does not look for the end of a connection while bytes of it are unread.
#[test]
fn who_had_sent_more_than_its_request_is_missed_too() {
    let upstream = silent_after(Vec::new());
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = call(&weir, &upstream, "early-bird");
    connection.send("POST /v1/chat");
    drop(connection);
    assert_stopped(&weir, &upstream);
    assert_eq!(weir.call_line("early-bird")["end"], "client_gone");
}

/// An upstream may answer early and never read the rest: neither the body nor the connection may stay.
#[test]
fn a_body_that_the_upstream_never_reads_is_not_kept() {
    let upstream = deaf();
    let weir = Weir::configured(&one_pool(&[upstream], ""));
    let before_kib = weir.rss_kib();
    let body = format!(r#"{{"model":"m","x":"{}"}}"#, "x".repeat(8 * 1024 * 1024));
    for _ in 0..8 {
        assert_eq!(support::client::chat(&weir.data, &body).status, 413);
    }
    eventually("the end of the connections", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", weir.pid())).unwrap();
        let sockets = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        let sockets = sockets.filter(|link| link.to_string_lossy().starts_with("socket:")).count();
        // The two listeners, and the pairs that the runtime itself holds.
        (sockets <= 6).then_some(())
    });
    let growth_kib = weir.rss_kib().saturating_sub(before_kib);
    assert!(growth_kib < 32 * 1024, "{growth_kib} KiB more for 64 MiB that nobody reads");
}

/// The address of an upstream that answers each head at once, keeps the connection open and reads no body.
fn deaf() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.read(&mut [0; 1024]).map(drop).unwrap_or_default();
            let answer = support::upstream::answer("413 Too Large", &[], b"{}");
            stream.write_all(&answer).unwrap_or_default();
            kept.push(stream);
        }
    });
    url
}
