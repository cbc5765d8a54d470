//! When would a call get its first token? How fast calls start, how long the upstream then takes, and the guards
//! without which such a prediction locks everybody out (research/overload.md 6.4, 8.6.5).
//!
//! ```text
//! wait      = tokens ahead ÷ tokens that start per second
//! patience' = max(patience, 1.5 · s0)               an objective below the base time cannot be met
//! upstream  = min(mean + 2 · deviation, s0 + 0.6 · (patience' − s0))
//! refused on arrival   iff  somebody waits upstream  and  wait + upstream > 0.95 · patience'
//! given up in the queue iff  waited + upstream > patience'
//! ```
//!
//! Where few answers stream, mean and deviation come of what the limiters make of whole answers, and so does `s0`.
//!
//! The cap alone is below 0.95 · patience', so a call with nobody ahead of it is never refused.

use std::time::Duration;

use crate::overload::limiter::TICK;

/// Deviations that the estimate of the upstream's time lies above its mean: without a margin, admitted calls just
/// miss (3–36 % of goodput in the simulation).
const DEVIATIONS: f64 = 2.0;
/// Most that the estimate may take of what the base time leaves of the patience: more locks everybody out.
const CAP: f64 = 0.6;
/// A patience counts as at least so many base times.
const BASES_LEAST: f64 = 1.5;
/// On arrival a prediction this near to the patience is a miss.
const ARRIVAL: f64 = 0.95;
/// Time constant of mean and deviation, seconds.
const MEMORY: f64 = 2.0;
/// Without a sample for so long the estimate decays, by so much each tick: refusing everybody brings no samples. Not
/// while the pool has no room for a call: then there are none for another reason, and what was known is still so.
const STALE: Duration = Duration::from_secs(1);
const DECAY: f64 = 0.99;
/// Calls per second that start at the least, where calls wait: a rate of zero would predict for ever.
const RATE_LEAST: f64 = 0.5;
/// What is taken for the rate before anything is known.
const RATE_FIRST: f64 = 5.0;
/// How long an idle pool's rate takes to be forgotten, seconds.
const RATE_MEMORY: f64 = 30.0;
/// The rate is counted over the last two seconds: [`TICK`]s.
const BUCKETS: u64 = 40;
/// Those, and the one that is being filled.
const SLOTS: usize = 41;
/// Held back so recently, the rate is all that the pool gives; else it is only what was asked of it.
const BLOCKED: Duration = Duration::from_secs(2);

/// How fast calls start at a pool (or of a topic), in estimated tokens.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    buckets: [u64; SLOTS],
    /// Ticks since the origin, of the bucket now filled.
    bucket: u64,
    sum: u64,
    /// Calls of mean size per second.
    rate: f64,
    mean_tokens: f64,
    seen: u32,
    blocked: Option<Duration>,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            buckets: [0; SLOTS],
            bucket: 0,
            sum: 0,
            rate: RATE_FIRST,
            mean_tokens: 0.0,
            seen: 0,
            blocked: None,
        }
    }

    /// A call of so many tokens starts.
    pub(super) fn started(&mut self, tokens: u32) {
        self.buckets[slot(self.bucket)] += u64::from(tokens);
        self.sum += u64::from(tokens);
        self.seen = (self.seen + 1).min(50);
        self.mean_tokens += (f64::from(tokens) - self.mean_tokens) / f64::from(self.seen);
    }

    /// Somebody is held back.
    pub(super) fn blocked(&mut self, now: Duration) {
        self.blocked = Some(now);
    }

    /// Whether anybody was held back of late.
    pub(super) fn is_blocked(&self, now: Duration) -> bool {
        self.blocked.is_some_and(|blocked| now.saturating_sub(blocked) < BLOCKED)
    }

    /// Lets `elapsed` pass.
    pub(super) fn tick(&mut self, now: Duration, elapsed: Duration) {
        let bucket = u64::try_from(now.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX);
        let passed = bucket.saturating_sub(self.bucket).min(SLOTS as u64);
        for step in 1..=passed {
            let slot = &mut self.buckets[slot(bucket - passed + step)];
            self.sum -= *slot;
            *slot = 0;
        }
        self.bucket = self.bucket.max(bucket);
        let span = TICK.as_secs_f64() * BUCKETS as f64;
        let measured = self.sum as f64 / span / self.mean_tokens.max(1.0);
        self.rate = if self.is_blocked(now) {
            measured.max(RATE_LEAST)
        } else {
            measured.max(self.rate * (1.0 - elapsed.as_secs_f64() / RATE_MEMORY).max(0.0))
        };
    }

    /// Tokens that start per second, never 0.
    pub(super) fn tokens_per_sec(&self) -> f64 {
        self.rate.max(RATE_LEAST) * self.mean_tokens.max(1.0)
    }
}

