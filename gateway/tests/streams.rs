//! A stream comes down as it goes up: every byte at once, none changed, whatever it says; what it said stands in
//! the log line and the metrics afterwards.

#![expect(clippy::expect_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use support::client::{Answer, Connection, post, request};
use support::config::{ASK_STREAM, one_pool};
use support::events::{finish, token};
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI};
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, answer, chunk};
use support::weir::Weir;

/// An upstream that answers every call with this stream, ended properly.
fn streaming(body: &[u8]) -> Upstream {
    let bytes = [SSE_HEAD, &chunk(body), LAST_CHUNK].concat();
    Upstream::with(move |_, socket| socket.write_all(&bytes).is_ok())
}

fn ask(weir: &Weir, path: &str, id: &str) -> Answer {
    post(&weir.data, path, &[("x-request-id", id)], ASK_STREAM)
}

/// Reads chunks until `length` bytes are there.
fn read(connection: &mut Connection, length: usize) -> Vec<u8> {
    let mut data = Vec::new();
    while data.len() < length {
        data.extend(connection.chunk().expect("the stream goes on"));
    }
    data
}

#[test]
fn nothing_is_held_back_not_even_half_an_event() {
    for path in DIALECTS {
        let event = token(path, "caf\u{e9}");
        let (half, rest) = event.split_at(event.len() - 9);
        let pieces: Vec<Vec<u8>> = [&token(path, "Dear"), half, rest, b": a comment\n", b"\n", finish(path)]
            .map(<[u8]>::to_vec)
            .to_vec();

        let (received, proceed) = channel();
        let (sending, proceed) = (pieces.clone(), Mutex::new(proceed));
        let upstream = Upstream::with(move |_, socket| {
            socket.write_all(SSE_HEAD).unwrap_or_default();
            // Each piece leaves only when the caller has the one before.
            let sent = sending.iter().all(|piece| {
                proceed.lock().unwrap().recv().is_ok() && socket.write_all(&chunk(piece)).is_ok()
            });
            sent && socket.write_all(LAST_CHUNK).is_ok()
        });
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        let mut connection = Connection::to(&weir.data);
        connection.send(request("POST", path, &[], ASK_STREAM.as_bytes()));
        let head = connection.head();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        for piece in &pieces {
            received.send(()).unwrap();
            assert_eq!(read(&mut connection, piece.len()), *piece, "{path}");
        }
        assert_eq!(connection.chunk(), None);
        connection.send(request("GET", "/health", &[], b""));
        assert_eq!(connection.answer().status, 200, "the connection stands at the end of the stream");
    }
}

#[test]
fn what_cannot_be_read_passes_unchanged_and_the_stream_goes_on() {
    for path in DIALECTS {
        let strange: [&[u8]; 8] = [
            b"data: {\"choices\":[{\"del\n\n",
            b"data: \xff\xfe\x00 not text\n\n",
            b"event: unheard-of\nid: 7\nretry: 10\ndata: [1,2]\ndata: 3\n\n",
            b":\n\n",
            b"\n\n\n\n",
            b"no colon at all\n\n",
            b"data:{\"usage\":null,\"choices\":[]}\r\n\r\n",
            b"event: ping\ndata: {\"type\": \"ping\"}\r\r",
        ];
        let body = [&token(path, "Dear"), &strange.concat(), &token(path, " reader"), finish(path)].concat();
        let upstream = streaming(&body);
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        let answer = ask(&weir, path, "strange");
        assert!(answer.whole && answer.body == body, "{path}: {}", answer.text());
        let line = weir.call_line("strange");
        assert_eq!((&line["end"], &line["completion_tokens"]), (&"complete".into(), &2.into()), "{line}");
    }
}

