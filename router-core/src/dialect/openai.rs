//! OpenAI's shapes for what Weir says itself.

use serde_json::{Value, json};

/// The error envelope.
pub(super) fn error(message: &str, kind: &str, param: Option<&str>, code: &str) -> String {
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } }).to_string()
}

/// The event that ends a broken stream: the SDKs raise it as an API error.
pub(super) fn error_event(message: &str, code: &str) -> String {
    format!("data: {}\n\n", error(message, "upstream_error", None, code))
}

/// `GET /v1/models`.
pub(super) fn model_list(names: &[String], upstream: Vec<Value>) -> String {
    let own =
        names.iter().map(|name| json!({ "id": name, "object": "model", "created": 0, "owned_by": "weir" }));
    let data: Vec<Value> = own.chain(upstream).collect();
    json!({ "object": "list", "data": data }).to_string()
}
