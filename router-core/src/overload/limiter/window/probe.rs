//! Is the base time still right? An endpoint that is always full never shows what it takes without a queue,
//! so now and then the window shrinks below what keeps it busy for a handful of attempts, which then meet no
//! queue.
//!
//! Where the base time has risen the window took the rise for a queue and held the endpoint back, and the rate of late
//! is the gateway's own doing: Little's value made of it would keep it there. So after a probe that has raised the base
//! time the pace counts that the endpoint was seen to keep before, until first tokens show the pace of now.

use super::answers::Measure;
use super::base::Base;
use super::sight::Sight;

/// Attempts of one probe: with them the mean is known to a third of the spread.
const ATTEMPTS: u32 = 8;

/// A probe with fewer answers says nothing.
const ANSWERS_MIN: u32 = 4;

/// Answers that a probe keeps: a tick's worth may be sent beyond its attempts.
const ANSWERS_KEPT: usize = 16;

/// A probe raises the base time no further than to so many times the median of its answers. Where the base time has
/// risen all of them are slower; one or two of eight that had to wait for memory are a queue.
const RAISED_BEYOND_MEDIAN: f64 = 1.5;

/// The probing window as a share of what the endpoint holds without a queue (`r · s0`).
const WINDOW_RATIO: f64 = 0.8;

/// The same when the last probe has shown that the base time is lower than was believed: it may be far lower.
const WINDOW_RATIO_FALLEN: f64 = 0.5;

/// A probe is due when no attempt has met an idle server for this long.
const EVERY_SECONDS: f64 = 30.0;

/// The excess wait that the window cannot explain, as a ratio of what is allowed: the window holds it to
/// `allowed`, so when it stays above, the base time must have risen.
const SPIRAL_RATIO: f64 = 1.3;

/// First tokens in the window before its mean can show that.
const SPIRAL_SAMPLES_MIN: u32 = 8;

/// The least time between such probes: a server that is merely overloaded is not to be probed all the time.
const SPIRAL_SECONDS_MIN: f64 = 15.0;

/// … and in waits: the last probe must have had its effect.
const SPIRAL_WAITS: f64 = 5.0;

/// … or, when the last probe raised the base time by more than [`RAISED_RATIO`]: it may have to rise further.
const RAISED_WAITS: f64 = 2.0;

/// Rise of the base time from which it counts as raised.
const RAISED_RATIO: f64 = 1.2;

/// Fall of the base time from which another probe follows at once: the first emptied only a part of the
/// queue.
const FALLEN_RATIO: f64 = 0.9;

/// The pace that an endpoint keeps is a mean over so long: prompts of mixed length make the rate of two seconds swing
/// tenfold.
const PACE_SECONDS: f64 = 15.0;

/// The best such mean is believed for so long: as long as a rise may go unnoticed between two probes.
const PACE_KEPT_SECONDS: f64 = EVERY_SECONDS;

/// After a probe the rate is that of now when it was counted over so long, and a wait has passed.
const COUNTED_SECONDS: f64 = 2.0;

/// Without a tick for longer than this, conditions that must hold "for so long" begin anew.
const GAP_SECONDS: f64 = 1.0;

/// The shortest wait that the time limits of a probe are computed from.
const WAIT_MIN_SECONDS: f64 = 0.1;

/// Downward probes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    state: State,
    sent: u32,
    answers: u32,
    /// Weights of the answers, and what they weigh.
    weight: f64,
    waited: f64,
    tokens: f64,
    /// What each of the first ones took beside its tokens.
    remainders: [f64; ANSWERS_KEPT],
    /// When the last one ended.
    ended: f64,
    /// When an attempt last met an idle server.
    idle_seen: f64,
    /// Since when the excess wait has been too high without a pause.
    high_since: f64,
    raised: bool,
    /// The next probe's window as a share of what the endpoint holds without a queue.
    ratio: f64,
    /// First tokens a second in the mean, and the most of it.
    pace_mean: f64,
    pace_most: f64,
    /// Until when that counts in place of the rate of late.
    throttled_until: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    /// The window is small, what waits beyond it goes first.
    Draining {
        since: f64,
        window: f64,
    },
    /// The window is small, attempts are sent.
    Sending {
        since: f64,
        window: f64,
    },
    /// The window is as always, answers are awaited.
    Hearing {
        since: f64,
    },
}

impl Probe {
    pub(super) fn new(now: f64) -> Self {
        Self {
            state: State::Idle,
            sent: 0,
            answers: 0,
            weight: 0.0,
            waited: 0.0,
            tokens: 0.0,
            remainders: [0.0; ANSWERS_KEPT],
            ended: now,
            idle_seen: now,
            high_since: now,
            raised: false,
            ratio: WINDOW_RATIO,
            pace_mean: 0.0,
            pace_most: 0.0,
            throttled_until: f64::NEG_INFINITY,
        }
    }

    /// First tokens a second that the endpoint is taken to keep, where they come at `rate` of late.
    pub(super) fn pace(&self, now: f64, rate: f64) -> f64 {
        if now < self.throttled_until { rate.max(self.pace_most) } else { rate }
    }

    /// The window while it is small.
    pub(super) fn window(&self) -> Option<f64> {
        match self.state {
            State::Draining { window, .. } | State::Sending { window, .. } => Some(window),
            State::Idle | State::Hearing { .. } => None,
        }
    }

    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// An attempt of the probe will give no sample.
    pub(super) fn lost(&mut self) {
        self.sent = self.sent.saturating_sub(1);
    }

