//! What every refusal of Weir's own must be like, in either dialect.

use super::client::Answer;

/// The two APIs by the path of their calls.
pub const OPENAI: &str = "/v1/chat/completions";
pub const ANTHROPIC: &str = "/v1/messages";
pub const DIALECTS: [&str; 2] = [OPENAI, ANTHROPIC];

/// Checks the answer's status and every part of its envelope; `code` is OpenAI's. Gives the message.
pub fn assert_refused(answer: &Answer, path: &str, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{path} {code}: {}", answer.text());
    assert!(answer.whole, "{path} {code}: the refusal itself was cut");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let id = answer.header("x-request-id").expect("every answer has an id");
    assert!(answer.header("server-timing").is_some() && answer.header("x-weir-attempts").is_some());
    let body = answer.json();
    let message = body["error"]["message"].as_str().expect("a message").to_owned();
    if path.starts_with(ANTHROPIC) {
        assert_eq!(body["type"], "error", "{body}");
        assert_eq!(body["error"]["type"], anthropic_type(status), "{body}");
        assert_eq!(body["request_id"], id, "{body}");
    } else {
        let kind = match status {
            502 | 504 => "upstream_error",
            500 | 503 => "server_error",
            _ => "invalid_request_error",
        };
        assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&kind.into(), &code.into()), "{body}");
    }
    message
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        404 => "not_found_error",
        413 => "request_too_large",
        502 => "api_error",
        504 => "timeout_error",
        _ => "invalid_request_error",
    }
}
