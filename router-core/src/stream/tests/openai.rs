use super::{State, before, first_token_at, summary, watch};
use crate::dialect::Dialect::OpenAi;
use crate::stream::{Finish, StreamEnd, Summary, Usage};

const OPENAI: &str = r#"data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini","service_tier":"default","system_fingerprint":"fp_0","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"k2"}

data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini","service_tier":"default","system_fingerprint":"fp_0","choices":[{"index":0,"delta":{"content":"Say \"usage\": {\"prompt_tokens\": 1}"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"k"}

data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini","service_tier":"default","system_fingerprint":"fp_0","choices":[{"index":0,"delta":{"content":" or \"finish_reason\":\"length\", \"error\""},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"k"}

data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini","service_tier":"default","system_fingerprint":"fp_0","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null,"obfuscation":"k"}

data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini","service_tier":"default","system_fingerprint":"fp_0","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"obfuscation":""}

data: [DONE]

"#;

const VLLM_CONTINUOUS_USAGE: &str = r#"data: {"id":"cmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":{"prompt_tokens":7,"total_tokens":7,"completion_tokens":0}}

data: {"id":"cmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null,"token_ids":null}],"usage":{"prompt_tokens":7,"total_tokens":8,"completion_tokens":1}}

data: {"id":"cmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" you"},"logprobs":null,"finish_reason":null,"token_ids":null}],"usage":{"prompt_tokens":7,"total_tokens":9,"completion_tokens":2}}

data: {"id":"cmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"!"},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}],"usage":{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3}}

data: {"id":"cmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3}}

data: [DONE]

"#;

const LLAMA_CPP: &str = r#"data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1,"id":"chatcmpl-x","model":"gpt-3.5-turbo","system_fingerprint":"b5","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hello"}}],"created":1,"id":"chatcmpl-x","model":"gpt-3.5-turbo","system_fingerprint":"b5","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"created":1,"id":"chatcmpl-x","model":"gpt-3.5-turbo","system_fingerprint":"b5","object":"chat.completion.chunk","usage":{"completion_tokens":1,"prompt_tokens":11,"total_tokens":12},"timings":{"prompt_n":11,"predicted_n":1}}

data: [DONE]

"#;

const SPACED: &str = r#": keep-alive

data: {"id": "1", "choices": [ { "index": 0, "delta": { "role": "assistant" }, "finish_reason": null } ], "usage": null }

: keep-alive

data: {"id": "1", "choices": [ { "index": 0, "delta": { "content": "a" }, "finish_reason" : null } ], "usage": null }

data: {"id": "1", "choices": [ { "index": 0, "delta": { "content": "b" }, "finish_reason": "" } ], "usage": null }

data: {"id": "1", "choices": [ { "index": 0, "delta": { "content": "" }, "finish_reason" : "content_filter" } ], "usage": null }

data: {"id": "1", "choices": [ ], "usage" : { "prompt_tokens": 3, "completion_tokens": 2 } }

data: [DONE]

"#;

const REASONING: &str = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":""},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"First"},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":"Yes","reasoning_content":null},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":"","reasoning_content":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}}

data: [DONE]

"#;

const TOOLS: &str = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[]},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"look","arguments":""}}]},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"usage\": {\"prompt_tokens\": 99}}"}}]},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

"#;

const RESPONSES: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","output":[],"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"\"usage\":{\"input_tokens\":1}"}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"!"}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"text":"Hi!"}

event: response.completed
data: {"type":"response.completed","sequence_number":5,"response":{"id":"resp_1","object":"response","status":"completed","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":11}}}

"#;

const RESPONSES_ERROR: &str = r#"event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hi"}

event: error
data: {"type":"error","code":"rate_limit_exceeded","message":"Slow down.","param":null,"sequence_number":3}

event: response.failed
data: {"type":"response.failed","response":{"id":"resp_1","status":"failed","error":{"code":"rate_limit_exceeded"},"usage":null}}

"#;

const ERROR: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}

data: {"error":{"message":"out of memory","type":"InternalServerError","param":null,"code":500}}

data: [DONE]

"#;

fn watched(stream: &str) -> State {
    watch(OpenAi, [stream.as_bytes()])
}

