//! What does a request body say that routing depends on? Reads it once, judges it strictly, and edits it
//! without rewriting it: the bytes that are judged are the bytes that are sent. Never keeps a body. And who calls, and
//! may it? The gateway's half, which reads heads and bodies off the socket, is `gateway/src/path/identify/`.
//!
//! The walk through the text is the module `json`; a parsed and rewritten tree would cost ten times as much and forget
//! key order and number formats.

mod callers;
mod json;
pub mod jwt;
mod streamed;
mod text;
mod usage;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::memchr_iter;

use self::json::{Cursor, Fault, Text};
use crate::dialect::Reason;

pub use self::callers::{Digest, KeyTable, Rights, Verdict};
pub use self::streamed::as_stream;

/// The keys that are read.
const READ: [&str; 6] =
    ["model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens"];
/// From where on among them each is a most of what may be made.
const MAXIMA: usize = 3;

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
    /// What makes the body of a chat or text completion ask for the token counts of its stream; `None` if it is
    /// no stream or asks itself.
    pub ask_usage: Option<Edit>,
    /// Most tokens that the caller lets the answer have, the largest if it says several; `None` if it says none.
    pub output_tokens_max: Option<u32>,
}

/// A change of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is taken out.
    pub span: Range<usize>,
    /// What stands there instead.
    pub with: Bytes,
}

/// A body as up to five slices that are sent one after the other: a large body is edited without a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rope(pub [Bytes; 5]);

/// Judges a body and finds what routing needs.
///
/// # Errors
///
/// A [`Reason`] that is the caller's fault: not UTF-8, not a JSON object, nested deeper than [`DEPTH_MAX`],
/// `model` missing or not a string, or a key that is read here present twice (two readers of such a body
/// may disagree on its value, which would let a caller be judged by one model and served by another).
pub fn scan(body: &[u8]) -> Result<Scan<'_>, Reason> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| Reason::InvalidUtf8)?;
    let fields = Fields::read(text).map_err(|fault| refuse(body, fault))?;
    if let Some(key) = fields.duplicate {
        return Err(Reason::DuplicateKey { key });
    }
    let model_span = fields.model.ok_or(Reason::MissingModel)?;
    let model = text.get(model_span.clone()).and_then(string).ok_or(Reason::ModelNotString)?;
    let stream = fields.stream.filter(|span| text.get(span.clone()) == Some("true"));
    let ask_usage = match &stream {
        Some(stream) => usage::edit(text, stream, fields.stream_options)?,
        None => None,
    };
    let output_tokens_max = fields.output_tokens_max;
    Ok(Scan { model, model_span, stream: stream.is_some(), ask_usage, output_tokens_max })
}

impl Rope {
    /// The body unchanged.
    #[must_use]
    pub fn whole(body: Bytes) -> Self {
        Self([body, Bytes::new(), Bytes::new(), Bytes::new(), Bytes::new()])
    }

    /// The body with what stands at `span` replaced.
    #[must_use]
    pub fn replace(body: &Bytes, span: Range<usize>, with: Bytes) -> Self {
        Self::edited(body, [Some(Edit { span, with }), None])
    }

    /// The body with these changes, which do not overlap.
    #[must_use]
    pub fn edited(body: &Bytes, edits: [Option<Edit>; 2]) -> Self {
        let mut edits = edits;
        edits.sort_by_key(|edit| edit.as_ref().map_or(usize::MAX, |edit| edit.span.start));
        let mut rope = Self::default();
        let (mut slot, mut from) = (0, 0);
        for Edit { span, with } in edits.into_iter().flatten() {
            rope.0[slot] = body.slice(from..span.start);
            rope.0[slot + 1] = with;
            slot += 2;
            from = span.end;
        }
        rope.0[slot] = body.slice(from..);
        rope
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

/// Where the fields that are read stand in the body.
#[derive(Default)]
struct Fields {
    model: Option<Range<usize>>,
    stream: Option<Range<usize>>,
    stream_options: Option<Range<usize>>,
    output_tokens_max: Option<u32>,
    /// Whether each of [`READ`] has come, in any case.
    seen: [bool; READ.len()],
    duplicate: Option<&'static str>,
}

impl Fields {
    /// Walks through the whole body.
    fn read(text: &str) -> Result<Self, Fault> {
        let mut fields = Self::default();
        let mut cursor = Cursor::new(text.as_bytes());
        cursor.expect(b'{')?;
        let mut more = !cursor.take(b'}');
        while more {
            let key = cursor.string()?;
            cursor.expect(b':')?;
            let value = cursor.value(1)?;
            fields.note(text, &key, value);
            more = cursor.take(b',');
            if !more {
                cursor.expect(b'}')?;
            }
        }
        if cursor.peek().is_some() { Err(cursor.invalid()) } else { Ok(fields) }
    }

    fn note(&mut self, text: &str, key: &Text, value: Range<usize>) {
        let name = name(text, key);
        let Some(place) = READ.iter().position(|known| known.eq_ignore_ascii_case(&name)) else { return };
        // Some servers (those that use Go's parser) take a key in any case for the same.
        if std::mem::replace(&mut self.seen[place], true) {
            self.duplicate = Some(READ[place]);
        }
        match &*name {
            "model" => self.model = Some(value),
            "stream" => self.stream = Some(value),
            "stream_options" => self.stream_options = Some(value),
            maximum if READ[MAXIMA..].contains(&maximum) => {
                // What is no whole number only its upstream can judge.
                let tokens = text.get(value).and_then(|number| number.parse().ok());
                self.output_tokens_max = self.output_tokens_max.max(tokens);
            }
            _ => {}
        }
    }
}

/// A key's name. An escaped key is the same key, to every reader.
fn name<'a>(text: &'a str, key: &Text) -> Cow<'a, str> {
    let raw = text.get(key.span.clone()).unwrap_or_default();
    if key.escaped { string(raw).unwrap_or_default() } else { Cow::Borrowed(raw.trim_matches('"')) }
}

/// A fault as what the caller is told.
fn refuse(body: &[u8], fault: Fault) -> Reason {
    match fault {
        Fault::TooDeep => Reason::TooDeep { limit: DEPTH_MAX },
        Fault::Invalid { at } => {
            let before = body.get(..at).unwrap_or(body);
            let line = memchr_iter(b'\n', before).count() + 1;
            let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1) + 1;
            Reason::InvalidJson { line, column }
        }
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

#[cfg(test)]
mod tests;
