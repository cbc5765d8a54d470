//! What stands in a block? The fields of a server-sent event, by the rules of the WHATWG's HTML standard
//! ("Server-sent events", 9.2.6): one space after the colon is not part of the value, `data` lines are joined
//! with LF, the last `event` counts, comments and everything else are passed over.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use serde::de::IgnoredAny;

use super::frame::Block;

/// An event that has data. Others are never dispatched, so they are no events.
pub(super) struct Event<'a> {
    /// What `event:` said; empty if it said nothing.
    pub(super) name: &'a [u8],
    /// The data; borrowed unless it came in several lines.
    pub(super) data: Cow<'a, [u8]>,
    /// Whether `data` is only the head of what came, and so cannot be parsed.
    pub(super) shortened: bool,
}

impl<'a> Event<'a> {
    /// Reads a block. `None` if it has no data.
    pub(super) fn read(block: Block<'a>) -> Option<Self> {
        let mut name: &[u8] = b"";
        let mut data: Option<Cow<'a, [u8]>> = None;
        let mut rest = block.bytes;
        while !rest.is_empty() {
            // A block has no blank line in it: what looks like one stands between the CR and LF of a CRLF.
            let line = &rest[..memchr2(b'\n', b'\r', rest).unwrap_or(rest.len())];
            rest = rest.get(line.len() + 1..).unwrap_or_default();
            match field(line) {
                (b"data", value) => data = Some(append(data, value)),
                (b"event", value) => name = value,
                _ => {}
            }
        }
        data.map(|data| Self { name, data, shortened: block.shortened })
    }

    /// Whether the data came to its end: all of a JSON value, or OpenAI's terminator.
    pub(super) fn is_whole(&self) -> bool {
        let is_json = || serde_json::from_slice::<IgnoredAny>(&self.data).is_ok();
        !self.shortened && (self.is_done_mark() || is_json())
    }

    /// Whether this is OpenAI's terminator.
    pub(super) fn is_done_mark(&self) -> bool {
        self.data.trim_ascii() == b"[DONE]"
    }
}

/// Splits a line into field name and value.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr(b':', line) else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

fn append<'a>(data: Option<Cow<'a, [u8]>>, line: &'a [u8]) -> Cow<'a, [u8]> {
    let Some(data) = data else { return Cow::Borrowed(line) };
    let mut data = data.into_owned();
    data.push(b'\n');
    data.extend_from_slice(line);
    Cow::Owned(data)
}
