//! Anthropic's shapes for what Weir says itself, fields in the order of the API's documentation.

use serde::Serialize;
use serde_json::Value;

use super::json;

#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'static str,
    error: Error<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Error<'a> {
    r#type: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Page {
    data: Vec<Value>,
    has_more: bool,
    first_id: Value,
    last_id: Value,
}

/// The error envelope.
pub(super) fn error(message: &str, status: u16, request_id: &str) -> String {
    let error = Error { r#type: error_type(status), message };
    json(&Envelope { r#type: "error", error, request_id: Some(request_id) })
}

/// The event that ends a broken stream; `code` is Weir's.
pub(super) fn error_event(message: &str, code: &str) -> String {
    let kind = if code.ends_with("_timeout") { "timeout_error" } else { "api_error" };
    let error = Error { r#type: kind, message };
    format!("event: error\ndata: {}\n\n", json(&Envelope { r#type: "error", error, request_id: None }))
}

/// `GET /v1/models`, as one page.
pub(super) fn model_list(names: &[String], upstream: Vec<Value>) -> String {
    let own = names.iter().map(|name| model(name));
    let data: Vec<Value> = own.chain(upstream).collect();
    let id = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
    json(&Page { has_more: false, first_id: id(data.first()), last_id: id(data.last()), data })
}

/// One of Weir's own models.
pub(super) fn model(name: &str) -> Value {
    serde_json::json!({ "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z" })
}

/// Anthropic has one error type for each status.
const fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