fn slot(bucket: u64) -> usize {
    usize::try_from(bucket % SLOTS as u64).unwrap_or(0)
}

/// How long the upstream of a pool takes to the first token.
#[derive(Clone, Debug)]
pub(super) struct FirstToken {
    /// Seconds.
    mean: f64,
    deviation: f64,
    last: Duration,
}

impl FirstToken {
    pub(super) const fn new() -> Self {
        // What a healthy server takes, before anything is known.
        Self { mean: 0.2, deviation: 0.1, last: Duration::ZERO }
    }

    pub(super) fn sample(&mut self, now: Duration, took: Duration) {
        let took = took.as_secs_f64();
        let gap = now.saturating_sub(self.last).as_secs_f64().max(0.001);
        let gain = 1.0 - (-gap / MEMORY).exp();
        self.deviation += gain * ((took - self.mean).abs() - self.deviation);
        self.mean += gain * (took - self.mean);
        self.last = now;
    }

    /// Lets `elapsed` pass. Where no stream tells, `estimate` does if there is one.
    pub(super) fn tick(&mut self, now: Duration, elapsed: Duration, estimate: Option<Estimate>) {
        if now.saturating_sub(self.last) <= STALE {
            return;
        }
        if let Some(Estimate { mean, base }) = estimate {
            let gain = 1.0 - (-elapsed.as_secs_f64() / MEMORY).exp();
            // Waits in a queue deviate by about as much as they are long.
            self.deviation += gain * ((mean - base).max(0.0) - self.deviation);
            self.mean += gain * (mean - self.mean);
        } else {
            let ticks = elapsed.as_secs_f64() / TICK.as_secs_f64();
            let left = DECAY.powf(ticks);
            self.mean *= left;
            self.deviation *= left;
        }
    }

    pub(super) const fn mean(&self) -> f64 {
        self.mean
    }

    pub(super) fn upper(&self) -> f64 {
        self.mean + DEVIATIONS * self.deviation
    }
}

/// What a pool's limiters say of first tokens that nobody sees, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    /// Of that, what an idle server takes (`s0`).
    pub(super) base: f64,
}

/// What the pools that a call may go to promise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    /// Until it starts, seconds.
    pub(super) wait: f64,
    /// From then to the first token, uncapped, seconds.
    pub(super) upper: f64,
    /// Of that, what an idle server takes (`s0`), seconds.
    pub(super) base: f64,
    /// Whether any attempt is without its first token there.
    pub(super) awaiting: bool,
}

impl Outlook {
    fn patience(&self, patience: Duration) -> f64 {
        patience.as_secs_f64().max(BASES_LEAST * self.base)
    }

    fn upstream(&self, patience: f64) -> f64 {
        self.upper.min(self.base + CAP * (patience - self.base))
    }

    /// Whether a call that comes now would miss.
    pub(super) fn would_miss(&self, patience: Duration) -> bool {
        let patience = self.patience(patience);
        self.awaiting && self.wait > 0.0 && self.wait + self.upstream(patience) > ARRIVAL * patience
    }

    /// Whether a call that has waited can no longer be in time.
    pub(super) fn hopeless(&self, waited: Duration, patience: Duration) -> bool {
        let patience = self.patience(patience);
        waited.as_secs_f64() + self.upstream(patience) > patience
    }

    /// Time to the first token of a call that comes now, in seconds; `objective` is what it was promised.
    pub(super) fn first_token(&self, objective: Duration) -> f64 {
        self.wait + self.upstream(self.patience(objective))
    }

    /// When a call that is refused may come again: what the wait has too much, by the pace of now.
    pub(super) fn retry_after(&self, patience: Option<Duration>) -> Duration {
        let excess = patience.map_or(self.wait, |patience| {
            let patience = self.patience(patience);
            self.wait + self.upstream(patience) - patience
        });
        hint(Duration::try_from_secs_f64(excess.max(0.0)).unwrap_or(HINT_MOST))
    }
}

/// Less would make clients hammer; more freezes some SDKs for as long (research/features-routers.md 2.6).
const HINT_LEAST: Duration = Duration::from_secs(1);
const HINT_MOST: Duration = Duration::from_secs(30);

/// A time to wait that every client library honours.
pub(super) fn hint(time: Duration) -> Duration {
    time.clamp(HINT_LEAST, HINT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_stream_tells_the_limiters_do() {
        let mut first_token = FirstToken::new();
        let estimate = Some(Estimate { mean: 0.5, base: 0.1 });
        let tick = Duration::from_millis(50);
        (20..400).for_each(|step| first_token.tick(tick * step, tick, estimate));
        let upper = first_token.upper();
        assert!((upper - 1.3).abs() < 0.01, "0.5 s and twice 0.4 s: {upper}");
        (20..400).for_each(|step| first_token.tick(tick * step, tick, None));
        assert!(first_token.upper() < 0.1, "{}", first_token.upper());
    }
}
