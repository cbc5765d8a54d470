//! What streams are as documents: by examples of both APIs, and by taking known answers apart at random.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Assembly, Unassembled};
use crate::dialect::Operation;

const CHAT: Operation = Operation::ChatCompletions;
const MESSAGES: Operation = Operation::Messages;

fn assemble(operation: Operation, stream: &[u8]) -> Result<String, Unassembled> {
    let mut assembly = Assembly::of(operation, 1 << 20).unwrap();
    assembly.feed(stream)?;
    assembly.finish()
}

fn value(operation: Operation, stream: &str) -> Value {
    serde_json::from_str(&assemble(operation, stream.as_bytes()).unwrap()).unwrap()
}

fn refused(operation: Operation, stream: &str) -> Unassembled {
    assemble(operation, stream.as_bytes()).unwrap_err()
}

/// A chat stream of these chunks.
fn chunks(chunks: &[Value]) -> String {
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    events.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

fn delta(delta: Value) -> Value {
    let mut choice = json!({ "index": 0, "finish_reason": null });
    choice["delta"] = delta;
    json!({ "id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice] })
}

fn finished(reason: &str) -> Value {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

fn events(events: &[Value]) -> String {
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

#[test]
fn only_chats_and_messages_are_put_together() {
    let others =
        [Operation::Completions, Operation::Responses, Operation::Embeddings, Operation::Passthrough];
    assert!(others.into_iter().all(|operation| Assembly::of(operation, 1).is_none()));
}

#[test]
fn a_chat_is_its_text_with_everything_that_the_chunks_say_beside_it() {
    let document = assemble(
        CHAT,
        concat!(
            ": wait\n\n",
            r#"data: {"id":"","choices":[],"prompt_filter_results":[1.50],"created":0,"model":""}"#, "\n\n",
            r#"data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","system_fingerprint":null,"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"xx"}"#, "\n\n",
            r#"data: {"id":"c1","created":7,"system_fingerprint":"fp","service_tier":"default","choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}],"usage":null}"#, "\r\n\r\n",
            r#"data: {"choices":[{"index":0,"delta":{"content":"caf\u00e9 \ud83d\ude00"}}]}"#, "\n\n",
            r#"data: {"choices":[{"index":0,"delta":{"content":"!"},"finish_reason":"stop","stop_reason":12345678901234567890123}]}"#, "\n\n",
            r#"data: {"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"x":1.0}}"#, "\n\n",
            "data: [DONE]\n\n",
        ).as_bytes(),
    );
    assert_eq!(
        document.unwrap(),
        concat!(
            r#"{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":"#,
            r#"{"role":"assistant","content":"café 😀!","refusal":null,"reasoning_content":"Hm"},"#,
            r#""logprobs":null,"finish_reason":"stop","stop_reason":12345678901234567890123}],"#,
            r#""prompt_filter_results":[1.50],"system_fingerprint":"fp","#,
            r#""usage":{"prompt_tokens":3,"completion_tokens":2,"x":1.0},"service_tier":"default"}"#,
        )
    );
}

#[test]
fn tool_calls_are_put_together_by_their_index() {
    let call = |index: u64, rest: Value| {
        let mut call = rest;
        call["index"] = index.into();
        delta(json!({ "tool_calls": [call] }))
    };
    let answer = value(
        CHAT,
        &chunks(&[
            delta(json!({ "role": "assistant", "content": "" })),
            call(1, json!({ "id": "b", "type": "function", "function": { "name": "g", "arguments": "" } })),
            call(0, json!({ "id": "a", "type": "function", "function": { "name": "f", "arguments": null } })),
            // Some servers say the name and the type again with every piece.
            call(0, json!({ "type": "function", "function": { "name": "f", "arguments": "{\"x\":" } })),
            call(1, json!({ "id": "", "function": { "arguments": "{}" } })),
            call(0, json!({ "id": null, "function": { "name": null, "arguments": "1}" } })),
            finished("tool_calls"),
        ]),
    );
    let expected = json!({ "role": "assistant", "content": null, "tool_calls": [
        { "id": "a", "type": "function", "function": { "name": "f", "arguments": "{\"x\":1}" } },
        { "id": "b", "type": "function", "function": { "name": "g", "arguments": "{}" } },
    ] });
    assert_eq!(answer["choices"][0]["message"], expected);
    // Whole calls without an index, and the function of old.
    let whole =
        |id: &str| json!({ "tool_calls": [{ "id": id, "function": { "name": "f", "arguments": "{}" } }] });
    let answer = value(CHAT, &chunks(&[delta(whole("a")), delta(whole("b")), finished("tool_calls")]));
    assert_eq!(answer["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 2);
    let old =
        |name: Value, text: &str| delta(json!({ "function_call": { "name": name, "arguments": text } }));
    let answer = value(
        CHAT,
        &chunks(&[old("f".into(), "{\"a\""), old(Value::Null, ":2}"), finished("function_call")]),
    );
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["function_call"], json!({ "name": "f", "arguments": "{\"a\":2}" }));
    assert_eq!(message["content"], Value::Null);
}

#[test]
fn a_chat_that_cannot_be_read_or_is_not_over_is_no_document() {
    let said = delta(json!({ "content": "Dear" }));
    let unreadable = [
        "data: {\"choices\":[{\"del\n\n".to_owned(),
        "data: [1]\n\n".to_owned(),
        chunks(&[json!({ "choices": [{ "index": 1, "delta": { "content": "x" } }] })]),
        chunks(&[json!({ "choices": [{ "index": 0, "message": { "content": "x" } }] })]),
        chunks(&[said.clone(), delta(json!({ "content": [{ "type": "text" }] }))]),
        chunks(&[delta(json!({ "tool_calls": [{ "index": "a" }] }))]),
        chunks(&[delta(json!({ "content": 1 })), said.clone(), delta(json!("x"))]),
    ];
    for stream in unreadable {
        assert!(matches!(refused(CHAT, &stream), Unassembled::Unreadable(_)), "{stream}");
    }
    for stream in [
        chunks(&[said.clone(), json!({ "error": { "message": "out of memory" } }), finished("stop")]),
        chunks(&[json!({ "object": "error", "message": "no" })]),
        "event: error\ndata: whatever\n\n".to_owned(),
    ] {
        assert_eq!(refused(CHAT, &stream), Unassembled::Failed, "{stream}");
    }
    for stream in [String::new(), chunks(&[]), chunks(std::slice::from_ref(&said))] {
        assert_eq!(refused(CHAT, &stream), Unassembled::Unfinished, "{stream}");
    }
    // The terminator may be missing, and the last blank line.
    let unterminated = chunks(&[said, finished("stop")]).replace("\n\ndata: [DONE]\n\n", "");
    assert_eq!(value(CHAT, &unterminated)["choices"][0]["message"]["content"], "Dear");
}

#[test]
fn a_chunk_without_text_or_a_choice_takes_nothing_away() {
    let answer = value(
        CHAT,
        &chunks(&[
            delta(json!({ "content": "a", "annotations": [{ "n": 1 }] })),
            delta(json!({ "content": null, "annotations": [{ "n": 2 }] })),
            json!({ "choices": null }),
            json!({ "choices": [{ "delta": null, "message": null }] }),
            json!({ "choices": [{ "delta": { "content": "b" }, "message": { "content": "ab" } }] }),
            finished("length"),
        ]),
    );
    let message = json!({ "role": "assistant", "content": "ab", "annotations": [{ "n": 1 }, { "n": 2 }] });
    assert_eq!((&answer["choices"][0]["message"], answer.get("usage")), (&message, None));
}

#[test]
fn what_is_kept_is_bounded() {
    let said = format!("data: {}\n\n", delta(json!({ "content": "x".repeat(100) })));
    let mut assembly = Assembly::of(CHAT, 2_000).unwrap();
    let fed = (0..30).map(|_| assembly.feed(said.as_bytes())).position(|fed| fed.is_err());
    assert!(fed.is_some_and(|fed| (8..20).contains(&fed)), "{fed:?}");
    assert_eq!(assembly.finish(), Err(Unassembled::TooLong), "and it stays so");
    let mut assembly = Assembly::of(CHAT, 2_000).unwrap();
    let long = format!("data: {}\n\n", "x".repeat(3_000));
    assert_eq!(assembly.feed(long.as_bytes()), Err(Unassembled::TooLong));
    // What every chunk repeats costs once.
    let mut assembly = Assembly::of(CHAT, 2_000).unwrap();
    let tiny = format!("data: {}\n\n", delta(json!({ "content": "x" })));
    assert!((0..500).all(|_| assembly.feed(tiny.as_bytes()).is_ok()));
    let many = json!((0..500).map(|n| (n.to_string(), n)).collect::<std::collections::BTreeMap<_, _>>());
    assert!(matches!(refused(CHAT, &format!("data: {many}\n\n")), Unassembled::Unreadable(_)));
}

fn message_start() -> Value {
    json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 1 },
    } })
}

fn block(index: u64, block: Value) -> Value {
    let mut event = json!({ "type": "content_block_start", "index": index });
    event["content_block"] = block;
    event
}

fn grows(index: u64, delta: Value) -> Value {
    let mut event = json!({ "type": "content_block_delta", "index": index });
    event["delta"] = delta;
    event
}

fn message_end(reason: &str) -> [Value; 2] {
    [
        json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null }, "usage": { "input_tokens": 0, "output_tokens": 12 } }),
        json!({ "type": "message_stop" }),
    ]
}

