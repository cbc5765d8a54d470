//! Watches an answer that comes as one JSON document. Its size has no bound here, and what matters of it are
//! two values: they are searched for as the pieces pass. Nothing is kept but a value that is cut between two
//! pieces, for at most [`VALUE_MAX`] bytes; a body that comes in one piece is not copied at all.

use std::fmt;

use super::keys::{self, FINISH_REASON, Key, Reading, STOP_REASON, USAGE};
use super::{Finish, Summary, Usage};
use crate::dialect::Dialect;

/// The longest value that is waited for, its key included: 4 KiB, ten times a usual usage object.
const VALUE_MAX: usize = 4 * 1024;

/// Watches one JSON answer.
///
/// ```
/// use router_core::dialect::Dialect;
/// use router_core::stream::{Finish, Usage, WholeWatch};
///
/// let mut watch = WholeWatch::new(Dialect::OpenAi);
/// watch.feed(br#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_to"#);
/// watch.feed(br#"kens":9,"completion_tokens":2,"total_tokens":11}}"#);
/// assert_eq!(watch.summary().finish, Some(Finish::Stop));
/// assert_eq!(watch.summary().usage, Some(Usage { prompt_tokens: 9, completion_tokens: 2 }));
/// ```
pub struct WholeWatch {
    dialect: Dialect,
    summary: Summary,
    /// The end of what came, from a key on whose value is not whole yet.
    cut: Vec<u8>,
}

impl WholeWatch {
    /// A watch for an answer of `dialect`, before its first byte.
    #[must_use]
    pub const fn new(dialect: Dialect) -> Self {
        Self { dialect, summary: Summary { usage: None, finish: None }, cut: Vec::new() }
    }

    /// Takes the next piece of the body as it came off the wire.
    pub fn feed(&mut self, piece: &[u8]) {
        if !self.cut.is_empty() {
            // With this much more of it every value that began earlier is whole, or too long.
            let more = &piece[..piece.len().min(VALUE_MAX)];
            let mut joined = std::mem::take(&mut self.cut);
            joined.extend_from_slice(more);
            let settled = self.search(&joined);
            if more.len() == piece.len() {
                joined.drain(..settled);
                self.cut = joined;
                return;
            }
        }
        let settled = self.search(piece);
        self.cut.extend_from_slice(&piece[settled..]);
    }

    /// What the answer said of itself so far.
    #[must_use]
    pub const fn summary(&self) -> Summary {
        self.summary
    }

    /// Searches `text` for both values; says from where on it must be searched again with more.
    fn search(&mut self, text: &[u8]) -> usize {
        let finish_key = match self.dialect {
            Dialect::OpenAi | Dialect::Passthrough => &FINISH_REASON,
            Dialect::Anthropic => &STOP_REASON,
        };
        let finish_settled = search_key(text, finish_key, keys::read_finish, |finish: Finish| {
            self.summary.finish = Some(finish);
        });
        let usage_settled = search_key(text, &USAGE, keys::read_usage, |counts| {
            let mut usage: Option<Usage> = None;
            counts.merge_into(&mut usage);
            self.summary.usage = usage;
        });
        finish_settled.min(usage_settled)
    }
}

impl fmt::Debug for WholeWatch {
    /// Without the text: answers do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WholeWatch").field("summary", &self.summary).finish_non_exhaustive()
    }
}

/// Hands out the values of `key` in `text`; says from where on it must be searched again with more.
fn search_key<T>(
    text: &[u8],
    key: &Key,
    read: fn(&[u8]) -> Reading<T>,
    mut on_value: impl FnMut(T),
) -> usize {
    for position in key.positions(text) {
        let window = &text[position..];
        let is_full = window.len() >= VALUE_MAX;
        match key.read_at(&window[..window.len().min(VALUE_MAX)], read) {
            Reading::Value(value) => on_value(value),
            Reading::Cut if !is_full => return position,
            Reading::Cut | Reading::Other => {}
        }
    }
    text.len() - key.begun_at_end(text)
}
