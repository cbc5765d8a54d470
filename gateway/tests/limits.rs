//! What a caller may send and how long it may take: each bound refuses or ends what runs into it, counts it, and
//! touches nobody else.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use support::client::{Connection, chat, get, post, request};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::refusal::{DIALECTS, OPENAI, assert_refused};
use support::socket::narrow_connection;
use support::upstream::{SSE_HEAD, Upstream, chunk, completion, delta};
use support::weir::{Folder, Weir};
use support::{eventually, pause};

fn limited(limits: &str, upstream: &Upstream) -> Weir {
    Weir::configured(&format!("limits: {{ {limits} }}\n{}", one_pool(&[upstream.url()], "")))
}

fn assert_hit(weir: &Weir, limit: &str, times: u32) {
    let name = format!("weir_limit_hits_total{{limit=\"{limit}\"}}");
    eventually(&format!("{times} times {limit}"), || {
        ((weir.metric(&name) - f64::from(times)).abs() < 0.1).then_some(())
    });
}

#[test]
fn a_long_target_and_a_large_head_are_refused_in_the_callers_dialect() {
    let upstream = Upstream::new();
    let weir = limited("head: 8KiB, uri: 1KiB", &upstream);
    for path in DIALECTS {
        let long = format!("{path}?{}", "x".repeat(1024));
        assert_refused(&post(&weir.data, &long, &[], ASK), path, 414, "uri_too_long");
        let large = [("x-large", "x".repeat(8 * 1024))];
        let large = large.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_refused(&post(&weir.data, path, &large, ASK), path, 431, "head_too_large");
    }
    assert_hit(&weir, "uri", 2);
    assert_hit(&weir, "head", 2);
    // So large, or of so many fields, that no request comes of it.
    let names: Vec<String> = (0..101).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(post(&weir.data, OPENAI, &many, ASK).status, 431);
    let huge = [("x-huge", "x".repeat(100_000))];
    let huge = huge.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(post(&weir.data, OPENAI, &huge, "").status, 431);
    assert_hit(&weir, "head", 4);
    assert_eq!(upstream.connections(), 0);
    assert_eq!(post(&weir.data, OPENAI, &[("x-fits", &"x".repeat(7 * 1024))], ASK).status, 200);
}

#[test]
fn a_head_that_does_not_come_is_answered_and_its_connection_closed() {
    let upstream = Upstream::new();
    let weir = limited("header_read: 300ms", &upstream);
    for begun in ["P", "POST", "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"] {
        let mut connection = Connection::to(&weir.data);
        connection.send(begun);
        let answer = connection.answer();
        assert_eq!((answer.status, answer.header("connection")), (408, Some("close")), "{begun}");
        assert!(connection.is_closed());
    }
    // Who has said nothing has not asked anything.
    let mut silent = Vec::new();
    TcpStream::connect(&weir.data).unwrap().read_to_end(&mut silent).unwrap();
    assert!(silent.is_empty());
    // The same for the second request of a connection.
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    assert_eq!(connection.answer().status, 200);
    connection.send("POST /v1/chat");
    assert_eq!(connection.answer().status, 408);
    assert_hit(&weir, "header_read", 5);
    assert_eq!(upstream.got().len(), 1);
}

#[test]
fn a_quiet_connection_is_closed() {
    let upstream = Upstream::new();
    let weir = limited("idle: 300ms", &upstream);
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    assert_eq!(connection.answer().status, 200);
    assert!(connection.is_closed());
    assert_hit(&weir, "idle", 1);
}