fn message(middle: &[Value], reason: &str) -> String {
    let [end, stop] = message_end(reason);
    events(&[&[message_start()], middle, &[end, stop]].concat())
}

#[test]
fn a_message_is_its_blocks_in_order() {
    let stream = message(
        &[
            json!({ "type": "ping" }),
            block(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
            grows(0, json!({ "type": "thinking_delta", "thinking": "Let " })),
            grows(0, json!({ "type": "thinking_delta", "thinking": "me." })),
            grows(0, json!({ "type": "signature_delta", "signature": "abc==" })),
            json!({ "type": "content_block_stop", "index": 0 }),
            block(1, json!({ "type": "redacted_thinking", "data": "zzz" })),
            block(2, json!({ "type": "text", "text": "", "citations": null })),
            grows(2, json!({ "type": "text_delta", "text": "Dear" })),
            grows(2, json!({ "type": "citations_delta", "citation": { "cited_text": "a" } })),
            grows(2, json!({ "type": "text_delta", "text": " reader" })),
            block(
                4,
                json!({ "type": "web_search_tool_result", "tool_use_id": "s", "content": [{ "title": "t" }] }),
            ),
            block(3, json!({ "type": "tool_use", "id": "t1", "name": "f", "input": {} })),
            grows(3, json!({ "type": "input_json_delta", "partial_json": "" })),
            grows(
                3,
                json!({ "type": "input_json_delta", "partial_json": "{\"b\": 12345678901234567890123, " }),
            ),
            grows(3, json!({ "type": "input_json_delta", "partial_json": "\"a\": 1.50}" })),
            block(5, json!({ "type": "tool_use", "id": "t2", "name": "g", "input": {} })),
            block(6, json!({ "type": "unheard_of", "words": "" })),
            grows(6, json!({ "type": "words_delta", "words": "new" })),
            json!({ "type": "unheard_of_event" }),
        ],
        "tool_use",
    );
    let document = assemble(MESSAGES, stream.as_bytes()).unwrap();
    // Numbers of a tool's input stay as the model wrote them.
    assert!(document.contains(r#""input":{"b": 12345678901234567890123, "a": 1.50}"#), "{document}");
    let answer: Value = serde_json::from_str(&document).unwrap();
    let mut expected = message_start()["message"].clone();
    expected["stop_reason"] = "tool_use".into();
    expected["usage"]["output_tokens"] = 12.into();
    let input = answer["content"][3]["input"].clone();
    expected["content"] = json!([
        { "type": "thinking", "thinking": "Let me.", "signature": "abc==" },
        { "type": "redacted_thinking", "data": "zzz" },
        { "type": "text", "text": "Dear reader", "citations": [{ "cited_text": "a" }] },
        { "type": "tool_use", "id": "t1", "name": "f", "input": input },
        { "type": "web_search_tool_result", "tool_use_id": "s", "content": [{ "title": "t" }] },
        { "type": "tool_use", "id": "t2", "name": "g", "input": {} },
        { "type": "unheard_of", "words": "new" },
    ]);
    assert_eq!(answer, expected);
}

#[test]
fn a_message_that_cannot_be_read_or_is_not_over_is_no_document() {
    let tool = block(0, json!({ "type": "tool_use", "id": "t", "name": "f", "input": {} }));
    let half = grows(0, json!({ "type": "input_json_delta", "partial_json": "{\"a\":" }));
    let text = block(0, json!({ "type": "text", "text": "" }));
    let unreadable = [
        message(&[grows(0, json!({ "type": "text_delta", "text": "x" }))], "end_turn"),
        message(&[text.clone(), text.clone()], "end_turn"),
        message(&[message_start()], "end_turn"),
        message(
            &[
                text.clone(),
                grows(0, json!({ "type": "text_delta", "text": ["x"] })),
                grows(0, json!({ "type": "text_delta", "text": "x" })),
            ],
            "end_turn",
        ),
        message(&[tool.clone(), half.clone()], "tool_use"),
        events(&message_end("end_turn")),
    ];
    for stream in unreadable {
        assert!(matches!(refused(MESSAGES, &stream), Unassembled::Unreadable(_)), "{stream}");
    }
    let failed = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "no" } });
    assert_eq!(refused(MESSAGES, &message(&[failed], "end_turn")), Unassembled::Failed);
    assert_eq!(refused(MESSAGES, "data: {\"error\":{}}\n\n"), Unassembled::Failed);
    assert_eq!(refused(MESSAGES, &events(&[message_start(), text])), Unassembled::Unfinished);
    // An input that the limit cut short: the stop reason says so.
    let answer = value(MESSAGES, &message(&[tool, half], "max_tokens"));
    assert_eq!(answer["content"][0]["input"], json!({}));
}

