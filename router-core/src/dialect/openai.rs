//! OpenAI's shapes for what Weir says itself, fields in the order of the API's documentation.

use serde::Serialize;
use serde_json::Value;

use super::json;

#[derive(Serialize)]
struct Envelope<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Value>,
}

/// The error envelope.
pub(super) fn error(message: &str, kind: &str, param: Option<&str>, code: &str) -> String {
    json(&Envelope { error: Error { message, r#type: kind, param, code } })
}

/// The event that ends a broken stream: the SDKs raise it as an API error.
pub(super) fn error_event(message: &str, kind: &str, code: &str) -> String {
    format!("data: {}\n\n", error(message, kind, None, code))
}

/// `GET /v1/models`.
pub(super) fn model_list(names: &[String], upstream: Vec<Value>) -> String {
    let own = names.iter().map(|name| model(name));
    json(&List { object: "list", data: own.chain(upstream).collect() })
}

/// One of Weir's own models.
pub(super) fn model(name: &str) -> Value {
    serde_json::json!({ "id": name, "object": "model", "created": 0, "owned_by": "weir" })
}
