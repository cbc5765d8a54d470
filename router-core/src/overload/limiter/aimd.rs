//! Additive increase, multiplicative decrease, as in Netflix/concurrency-limits (`AIMDLimit.java`): an answer
//! in time adds one to the limit while at least half of it is in use, a late or refused one takes a tenth
//! off.
//!
//! It reads the time of the whole answer, which for a language model is the answer's length: with answers
//! longer than `timeout` it falls to its minimum on a server that has nothing to do. Here for comparison, and
//! for upstreams whose answers are all alike.

use std::time::Duration;

use super::ledger::Ledger;
use super::{Attempt, End, Limiter, Place, Reading, Seen, places};

/// Settings of [`Aimd`], with Netflix's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AimdSettings {
    /// Limit at the start.
    pub initial_limit: u32,
    /// Smallest limit.
    pub min_limit: u32,
    /// Largest limit.
    pub max_limit: u32,
    /// What is left of the limit after a late or refused answer, 0.5 to 1.
    pub backoff_ratio: f64,
    /// An answer that takes longer is late.
    pub timeout: Duration,
}

impl Default for AimdSettings {
    fn default() -> Self {
        Self {
            initial_limit: 20,
            min_limit: 20,
            max_limit: 200,
            backoff_ratio: 0.9,
            timeout: Duration::from_secs(5),
        }
    }
}

/// A limit that answers in time raise and late ones lower.
#[derive(Debug)]
pub struct Aimd {
    settings: AimdSettings,
    limit: u32,
    ledger: Ledger,
}

impl Aimd {
    /// Starts at the initial limit.
    #[must_use]
    pub fn new(settings: AimdSettings) -> Self {
        Self { limit: settings.initial_limit, settings, ledger: Ledger::new() }
    }

    fn learn(&mut self, late: bool, inflight: u32) {
        let AimdSettings { min_limit, max_limit, backoff_ratio, .. } = self.settings;
        if late {
            self.limit = places(f64::from(self.limit) * backoff_ratio);
        } else if inflight.saturating_mul(2) >= self.limit {
            self.limit = self.limit.saturating_add(1);
        }
        self.limit = self.limit.min(max_limit).max(min_limit);
    }
}

impl Limiter for Aimd {
    fn admit(&mut self, now: Duration, attempt: Attempt) -> Option<Place> {
        self.ledger.admit(now, attempt, self.limit)
    }

    fn observe(&mut self, now: Duration, place: &Place, seen: Seen) {
        if seen == Seen::FirstToken {
            self.ledger.first_token(now, place);
        }
    }

    fn release(&mut self, now: Duration, place: Place, end: End) {
        let Some(ended) = self.ledger.release(now, &place, end) else { return };
        match ended.end {
            End::Whole { .. } => {
                self.learn(ended.took > self.settings.timeout.as_secs_f64(), ended.inflight);
            }
            End::Refused => self.learn(true, ended.inflight),
            End::Cancelled => {}
        }
    }

    fn tick(&mut self, now: Duration) {
        self.ledger.tick(now);
    }

    fn read(&self, _now: Duration) -> Reading {
        self.ledger.read(self.limit)
    }
}
