//! Keeps from a caller what Weir asked for in its place: the chunk of an OpenAI stream that has no choices and only
//! says how many tokens there were. Every other byte goes on as it came. An event that is cut between two pieces is
//! held until it ends, since only then is it known; no caller could act on it before.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::event::Event;
use super::frame::{BLOCK_MAX, Block, Framer};
use super::keys::USAGE;

/// Takes the usage chunk out of one stream.
///
/// ```
/// use router_core::stream::UsageFilter;
///
/// let mut filter = UsageFilter::new();
/// let kept = filter.feed("data: {\"choices\":[{}],\"usage\":null}\n\ndata: {\"choi".into());
/// assert_eq!(kept, "data: {\"choices\":[{}],\"usage\":null}\n\n");
/// assert_eq!(filter.feed("ces\":[],\"usage\":{\"prompt_tokens\":7}}\n\ndata: [DONE]\n\n".into()), "data: [DONE]\n\n");
/// assert_eq!(filter.end(), "");
/// ```
#[derive(Debug)]
pub struct UsageFilter {
    framer: Framer,
    /// The unfinished event, unless it is too long to be withheld and has gone on.
    held: BytesMut,
    /// Whether the last event was withheld and ended with a CR, whose LF may still come.
    after_cr: bool,
}

/// The parts by which the chunk is known.
#[derive(Deserialize)]
struct Chunk<'a> {
    choices: Vec<IgnoredAny>,
    #[serde(borrow)]
    usage: &'a RawValue,
}

impl UsageFilter {
    /// A filter for a stream before its first byte.
    #[must_use]
    pub fn new() -> Self {
        Self { framer: Framer::new(), held: BytesMut::new(), after_cr: false }
    }

    /// Takes the next piece; gives what may go on.
    #[must_use]
    pub fn feed(&mut self, piece: Bytes) -> Bytes {
        if piece.is_empty() {
            return piece;
        }
        let was_within = self.framer.is_mid_block();
        let orphan = std::mem::take(&mut self.after_cr) && piece[0] == b'\n';
        let mut dropped: Vec<Range<usize>> = Vec::new();
        if orphan {
            dropped.push(0..1);
        }
        let unfinished = self.framer.split(&piece, |block, place| {
            if is_usage_only(block) {
                dropped.push(place);
            }
        });
        let last = dropped.last().map_or(0, |place| place.end);
        self.after_cr = last == piece.len() && piece.ends_with(b"\r");
        // What is too long to be the chunk has gone on, up to here, and goes on.
        let goes_on = was_within && self.held.is_empty() && unfinished == 0;
        if dropped.is_empty() && self.held.is_empty() && (unfinished == piece.len() || goes_on) {
            return piece;
        }
        self.release(&piece, unfinished, &dropped)
    }

    /// The stream is over: gives what was held, unless that is the chunk without its end.
    #[must_use]
    pub fn end(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        if is_usage_only(self.framer.unfinished()) { Bytes::new() } else { held.freeze() }
    }

    /// Everything up to the `unfinished` event but what is `dropped`; holds the rest.
    fn release(&mut self, piece: &[u8], unfinished: usize, dropped: &[Range<usize>]) -> Bytes {
        let mut kept = std::mem::take(&mut self.held);
        let is_open = unfinished == 0 && self.framer.is_mid_block();
        if !is_open && !kept.is_empty() && dropped.first().is_some_and(|first| first.start == 0) {
            // The event that had begun earlier turned out to be the chunk.
            kept.clear();
        }
        let mut from = 0;
        for place in dropped {
            kept.extend_from_slice(&piece[from..place.start]);
            from = place.end;
        }
        kept.extend_from_slice(&piece[from..unfinished]);
        let rest = &piece[unfinished..];
        if is_open {
            kept.extend_from_slice(rest);
            self.held = kept;
            kept = BytesMut::new();
        } else {
            self.held.extend_from_slice(rest);
        }
        if self.held.len() > BLOCK_MAX {
            kept.unsplit(std::mem::take(&mut self.held));
        }
        kept.freeze()
    }
}

impl Default for UsageFilter {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether an event has token counts and no choices.
fn is_usage_only(block: Block<'_>) -> bool {
    if block.shortened || !USAGE.is_in(block.bytes) {
        return false;
    }
    let Some(event) = Event::read(block) else { return false };
    serde_json::from_slice::<Chunk<'_>>(&event.data)
        .is_ok_and(|chunk| chunk.choices.is_empty() && chunk.usage.get().starts_with('{'))
}
