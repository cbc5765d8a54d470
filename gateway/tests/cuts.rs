//! A cut answer is never dressed as complete: a stream gets all that had come, then an error event in the
//! caller's dialect and a proper end of the transport without the dialect's terminator; what is no stream is
//! aborted.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use support::client::{Connection, post, request};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::events::{finish, is_error_event, token};
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI};
use support::socket::reset_on_close;
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, chunk};
use support::weir::Weir;

/// How an upstream breaks off.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Reset,
    /// The connection ends, the chunked body does not.
    Close,
    /// The chunked body ends, the dialect's stream does not.
    CleanEnd,
    /// In the middle of a chunk.
    MidChunk,
}

const CUTS: [Cut; 4] = [Cut::Reset, Cut::Close, Cut::CleanEnd, Cut::MidChunk];

/// An upstream that sends `body` of a stream and, when told to, breaks off.
fn cutting(body: &[u8], cut: Cut) -> (Upstream, Sender<()>) {
    let (tell, told) = channel();
    let first = if body.is_empty() { SSE_HEAD.to_vec() } else { [SSE_HEAD, &chunk(body)].concat() };
    let told = Mutex::new(told);
    let upstream = Upstream::with(move |_, socket| {
        socket.write_all(&first).unwrap_or_default();
        told.lock().unwrap().recv().unwrap_or_default();
        match cut {
            Cut::Reset => reset_on_close(socket),
            Cut::Close => {}
            Cut::CleanEnd => socket.write_all(LAST_CHUNK).unwrap_or_default(),
            Cut::MidChunk => socket.write_all(b"ffff\r\n").unwrap_or_default(),
        }
        matches!(cut, Cut::CleanEnd)
    });
    (upstream, tell)
}

/// What comes down, in the two parts before and after the upstream breaks off.
fn before_and_after(path: &str, body: &[u8], cut: Cut) -> (Vec<u8>, String) {
    let (upstream, tell) = cutting(body, cut);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", path, &[("x-request-id", "cut")], ASK_STREAM.as_bytes()));
    assert_eq!(connection.head().status, 200);
    let mut before = Vec::new();
    while before.len() < body.len() {
        before.extend(connection.chunk().expect("what had come goes on"));
    }
    tell.send(()).unwrap();
    let mut after = Vec::new();
    while let Some(data) = connection.chunk() {
        after.extend(data);
    }
    // Had the transport not ended properly, no answer could come on this connection.
    connection.send(request("GET", "/health", &[], b""));
    assert_eq!(connection.answer().status, 200, "after {cut:?}");

    let line = weir.call_line("cut");
    assert_eq!(
        (&line["end"], &line["reason"]),
        (&"upstream_cut".into(), &"upstream_disconnected".into()),
        "{line}"
    );
    assert!(line["cause"].is_string() && line["bytes_out"] == before.len() + after.len(), "{line}");
    (before, String::from_utf8(after).unwrap())
}

#[test]
fn a_stream_cut_between_two_events_gets_an_error_event() {
    for path in DIALECTS {
        let body = [token(path, "Dear"), token(path, " reader")].concat();
        for cut in CUTS {
            let (before, after) = before_and_after(path, &body, cut);
            assert!(before == body && is_error_event(path, &after), "{path} {cut:?}: {after:?}");
            assert!(!after.contains("[DONE]") && !after.contains("message_stop"));
        }
    }
}

#[test]
fn a_stream_cut_in_the_middle_of_an_event_gets_the_error_as_an_event_of_its_own() {
    for path in DIALECTS {
        let event = token(path, " reader");
        // In a word, after a line, and in the blank line's place.
        for length in [event.len() / 2, event.len() - 2, event.len() - 1] {
            let body = [&token(path, "Dear"), &event[..length]].concat();
            for cut in [Cut::Reset, Cut::CleanEnd] {
                let (before, after) = before_and_after(path, &body, cut);
                assert_eq!(before, body);
                let own = after.trim_start_matches('\n');
                assert!(is_error_event(path, own), "{path} {cut:?}: {after:?}");
                let until_then = [&body, after.strip_suffix(own).unwrap().as_bytes()].concat();
                assert!(
                    until_then.ends_with(b"\n\n"),
                    "{path} {cut:?}: the event before has no end: {after:?}"
                );
            }
        }
    }
}

#[test]
fn a_stream_cut_before_its_first_event_gets_an_error_event() {
    for path in DIALECTS {
        for cut in CUTS {
            let (_, after) = before_and_after(path, b"", cut);
            assert!(is_error_event(path, &after), "{path} {cut:?}: {after:?}");
        }
    }
}

