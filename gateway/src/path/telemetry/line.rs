//! Writes a JSON object field by field into a buffer that many lines share. A serializer by type would escape
//! every field's name anew and cost twice as much for each line.

use std::fmt::Write as _;
use std::time::SystemTime;

/// A JSON object that is being written.
pub(super) struct Line<'a>(&'a mut String);

impl<'a> Line<'a> {
    /// Begins an object with the time.
    pub(super) fn begin(out: &'a mut String, now: SystemTime) -> Self {
        // Writing to a string cannot fail.
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
        let Some(value) = value else { return };
        self.name(name);
        // Names, labels and ids: nearly all of them are such.
        if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            self.0.push('"');
            self.0.push_str(value);
            self.0.push('"');
        } else {
            self.0.push_str(&serde_json::to_string(value).unwrap_or_default());
        }
    }

    /// A field with a number.
    pub(super) fn number(&mut self, name: &str, value: Option<impl Into<u64>>) {
        if let Some(value) = value {
            self.name(name);
            self.0.push_str(itoa::Buffer::new().format(value.into()));
        }
    }

    /// A field with a truth value.
    pub(super) fn truth(&mut self, name: &str, value: bool) {
        self.name(name);
        self.0.push_str(if value { "true" } else { "false" });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_reads_back_as_it_was() {
        for text in ["", "pool/model-1:8080", "a\"b", "a\\b", "two\nlines", "\u{7f}", "é", "\u{1f389}"] {
            let mut out = String::new();
            let mut line = Line::begin(&mut out, SystemTime::UNIX_EPOCH);
            line.text("text", Some(text));
            line.number("number", Some(u64::MAX));
            line.truth("truth", true);
            line.end();
            let read: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!((&read["text"], &read["number"]), (&text.into(), &u64::MAX.into()), "{out}");
            assert_eq!((&read["truth"], &read["ts"]), (&true.into(), &"1970-01-01T00:00:00.000Z".into()));
        }
    }
}