#[test]
fn a_message_may_leave_the_names_of_its_events_out_and_change_what_it_began_with() {
    let mut stream = message(&[block(0, json!({ "type": "text", "text": "Hi" }))], "stop_sequence");
    stream =
        stream.replace("\"stop_sequence\":null}", "\"stop_sequence\":\"END\",\"container\":{\"id\":\"k\"}}");
    let unnamed: String = stream.split_inclusive('\n').filter(|line| !line.starts_with("event:")).collect();
    for stream in [stream, unnamed] {
        let answer = value(MESSAGES, &stream);
        let said = (&answer["stop_reason"], &answer["stop_sequence"], &answer["container"]["id"]);
        assert_eq!(said, (&"stop_sequence".into(), &"END".into(), &"k".into()));
        assert_eq!(
            answer["usage"],
            json!({ "input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 12 })
        );
    }
}

/// A text in pieces, cut at random places.
fn cut(text: &str, sizes: &[usize]) -> Vec<String> {
    let mut rest: Vec<char> = text.chars().collect();
    let mut pieces = Vec::new();
    for size in sizes {
        let more = rest.split_off((*size).min(rest.len()));
        pieces.push(rest.into_iter().collect());
        rest = more;
    }
    pieces.push(rest.into_iter().collect());
    pieces
}

/// Feeds a stream in pieces of these sizes, in turn.
fn fed(operation: Operation, stream: &[u8], sizes: &[usize]) -> Result<String, Unassembled> {
    let mut assembly = Assembly::of(operation, 1 << 20).unwrap();
    let (mut rest, mut sizes) = (stream, sizes.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| (size + 1).min(rest.len()));
        let (piece, more) = rest.split_at(size);
        assembly.feed(piece)?;
        rest = more;
    }
    assembly.finish()
}

fn sizes(most: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..most, 0..12)
}