#[test]
fn a_body_that_pauses_is_refused() {
    let upstream = Upstream::new();
    let weir = limited("body_read: 300ms", &upstream);
    for (path, framing) in DIALECTS.iter().zip(["content-length: 100", "transfer-encoding: chunked"]) {
        let mut connection = Connection::to(&weir.data);
        connection.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n"));
        connection.send("5\r\n{\"mod");
        let answer = connection.answer();
        assert_refused(&answer, path, 408, "body_timeout");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
    assert_hit(&weir, "body_read", 2);
    // What comes in time is taken, however many pieces it has.
    let mut connection = Connection::to(&weir.data);
    let bytes = request("POST", OPENAI, &[], ASK.as_bytes());
    let (head, body) = bytes.split_at(bytes.len() - ASK.len());
    connection.send(head);
    for byte in body {
        connection.send([*byte]);
        pause(Duration::from_millis(20));
    }
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn a_body_that_drips_is_refused() {
    let upstream = Upstream::new();
    let weir = limited("body_read: 5s", &upstream);
    let mut connection = Connection::to(&weir.data);
    let mut sending = Connection::over(connection.socket().try_clone().unwrap());
    connection.send(format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"));
    let sender = std::thread::spawn(move || {
        for _ in 0..100 {
            sending.send(" ");
            pause(Duration::from_millis(100));
        }
    });
    assert_refused(&connection.answer(), OPENAI, 408, "body_timeout");
    assert_hit(&weir, "body_rate", 1);
    // The sender may well fail: its connection is closed.
    drop(sender);
}

#[test]
fn bodies_for_which_there_is_no_room_are_refused_and_room_comes_back() {
    let upstream = Upstream::new();
    let weir = limited("body: 64KiB, body_memory: 90KiB", &upstream);
    // Announced, and not sent yet: the room is taken all the same.
    let mut first = Connection::to(&weir.data);
    let body = format!("{ASK:<60000}");
    let bytes = request("POST", OPENAI, &[("expect", "100-continue")], body.as_bytes());
    let (head, rest) = bytes.split_at(bytes.len() - body.len());
    first.send(head);
    assert_eq!(first.head().status, 100);
    let refused = chat(&weir.data, &body);
    assert_refused(&refused, OPENAI, 503, "memory");
    assert_eq!(refused.header("x-weir-reason"), Some("memory"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(chat(&weir.data, ASK).status, 200, "a small one still fits");
    // In chunks, of which nothing is announced.
    let mut chunked =
        format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    chunked.extend(chunk(body.as_bytes()));
    chunked.extend(b"0\r\n\r\n");
    assert_refused(&support::client::send(&weir.data, &chunked), OPENAI, 503, "memory");
    first.send(rest);
    assert_eq!(first.answer().status, 200);
    for _ in 0..3 {
        assert_eq!(chat(&weir.data, &body).status, 200);
        assert_eq!(support::client::send(&weir.data, &chunked).status, 200);
    }
    // What was announced and never came is given back too.
    for _ in 0..3 {
        let mut gone = Connection::to(&weir.data);
        gone.send(head);
        drop(gone);
    }
    eventually("room", || (chat(&weir.data, &body).status == 200).then_some(()));
}

#[test]
fn an_answer_that_is_not_taken_ends_its_connection() {
    let upstream = Upstream::with(|_, socket| {
        let event = chunk(&delta(&"x".repeat(4000)));
        socket.write_all(SSE_HEAD).unwrap_or_default();
        while socket.write_all(&event).is_ok() {}
        false
    });
    let weir = limited("client_stall: 500ms", &upstream);
    let mut socket = narrow_connection(&weir.data, 16 * 1024);
    socket.write_all(&request("POST", OPENAI, &[("x-request-id", "stalls")], ASK_STREAM.as_bytes())).unwrap();
    assert_hit(&weir, "client_stall", 1);
    let line = weir.call_line("stalls");
    assert_eq!((&line["end"], &line["reason"]), (&"client_gone".into(), &"client_stall".into()), "{line}");
    eventually("the end upstream", || (upstream.gone() == 1 && weir.inflight() == 0).then_some(()));
    drop(socket);
}

#[test]
fn further_connections_wait_for_room() {
    let upstream = Upstream::new();
    let weir = limited("connections: 2", &upstream);
    let mut connections: Vec<_> = (0..2).map(|_| Connection::to(&weir.data)).collect();
    for connection in &mut connections {
        connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
        assert_eq!(connection.answer().status, 200);
    }
    let mut third = Connection::to(&weir.data);
    third.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    assert_hit(&weir, "connections", 1);
    assert_eq!(upstream.got().len(), 2, "the third waits");
    drop(connections.pop());
    assert_eq!(third.answer().status, 200);
}

#[test]
fn what_the_system_has_no_descriptors_for_is_not_promised() {
    let upstream = Upstream::new();
    let files = Folder::new();
    let path = files.write("weir.yaml", &one_pool(&[upstream.url()], ""));
    let mut command = Command::new("sh");
    let script = r#"ulimit -S -n 128; ulimit -H -n 256; exec "$0" "$@""#;
    command.args(["-c", script, env!("CARGO_BIN_EXE_weir"), "run", "--config"]).arg(path);
    let weir = Weir::start(command, Some(files));
    eventually("the warning", || {
        weir.log().contains("limits.connections: 96 in place of 10000").then_some(())
    });
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", weir.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("256"), "the soft limit is raised: {line}");
    assert_eq!(get(&weir.data, "/health/live").status, 200);
}

#[test]
fn a_lack_of_descriptors_is_said_once() {
    let upstream = Upstream::new();
    let files = Folder::new();
    let path = files.write("weir.yaml", &one_pool(&[upstream.url()], ""));
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 24; exec "$0" "$@""#, env!("CARGO_BIN_EXE_weir"), "run", "--config"]);
    command.arg(path);
    let weir = Weir::start(command, Some(files));
    let connections: Vec<_> = (0..40).map(|_| Connection::to(&weir.data)).collect();
    let said = || weir.log().lines().filter(|line| line.contains("cannot accept a connection")).count();
    eventually("the warning", || (said() > 0).then_some(()));
    // Ten more attempts.
    pause(Duration::from_millis(500));
    assert_eq!(said(), 1);
    drop(connections);
    assert_eq!(get(&weir.data, "/health/live").status, 200);
}

#[test]
fn a_slow_upstream_is_not_the_callers_fault() {
    let upstream = Upstream::with(|_, socket| {
        pause(Duration::from_secs(1));
        socket.write_all(&completion()).is_ok()
    });
    let weir = limited("client_stall: 100ms, idle: 100ms, header_read: 100ms, body_read: 100ms", &upstream);
    assert_eq!(chat(&weir.data, ASK).status, 200);
}