#[test]
fn the_log_line_and_the_metrics_say_what_a_stream_said() {
    for (path, dialect) in [(OPENAI, "openai"), (ANTHROPIC, "anthropic")] {
        let tokens: Vec<u8> =
            ["Dear", " reader", ",", " hello"].iter().flat_map(|text| token(path, text)).collect();
        let body = [&tokens, finish(path)].concat();
        let upstream = streaming(&body);
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        assert_eq!(ask(&weir, path, "counted").body, body);

        let line = weir.call_line("counted");
        let expected = serde_json::json!({
            "event": "call", "dialect": dialect, "route": "m", "target": "p", "endpoint": upstream.address,
            "stream": true, "status": 200, "attempts": 1, "end": "complete", "finish": "stop",
            "prompt_tokens": 7, "completion_tokens": 2,
            "bytes_in": ASK_STREAM.len(), "bytes_out": body.len(),
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(line[name], *value, "{name} in {line}");
        }
        let (first, total) = (line["first_token_ms"].as_u64(), line["total_ms"].as_u64());
        assert!(first.is_some() && first <= total, "{line}");
        assert!(line.get("reason").is_none() && line.get("cause").is_none(), "{line}");

        let metric = |name: &str, labels: &str, value: f64| {
            let found = weir.metric(&format!("weir_{name}{{{labels}}}"));
            assert!((found - value).abs() < 0.1, "{name}: {found}");
        };
        let place = "route=\"m\",segment=\"default\",target=\"p\"";
        metric("first_token_seconds_count", place, 1.0);
        metric("inter_token_seconds_count", place, 3.0);
        metric("request_duration_seconds_count", place, 1.0);
        metric("tokens_total", &format!("direction=\"prompt\",{place}"), 7.0);
        metric("tokens_total", &format!("direction=\"completion\",{place}"), 2.0);
        metric("requests_total", &format!("code=\"200\",dialect=\"{dialect}\",{place}"), 1.0);
    }
}

#[test]
fn an_answer_that_is_no_stream_is_counted_too() {
    let upstream = Upstream::new();
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    post(&weir.data, OPENAI, &[("x-request-id", "whole")], support::config::ASK);
    let line = weir.call_line("whole");
    assert_eq!(
        (&line["stream"], &line["end"], &line["finish"]),
        (&false.into(), &"complete".into(), &"stop".into())
    );
    assert_eq!((&line["prompt_tokens"], &line["completion_tokens"]), (&7.into(), &2.into()));
    assert!(line.get("first_token_ms").is_none(), "{line}");
}

#[test]
fn an_upstreams_own_error_event_passes_and_is_noted() {
    let errors: [(&str, &[u8]); 3] = [
        (OPENAI, b"data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n"),
        (OPENAI, b"data: {\"error\":{\"message\":\"out of memory\"}}\n\ndata: [DONE]\n\n"),
        (ANTHROPIC, b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n"),
    ];
    for (path, error) in errors {
        let body = [&token(path, "Dear"), error].concat();
        let upstream = streaming(&body);
        let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
        let answer = ask(&weir, path, "failed");
        assert!(answer.whole && answer.body == body, "nothing is added: {}", answer.text());
        let line = weir.call_line("failed");
        assert_eq!(
            (&line["end"], &line["reason"]),
            (&"upstream_cut".into(), &"upstream_error_event".into()),
            "{line}"
        );
    }
}

/// It comes sooner than an answer would: a limit that took it for one would grow before a server that fails.
#[test]
fn an_upstreams_own_error_event_is_no_answer_to_the_limiter() {
    let error: &[u8] = b"data: {\"error\":{\"message\":\"out of memory\"}}\n\ndata: [DONE]\n\n";
    let begun = token(OPENAI, "Dear");
    for (end, limit) in [(error, 1.0), (finish(OPENAI), 2.0)] {
        for body in [end.to_vec(), [&begun, end].concat()] {
            let upstream = streaming(&body);
            let aimd = ", concurrency: { algorithm: aimd, min: 1, initial: 1 }";
            let weir = Weir::configured(&one_pool(&[upstream.url()], aimd));
            assert!(ask(&weir, OPENAI, "one").whole);
            let now = weir.metric_sum("weir_concurrency_limit");
            assert!((now - limit).abs() < 0.1, "{now} after {}", String::from_utf8_lossy(&body));
        }
    }
}

#[test]
fn a_stream_with_a_finish_but_no_terminator_is_whole() {
    let finished = b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n";
    let body = [&token(OPENAI, "Dear"), &finished[..]].concat();
    let upstream = streaming(&body);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let answer = ask(&weir, OPENAI, "unterminated");
    assert!(answer.whole && answer.body == body, "nothing is added: {}", answer.text());
    let line = weir.call_line("unterminated");
    assert_eq!((&line["end"], &line["finish"]), (&"complete".into(), &"length".into()), "{line}");
}

#[test]
fn a_body_with_trailers_is_whole_and_its_connection_serves_on() {
    let body = [token(OPENAI, "Dear").as_slice(), finish(OPENAI)].concat();
    let bytes = [SSE_HEAD, &chunk(&body), b"0\r\nx-checksum: 1\r\n\r\n"].concat();
    let upstream = Upstream::with(move |_, socket| socket.write_all(&bytes).is_ok());
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    for id in ["trailed-1", "trailed-2"] {
        let answer = ask(&weir, OPENAI, id);
        assert!(answer.whole && answer.body == body, "{}", answer.text());
        assert_eq!(weir.call_line(id)["end"], "complete");
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn of_two_framings_of_an_answer_only_the_real_one_goes_on() {
    let body = [token(OPENAI, "Dear").as_slice(), finish(OPENAI)].concat();
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
    let bytes = [head, chunk(&body).as_slice(), LAST_CHUNK].concat();
    let upstream = Upstream::with(move |_, socket| socket.write_all(&bytes).is_ok());
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let answer = ask(&weir, OPENAI, "framed");
    // Either is sound: the whole body under one framing, or a refusal.
    if answer.status == 200 {
        assert_eq!(answer.header("content-length"), None);
        assert!(answer.whole && answer.body == body, "{}", answer.text());
    } else {
        assert_eq!(answer.status, 502);
    }
}

#[test]
fn an_answer_without_a_body_is_whole() {
    let upstream = Upstream::with(|_, socket| socket.write_all(&answer("200 OK", &[], b"")).is_ok());
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    for id in ["empty-1", "empty-2"] {
        let answer = ask(&weir, OPENAI, id);
        assert_eq!((answer.status, answer.whole, answer.body.len()), (200, true, 0));
        assert_eq!(weir.call_line(id)["end"], "complete");
    }
    assert_eq!(upstream.connections(), 1);
}
