use super::{Finish, Reply, Stamp};
use crate::modelsim::ask::{Api, Ask};
use serde_json::{Value, json};

const STAMP: Stamp = Stamp { serial: 7, created: 1_700_000_000, seed: 3, tokens: 12 };

fn reply(api: Api, extra: &Value) -> Reply {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "a letter, please"}]});
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    Reply::new(api, Ask::parse(api, body.to_string().as_bytes()).unwrap(), STAMP)
}

/// Event names (`-` for none) and the data of every event, as a client reads them.
fn read(reply: Reply) -> Vec<(String, Value)> {
    let mut events = reply.events();
    let mut wire = Vec::new();
    while events.written() < events.length() {
        events.next_token().iter().for_each(|event| wire.extend_from_slice(&event.bytes()));
    }
    let text = String::from_utf8(wire).unwrap();
    let parse = |event: &str| {
        let name = event.lines().find_map(|line| line.strip_prefix("event: ")).unwrap_or("-");
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        (name.to_owned(), serde_json::from_str(data).unwrap_or_else(|_| json!(data)))
    };
    text.split_terminator("\n\n").map(parse).collect()
}

#[test]
fn a_chat_stream_is_role_tokens_finish_usage_done() {
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let whole: Value = serde_json::from_slice(&reply(Api::OpenAi, &options).whole()).unwrap();
    let events = read(reply(Api::OpenAi, &options));
    let delta = |at: usize| &events[at].1["choices"][0]["delta"];
    assert_eq!(events.len(), 1 + 12 + 1 + 1 + 1);
    assert_eq!(delta(0)["role"], "assistant");
    let text: String = (1..13).map(|at| delta(at)["content"].as_str().unwrap()).collect();
    assert_eq!(whole["choices"][0]["message"]["content"], text);
    assert_eq!(events[13].1["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[14].1["choices"], json!([]));
    assert_eq!(events[14].1["usage"], whole["usage"]);
    assert_eq!(whole["usage"], json!({"prompt_tokens": 4, "completion_tokens": 12, "total_tokens": 16}));
    assert_eq!(events[15].1, "[DONE]");
}

#[test]
fn without_include_usage_a_chat_stream_has_none() {
    let events = read(reply(Api::OpenAi, &json!({"stream": true})));
    assert!(events.iter().all(|(_, data)| data.get("usage").is_none()));
}

#[test]
fn a_token_limit_shortens_the_answer_and_says_so() {
    let short = reply(Api::OpenAi, &json!({"max_completion_tokens": 5}));
    assert_eq!((short.output_tokens(), short.finish()), (5, Finish::Length));
    let exact = reply(Api::OpenAi, &json!({"max_tokens": 12}));
    assert_eq!((exact.output_tokens(), exact.finish()), (12, Finish::Stop));
    let messages = read(reply(Api::Anthropic, &json!({"max_tokens": 5})));
    let delta = &messages.iter().find(|(name, _)| name == "message_delta").unwrap().1;
    assert_eq!(delta["delta"]["stop_reason"], "max_tokens");
    assert_eq!(delta["usage"]["output_tokens"], 5);
}

#[test]
fn a_message_stream_has_the_events_of_the_real_one_in_their_order() {
    let whole: Value =
        serde_json::from_slice(&reply(Api::Anthropic, &json!({"max_tokens": 99})).whole()).unwrap();
    let events = read(reply(Api::Anthropic, &json!({"max_tokens": 99})));
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let tokens = ["content_block_delta"; 12];
    let (before, after) = (
        ["message_start", "content_block_start", "ping"],
        ["content_block_stop", "message_delta", "message_stop"],
    );
    assert_eq!(names, [&before[..], &tokens[..], &after[..]].concat());
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_str()));
    assert_eq!(events[0].1["message"]["usage"]["input_tokens"], 4);
    let text: String = events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
    assert_eq!(whole["content"][0]["text"], text);
    assert_eq!(whole["usage"], json!({"input_tokens": 4, "output_tokens": 12}));
}

#[test]
fn a_tool_call_streams_its_arguments() {
    let schema =
        json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}});
    let chat = json!({"stream": true, "tool_choice": "required",
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}]});
    let whole: Value = serde_json::from_slice(&reply(Api::OpenAi, &chat).whole()).unwrap();
    let call = &whole["choices"][0]["message"]["tool_calls"][0];
    assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("weather")));
    let events = read(reply(Api::OpenAi, &chat));
    let arguments: String = events
        .iter()
        .filter_map(|(_, data)| {
            data["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str()
        })
        .collect();
    assert_eq!(call["function"]["arguments"], arguments);
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");

    let messages = json!({"max_tokens": 99, "tool_choice": {"type": "any"},
        "tools": [{"name": "weather", "input_schema": schema}]});
    let whole: Value = serde_json::from_slice(&reply(Api::Anthropic, &messages).whole()).unwrap();
    let events = read(reply(Api::Anthropic, &messages));
    let json: String = events.iter().filter_map(|(_, data)| data["delta"]["partial_json"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), whole["content"][0]["input"]);
    assert_eq!(whole["stop_reason"], "tool_use");
}
