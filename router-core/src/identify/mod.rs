//! What does a request body say that routing depends on? Reads it once, judges it strictly, and edits it
//! without rewriting it: the bytes that are judged are the bytes that are sent. Never keeps a body. The
//! gateway's half, which reads the body off the socket, is `gateway/src/path/identify/`.
//!
//! Built on `serde_json` with borrowed [`RawValue`] spans: about 1 µs per KB, where a parsed and rewritten
//! tree costs five times that and forgets key order and number formats.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr2, memchr2_iter};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::Reason;

/// Deepest nesting of arrays and objects: no chat API needs ten, and parsers behind us recurse.
pub const DEPTH_MAX: usize = 64;

/// What routing needs to know of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The model that the caller asks for, escapes resolved.
    pub model: Cow<'a, str>,
    /// Where its JSON string stands in the body, quotes included.
    pub model_span: Range<usize>,
    /// Whether the caller wants the answer as it is made.
    pub stream: bool,
}

/// A body as up to three slices that are sent one after the other: a large body is edited without a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rope(pub [Bytes; 3]);

/// Judges a body and finds what routing needs.
///
/// # Errors
///
/// A [`Reason`] that is the caller's fault: not UTF-8, not a JSON object, nested deeper than [`DEPTH_MAX`],
/// `model` missing or not a string, or a key that is read here present twice (two readers of such a body
/// may disagree on its value, which would let a caller be judged by one model and served by another).
pub fn scan(body: &[u8]) -> Result<Scan<'_>, Reason> {
    let text = std::str::from_utf8(body).map_err(|_| Reason::InvalidUtf8)?;
    if exceeds_depth(body) {
        return Err(Reason::TooDeep { limit: DEPTH_MAX });
    }
    let fields: Fields<'_> = serde_json::from_str(text)
        .map_err(|error| Reason::InvalidJson { line: error.line(), column: error.column() })?;
    if let Some(key) = fields.duplicate {
        return Err(Reason::DuplicateKey { key });
    }
    let raw = fields.model.ok_or(Reason::MissingModel)?.get();
    let model = string(raw).ok_or(Reason::ModelNotString)?;
    let start = raw.as_ptr() as usize - text.as_ptr() as usize;
    let stream = fields.stream.is_some_and(|value| value.get() == "true");
    Ok(Scan { model, model_span: start..start + raw.len(), stream })
}

impl Rope {
    /// The body unchanged.
    #[must_use]
    pub fn whole(body: Bytes) -> Self {
        Self([body, Bytes::new(), Bytes::new()])
    }

    /// The body with what stands at `span` replaced.
    #[must_use]
    pub fn replace(body: &Bytes, span: Range<usize>, with: Bytes) -> Self {
        Self([body.slice(..span.start), with, body.slice(span.end..)])
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether nothing is left to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }
}

/// The fields that are read, as they stand in the body.
#[derive(Default)]
struct Fields<'a> {
    model: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    duplicate: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Model,
    Stream,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `deserialize_map`, not a derived struct: the latter would also take an array for an object.
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Key>()? {
            let (slot, name) = match key {
                Key::Model => (&mut fields.model, "model"),
                Key::Stream => (&mut fields.stream, "stream"),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                fields.duplicate = Some(name);
            }
        }
        Ok(fields)
    }
}

/// The text of a JSON string; `None` if it is something else.
fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Whether arrays and objects nest deeper than [`DEPTH_MAX`]. The brackets are only counted while there are
/// few enough that they cannot; else strings are told from structure.
fn exceeds_depth(body: &[u8]) -> bool {
    if memchr2_iter(b'{', b'[', body).nth(DEPTH_MAX).is_none() {
        return false;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => at += string_rest(&body[at..]),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// Length of what is left of a string, its closing quote included.
fn string_rest(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr2(b'"', b'\\', &rest[at..]) {
        at += found + 1;
        if rest[at - 1] == b'"' {
            return at;
        }
        at = (at + 1).min(rest.len());
    }
    rest.len()
}

#[cfg(test)]
mod tests;
