use super::{State, before, first_token_at, summary, watch};
use crate::dialect::Dialect::Anthropic;
use crate::stream::{Finish, StreamEnd, Summary, Usage};

const THINKING: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":100,"cache_read_input_tokens":2000,"cache_creation":{"ephemeral_5m_input_tokens":100},"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me see"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"\"stop_reason\":\"refusal\""}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"#;

const TOOLS: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_02","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":472,"output_tokens":2}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"city\": \"Basel\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":472,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":40}}

event: message_stop
data: {"type":"message_stop"}

"#;

const ERROR: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_03","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":3,"output_tokens":1}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

event: error
data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}

"#;

fn watched(stream: &str) -> State {
    watch(Anthropic, [stream.as_bytes()])
}

fn complete(events: u64, content_events: u64, summary: Summary) -> State {
    State { events, content_events, outcome: StreamEnd::Complete, summary, is_mid_event: false }
}

#[test]
fn a_stream_with_thinking_and_a_cached_prompt() {
    assert_eq!(watched(THINKING), complete(10, 2, summary(2125, 89, Finish::Stop)));
    assert_eq!(first_token_at(Anthropic, THINKING), Some(3));
}

#[test]
fn a_stream_with_a_tool_starts_with_it() {
    assert_eq!(watched(TOOLS), complete(6, 2, summary(472, 40, Finish::ToolCalls)));
    assert_eq!(first_token_at(Anthropic, TOOLS), Some(1));
}

#[test]
fn event_names_may_be_missing_or_meaningless() {
    for (from, to) in [("event: ", ": "), ("event: ", "event: x-")] {
        assert_eq!(watched(&THINKING.replace(from, to)), watched(THINKING), "{to}");
    }
    let type_last = "data: {\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"},\"type\":\"content_block_delta\"}\n\n";
    assert_eq!(watched(type_last).content_events, 1);
}

#[test]
fn what_is_and_is_not_a_first_token() {
    let cases = [
        ("content_block_delta", r#""delta":{"type":"text_delta","text":" "}"#, true),
        ("content_block_delta", r#""delta":{"type":"thinking_delta","thinking":"x"}"#, true),
        ("content_block_delta", r#""delta":{"type":"input_json_delta","partial_json":"{"}"#, true),
        ("content_block_start", r#""content_block":{"type":"server_tool_use","id":"1"}"#, true),
        ("content_block_start", r#""content_block":{"type":"redacted_thinking","data":"x"}"#, true),
        ("content_block_delta", r#""delta":{"type":"text_delta","text":""}"#, false),
        ("content_block_delta", r#""delta":{"type":"input_json_delta","partial_json":""}"#, false),
        ("content_block_delta", r#""delta":{"type":"signature_delta","signature":"EqQB"}"#, false),
        ("content_block_delta", r#""delta":{"type":"text_del"#, false),
        ("content_block_start", r#""content_block":{"type":"text","text":""}"#, false),
        ("ping", r#""text":"x""#, false),
    ];
    for (name, rest, expected) in cases {
        let stream = format!("event: {name}\ndata: {{\"type\":\"{name}\",\"index\":0,{rest}}}\n\n");
        assert_eq!(first_token_at(Anthropic, &stream).is_some(), expected, "{name} {rest}");
        assert_eq!(watched(&stream).events, 1, "{name} {rest}");
    }
}

#[test]
fn an_error_event_fails_the_stream_wherever_it_stands() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let unnamed = error.replace("event: error\n", "");
    for mark in ["event: message_start", "event: ping", "event: message_delta"] {
        let start = before(THINKING, mark);
        assert_eq!(watched(&format!("{start}{error}")).outcome, StreamEnd::Failed, "{mark}");
        assert_eq!(watched(&format!("{start}{unnamed}")).outcome, StreamEnd::Failed, "{mark}");
    }
}

#[test]
fn every_stop_reason_has_its_name() {
    let words = ["end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal", "pause_turn"];
    let names = words.map(|word| {
        let stream = THINKING.replace("\"end_turn\"", &format!("\"{word}\""));
        watched(&stream).summary.finish.unwrap().name()
    });
    assert_eq!(names, ["stop", "stop", "length", "tool_calls", "content_filter", "other"]);
}

#[test]
fn a_stream_without_its_stop_is_only_finished_and_before_that_open() {
    let unstopped = before(THINKING, "event: message_stop");
    assert_eq!(watched(unstopped).outcome, StreamEnd::Finished);
    let state = watched(before(THINKING, "event: message_delta"));
    assert_eq!((state.outcome, state.is_mid_event), (StreamEnd::Open, false));
    assert_eq!(state.summary.usage, Some(Usage { prompt_tokens: 2125, completion_tokens: 1 }));
    // The name alone promises an end; without whole data it has not come.
    let cut = format!("{unstopped}event: message_stop\ndata: {{\"type\":");
    let state = watched(&cut);
    assert_eq!((state.outcome, state.is_mid_event), (StreamEnd::Finished, true));
}

#[test]
fn a_prompt_counted_once_is_not_lost_to_a_later_zero() {
    let late_zero =
        TOOLS.replacen("\"usage\":{\"input_tokens\":472,\"cache", "\"usage\":{\"input_tokens\":0,\"cache", 1);
    assert_ne!(late_zero, TOOLS);
    assert_eq!(watched(&late_zero).summary, summary(472, 40, Finish::ToolCalls));
}

pub(super) const STREAMS: [&str; 3] = [THINKING, TOOLS, ERROR];
