//! Inputs of the benchmarks: shaped like the traffic that a gateway sees, always the same bytes.

use router_core::dialect::Dialect;

/// An answer as an event stream.
#[derive(Clone, Debug)]
pub struct AnswerStream {
    /// The dialect that it is in.
    pub dialect: Dialect,
    /// Its events, each with the blank line that ends it.
    pub events: Vec<Vec<u8>>,
}

/// An answer in OpenAI's dialect: 200 chunks, those with text of 236 bytes, and `[DONE]`. `extra` is JSON that
/// each chunk carries at its end, such as `,"usage":null`.
#[must_use]
pub fn openai_stream(extra: &str) -> AnswerStream {
    let chunk = |delta: &str, finish_reason: &str| {
        let id =
            r#""id":"chatcmpl-7f3f1d2c9b8a41e60d7","object":"chat.completion.chunk","created":1753000000"#;
        let model = r#""model":"meta-llama/Llama-3.3-70B-Instruct""#;
        let choice =
            format!(r#"{{"index":0,"delta":{{{delta}}},"logprobs":null,"finish_reason":{finish_reason}}}"#);
        event(&format!(r#"data: {{{id},{model},"choices":[{choice}]{extra}}}"#))
    };
    let mut events = vec![chunk(r#""role":"assistant","content":"""#, "null")];
    events.extend((0..198).map(|index| chunk(&format!(r#""content":" word{index:04}""#), "null")));
    events.push(chunk("", r#""stop""#));
    events.push(event("data: [DONE]"));
    AnswerStream { dialect: Dialect::OpenAi, events }
}

/// An answer in Anthropic's dialect: 201 events, 196 of them with text.
#[must_use]
pub fn anthropic_stream() -> AnswerStream {
    let named =
        |name: &str, rest: &str| event(&format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}"));
    let message = r#","message":{"id":"msg_01","content":[],"usage":{"input_tokens":57,"output_tokens":1}}"#;
    let block = r#","index":0,"content_block":{"type":"text","text":""}"#;
    let mut events = vec![named("message_start", message), named("content_block_start", block)];
    events.extend((0..196).map(|index| {
        let delta = format!(r#","index":0,"delta":{{"type":"text_delta","text":" word{index:04}"}}"#);
        named("content_block_delta", &delta)
    }));
    events.push(named("content_block_stop", r#","index":0"#));
    let end = r#","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":198}"#;
    events.push(named("message_delta", end));
    events.push(named("message_stop", ""));
    AnswerStream { dialect: Dialect::Anthropic, events }
}

/// A chat request of about `length` bytes: the model first, as SDKs send it, then turns of 500 bytes.
#[must_use]
pub fn chat_body(length: usize) -> Vec<u8> {
    let sentence = "Say \\\"why\\\" a \\n line ends here; ".repeat(16);
    let turn = format!("{{\"role\":\"user\",\"content\":\"{sentence}\"}}");
    let turns = vec![turn.as_str(); (length / (turn.len() + 1)).max(1)].join(",");
    format!("{{\"model\":\"balanced\",\"messages\":[{turns}],\"stream\":true,\"max_tokens\":512}}")
        .into_bytes()
}

fn event(lines: &str) -> Vec<u8> {
    format!("{lines}\n\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use router_core::identify::scan;
    use router_core::stream::{SseWatch, StreamEnd};

    use super::*;

    #[test]
    fn the_streams_are_whole_and_of_the_size_that_results_are_quoted_for() {
        let openai = openai_stream("");
        assert!(openai.events[1..199].iter().all(|event| event.len() == 236), "{}", openai.events[1].len());
        for (stream, content_events) in [(openai, 198), (anthropic_stream(), 196)] {
            let mut watch = SseWatch::new(stream.dialect);
            watch.feed(&stream.events.concat());
            assert_eq!((watch.events(), watch.content_events()), (201, content_events));
            assert_eq!(watch.outcome(), StreamEnd::Complete);
        }
    }

    #[test]
    fn the_bodies_are_readable_and_about_as_long_as_asked() {
        for length in [1024, 64 * 1024, 1024 * 1024] {
            let body = chat_body(length);
            assert!(body.len().abs_diff(length) < 1024, "{length}: {}", body.len());
            assert_eq!(scan(&body).unwrap().model, "balanced");
        }
    }
}