fn complete(events: u64, content_events: u64, summary: Summary) -> State {
    State { events, content_events, outcome: StreamEnd::Complete, summary, is_mid_event: false }
}

#[test]
fn an_openai_stream_with_usage() {
    assert_eq!(watched(OPENAI), complete(6, 2, summary(19, 10, Finish::Stop)));
    assert_eq!(first_token_at(OpenAi, OPENAI), Some(1));
}

#[test]
fn a_vllm_stream_with_usage_on_each_event() {
    assert_eq!(watched(VLLM_CONTINUOUS_USAGE), complete(6, 3, summary(7, 3, Finish::Length)));
    assert_eq!(first_token_at(OpenAi, VLLM_CONTINUOUS_USAGE), Some(1));
}

#[test]
fn a_llama_cpp_stream() {
    assert_eq!(watched(LLAMA_CPP), complete(4, 1, summary(11, 1, Finish::Stop)));
    assert_eq!(first_token_at(OpenAi, LLAMA_CPP), Some(1));
}

#[test]
fn a_stream_with_spaces_and_comments() {
    assert_eq!(watched(SPACED), complete(6, 2, summary(3, 2, Finish::ContentFilter)));
    assert_eq!(first_token_at(OpenAi, SPACED), Some(3));
}

#[test]
fn reasoning_is_a_first_token() {
    assert_eq!(watched(REASONING), complete(5, 2, summary(5, 9, Finish::Stop)));
    assert_eq!(first_token_at(OpenAi, REASONING), Some(1));
}

#[test]
fn a_tool_call_is_a_first_token() {
    let finish = Some(Finish::ToolCalls);
    assert_eq!(watched(TOOLS), complete(5, 2, Summary { usage: None, finish }));
    assert_eq!(first_token_at(OpenAi, TOOLS), Some(1));
}

