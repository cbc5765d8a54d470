//! How many attempts may be under way at all? Without limit, until the time per output token passes its
//! objective (the endpoint takes in more than it can decode in time and queues nobody) or the endpoint
//! refuses work itself.

/// Share of the inter-token objective that is aimed at: the mean must lie below what each answer has to keep.
const GUARD_RATIO: f64 = 0.85;

/// How often the time per token is looked at: it is a mean over all answers under way, and so steady at once.
const INTERVAL_SECONDS: f64 = 1.0;

/// Weight of the last interval in the time per token.
const PER_TOKEN_GAIN: f64 = 0.5;

/// The least that is left of the cap after one step down.
const FALL_MIN: f64 = 0.7;

/// Pause after a step down, so that its effect is seen before the next.
const FALL_PAUSE_SECONDS: f64 = 2.0;

/// What is left of the cap, or of what is under way, after a refusal.
const REFUSED_RATIO: f64 = 0.97;

/// Growth in each interval below a cap that refusals have shown, as a ratio and at least in places: each
/// visit to the cap costs a caller a refusal.
const REGROWTH_RATIO: f64 = 0.005;
const REGROWTH_MIN: f64 = 0.1;

/// After so long without a refusal the growth doubles each [`DOUBLING_SECONDS`], up to that of the guard:
/// refusals while a server restarts say nothing of what it takes afterwards. A standing cap is met sooner
/// than this.
const QUIET_SECONDS: f64 = 10.0;
const DOUBLING_SECONDS: f64 = 5.0;

/// A cap that is so far above what is under way means nothing and is dropped.
const UNUSED_RATIO: f64 = 4.0;
const UNUSED_PLACES: f64 = 100.0;

/// Share of the cap that must be in use for it to grow.
const USED_RATIO: f64 = 0.9;

/// The cap `D` on all attempts under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecodeCap {
    /// Infinite while there is none.
    cap: f64,
    cap_min: f64,
    /// Time per token that is aimed at.
    goal: Option<f64>,
    meter: Meter,
    /// No step up or down before this.
    pause_until: f64,
    /// No further fall by refusals before this.
    refused_until: f64,
    /// Whether the cap comes from refusals, not from the guard.
    refused: bool,
}

/// Seconds spent decoding, over all answers, and the tokens they brought.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    decoding: u32,
    /// Until when `seconds` is added up.
    at: f64,
    seconds: f64,
    tokens: f64,
    per_token: Option<f64>,
    next: f64,
}

impl DecodeCap {
    pub(super) fn new(inter_token_objective: Option<f64>, cap_min: f64) -> Self {
        Self {
            cap: f64::INFINITY,
            cap_min,
            goal: inter_token_objective.map(|seconds| seconds * GUARD_RATIO),
            meter: Meter::default(),
            pause_until: f64::NEG_INFINITY,
            refused_until: f64::NEG_INFINITY,
            refused: false,
        }
    }

    pub(super) fn cap(&self) -> f64 {
        self.cap
    }

    /// Answers whose first token was seen and that go on.
    pub(super) fn decoding(&self) -> u32 {
        self.meter.decoding
    }

    pub(super) fn decoding_began(&mut self, now: f64) {
        self.meter.advance(now);
        self.meter.decoding += 1;
    }

    pub(super) fn decoding_ended(&mut self, now: f64) {
        self.meter.advance(now);
        self.meter.decoding = self.meter.decoding.saturating_sub(1);
    }

    pub(super) fn tokens(&mut self, count: u32) {
        self.meter.tokens += f64::from(count);
    }

    /// The endpoint refused an attempt while `inflight` were under way, it among them. `waited` is the mean
    /// first-token time of late: nothing that was sent since is known to have been taken before twice that
    /// has passed.
    pub(super) fn refused(&mut self, now: f64, inflight: u32, waited: f64) {
        if now >= self.refused_until {
            self.refused_until = now + (2.0 * waited).max(1.0);
            self.cap = (self.cap.min(f64::from(inflight)) * REFUSED_RATIO).max(1.0);
            self.refused = true;
        }
    }

    pub(super) fn step(&mut self, now: f64, inflight: u32) {
        let Some(fresh) = self.meter.interval(now) else { return };
        if now < self.pause_until {
            return;
        }
        let load = match (self.goal, self.meter.per_token) {
            (Some(goal), Some(per_token)) => per_token / goal,
            _ => 0.0,
        };
        let inflight = f64::from(inflight);
        if load > 1.0 {
            if fresh {
                let left = (1.0 - 0.5 * (1.0 - 1.0 / load)).max(FALL_MIN);
                self.cap = (self.cap.min(inflight) * left).max(self.cap_min);
                self.pause_until = now + FALL_PAUSE_SECONDS;
            }
        } else if self.cap.is_finite() {
            self.rise(now, inflight, load);
        }
    }

