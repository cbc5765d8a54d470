//! What is ready of an answer leaves at once: a burst comes down in a few large chunks, byte for byte the same, and
//! what ends or breaks a stream still comes after all that came before it.

mod support;

use std::io::Write;

use support::client::{Connection, request};
use support::config::{ASK_STREAM, one_pool};
use support::events::{finish, is_error_event, token};
use support::refusal::{DIALECTS, OPENAI};
use support::socket::reset_on_close;
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, chunk};
use support::weir::Weir;

const EVENTS: usize = 200;

fn burst(path: &str) -> Vec<Vec<u8>> {
    (0..EVENTS).map(|index| token(path, &format!("word {index} "))).collect()
}

/// The chunks that come down of what an upstream sends in one write, and whether they came to a proper end.
fn chunks_of(sent: Vec<u8>, path: &str, resets: bool) -> (Vec<Vec<u8>>, bool) {
    let upstream = Upstream::with(move |_, socket| {
        socket.write_all(&sent).unwrap_or_default();
        if resets {
            reset_on_close(socket);
        }
        !resets
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", path, &[], ASK_STREAM.as_bytes()));
    assert_eq!(connection.head().status, 200);
    let mut chunks = Vec::new();
    while let Some(data) = connection.chunk() {
        chunks.push(data);
    }
    // Only after a proper end can another answer come on this connection.
    connection.send(request("GET", "/health", &[], b""));
    let proper = connection.answer().status == 200;
    (chunks, proper)
}

#[test]
fn a_burst_leaves_in_few_chunks_and_unchanged() {
    for path in DIALECTS {
        let mut events = burst(path);
        events.push(finish(path).to_vec());
        let framed: Vec<u8> = events.iter().flat_map(|event| chunk(event)).collect();
        let (chunks, proper) = chunks_of([SSE_HEAD, &framed, LAST_CHUNK].concat(), path, false);
        assert_eq!(chunks.concat(), events.concat(), "{path}");
        assert!(proper && chunks.len() <= EVENTS / 10, "{path}: {} chunks", chunks.len());
    }
}

#[test]
fn what_breaks_a_burst_comes_after_it() {
    let events = burst(OPENAI);
    let framed: Vec<u8> = events.iter().flat_map(|event| chunk(event)).collect();
    for (end, resets) in [(LAST_CHUNK, false), (b"nonsense\r\n", false)] {
        let (chunks, proper) = chunks_of([SSE_HEAD, &framed, end].concat(), OPENAI, resets);
        let body = chunks.concat();
        let events = events.concat();
        assert!(proper && body.starts_with(&events), "{} of {} bytes", body.len(), events.len());
        let rest = String::from_utf8_lossy(&body[events.len()..]).into_owned();
        assert!(is_error_event(OPENAI, &rest), "{rest:?}");
    }
}

#[test]
fn a_large_answer_is_unchanged() {
    let text = "0123456789abcdef".repeat(64 * 1024);
    let body = format!(r#"{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"stop"}}]}}"#);
    let sent = support::upstream::answer("200 OK", &[("content-type", "application/json")], body.as_bytes());
    let upstream = Upstream::with(move |_, socket| socket.write_all(&sent).is_ok());
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    for _ in 0..3 {
        let answer = support::client::chat(&weir.data, support::config::ASK);
        assert!(answer.whole && answer.body == body.as_bytes());
    }
    assert_eq!(upstream.connections(), 1, "a connection that could serve again was given up");
}
