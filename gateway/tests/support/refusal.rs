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
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        502 => "api_error",
        504 => "timeout_error",
        _ => "invalid_request_error",
    }
}

/// Checks an answer of overload control: status and envelope as the official SDKs read them, the reason, and when to
/// come back. `code` is OpenAI's, `reason` the header's.
pub fn assert_shed(answer: &Answer, path: &str, code: &str, reason: &str) {
    let anthropic = path.starts_with(ANTHROPIC);
    assert_eq!(answer.status, if anthropic { 529 } else { 429 }, "{code}: {}", answer.text());
    assert!(answer.whole, "{code}: the refusal itself was cut");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-weir-reason"), Some(reason), "{}", answer.text());
    assert_eq!((answer.header("x-weir-attempts"), answer.header("x-weir-target")), (Some("0"), None));
    let number =
        |name: &str| -> u64 { answer.header(name).expect("a hint").parse().expect("a whole number") };
    let (seconds, ms) = (number("retry-after"), number("retry-after-ms"));
    assert!((1..=30).contains(&seconds) && seconds == ms.div_ceil(1000), "{seconds} s, {ms} ms");
    let body = answer.json();
    if path == OPENAI || anthropic {
        assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        assert_eq!(body["error"]["type"], "overloaded_error", "{body}");
    }
    if anthropic {
        assert_eq!(
            (&body["type"], body["request_id"].as_str()),
            (&"error".into(), answer.header("x-request-id"))
        );
    } else if path == OPENAI {
        assert_eq!(
            (&body["error"]["code"], &body["error"]["param"]),
            (&code.into(), &serde_json::Value::Null)
        );
    } else {
        assert!(body["detail"].is_string(), "{body}");
    }
}
