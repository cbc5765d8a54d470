//! `non_streaming: stream`: a call that waits for its whole answer goes up as a stream and comes down in one piece, the
//! same as it would have been. What breaks the stream off is an error, never half an answer; what cannot be a stream is
//! left alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use loadtest::modelsim;
use serde_json::{Value, json};
use support::client::{Answer, Connection, post, request};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::events::{finish, token};
use support::eventually;
use support::http2_upstream::Http2Upstream;
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI, assert_refused};
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, answer, chunk, completion};
use support::weir::Weir;

const CHAT: &str = concat!(
    r#"data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"x","system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"reasoning_content":"Hm."}}]}"#,
    "\n\n: wait\n\n",
    r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
    "\n\n",
    r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]}"#,
    "\n\n",
    r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1.50}"}}]}}]}"#,
    "\n\n",
    r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}"#,
    "\n\n",
    r#"data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
    "\n\ndata: [DONE]\n\n"
);

const MESSAGE: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":1}}}"#,
    "\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: content_block_start\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s=="}}"#,
    "\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: content_block_start\n",
    r#"data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"f","input":{}}}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\": 1"}}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":".50}"}}"#,
    "\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\nevent: message_delta\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":2}}"#,
    "\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// What the streams above are in one piece.
fn whole(path: &str) -> Value {
    if path == ANTHROPIC {
        return json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "x",
            "content": [
                { "type": "thinking", "thinking": "Hm.", "signature": "s==" },
                { "type": "tool_use", "id": "t1", "name": "f", "input": { "a": 1.5 } },
            ],
            "stop_reason": "tool_use", "stop_sequence": null, "usage": { "input_tokens": 7, "output_tokens": 2 },
        });
    }
    let call =
        json!({ "id": "t1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":1.50}" } });
    json!({
        "id": "c1", "object": "chat.completion", "created": 7, "model": "x", "system_fingerprint": "fp",
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": null, "refusal": null, "reasoning_content": "Hm.", "tool_calls": [call] },
            "logprobs": null, "finish_reason": "tool_calls",
        }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9 },
    })
}

/// The beginning of a stream in the dialect of `path`, with its first token.
fn begun(path: &str) -> Vec<u8> {
    if path != ANTHROPIC {
        return token(path, "Dear");
    }
    let (start, _) = MESSAGE.split_once("event: ping").unwrap();
    let block = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    [start.as_bytes(), block.as_bytes(), &token(path, "Dear")].concat()
}

/// An upstream that answers every call with this stream, in pieces of this size, ended properly.
fn streaming(stream: impl Into<Vec<u8>>, piece: usize) -> Upstream {
    let stream = stream.into();
    Upstream::with(move |_, socket| {
        let pieces = stream.chunks(piece).flat_map(chunk).collect::<Vec<u8>>();
        socket.write_all(&[SSE_HEAD, &pieces, LAST_CHUNK].concat()).is_ok()
    })
}

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

fn weir(upstream: &Upstream, more: &str) -> Weir {
    Weir::configured(&one_pool(&[upstream.url()], &format!(", non_streaming: stream{more}")))
}

fn ask(weir: &Weir, path: &str, body: &str) -> Answer {
    post(&weir.data, path, &[("x-request-id", "put-together")], body)
}

