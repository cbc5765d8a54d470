//! Writes a JSON object field by field into a buffer that many lines share. A serializer by type would escape
//! every field's name anew and cost twice as much for each line.

use std::fmt::{Display, Write as _};
use std::time::SystemTime;

/// A JSON object that is being written.
pub(super) struct Line<'a>(&'a mut String);

impl<'a> Line<'a> {
    /// Begins an object with the time.
    pub(super) fn begin(out: &'a mut String, now: SystemTime) -> Self {
        // Writing to a string cannot fail, here and below.
        write!(out, "{{\"ts\":\"{}\"", humantime::format_rfc3339_millis(now)).unwrap_or_default();
        Self(out)
    }

    /// A field whose value is one of Weir's own words, which need no escapes.
    pub(super) fn word(&mut self, name: &str, value: Option<&'static str>) {
        if let Some(value) = value {
            self.name(name);
            self.0.push('"');
            self.0.push_str(value);
            self.0.push('"');
        }
    }

    /// A field with any text.
    pub(super) fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.name(name);
            self.0.push_str(&serde_json::to_string(value).unwrap_or_default());
        }
    }

    /// A field with a number or a truth value.
    pub(super) fn number(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.name(name);
            write!(self.0, "{value}").unwrap_or_default();
        }
    }

    /// A field with texts of their own names, if there are any.
    pub(super) fn group(&mut self, name: &str, texts: &[(String, String)]) {
        if texts.is_empty() {
            return;
        }
        self.name(name);
        let texts = texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let texts: std::collections::BTreeMap<&str, &str> = texts.collect();
        self.0.push_str(&serde_json::to_string(&texts).unwrap_or_default());
    }

    /// The object is whole.
    pub(super) fn end(self) {
        self.0.push('}');
    }

    /// The names are Weir's own and need no escapes.
    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}