    fn rise(&mut self, now: f64, inflight: f64, load: f64) {
        let quiet = now - self.refused_until - INTERVAL_SECONDS;
        // Compared with the whole places that the cap gives: just below two it gives one, which uses it up.
        if inflight >= USED_RATIO * self.cap.floor() && quiet > 0.0 {
            let guard = self.cap * 0.1 * (1.0 - load).min(0.5) + 1.0;
            let doublings = (quiet - QUIET_SECONDS).max(0.0) / DOUBLING_SECONDS;
            let careful = (self.cap * REGROWTH_RATIO).max(REGROWTH_MIN) * doublings.exp2();
            self.cap += if self.refused { careful.min(guard) } else { guard };
        }
        if self.cap > UNUSED_RATIO * inflight + UNUSED_PLACES {
            self.cap = f64::INFINITY;
            self.refused = false;
        }
    }
}

impl Meter {
    fn advance(&mut self, now: f64) {
        self.seconds += f64::from(self.decoding) * (now - self.at).max(0.0);
        self.at = now;
    }

    /// Closes the interval if it is over; whether it brought tokens.
    fn interval(&mut self, now: f64) -> Option<bool> {
        if now < self.next {
            return None;
        }
        self.advance(now);
        self.next = now + INTERVAL_SECONDS;
        let fresh = self.tokens > 0.0;
        if fresh {
            let last = self.seconds / self.tokens;
            self.per_token = Some(self.per_token.map_or(last, |mean| mean + PER_TOKEN_GAIN * (last - mean)));
        }
        (self.seconds, self.tokens) = (0.0, 0.0);
        Some(fresh)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "what has not moved is the same to the bit")]
mod tests {
    use super::super::super::places;
    use super::*;

    /// So many answers under way for so many seconds at so much per token.
    fn decode(cap: &mut DecodeCap, from: f64, seconds: u32, inflight: u32, per_token: f64) -> f64 {
        let mut now = from;
        for _ in 0..seconds {
            now += 1.0;
            cap.tokens(places(f64::from(cap.meter.decoding) / per_token));
            cap.step(now, inflight);
        }
        now
    }

    fn decoding(answers: u32) -> DecodeCap {
        let mut cap = DecodeCap::new(Some(0.060), 2.0);
        cap.step(0.0, 0);
        (0..answers).for_each(|_| cap.decoding_began(0.0));
        cap
    }

    #[test]
    fn there_is_no_cap_while_tokens_come_in_time() {
        let mut cap = decoding(100);
        decode(&mut cap, 0.0, 60, 100, 0.050);
        assert!(cap.cap().is_infinite());
    }

    #[test]
    fn the_cap_falls_when_tokens_come_late_and_grows_back_when_it_is_used() {
        let mut cap = decoding(100);
        let now = decode(&mut cap, 0.0, 1, 100, 0.102);
        assert!((cap.cap() - 75.0).abs() < 0.5, "half of the excess: {}", cap.cap());
        let low = cap.cap();
        let now = decode(&mut cap, now, 10, 20, 0.030);
        assert_eq!(cap.cap(), low, "20 do not use it");
        decode(&mut cap, now, 10, 80, 0.030);
        assert!(cap.cap() > 1.15 * low, "{} from {low}", cap.cap());
    }

    #[test]
    fn no_fresh_token_no_step_down() {
        let mut cap = decoding(100);
        let now = decode(&mut cap, 0.0, 1, 100, 0.102);
        let once = cap.cap();
        (0..100).for_each(|second| cap.step(now + f64::from(second), 0));
        assert!(cap.cap() >= once);
    }

    #[test]
    fn without_an_objective_only_refusals_make_a_cap() {
        let mut cap = DecodeCap::new(None, 2.0);
        (0..100).for_each(|_| cap.decoding_began(0.0));
        decode(&mut cap, 0.0, 60, 100, 5.0);
        assert!(cap.cap().is_infinite());
    }

    #[test]
    fn refusals_lower_the_cap_once_in_twice_the_first_token_time() {
        let mut cap = DecodeCap::new(None, 2.0);
        (0..50).for_each(|_| cap.refused(10.0, 101, 1.5));
        assert!((cap.cap() - 97.97).abs() < 1e-9);
        cap.refused(12.9, 98, 1.5);
        assert!((cap.cap() - 97.97).abs() < 1e-9);
        cap.refused(13.1, 98, 1.5);
        assert!((cap.cap() - 97.97 * 0.97).abs() < 0.1);
    }

    #[test]
    fn a_cap_of_one_grows_again() {
        let mut cap = DecodeCap::new(None, 2.0);
        (0..10).for_each(|second| cap.refused(f64::from(second) * 2.0, 1, 0.1));
        assert_eq!(cap.cap(), 1.0);
        let mut now = 20.0;
        while cap.cap() < 100.0 {
            now += 1.0;
            assert!(now < 90.0, "a restart must not cost minutes: {}", cap.cap());
            cap.step(now, places(cap.cap()));
        }
    }

    #[test]
    fn a_cap_far_above_what_is_used_is_dropped() {
        let mut cap = DecodeCap::new(None, 2.0);
        cap.refused(0.0, 300, 0.1);
        cap.step(10.0, 10);
        assert!(cap.cap().is_infinite());
    }
}
