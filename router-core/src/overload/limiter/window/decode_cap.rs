//! How many attempts may be under way at all? Without limit, until the time per output token passes its
//! objective (the endpoint takes in more than it can decode in time and queues nobody) or the endpoint
//! refuses work itself.

/// Share of the inter-token objective that is aimed at: the mean must lie below what each answer has to keep.
const GUARD_RATIO: f64 = 0.85;

/// How often the time per token is looked at.
const INTERVAL_SECONDS: f64 = 1.0;

/// What an interval keeps of its weight in the mean when the next one comes. Tokens weigh alike: an interval of few
/// does not outvote one of many.
const KEPT: f64 = 0.5;

/// An interval that brought so many tokens tells of the server by itself; with fewer it takes a second late one in a
/// row to lower the cap. Three answers that begin together wait for each other's prompts.
const TOKENS_TO_JUDGE: f64 = 100.0;

/// The least that is left of the cap after one step down.
const FALL_MIN: f64 = 0.7;

/// Pause after a step down, so that its effect is seen before the next.
const FALL_PAUSE_SECONDS: f64 = 2.0;

/// Growth of the cap in each interval as a share of the headroom below the objective, of which no more than half
/// counts. It doubles from interval to interval while there clearly is headroom: a cap far too low is gone in
/// seconds, and near the objective it is approached slowly.
const RISE_RATIO: f64 = 0.1;
const RISE_RATIO_MAX: f64 = 0.5;
const HEADROOM_CLEAR: f64 = 0.2;

/// What is left of the cap, or of what is under way, after a refusal: the cap is believed to within a place or two.
const REFUSED_RATIO: f64 = 0.985;

/// Growth in each interval below a cap that refusals have shown, as a ratio and at least in places: each
/// visit to the cap costs a caller a refusal.
const REGROWTH_RATIO: f64 = 0.002;
const REGROWTH_MIN: f64 = 0.1;

/// After so long without a refusal the growth doubles each [`DOUBLING_SECONDS`], up to that of the guard:
/// refusals while a server restarts say nothing of what it takes afterwards. A standing cap is met sooner
/// than this: what one refusal takes is grown again in eight seconds.
const QUIET_SECONDS: f64 = 20.0;
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
    /// Late intervals in a row.
    late: u32,
    /// Between [`RISE_RATIO`] and [`RISE_RATIO_MAX`].
    rise_ratio: f64,
    /// No step up or down before this.
    pause_until: f64,
    /// No further fall by refusals before this.
    refused_until: f64,
    /// Whether the cap comes from refusals, not from the guard.
    refused: bool,
}

/// The time per token, over all answers: of the interval that goes on, and the mean.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    decoding: u32,
    interval: Pace,
    mean: Pace,
    next: f64,
}

/// Seconds spent decoding and the tokens they brought. Both are told of together: of what was not told yet, which is
/// much while many answers begin, neither counts.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    seconds: f64,
    tokens: f64,
}

