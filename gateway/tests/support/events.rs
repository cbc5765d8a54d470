//! The events of a stream in both dialects.

use super::refusal::ANTHROPIC;
use super::upstream::{FINISH, delta};

/// A content event in the dialect of `path`.
pub fn token(path: &str, text: &str) -> Vec<u8> {
    if path != ANTHROPIC {
        return delta(text);
    }
    let text = serde_json::Value::from(text);
    format!("event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}\n\n").into_bytes()
}

/// The events that end a stream well: finish reason, usage of 7 and 2 tokens, terminator.
pub fn finish(path: &str) -> &'static [u8] {
    if path == ANTHROPIC { ANTHROPIC_FINISH } else { FINISH }
}

const ANTHROPIC_FINISH: &[u8] = b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":7,\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// The error event that Weir adds to a stream which cannot be finished.
pub fn is_error_event(path: &str, event: &str) -> bool {
    let (start, kinds): (_, &[&str]) = if path == ANTHROPIC {
        ("event: error\ndata: ", &["api_error", "timeout_error"])
    } else {
        ("data: ", &["upstream_error"])
    };
    let data = event.strip_prefix(start).and_then(|rest| rest.strip_suffix("\n\n"));
    let data = data.and_then(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    data.is_some_and(|data| {
        let kind = data["error"]["type"].as_str().unwrap_or_default();
        kinds.contains(&kind) && data["error"]["message"].is_string()
    })
}
