//! Anthropic's shapes for what Weir says itself.

use serde_json::{Value, json};

/// The error envelope.
pub(super) fn error(message: &str, status: u16, request_id: &str) -> String {
    json!({
        "type": "error",
        "error": { "type": error_type(status), "message": message },
        "request_id": request_id,
    })
    .to_string()
}

/// The event that ends a broken stream.
pub(super) fn error_event(message: &str) -> String {
    let data = json!({ "type": "error", "error": { "type": "api_error", "message": message } });
    format!("event: error\ndata: {data}\n\n")
}

/// `GET /v1/models`, as one page.
pub(super) fn model_list(names: &[String], upstream: Vec<Value>) -> String {
    let own = names.iter().map(|name| {
        json!({ "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z" })
    });
    let data: Vec<Value> = own.chain(upstream).collect();
    let id = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
    json!({ "first_id": id(data.first()), "last_id": id(data.last()), "has_more": false, "data": data })
        .to_string()
}

/// Anthropic has one error type for each status.
const fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