#[test]
fn a_stream_that_breaks_after_its_terminator_was_complete() {
    for path in DIALECTS {
        for cut in [Cut::Reset, Cut::Close] {
            let body = [token(path, "Dear").as_slice(), finish(path)].concat();
            let (upstream, tell) = cutting(&body, cut);
            let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
            tell.send(()).unwrap();
            let answer = post(&weir.data, path, &[("x-request-id", "late")], ASK_STREAM);
            assert!(answer.whole && answer.body == body, "{path} {cut:?}: {}", answer.text());
            assert_eq!(weir.call_line("late")["end"], "complete");
        }
    }
}

#[test]
fn a_stream_whose_upstream_said_why_it_breaks_gets_no_second_error() {
    let body = [
        token(ANTHROPIC, "Dear").as_slice(),
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"x\"}}\n\n",
    ]
    .concat();
    let (upstream, tell) = cutting(&body, Cut::Close);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    tell.send(()).unwrap();
    let answer = post(&weir.data, ANTHROPIC, &[("x-request-id", "said")], ASK_STREAM);
    assert!(answer.whole && answer.body == body, "{}", answer.text());
    let line = weir.call_line("said");
    assert_eq!((&line["end"], &line["reason"]), (&"upstream_cut".into(), &"upstream_error_event".into()));
}

#[test]
fn a_cut_answer_to_which_no_event_can_be_added_is_aborted() {
    let half = &br#"{"id":"c1","object":"chat.completion","choices":[{"index":0,"mess"#[..];
    let head = |kind: &str, framing: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n").into_bytes()
    };
    let cases = [
        [&head("application/json", "content-length: 500"), half].concat(),
        [&head("application/json", "transfer-encoding: chunked"), chunk(half).as_slice()].concat(),
    ];
    for bytes in cases {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let upstream = Upstream::with(move |_, socket| {
            socket.write_all(&bytes).unwrap_or_default();
            false
        });
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        let answer = post(&weir.data, OPENAI, &[("x-request-id", "aborted")], ASK);
        assert_eq!(answer.status, 200);
        assert!(!answer.whole, "dressed as complete: {shown}");
        assert_eq!(weir.call_line("aborted")["end"], "upstream_cut");
    }
}

#[test]
fn a_cut_stream_gets_its_error_event_whatever_length_was_announced() {
    let event = token(OPENAI, "Dear");
    for (length, body) in [(500, event.clone()), (event.len(), event), (0, Vec::new())] {
        let sent = body.clone();
        let upstream = Upstream::with(move |_, socket| {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n"
            );
            socket.write_all(&[head.as_bytes(), &sent].concat()).unwrap_or_default();
            false
        });
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        let answer = post(&weir.data, OPENAI, &[("x-request-id", "announced")], ASK_STREAM);
        assert!(answer.whole && answer.status == 200, "{length}");
        let said = answer.body.strip_prefix(body.as_slice()).unwrap();
        assert!(is_error_event(OPENAI, &String::from_utf8_lossy(said)), "{length}: {}", answer.text());
        assert_eq!(weir.call_line("announced")["end"], "upstream_cut");
    }
}

/// A finish reason says that the text is whole; half an event behind it, that more was to come.
#[test]
fn a_stream_that_ends_with_its_connection_within_an_event_is_cut() {
    let begun = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    for (half, whole) in [("", true), ("data: [DONE]", true), ("data: {\"choices\":[],\"usa", false)] {
        let upstream = Upstream::with(move |_, socket| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            socket.write_all([head, begun, half].concat().as_bytes()).unwrap_or_default();
            false
        });
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        let answer = post(&weir.data, OPENAI, &[("x-request-id", "ended")], ASK_STREAM);
        let text = answer.text();
        let rest = text.strip_prefix(begun).and_then(|rest| rest.strip_prefix(half)).unwrap();
        assert_eq!(rest.is_empty(), whole, "{text}");
        assert!(whole || is_error_event(OPENAI, rest.trim_start()), "{text}");
        let end = if whole { "complete" } else { "upstream_cut" };
        assert_eq!(weir.call_line("ended")["end"], end, "{text}");
    }
}

/// Without a length or chunks, only the answer itself says whether it is whole.
#[test]
fn an_answer_that_ends_with_its_connection_must_be_whole() {
    for (body, whole) in [(&b"{\"choices\":[]}\n"[..], true), (b"{\"choices\":[{\"mess", false)] {
        let upstream = Upstream::with(move |_, socket| {
            let head = b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n";
            socket.write_all(&[head, body].concat()).unwrap_or_default();
            false
        });
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        let mut connection = Connection::to(&weir.data);
        connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
        let answer = connection.answer();
        assert_eq!(answer.whole, whole, "{}", answer.text());
    }
}
