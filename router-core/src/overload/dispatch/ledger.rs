//! The books: each call is appended once and committed once, whatever becomes of it in between.

use std::time::Duration;

use super::call::Demand;
use super::slab::{Key, NONE};
use super::{Call, Dispatcher};
use crate::overload::lag::Ledger;

/// The books of one segment of one topic, and its unfinished calls as a list through [`Call`]'s links.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) ledger: Ledger,
    pub(super) oldest: u32,
    newest: u32,
    /// Where its last realtime and batch call queued: most likely the next does too.
    pub(super) lanes: [u32; 2],
}

impl Default for Book {
    fn default() -> Self {
        Self { ledger: Ledger::default(), oldest: NONE, newest: NONE, lanes: [NONE; 2] }
    }
}

impl Book {
    /// The same where calls have indices that are larger by this, and nothing waits.
    pub(super) fn moved(&self, by: u32) -> Self {
        let beyond = |call: u32| if call == NONE { NONE } else { call + by };
        Self {
            ledger: self.ledger.clone(),
            oldest: beyond(self.oldest),
            newest: beyond(self.newest),
            lanes: [NONE; 2],
        }
    }

    /// Whether nothing ever came.
    pub(super) fn is_untouched(&self) -> bool {
        self.ledger.log_end_offset == 0 && self.ledger.refused == 0
    }
}

impl Dispatcher {
    pub(super) fn book(&self, topic: usize, segment: usize) -> usize {
        topic * self.segments.len() + segment
    }

    /// Takes a call into the books and the slab.
    pub(super) fn append(&mut self, mut call: Call) -> Key {
        let at = self.book(call.topic as usize, call.segment as usize);
        let book = &mut self.ledgers[at];
        call.offset = book.ledger.append(call.tokens);
        call.older = book.newest;
        call.sequence = self.sequence;
        self.sequence += 1;
        let older = call.older;
        let key = self.calls.insert(call);
        book.newest = key.index;
        if older == NONE {
            book.oldest = key.index;
        } else if let Some(older) = self.calls.at_mut(older) {
            older.newer = key.index;
        }
        key
    }

    /// Takes an ended call, which is in no lane, out of both.
    pub(super) fn commit(&mut self, index: u32) -> Option<Call> {
        let key = self.calls.key(index)?;
        let call = self.calls.remove(key)?;
        if let Some(older) = self.calls.at_mut(call.older) {
            older.newer = call.newer;
        }
        if let Some(newer) = self.calls.at_mut(call.newer) {
            newer.older = call.older;
        }
        let at = self.book(call.topic as usize, call.segment as usize);
        let book = &mut self.ledgers[at];
        if book.oldest == index {
            book.oldest = call.newer;
        }
        if book.newest == index {
            book.newest = call.older;
        }
        book.ledger.commit(call.tokens_left);
        Some(call)
    }

    /// Fewer tokens are still to come of a call.
    pub(super) fn progress(&mut self, index: u32, tokens: u32) {
        let Some(call) = self.calls.at_mut(index) else { return };
        let done = tokens.min(call.tokens_left);
        call.tokens_left -= done;
        let at = call.topic as usize * self.segments.len() + call.segment as usize;
        self.ledgers[at].ledger.lag_tokens -= u64::from(done);
    }

    /// Notes demand that is not met.
    pub(super) fn turn_away(&mut self, now: Duration, at: usize, demand: Demand) {
        let book = &mut self.ledgers[at];
        if demand == Demand::New {
            book.ledger.turn_away(now);
        } else {
            book.ledger.refused_at = Some(now);
        }
        self.unsettled_until = now + crate::overload::lag::DWELL * 2;
    }
}
