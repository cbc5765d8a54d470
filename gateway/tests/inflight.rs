//! A call's place at its endpoint: what it counts for there, and that it is given back however the call ends.

mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::Barrier;

use support::client::{Connection, chat, request};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::eventually;
use support::refusal::OPENAI;
use support::socket::{dead_address, reset_on_close};
use support::upstream::{FINISH, LAST_CHUNK, SSE_HEAD, Upstream, chunk, delta};
use support::weir::Weir;

/// How the held upstream goes on once it is told to.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Finish,
    Reset,
    Wait,
}

/// An upstream that sends `first`, waits at the barrier, and goes on as it is told.
fn held(first: Vec<u8>, then: Then) -> (Upstream, Arc<Barrier>) {
    let barrier = Arc::new(Barrier::new(2));
    let waiting = barrier.clone();
    let upstream = Upstream::with(move |_, socket| {
        socket.write_all(&first).unwrap_or_default();
        if then == Then::Wait {
            // Until the other side goes away.
            return socket.read(&mut [0]).is_ok_and(|length| length > 0);
        }
        waiting.wait();
        if then == Then::Reset {
            reset_on_close(socket);
            return false;
        }
        [chunk(FINISH), LAST_CHUNK.to_vec()].iter().all(|bytes| socket.write_all(bytes).is_ok())
    });
    (upstream, barrier)
}

/// The head of a stream and its first token.
fn begun() -> Vec<u8> {
    [SSE_HEAD, &chunk(&delta("Dear"))].concat()
}

fn start(weir: &Weir) -> Connection {
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[], ASK_STREAM.as_bytes()));
    eventually("the call in flight", || (weir.inflight() == 1).then_some(()));
    connection
}

fn assert_all_given_back(weir: &Weir) {
    eventually("no call in flight", || (weir.inflight() == 0).then_some(()));
}

#[test]
fn after_a_normal_end() {
    let (upstream, barrier) = held(begun(), Then::Finish);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = start(&weir);
    assert_eq!(connection.head().status, 200);
    assert!(connection.chunk().is_some());
    assert_eq!(weir.inflight(), 1, "in flight until the body ends, not until the head is there");
    barrier.wait();
    while connection.chunk().is_some() {}
    assert_all_given_back(&weir);
}

#[test]
fn after_the_caller_left_in_the_middle_of_a_stream() {
    let (upstream, _) = held(begun(), Then::Wait);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = start(&weir);
    assert!(connection.head().status == 200 && connection.chunk().is_some());
    drop(connection);
    assert_all_given_back(&weir);
}

#[test]
fn after_the_caller_left_before_the_first_byte() {
    let (upstream, _) = held(Vec::new(), Then::Wait);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    drop(start(&weir));
    assert_all_given_back(&weir);
}

#[test]
fn after_the_upstream_reset_the_connection() {
    for first in [Vec::new(), begun()] {
        let (upstream, barrier) = held(first, Then::Reset);
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        let mut connection = start(&weir);
        barrier.wait();
        connection.answer();
        assert_all_given_back(&weir);
    }
}

#[test]
fn after_a_connection_that_was_refused() {
    let weir = Weir::configured(&one_pool(&[format!("http://{}", dead_address())], ""));
    for _ in 0..10 {
        assert_eq!(chat(&weir.data, ASK).status, 502);
    }
    assert_all_given_back(&weir);
}

#[test]
fn after_many_calls_of_all_kinds_at_once() {
    let upstream = Upstream::with(|got, socket| {
        let whole = [SSE_HEAD, &chunk(&delta("Dear")), &chunk(FINISH), LAST_CHUNK].concat();
        match got.header("x-test") {
            Some("cut") => {
                socket.write_all(&whole[..whole.len() / 2]).unwrap_or_default();
                false
            }
            Some("close") => false,
            _ => socket.write_all(&whole).is_ok(),
        }
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    std::thread::scope(|scope| {
        for number in 0..60 {
            let address = &weir.data;
            scope.spawn(move || {
                let mut connection = Connection::to(address);
                let how = ["whole", "cut", "close", "leave"][number % 4];
                connection.send(request("POST", OPENAI, &[("x-test", how)], ASK_STREAM.as_bytes()));
                if how != "leave" {
                    connection.answer();
                }
            });
        }
    });
    assert_all_given_back(&weir);
}

/// The head of an answer tells whether it is a stream. One that is none is no longer taken to wait for its first token,
/// which would only be seen with its end and taken for a late one.
#[test]
fn an_answer_that_should_have_been_a_stream_and_is_none_awaits_no_first_token() {
    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n";
    let barrier = Arc::new(Barrier::new(3));
    let waiting = barrier.clone();
    let upstream = Upstream::with(move |got, socket| {
        let whole = got.header("x-test") == Some("whole");
        socket.write_all(if whole { WHOLE } else { SSE_HEAD }).unwrap_or_default();
        waiting.wait();
        let rest = [&chunk(&delta("Dear")), &chunk(FINISH), LAST_CHUNK].concat();
        socket.write_all(if whole { b"{}" } else { &rest }).is_ok()
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut calls = ["stream", "whole"].map(|how| {
        let mut connection = Connection::to(&weir.data);
        connection.send(request("POST", OPENAI, &[("x-test", how)], ASK_STREAM.as_bytes()));
        connection
    });
    let awaiting = || weir.metric_sum("weir_awaiting_first_token").round();
    eventually("the stream alone awaits it", || {
        (upstream.got().len() == 2 && weir.inflight() == 2 && awaiting() < 1.5).then_some(())
    });
    assert!(awaiting() > 0.5, "the stream does");
    barrier.wait();
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    assert_all_given_back(&weir);
}
