use super::summary;
use crate::dialect::Dialect;
use crate::stream::{Finish, Summary, Usage, WholeWatch};

pub(super) const OPENAI: &str = r#"{"id":"chatcmpl-B","object":"chat.completion","created":1741569952,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"It says \"usage\": {\"prompt_tokens\": 1}, \"finish_reason\":\"length\"","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop","stop_reason":null}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"service_tier":"default"}"#;

pub(super) const SPACED: &str = r#"{
  "choices": [
    { "index": 0, "finish_reason" : "tool_calls", "message": { "role": "assistant", "content": null } }
  ],
  "usage" : {
    "prompt_tokens": 3,
    "completion_tokens": 2
  },
  "prompt_logprobs": null
}
"#;

pub(super) const ANTHROPIC: &str = r#"{"id":"msg_01","type":"message","role":"assistant","model":"claude","content":[{"type":"tool_use","id":"t","name":"f","input":{"usage":{"input_tokens":1},"stop_reason":"refusal"}}],"stop_reason":"max_tokens","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":503}}"#;

pub(super) fn watched<'a>(dialect: Dialect, pieces: impl IntoIterator<Item = &'a [u8]>) -> Summary {
    let mut watch = WholeWatch::new(dialect);
    for piece in pieces {
        watch.feed(piece);
    }
    watch.summary()
}

#[test]
fn usage_and_finish_of_answers() {
    let openai = watched(Dialect::OpenAi, [OPENAI.as_bytes()]);
    assert_eq!(openai, summary(19, 10, Finish::Stop));
    let spaced = watched(Dialect::OpenAi, [SPACED.as_bytes()]);
    assert_eq!(spaced, summary(3, 2, Finish::ToolCalls));
    let anthropic = watched(Dialect::Anthropic, [ANTHROPIC.as_bytes()]);
    assert_eq!(anthropic, summary(115, 503, Finish::Length));
}

#[test]
fn a_long_answer_is_read_to_its_end() {
    let text = "y".repeat(300_000);
    let body = OPENAI.replace("It says", &text).replace("}}}", &format!("}}}},\"ids\":\"{text}\"}}"));
    for piece_length in [1000, 16_384, body.len()] {
        let summary = watched(Dialect::OpenAi, body.as_bytes().chunks(piece_length));
        assert_eq!(summary, super::summary(19, 10, Finish::Stop), "{piece_length}");
    }
}

#[test]
fn what_is_not_there_is_not_made_up() {
    let bodies =
        ["", "{", "null", "\"usage\"", "{\"usage\":", "{\"usage\":null}", "{\"usage\":{\"prompt_tokens\":1"];
    for body in bodies {
        assert_eq!(watched(Dialect::OpenAi, [body.as_bytes()]), Summary::default(), "{body}");
    }
    let error = r#"{"error":{"message":"no such model","type":"invalid_request_error"}}"#;
    assert_eq!(watched(Dialect::OpenAi, [error.as_bytes()]), Summary::default());
}

#[test]
fn a_value_that_never_ends_is_not_waited_for() {
    let endless = format!("{{\"usage\":{{\"prompt_tokens\":1{}", " ".repeat(10_000));
    let body = format!("{endless},\"usage\":{{\"prompt_tokens\":2,\"completion_tokens\":3}}");
    for piece_length in [1, 700, 4096, body.len()] {
        let usage = watched(Dialect::OpenAi, body.as_bytes().chunks(piece_length)).usage;
        let expected = Some(Usage { prompt_tokens: 2, completion_tokens: 3 });
        assert_eq!(usage, expected, "{piece_length}");
    }
}

#[test]
fn a_watch_prints_no_text() {
    let mut watch = WholeWatch::new(Dialect::OpenAi);
    watch.feed(b"{\"usage\":{\"secret\":");
    assert!(!format!("{watch:?}").contains("secret"));
}

#[test]
fn usage_that_is_cut_in_a_number_is_not_lost() {
    let body =
        br#"{"usage":{"queue_time":0.018,"x":-1.5e-3,"y":2E+1,"prompt_tokens":9,"completion_tokens":2}}"#;
    let usage = Some(Usage { prompt_tokens: 9, completion_tokens: 2 });
    for cut in 0..=body.len() {
        let (before, after) = body.split_at(cut);
        let seen = watched(Dialect::OpenAi, [before, after]);
        assert_eq!(seen, Summary { usage, finish: None }, "cut at {cut}");
    }
}

#[test]
fn keys_that_share_a_quote_are_found_however_they_are_cut() {
    let body = br#""usage"usage":{"prompt_tokens":9,"completion_tokens":2}"#;
    let usage = Some(Usage { prompt_tokens: 9, completion_tokens: 2 });
    assert_eq!(watched(Dialect::OpenAi, [&body[..]]).usage, usage);
    assert_eq!(watched(Dialect::OpenAi, body.chunks(1)).usage, usage);
}
