//! What the limiters that count whole attempts keep: the attempts under way, and what can be read of them.

use std::time::Duration;

use super::samples::{Sample, Samples, Summary};
use super::slots::Slots;
use super::{Attempt, End, Place, Reading, duration};

/// Rates and means are over so many seconds, as the first-token window has them.
const READING_SECONDS: f64 = 5.0;

/// Attempts under way.
#[derive(Debug)]
pub(super) struct Ledger {
    slots: Slots<Underway>,
    awaiting: u32,
    samples: Samples,
    summary: Summary,
}

#[derive(Debug)]
struct Underway {
    started: f64,
    inflight: u32,
    prompt_tokens: u32,
    awaiting: bool,
}

/// An attempt that has ended, as a limiter that reads response times sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ended {
    /// When it started.
    pub(super) started: f64,
    /// Seconds from start to end.
    pub(super) took: f64,
    /// Attempts under way when it started, itself among them.
    pub(super) inflight: u32,
    pub(super) end: End,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let samples = Samples::new();
        Self { slots: Slots::default(), awaiting: 0, samples, summary: Summary::default() }
    }

    pub(super) fn inflight(&self) -> u32 {
        self.slots.used()
    }

    /// Takes a place if fewer than `limit` are taken.
    pub(super) fn admit(&mut self, now: Duration, attempt: Attempt, limit: u32) -> Option<Place> {
        if self.inflight() >= limit {
            return None;
        }
        let started = now.as_secs_f64();
        if self.inflight() == 0 {
            self.samples.expect(started);
        }
        self.awaiting += 1;
        let inflight = self.inflight() + 1;
        Some(self.slots.insert(Underway {
            started,
            inflight,
            prompt_tokens: attempt.prompt_tokens,
            awaiting: true,
        }))
    }

    /// The first token has come: a sample of its wait for the reading.
    pub(super) fn first_token(&mut self, now: Duration, place: &Place) {
        let Some(underway) = self.slots.get_mut(place.0).filter(|underway| underway.awaiting) else { return };
        underway.awaiting = false;
        self.awaiting -= 1;
        let now = now.as_secs_f64();
        let (waited, tokens) = (now - underway.started, underway.prompt_tokens);
        self.samples.add(now, Sample { waited, tokens, measured: true });
    }

    /// Gives a place back. An answer whose first token was not seen is a sample of its end.
    pub(super) fn release(&mut self, now: Duration, place: &Place, end: End) -> Option<Ended> {
        if matches!(end, End::Whole { .. }) {
            self.first_token(now, place);
        }
        let underway = self.slots.remove(place)?;
        self.awaiting -= u32::from(underway.awaiting);
        let Underway { started, inflight, .. } = underway;
        Some(Ended { started, took: now.as_secs_f64() - started, inflight, end })
    }

    pub(super) fn tick(&mut self, now: Duration) {
        self.summary = self.samples.summary(now.as_secs_f64(), READING_SECONDS);
    }

    pub(super) fn read(&self, limit: u32) -> Reading {
        Reading {
            inflight: self.inflight(),
            awaiting_first_token: self.awaiting,
            free: limit.saturating_sub(self.inflight()),
            rate: self.summary.rate,
            first_token: self.summary.waited.and_then(duration),
            base_first_token: None,
            decode_cap: Some(limit),
        }
    }
}
