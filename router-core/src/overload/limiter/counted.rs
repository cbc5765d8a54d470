//! What the limiters that count whole attempts have in common: the attempts under way, and what can be read of them.
//! They differ in the [`Rule`] by which their limit moves.

use std::time::Duration;

use super::samples::{Sample, Samples, Summary};
use super::slots::Slots;
use super::{Attempt, End, Limiter, Place, Reading, Seen, duration};

/// Rates and means are over so many seconds, as the first-token window has them.
const READING_SECONDS: f64 = 5.0;

/// How a limit on the attempts under way moves. Times are seconds since the origin.
pub(super) trait Rule: std::fmt::Debug + Send {
    /// Most attempts at a time.
    fn limit(&self) -> u32;

    /// Hears how an attempt ended.
    fn learn(&mut self, _now: f64, _ended: &Ended) {}

    /// Lets time pass.
    fn advance(&mut self, _now: f64) {}
}

/// An attempt that has ended, as a rule that reads response times sees it.
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

/// Attempts under way, as many as a rule allows.
#[derive(Debug)]
pub(super) struct Counted<R> {
    rule: R,
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

impl<R: Rule> Counted<R> {
    pub(super) fn new(rule: R) -> Self {
        let (samples, summary) = (Samples::new(), Summary::default());
        Self { rule, slots: Slots::default(), awaiting: 0, samples, summary }
    }

    /// The first token has come: a sample of its wait for the reading.
    fn first_token(&mut self, now: f64, place: &Place) {
        let Some(underway) = self.slots.get_mut(place.0).filter(|underway| underway.awaiting) else { return };
        underway.awaiting = false;
        self.awaiting -= 1;
        let (waited, tokens) = (now - underway.started, underway.prompt_tokens);
        self.samples.add(now, Sample::measured(waited, tokens));
    }
}

impl<R: Rule> Limiter for Counted<R> {
    fn admit(&mut self, now: Duration, attempt: Attempt) -> Option<Place> {
        let inflight = self.slots.used();
        if inflight >= self.rule.limit() {
            return None;
        }
        let started = now.as_secs_f64();
        if inflight == 0 {
            self.samples.expect(started);
        }
        self.awaiting += 1;
        let prompt_tokens = attempt.prompt_tokens;
        Some(self.slots.insert(Underway { started, inflight: inflight + 1, prompt_tokens, awaiting: true }))
    }

    fn observe(&mut self, now: Duration, place: &Place, seen: Seen) {
        if seen == Seen::FirstToken {
            self.first_token(now.as_secs_f64(), place);
        }
    }

    /// An answer whose first token was not seen is a sample of its end.
    fn release(&mut self, now: Duration, place: Place, end: End) {
        let now = now.as_secs_f64();
        if matches!(end, End::Whole { .. }) {
            self.first_token(now, &place);
        }
        let Some(Underway { started, inflight, awaiting, .. }) = self.slots.remove(&place) else { return };
        self.awaiting -= u32::from(awaiting);
        self.rule.learn(now, &Ended { started, took: now - started, inflight, end });
    }

    fn tick(&mut self, now: Duration) {
        let now = now.as_secs_f64();
        self.rule.advance(now);
        self.summary = self.samples.summary(now, READING_SECONDS);
    }

    fn read(&self, _now: Duration) -> Reading {
        let (limit, inflight) = (self.rule.limit(), self.slots.used());
        Reading {
            inflight,
            awaiting_first_token: self.awaiting,
            free: limit.saturating_sub(inflight),
            rate: self.summary.rate,
            first_token: self.summary.waited.and_then(duration),
            base_first_token: None,
            decode_cap: Some(limit),
        }
    }
}
