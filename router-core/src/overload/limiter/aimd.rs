//! Additive increase, multiplicative decrease, as in Netflix/concurrency-limits (`AIMDLimit.java`): an answer
//! in time adds one to the limit while at least half of it is in use, a late or refused one takes a tenth
//! off.
//!
//! It reads the time of the whole answer, which for a language model is the answer's length: with answers
//! longer than `timeout` it falls to its minimum on a server that has nothing to do. Here for comparison, and
//! for upstreams whose answers are all alike.

use std::time::Duration;

use super::counted::{Ended, Rule};
use super::{End, places};

/// Settings of [`Algorithm::Aimd`](super::Algorithm::Aimd), with Netflix's defaults.
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
pub(super) struct Aimd {
    settings: AimdSettings,
    limit: u32,
}

impl Aimd {
    /// Starts at the initial limit.
    pub(super) fn new(settings: AimdSettings) -> Self {
        Self { limit: settings.initial_limit, settings }
    }
}

impl Rule for Aimd {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn learn(&mut self, _now: f64, ended: &Ended) {
        let late = match ended.end {
            End::Whole { .. } => ended.took > self.settings.timeout.as_secs_f64(),
            End::Refused => true,
            End::Cancelled => return,
        };
        let AimdSettings { min_limit, max_limit, backoff_ratio, .. } = self.settings;
        if late {
            self.limit = places(f64::from(self.limit) * backoff_ratio);
        } else if ended.inflight.saturating_mul(2) >= self.limit {
            self.limit = self.limit.saturating_add(1);
        }
        self.limit = self.limit.min(max_limit).max(min_limit);
    }
}