    pub(super) fn answered(&mut self, waited: f64, tokens: f64, weight: f64, base: &Base) {
        if let Some(remainder) = self.remainders.get_mut(self.answers as usize) {
            *remainder = base.beside(waited, tokens);
        }
        self.answers += 1;
        self.weight += weight;
        self.waited += weight * waited;
        self.tokens += weight * tokens;
    }

    /// An attempt has met an idle server without a probe.
    pub(super) fn idle_seen(&mut self, now: f64) {
        self.idle_seen = now;
    }

    pub(super) fn step(&mut self, sight: &Sight, base: &mut Base) {
        let wait = sight.waited.max(WAIT_MIN_SECONDS);
        self.note_pace(sight);
        match self.state {
            State::Idle => self.maybe_start(sight),
            State::Draining { since, window } => {
                if f64::from(sight.awaiting) < window {
                    self.state = State::Sending { since: sight.now, window };
                } else if sight.now - since > 4.0 * wait + 2.0 {
                    (self.state, self.ended) = (State::Idle, sight.now);
                }
            }
            State::Sending { since, .. } => {
                let elapsed = sight.now - since;
                let enough = self.sent >= ANSWERS_MIN && elapsed > 2.0 * wait + 1.0;
                if self.sent >= ATTEMPTS || enough || elapsed > 6.0 * wait + 3.0 {
                    self.state = State::Hearing { since: sight.now };
                }
            }
            State::Hearing { since } => {
                if self.answers >= self.sent || sight.now - since > 4.0 * wait + 1.0 {
                    self.state = State::Idle;
                    self.ended = sight.now;
                    if self.answers >= ANSWERS_MIN {
                        self.conclude(sight, base);
                    }
                }
            }
        }
    }

    fn note_pace(&mut self, sight: &Sight) {
        let gain = (sight.dt / PACE_SECONDS).min(1.0);
        self.pace_mean += gain * (sight.rate - self.pace_mean);
        let kept = self.pace_most * (-sight.dt / PACE_KEPT_SECONDS).exp();
        self.pace_most = self.pace_mean.max(kept);
    }

    fn maybe_start(&mut self, sight: &Sight) {
        let Sight { now, waited, .. } = *sight;
        let high = sight.blocked_within(sight.quiet)
            && sight.count >= SPIRAL_SAMPLES_MIN
            && sight.excess > SPIRAL_RATIO * sight.allowed;
        if !high || sight.dt > GAP_SECONDS {
            self.high_since = now;
        }
        let pause =
            if self.raised { RAISED_WAITS * waited } else { SPIRAL_SECONDS_MIN.max(SPIRAL_WAITS * waited) };
        let spiral = now - self.high_since > 1.5 * waited + 0.5 && now - self.ended > pause;
        let long_blocked = sight.blocked_within(sight.quiet) && now - sight.blocked_since > sight.quiet;
        let due = long_blocked && now - self.idle_seen.max(self.ended) > EVERY_SECONDS;
        if sight.base > 0.0 && (spiral || due) {
            let window = (self.ratio * sight.rate * sight.base).max(1.0);
            *self = Self { sent: 0, answers: 0, weight: 0.0, waited: 0.0, tokens: 0.0, ..*self };
            self.state = State::Draining { since: now, window };
        }
    }

    /// Median of the remainders.
    fn median(&mut self) -> f64 {
        let kept = ANSWERS_KEPT.min(self.answers as usize);
        let remainders = self.remainders.get_mut(..kept).unwrap_or_default();
        remainders.sort_unstable_by(f64::total_cmp);
        remainders.get(kept / 2).copied().unwrap_or_default()
    }

    fn conclude(&mut self, sight: &Sight, base: &mut Base) {
        let (waited, tokens) = (self.waited / self.weight, self.tokens / self.weight);
        let believed = base.seconds(tokens);
        let most = RAISED_BEYOND_MEDIAN * (waited - base.beside(waited, tokens) + self.median());
        let seconds = base.set(waited.min(most.max(believed)), tokens, sight.tokens);
        let fallen = seconds < FALLEN_RATIO * sight.base && seconds > sight.tau;
        self.raised = seconds > RAISED_RATIO * sight.base;
        if self.raised && sight.measure == Measure::FirstToken {
            self.throttled_until = sight.now + COUNTED_SECONDS + sight.waited.max(WAIT_MIN_SECONDS);
        }
        self.idle_seen = if fallen { f64::NEG_INFINITY } else { sight.now };
        self.ratio = if fallen { WINDOW_RATIO_FALLEN } else { WINDOW_RATIO };
        if fallen {
            self.ended = sight.now - EVERY_SECONDS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The base time after a probe whose attempts took so long, where 0.1 s were believed.
    fn after(waits: [f64; 8]) -> f64 {
        let mut base = Base::default();
        base.sample(0.1, 100.0, 100.0);
        let sight = Sight { base: 0.1, tokens: 100.0, ..Sight::nothing(0.3, 5.0) };
        let mut probe = Probe::new(0.0);
        waits.into_iter().for_each(|wait| probe.answered(wait, 100.0, 1.0, &base));
        probe.conclude(&sight, &mut base);
        base.seconds(100.0)
    }

    #[test]
    fn a_base_time_has_risen_when_all_are_slower_and_not_when_one_of_them_had_to_wait() {
        let near = |seconds: f64, expected: f64| (seconds - expected).abs() < 1e-9;
        assert!(near(after([0.9, 1.0, 1.1, 1.0, 1.0, 0.9, 1.1, 1.0]), 1.0));
        assert!(near(after([0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 4.0]), 0.12));
        assert!(near(after([0.05; 8]), 0.05), "it falls as far as they tell");
        assert!(
            near(after([0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 4.0]), 0.1),
            "it does not fall on a rise"
        );
    }
}