proptest! {
    /// A chat completion that is taken apart is the same when it is put together.
    #[test]
    fn a_chat_that_is_taken_apart_is_put_together(
        content in prop::option::of(".*"),
        reasoning in prop::option::of(".*"),
        calls in prop::collection::vec((".*", "[a-z]{1,9}", ".*"), 0..4),
        finish in prop::sample::select(vec!["stop", "length", "tool_calls", "content_filter"]),
        cuts in sizes(9),
        pieces in sizes(40),
        extra in any::<i64>(),
    ) {
        let mut message = json!({ "role": "assistant", "content": content });
        let mut deltas = vec![json!({ "role": "assistant" })];
        for (name, text) in [("content", &content), ("reasoning_content", &reasoning)] {
            let Some(text) = text else { continue };
            message[name] = text.as_str().into();
            deltas.extend(cut(text, &cuts).into_iter().map(|piece| json!({ name: piece })));
        }
        for (index, (id, name, arguments)) in calls.iter().enumerate() {
            let id = format!("call_{id}");
            let call = json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
            let begin = json!({ "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": "" } });
            deltas.push(json!({ "tool_calls": [begin] }));
            let more = cut(arguments, &cuts).into_iter();
            deltas.extend(more.map(|piece| json!({ "tool_calls": [{ "index": index, "function": { "arguments": piece } }] })));
            let list = message.as_object_mut().unwrap().entry("tool_calls").or_insert(json!([]));
            list.as_array_mut().unwrap().push(call);
        }
        if !calls.is_empty() && content.as_deref().is_none_or(str::is_empty) {
            message["content"] = Value::Null;
        }
        let mut all: Vec<Value> = deltas.into_iter().map(delta).collect();
        let usage = json!({ "prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11 });
        all.extend([finished(finish), json!({ "choices": [], "usage": usage, "extra": extra })]);
        let expected = json!({
            "id": "c1", "object": "chat.completion", "created": 7, "model": "m", "usage": usage, "extra": extra,
            "choices": [{ "index": 0, "message": message, "finish_reason": finish }],
        });
        let document = fed(CHAT, chunks(&all).as_bytes(), &pieces).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&document).unwrap(), expected);
    }

    /// So is a message.
    #[test]
    fn a_message_that_is_taken_apart_is_put_together(
        blocks in prop::collection::vec((0..3usize, ".*"), 0..5),
        cuts in sizes(9),
        pieces in sizes(40),
    ) {
        let (mut content, mut middle) = (Vec::new(), Vec::new());
        for (index, (kind, text)) in blocks.iter().enumerate() {
            let index = index as u64;
            let (field, delta) = [("text", "text_delta"), ("thinking", "thinking_delta"), ("partial_json", "input_json_delta")][*kind];
            let written = if *kind == 2 { json!({ "q": text }).to_string() } else { text.clone() };
            let mut whole = json!({ "type": if *kind == 2 { "tool_use" } else { field } });
            let mut start = whole.clone();
            let (name, empty, full) = match kind {
                2 => ("input", json!({}), json!({ "q": text })),
                _ => (field, json!(""), json!(text)),
            };
            (start[name], whole[name]) = (empty, full);
            middle.push(block(index, start));
            middle.extend(cut(&written, &cuts).into_iter().map(|piece| grows(index, json!({ "type": delta, field: piece }))));
            content.push(whole);
        }
        let mut expected = message_start()["message"].clone();
        (expected["content"], expected["stop_reason"]) = (content.into(), "end_turn".into());
        expected["usage"]["output_tokens"] = 12.into();
        let document = fed(MESSAGES, message(&middle, "end_turn").as_bytes(), &pieces).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&document).unwrap(), expected);
    }
}