#[test]
fn what_is_and_is_not_a_first_token() {
    let cases = [
        (r#"{"choices":[{"delta":{"content":"\n"}}]}"#, true),
        (r#"{"choices":[{"delta":{"reasoning":"x"}}]}"#, true),
        (r#"{"choices":[{"delta":{"refusal":"No."}}]}"#, true),
        (r#"{"choices":[{"delta":{"function_call":{"name":"f"}}}]}"#, true),
        (r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":"x"}]}}]}"#, true),
        (r#"{"choices":[{"delta":{"content":""}},{"delta":{"content":"x"}}]}"#, true),
        (r#"{"choices":[{"text":"legacy","index":0}]}"#, true),
        (r#"{"choices":[{"delta":{"audio":{"id":"a"}}}]}"#, true),
        (r#"{"choices":[{"text":"","index":0}]}"#, false),
        (r#"{"choices":[{"delta":{"role":"assistant","tool_calls":[ ],"function_call":null}}]}"#, false),
        (r#"{"choices":[{"delta":null}]}"#, false),
        (r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#, false),
        (r#"{"choices":null}"#, false),
        (r#"{"choices":[{"delta":{"content":"cut"#, false),
        (r#"{"choices":{"delta":{"content":"no list"}}}"#, false),
        ("hello", false),
        ("", false),
    ];
    for (data, expected) in cases {
        let stream = format!("data: {data}\n\n");
        assert_eq!(first_token_at(OpenAi, &stream).is_some(), expected, "{data}");
        assert_eq!(watched(&stream).events, 1, "{data}");
    }
}

#[test]
fn every_finish_reason_has_its_name() {
    let words = ["stop", "length", "tool_calls", "function_call", "content_filter", "abort"];
    let names = words.map(|word| {
        let state =
            watched(&format!("data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{word}\"}}]}}\n\n"));
        assert_eq!(state.outcome, StreamEnd::Finished, "{word}");
        state.summary.finish.unwrap().name()
    });
    assert_eq!(names, ["stop", "length", "tool_calls", "tool_calls", "content_filter", "other"]);
    let two = r#"data: {"choices":[{"finish_reason":"stop"},{"finish_reason":"length"},{"index":2}]}"#;
    assert_eq!(watched(&format!("{two}\n\n")).summary.finish, Some(Finish::Length), "the last that stopped");
}

#[test]
fn errors_in_every_shape_fail_the_stream() {
    let content = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let errors = [
        r#"data: {"error":{"message":"out of memory","type":"InternalServerError","code":500}}"#,
        r#"data: {"object":"error","message":"gone","type":"BadRequestError","param":null,"code":400}"#,
        r#"data: {"id":"1","error":{"code":502},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
        "event: error\ndata: overloaded",
    ];
    for error in errors {
        let early = watched(&format!("{error}\n\ndata: [DONE]\n\n"));
        assert_eq!((early.outcome, early.content_events), (StreamEnd::Failed, 0), "{error}");
        let late = watched(&format!("{content}{error}\n\ndata: [DONE]\n\n"));
        assert_eq!((late.outcome, late.content_events), (StreamEnd::Failed, 1), "{error}");
    }
    for harmless in [r#"{"choices":[{"delta":{"content":"error"}}]}"#, r#"{"error":null,"choices":[]}"#] {
        let state = watched(&format!("{content}data: {harmless}\n\n"));
        assert_eq!(state.outcome, StreamEnd::Open, "{harmless}");
    }
}

#[test]
fn a_finish_without_terminator_is_not_complete() {
    let stream = OPENAI.replace("data: [DONE]\n\n", "");
    let state = watched(&stream);
    assert_eq!((state.outcome, state.is_mid_event), (StreamEnd::Finished, false));
}

#[test]
fn a_cut_stream_is_open_and_its_last_event_does_not_count() {
    let state = watched(before(OPENAI, " or "));
    let expected = State {
        events: 2,
        content_events: 1,
        outcome: StreamEnd::Open,
        summary: Summary::default(),
        is_mid_event: true,
    };
    assert_eq!(state, expected);
}

#[test]
fn a_last_event_without_blank_line_is_believed_if_it_is_whole() {
    for end in ["", "\n", "\r", "\r\n"] {
        let state = watched(&format!("data: [DONE]{end}"));
        assert_eq!((state.outcome, state.events, state.is_mid_event), (StreamEnd::Complete, 0, true));
    }
    let cut = r#"data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}"#;
    let usage = Some(Usage { prompt_tokens: 1, completion_tokens: 2 });
    assert_eq!(watched(&format!("{cut}}}")).summary.usage, usage);
    assert_eq!(watched(cut).summary.usage, None);
    assert_eq!(watched("data: [DON").outcome, StreamEnd::Open);
    assert_eq!(watched("data: {\"error\":{\"message\":\"cu").outcome, StreamEnd::Open);
}

#[test]
fn a_malformed_event_harms_nothing() {
    let (first, rest) = OPENAI.split_once("\n\n").unwrap();
    let state = watched(&format!("{first}\n\ndata: {{\"choices\":[{{\"del\n\ndata: \u{0}\n\n{rest}"));
    assert_eq!(state, complete(8, 2, summary(19, 10, Finish::Stop)));
}

#[test]
fn odd_usage_is_no_usage() {
    for usage in ["{}", "[]", "7", "\"many\"", "{\"prompt_tokens\":-1}", "{\"prompt_tokens\":null}"] {
        let state = watched(&format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n"));
        assert_eq!(state.summary.usage, None, "{usage}");
    }
    let nested = r#"data: {"choices":[],"x_groq":{"usage":{"prompt_tokens":4,"completion_tokens":6}}}"#;
    let usage = Some(Usage { prompt_tokens: 4, completion_tokens: 6 });
    assert_eq!(watched(&format!("{nested}\n\n")).summary.usage, usage);
}

#[test]
fn a_stream_of_the_responses_api() {
    assert_eq!(watched(RESPONSES), complete(6, 2, summary(9, 2, Finish::Stop)));
    assert_eq!(first_token_at(OpenAi, RESPONSES), Some(2));
    let broken = watched(RESPONSES_ERROR);
    assert_eq!((broken.outcome, broken.events, broken.content_events), (StreamEnd::Failed, 3, 1));
}

pub(super) const STREAMS: [&str; 9] =
    [OPENAI, VLLM_CONTINUOUS_USAGE, LLAMA_CPP, SPACED, REASONING, TOOLS, RESPONSES, RESPONSES_ERROR, ERROR];
