//! A bulkhead: so many attempts at a time and no more, whatever happens.

use std::time::Duration;

use super::ledger::Ledger;
use super::{Attempt, End, Limiter, Place, Reading, Seen};

/// Attempts at a time where nobody says: what many model servers take as their own default for parallel
/// sequences.
const LIMIT: u32 = 256;

/// Settings of [`Fixed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedSettings {
    /// Attempts at a time.
    pub limit: u32,
}

impl Default for FixedSettings {
    fn default() -> Self {
        Self { limit: LIMIT }
    }
}

/// A limit that never moves.
#[derive(Debug)]
pub struct Fixed {
    limit: u32,
    ledger: Ledger,
}

impl Fixed {
    /// A bulkhead of that size.
    #[must_use]
    pub fn new(settings: FixedSettings) -> Self {
        Self { limit: settings.limit, ledger: Ledger::new() }
    }
}

impl Limiter for Fixed {
    fn admit(&mut self, now: Duration, attempt: Attempt) -> Option<Place> {
        self.ledger.admit(now, attempt, self.limit)
    }

    fn observe(&mut self, now: Duration, place: &Place, seen: Seen) {
        if seen == Seen::FirstToken {
            self.ledger.first_token(now, place);
        }
    }

    fn release(&mut self, now: Duration, place: Place, end: End) {
        self.ledger.release(now, &place, end);
    }

    fn tick(&mut self, now: Duration) {
        self.ledger.tick(now);
    }

    fn read(&self, _now: Duration) -> Reading {
        self.ledger.read(self.limit)
    }
}