#[test]
fn a_whole_answer_comes_as_a_stream_and_is_put_together() {
    for (path, stream, asking) in [
        (OPENAI, CHAT, r#""stream":true,"stream_options":{"include_usage":true}"#),
        (ANTHROPIC, MESSAGE, r#""stream":true"#),
    ] {
        for piece in [1, 7, 300, 100_000] {
            let upstream = streaming(stream, piece);
            let weir = Weir::configured(&format!(
                "pools: {{ p: {{ endpoints: [{{ url: \"{}\" }}], non_streaming: stream }} }}\nroutes: {{ m: {{ targets: [{{ pool: p, model: other }}] }} }}\n",
                upstream.url()
            ));
            let body = r#"{ "seed":12345678901234567890,"model":"m", "t":1.50,"messages":[]}"#;
            let answer = ask(&weir, path, body);
            assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
            assert_eq!(answer.json(), whole(path), "{path} in pieces of {piece}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let length = answer.header("content-length").and_then(|length| length.parse().ok());
            assert_eq!((length, answer.header("transfer-encoding")), (Some(answer.body.len()), None));
            assert_eq!(answer.header("x-weir-target"), Some("p/other"));
            // Nothing else of what the caller wrote has changed.
            let sent = format!(
                r#"{{{asking}, "seed":12345678901234567890,"model":"other", "t":1.50,"messages":[]}}"#
            );
            assert_eq!(String::from_utf8_lossy(&upstream.got()[0].body), sent);

            let line = weir.call_line("put-together");
            let expected = json!({
                "stream": false, "status": 200, "end": "complete", "finish": "tool_calls", "prompt_tokens": 7,
                "completion_tokens": 2, "bytes_out": answer.body.len(),
            });
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(line[name], *value, "{name} in {line}");
            }
            assert!(line["first_token_ms"].as_u64() <= line["total_ms"].as_u64(), "{line}");
            assert!(line["first_token_ms"].is_u64() && line.get("cause").is_none(), "{line}");
            assert!((weir.metric_sum("weir_tokens_total") - 9.0).abs() < 0.5);
            assert_eq!(weir.inflight(), 0);
        }
    }
}

#[test]
fn a_stream_that_breaks_off_is_an_error_and_never_half_an_answer() {
    for path in DIALECTS {
        let begun = begun(path);
        let error: &[u8] = if path == ANTHROPIC {
            b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"secret\"}}\n\n"
        } else {
            b"data: {\"error\":{\"message\":\"secret\",\"type\":\"server_error\"}}\n\ndata: [DONE]\n\n"
        };
        let endings: [(&[u8], &[u8]); 6] = [
            // The connection ends; the body ends without a finish; the upstream says that it failed.
            (b"", b""),
            (b"", LAST_CHUNK),
            (error, LAST_CHUNK),
            // After the finish, but before the end of what frames it.
            (finish(path).split_at(40).0, b""),
            // Something that cannot be read, and something that is no answer at all.
            (b"data: {\"choices\":[{\"delta\":{\"cont\n\n", LAST_CHUNK),
            (b"data: []\n\n", LAST_CHUNK),
        ];
        for (more, end) in endings {
            let bytes = [SSE_HEAD, &chunk(&[&begun, more].concat()), end].concat();
            let upstream = Upstream::with(move |_, socket| {
                socket.write_all(&bytes).unwrap_or_default();
                false
            });
            let weir = weir(&upstream, "");
            let answer = ask(&weir, path, ASK);
            let message = assert_refused(&answer, path, 502, "bad_response");
            assert!(!message.contains("secret") && !answer.text().contains("Dear"), "{}", answer.text());
            let line = weir.call_line("put-together");
            let told = (&line["end"], &line["reason"], &line["source"]);
            assert_eq!(told, (&"refused".into(), &"bad_response".into(), &"upstream".into()), "{line}");
            assert!(line["cause"].as_str().is_some_and(|cause| !cause.contains("secret")), "{line}");
            assert_eq!(weir.inflight(), 0);
        }
    }
}

#[test]
fn every_clock_of_a_stream_watches_it() {
    for path in DIALECTS {
        let head = [SSE_HEAD, &chunk(b": wait\n\n")].concat();
        let token = [SSE_HEAD, &chunk(&begun(path))].concat();
        let cases = [
            ("headers: 100ms", b"HTTP/1.1 200".to_vec(), "headers_timeout", "headers"),
            ("first_token: 100ms", b"HTTP/1.1 200".to_vec(), "first_token_timeout", "first_token"),
            ("first_token: 100ms", head.clone(), "first_token_timeout", "first_token"),
            ("idle: 100ms", token.clone(), "idle_timeout", "upstream_idle"),
            ("answer: 100ms", token.clone(), "answer_timeout", "answer"),
            ("answer: 100ms", head, "answer_timeout", "answer"),
        ];
        for (timeouts, bytes, code, limit) in cases {
            let upstream = silent_after(bytes);
            let weir = weir(&upstream, &format!(", timeouts: {{ {timeouts} }}"));
            assert_refused(&ask(&weir, path, ASK), path, 504, code);
            assert_eq!(weir.call_line("put-together")["reason"], code);
            assert!(weir.metric(&format!("weir_limit_hits_total{{limit=\"{limit}\"}}")) >= 1.0, "{limit}");
            eventually("the upstream is hung up on", || (upstream.gone() == 1).then_some(()));
            assert_eq!(weir.inflight(), 0);
        }
    }
}

#[test]
fn a_caller_that_leaves_stops_the_upstream_at_once() {
    for path in DIALECTS {
        let upstream = silent_after([SSE_HEAD, &chunk(&begun(path))].concat());
        let weir = weir(&upstream, "");
        let mut connection = Connection::to(&weir.data);
        connection.send(request("POST", path, &[("x-request-id", "left")], ASK.as_bytes()));
        eventually("the call at the upstream", || (upstream.got().len() == 1).then_some(()));
        drop(connection);
        eventually("the upstream is hung up on", || (upstream.gone() == 1).then_some(()));
        eventually("no call in flight", || (weir.inflight() == 0).then_some(()));
        assert_eq!(weir.call_line("left")["end"], "client_gone");
    }
}

#[test]
fn an_answer_that_is_no_stream_goes_on_as_it_came() {
    for path in DIALECTS {
        let upstream = Upstream::with(|_, socket| socket.write_all(&completion()).is_ok());
        let weir = weir(&upstream, "");
        let answer = ask(&weir, path, ASK);
        assert!(completion().ends_with(&answer.body) && answer.status == 200, "{}", answer.text());
        assert_eq!(weir.call_line("put-together")["end"], "complete");
        let refusal = br#"{"error":{"message":"no streams here"}}"#;
        let upstream = Upstream::with(move |_, socket| {
            let json = [("content-type", "application/json")];
            socket.write_all(&answer_400(&json, refusal)).is_ok()
        });
        let weir = self::weir(&upstream, "");
        let answer = ask(&weir, path, ASK);
        assert_eq!((answer.status, &answer.body[..]), (400, &refusal[..]));
    }
}

fn answer_400(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    answer("400 Bad Request", headers, body)
}

#[test]
fn what_streams_already_or_cannot_be_a_stream_is_left_alone() {
    let upstream = Upstream::new();
    let weir = weir(&upstream, "");
    let field = |field: &str| format!(r#"{{"model":"m","messages":[],{field}}}"#);
    let cases = [
        (OPENAI, ASK_STREAM.to_owned()),
        (ANTHROPIC, ASK_STREAM.to_owned()),
        (OPENAI, field(r#""n":2"#)),
        (OPENAI, field(r#""logprobs":true"#)),
        (OPENAI, field(r#""modalities":["text","audio"]"#)),
        (OPENAI, field(r#""stream":"maybe""#)),
        (OPENAI, field(r#""stream_options":{"include_usage":true}"#)),
        ("/v1/completions", ASK.to_owned()),
        ("/v1/embeddings", ASK.to_owned()),
        ("/v1/responses", ASK.to_owned()),
        ("/v1/messages/count_tokens", ASK.to_owned()),
    ];
    for (path, body) in cases {
        let answer = ask(&weir, path, &body);
        assert!(completion().ends_with(&answer.body), "{path}: {}", answer.text());
        assert_eq!(String::from_utf8_lossy(&upstream.got().pop().unwrap().body), body, "{path}");
    }
    // A stream passes byte for byte.
    let upstream = streaming(CHAT, 100_000);
    let weir = self::weir(&upstream, "");
    assert_eq!(ask(&weir, OPENAI, ASK_STREAM).text(), CHAT);
}

#[test]
fn an_answer_that_has_no_end_is_given_up() {
    let upstream = Upstream::with(|_, socket| {
        let piece = chunk(&token(OPENAI, &"x".repeat(1024 * 1024)));
        socket.write_all(SSE_HEAD).unwrap_or_default();
        while socket.write_all(&piece).is_ok() {}
        false
    });
    let weir = weir(&upstream, "");
    let message = assert_refused(&ask(&weir, OPENAI, ASK), OPENAI, 502, "answer_too_large");
    assert!(message.contains("16777216 bytes"), "{message}");
    eventually("the upstream is hung up on", || (upstream.gone() == 1).then_some(()));
    assert_eq!(weir.inflight(), 0);
}

#[test]
fn a_process_that_ends_answers_what_it_cannot_finish() {
    let upstream = silent_after([SSE_HEAD, &chunk(&begun(OPENAI))].concat());
    let pool = one_pool(&[upstream.url()], ", non_streaming: stream");
    let mut weir = Weir::configured(&format!("drain: 0s\n{pool}"));
    let mut connection = Connection::to(&weir.data);
    connection.send(request("POST", OPENAI, &[("x-request-id", "stopped")], ASK.as_bytes()));
    eventually("the call at the upstream", || (upstream.got().len() == 1).then_some(()));
    weir.signal("TERM");
    assert_refused(&connection.answer(), OPENAI, 503, "draining");
    assert_eq!(weir.wait(), 0);
    let line = weir.call_line("stopped");
    assert_eq!((&line["end"], &line["reason"]), (&"stopped".into(), &"draining".into()), "{line}");
    eventually("the upstream is hung up on", || (upstream.gone() == 1).then_some(()));
}

#[test]
fn it_is_the_same_over_http2() {
    let upstream = Http2Upstream::new(None);
    let weir = Weir::configured(&one_pool(&[upstream.url()], ", non_streaming: stream, http2: true"));
    let call = |behaviour: &str| {
        let before = upstream.got().len();
        let mut connection = Connection::to(&weir.data);
        connection.send(request("POST", OPENAI, &[("x-test", behaviour)], ASK.as_bytes()));
        eventually("the call at the upstream", || (upstream.got().len() > before).then_some(()));
        connection
    };
    let mut connection = call("stream");
    // The first event goes out with the head, before anything is waited for.
    upstream.release();
    let answer = connection.answer();
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Dear", "{}", answer.text());
    assert_eq!(answer.json()["usage"]["completion_tokens"], 2);
    let mut connection = call("reset");
    upstream.release();
    assert_refused(&connection.answer(), OPENAI, 502, "bad_response");
    drop(call("stream"));
    eventually("the stream is given up", || (upstream.resets().len() == 1).then_some(()));
    assert_eq!(upstream.connections(), 1);
}

/// Against the simulated model server: the same answer as without the setting, but for its id, its time and what is
/// null.
#[test]
fn a_model_servers_answer_is_the_same_either_way() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        modelsim::serve(listener, modelsim::Settings::default()).unwrap()
    });
    let by =
        |setting: &str| Weir::configured(&one_pool(&[server.url()], &format!(", non_streaming: {setting}")));
    let (estimated, streamed) = (by("estimate"), by("stream"));
    for (path, usage) in [(OPENAI, "completion_tokens"), (ANTHROPIC, "output_tokens")] {
        let body = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi."}]}"#;
        let [plain, assembled] = [&estimated, &streamed].map(|weir| {
            let mut answer = ask(weir, path, body).json();
            assert_eq!(answer["usage"][usage], 5, "{answer}");
            ["id", "created"].iter().for_each(|name| answer[name] = Value::Null);
            if let Some(message) = answer.pointer_mut("/choices/0/message").and_then(Value::as_object_mut) {
                // Null in whole answers, and not a word of it in the server's streams.
                message.remove("refusal");
            }
            answer
        });
        assert_eq!(plain, assembled, "{path}");
    }
    let counted = |weir: &Weir| weir.metric_sum("weir_tokens_total");
    assert!((counted(&estimated) - counted(&streamed)).abs() < 0.5 && counted(&streamed) > 9.0);
}
