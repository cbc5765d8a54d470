//! One server-sent event.

use bytes::Bytes;
use serde_json::Value;

/// An event ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::modelsim) struct Event {
    /// `event: NAME` and the start of the data line.
    head: String,
    data: String,
}

impl Event {
    /// An event without a name: `data: …`.
    pub(super) fn data(data: impl Into<String>) -> Self {
        Self { head: "data: ".to_owned(), data: data.into() }
    }

    /// An event with a name, which its data repeats as `type`, as Anthropic has it.
    pub(super) fn named(name: &str, fields: &str) -> Self {
        let comma = if fields.is_empty() { "" } else { "," };
        let data = format!(r#"{{"type":"{name}"{comma}{fields}}}"#);
        Self { head: format!("event: {name}\ndata: "), data }
    }

    /// The event with the second half of its data missing: no longer JSON, still an event.
    pub(in crate::modelsim) fn broken(mut self) -> Self {
        let half = self.data.chars().count() / 2;
        self.data = self.data.chars().take(half).collect();
        self
    }

    /// What goes out.
    pub(in crate::modelsim) fn bytes(&self) -> Bytes {
        Bytes::from([&self.head, self.data.as_str(), "\n\n"].concat())
    }
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