impl DecodeCap {
    pub(super) fn new(inter_token_objective: Option<f64>, cap_min: f64) -> Self {
        Self {
            cap: f64::INFINITY,
            cap_min,
            goal: inter_token_objective.map(|seconds| seconds * GUARD_RATIO),
            meter: Meter::default(),
            late: 0,
            rise_ratio: RISE_RATIO,
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

    pub(super) fn decoding_began(&mut self) {
        self.meter.decoding += 1;
    }

    pub(super) fn decoding_ended(&mut self) {
        self.meter.decoding = self.meter.decoding.saturating_sub(1);
    }

    /// An answer brought so many tokens in so many seconds.
    pub(super) fn tokens(&mut self, seconds: f64, count: u32) {
        self.meter.interval.seconds += seconds;
        self.meter.interval.tokens += f64::from(count);
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
        let Some(last) = self.meter.interval(now) else { return };
        let load = |pace: Pace| self.goal.map_or(0.0, |goal| pace.per_token() / goal);
        let (mean, is_late) = (load(self.meter.mean), load(last) > 1.0);
        if last.tokens > 0.0 {
            self.late = if is_late { self.late.saturating_add(1) } else { 0 };
        }
        if now < self.pause_until {
            return;
        }
        let inflight = f64::from(inflight);
        if mean > 1.0 {
            if is_late && (last.tokens >= TOKENS_TO_JUDGE || self.late > 1) {
                self.fall(now, inflight, mean);
            }
        } else if self.cap.is_finite() {
            self.rise(now, inflight, mean);
        }
    }

    fn fall(&mut self, now: f64, inflight: f64, load: f64) {
        let left = (1.0 - 0.5 * (1.0 - 1.0 / load)).max(FALL_MIN);
        self.cap = (self.cap.min(inflight) * left).max(self.cap_min);
        self.pause_until = now + FALL_PAUSE_SECONDS;
        self.rise_ratio = RISE_RATIO;
    }

    fn rise(&mut self, now: f64, inflight: f64, load: f64) {
        let quiet = now - self.refused_until - INTERVAL_SECONDS;
        let headroom = (1.0 - load).min(0.5);
        // Compared with the whole places that the cap gives: just below two it gives one, which uses it up.
        if inflight >= USED_RATIO * self.cap.floor() && quiet > 0.0 {
            let doublings = (quiet - QUIET_SECONDS).max(0.0) / DOUBLING_SECONDS;
            let careful = (self.cap * REGROWTH_RATIO).max(REGROWTH_MIN) * doublings.exp2();
            let clear = headroom >= HEADROOM_CLEAR && !self.refused;
            let guard = self.cap * self.rise_ratio * headroom + 1.0;
            self.cap += if self.refused { careful.min(guard) } else { guard };
            self.rise_ratio = if clear { (2.0 * self.rise_ratio).min(RISE_RATIO_MAX) } else { RISE_RATIO };
        }
        if self.cap > UNUSED_RATIO * inflight + UNUSED_PLACES {
            self.cap = f64::INFINITY;
            self.refused = false;
        }
    }
}

impl Meter {
    /// Closes the interval if it is over.
    fn interval(&mut self, now: f64) -> Option<Pace> {
        if now < self.next {
            return None;
        }
        self.next = now + INTERVAL_SECONDS;
        let last = std::mem::take(&mut self.interval);
        if last.tokens > 0.0 {
            self.mean.seconds = KEPT * self.mean.seconds + last.seconds;
            self.mean.tokens = KEPT * self.mean.tokens + last.tokens;
        }
        Some(last)
    }
}

impl Pace {
    fn per_token(self) -> f64 {
        if self.tokens > 0.0 { self.seconds / self.tokens } else { 0.0 }
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
            let answers = f64::from(cap.meter.decoding);
            cap.tokens(answers, places(answers / per_token));
            cap.step(now, inflight);
        }
        now
    }

    fn decoding(answers: u32) -> DecodeCap {
        let mut cap = DecodeCap::new(Some(0.060), 2.0);
        cap.step(0.0, 0);
        (0..answers).for_each(|_| cap.decoding_began());
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
    fn one_late_interval_of_few_tokens_is_noise_and_a_second_one_is_not() {
        let mut cap = decoding(4);
        let now = decode(&mut cap, 0.0, 1, 4, 0.200);
        assert!(cap.cap().is_infinite(), "20 tokens: {}", cap.cap());
        let now = decode(&mut cap, now, 10, 4, 0.030);
        let now = decode(&mut cap, now, 1, 4, 0.200);
        assert!(cap.cap().is_infinite());
        decode(&mut cap, now, 1, 4, 0.200);
        assert!(cap.cap() < 4.0, "{}", cap.cap());
    }

    #[test]
    fn an_interval_of_few_tokens_does_not_outvote_those_of_many() {
        let mut cap = decoding(4);
        cap.tokens(4.0, 8);
        cap.step(1.0, 4);
        (0..96).for_each(|_| cap.decoding_began());
        decode(&mut cap, 1.0, 5, 100, 0.040);
        assert!(cap.cap().is_infinite(), "{}", cap.cap());
    }

    #[test]
    fn a_cap_that_is_far_too_low_is_gone_in_seconds() {
        let mut cap = decoding(5);
        let mut now = decode(&mut cap, 0.0, 3, 5, 0.102);
        assert!(cap.cap() < 5.0);
        let since = now;
        while cap.cap() < 100.0 {
            let used = places(cap.cap());
            now = decode(&mut cap, now, 1, used, 0.025);
            assert!(now - since < 20.0, "{} after {} s", cap.cap(), now - since);
        }
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
        (0..100).for_each(|_| cap.decoding_began());
        decode(&mut cap, 0.0, 60, 100, 5.0);
        assert!(cap.cap().is_infinite());
    }

    #[test]
    fn refusals_lower_the_cap_once_in_twice_the_first_token_time() {
        let mut cap = DecodeCap::new(None, 2.0);
        (0..50).for_each(|_| cap.refused(10.0, 101, 1.5));
        assert!((cap.cap() - 99.485).abs() < 1e-9);
        cap.refused(12.9, 98, 1.5);
        assert!((cap.cap() - 99.485).abs() < 1e-9);
        cap.refused(13.1, 98, 1.5);
        assert!((cap.cap() - 98.0 * 0.985).abs() < 1e-9);
    }

    #[test]
    fn a_standing_cap_is_met_once_in_about_ten_seconds() {
        let (mut cap, mut refusals) = (DecodeCap::new(None, 2.0), 0);
        for second in 0..200_u32 {
            let now = f64::from(second);
            if cap.cap() >= 100.0 {
                refusals += 1;
                cap.refused(now, 100, 0.5);
            }
            cap.step(now, places(cap.cap()));
        }
        assert!((17..=21).contains(&refusals), "{refusals}");
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
