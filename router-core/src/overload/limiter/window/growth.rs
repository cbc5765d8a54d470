//! How large is the window? It is a state, not a formula: it takes Little's value `r · (te + s0)` when the
//! excess wait is real (of first tokens of late, or of those that still wait), grows geometrically while it
//! is small and somebody is held back, and is paced until the first answer of a cold start.

use super::answers::Measure;
use super::sight::Sight;

/// Places that a cold start adds each second until something answers: a fast server answers before it
/// matters, a server that needs ten seconds has 200 under way by then.
const BLIND_PER_SECOND: f64 = 20.0;

/// A paced window stays within twice what is used and this (a second's worth), so that waiting alone opens
/// nothing.
const BLIND_AHEAD: f64 = 20.0;

/// However long nothing answers, no more than this are sent to an endpoint that has not answered yet.
const BLIND_MAX: f64 = 1_000.0;

/// Somebody counts as held back for so long after it was refused a place. No step of the window is longer: of
/// the time before it is not known that anybody was held back.
const BLOCKED_SECONDS: f64 = 0.2;

/// Growth in each round (`s0 + te`) in slow start.
const GROWTH_SLOW_START: f64 = 2.0;

/// A round in slow start is at most so many base times: an endpoint that answers at once shows at once
/// whether it was too much.
const ROUND_RATIO_SLOW_START: f64 = 2.0;

/// Growth in each round later.
const GROWTH: f64 = 1.5;

/// Where whole answers count, an answer tells of the window when it ends, and by then growth has gone too far: later
/// than slow start it goes no further beyond Little's value.
const GROWTH_BEYOND_LITTLE: f64 = 1.1;

/// A round is at least this long: with a base time near zero growth would outrun the ticks.
const ROUND_SECONDS_MIN: f64 = 0.1;

/// Share of the allowed excess wait from which it counts as real.
const EXCESS_REAL: f64 = 0.5;

/// First tokens in the window before its mean ends slow start.
const SAMPLES_TO_JUDGE: u32 = 8;

/// The window may stand at so many times what is used, or Little's value, while nobody is held back.
const UNUSED_RATIO: f64 = 2.0;

/// A window that nothing speaks against has room for so many, even where several gateways share the endpoint: two calls
/// that happen to come together are no queue.
pub(super) const ROOM_MIN: f64 = 2.0;

/// Time constant with which it falls back to that.
const UNUSED_DECAY_SECONDS: f64 = 30.0;

/// An endpoint that has never been seen, and that no other gateway sends to, takes a burst of so many: the slots of a
/// small server. The first answers show whether it was too much.
const FIRST_BURST: f64 = 8.0;

/// No window is larger: far above any real one, it keeps the arithmetic finite.
const WINDOW_MAX: f64 = 1e6;

/// The window `P`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    window: f64,
    window_min: f64,
    slow_start: bool,
}

impl Growth {
    pub(super) fn new(window_min: f64) -> Self {
        let first = if window_min > 1.0 { FIRST_BURST.max(window_min) } else { window_min };
        Self { window: first, window_min, slow_start: true }
    }

    /// Attempts that may wait for their first token, as a real number.
    pub(super) fn window(&self) -> f64 {
        self.window
    }

    pub(super) fn slow_start(&self) -> bool {
        self.slow_start
    }

    /// Starts anew with a window of this size.
    pub(super) fn restart(&mut self, window: f64) {
        *self = Self { window: window.max(self.window_min), ..Self::new(self.window_min) };
    }

    /// An attempt ended without an answer while none had ever come: what its waiting had opened is closed
    /// again, so that an endpoint that never answers gets no more than the pace.
    pub(super) fn unanswered(&mut self) {
        self.window = (self.window - 1.0).max(self.window_min);
    }

    /// The window is as small as it may be, and is known to have been too large.
    pub(super) fn shrink(&mut self) {
        (self.window, self.slow_start) = (self.window_min, false);
    }

    pub(super) fn step(&mut self, sight: &Sight) {
        if !sight.base_known && sight.awaiting > 0 {
            self.pace(sight);
        } else if sight.blocked_within(BLOCKED_SECONDS) {
            self.held_back(sight);
        } else if sight.count > 0 {
            self.unused(sight);
        }
        self.window = self.window.clamp(self.window_min, WINDOW_MAX);
    }

    fn pace(&mut self, sight: &Sight) {
        let ahead = (UNUSED_RATIO * f64::from(sight.awaiting) + BLIND_AHEAD).min(BLIND_MAX);
        let paced = self.window + BLIND_PER_SECOND * sight.dt.min(BLOCKED_SECONDS);
        self.window = paced.min(ahead).max(self.window);
    }

    fn held_back(&mut self, sight: &Sight) {
        if sight.count > 0 && sight.excess.max(sight.excess_waiting) >= EXCESS_REAL * sight.allowed {
            self.window = sight.target;
            self.slow_start &= sight.excess <= sight.allowed || sight.count < SAMPLES_TO_JUDGE;
        } else if sight.count > 0 || sight.awaiting == 0 {
            if f64::from(sight.awaiting) + 2.0 > self.window {
                self.grow(sight);
            }
            self.window = self.window.max(sight.target).max(ROOM_MIN);
        }
    }

    fn grow(&mut self, sight: &Sight) {
        let round = sight.base + sight.allowed;
        let (growth, round) = if self.slow_start {
            (GROWTH_SLOW_START, round.min(ROUND_RATIO_SLOW_START * sight.base))
        } else {
            (GROWTH, round)
        };
        let rounds = sight.dt.min(BLOCKED_SECONDS) / round.max(ROUND_SECONDS_MIN);
        let grown = self.window * growth.powf(rounds);
        let most = match sight.measure {
            Measure::WholeAnswer if !self.slow_start => GROWTH_BEYOND_LITTLE * sight.target,
            Measure::WholeAnswer | Measure::FirstToken => WINDOW_MAX,
        };
        self.window = grown.min(most.max(self.window));
    }

    fn unused(&mut self, sight: &Sight) {
        // After a cold start the rate lags behind what is under way by one first-token time.
        let roof = (UNUSED_RATIO * sight.target.max(f64::from(sight.awaiting))).max(ROOM_MIN);
        if self.window > roof {
            self.window = (self.window * (-sight.dt / UNUSED_DECAY_SECONDS).exp()).max(roof);
        } else {
            self.window = self.window.max(sight.target).max(ROOM_MIN);
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "what has not moved is the same to the bit")]
mod tests {
    use super::*;

    /// A busy endpoint whose excess wait is as given; 0.3 s are allowed.
    fn sight(excess: f64, awaiting: u32, blocked_ago: f64) -> Sight {
        Sight {
            now: 100.0,
            dt: 0.05,
            count: 100,
            waited: 0.1 + excess,
            tokens: 100.0,
            rate: 20.0,
            base: 0.1,
            base_known: true,
            tau: 0.3,
            allowed: 0.3,
            excess,
            excess_waiting: 0.0,
            target: 8.0,
            awaiting,
            measure: Measure::FirstToken,
            blocked: 100.0 - blocked_ago,
            blocked_since: 90.0,
            quiet: 5.0,
        }
    }

    fn at(window: f64) -> Growth {
        Growth { window, window_min: 2.0, slow_start: false }
    }

    #[test]
    fn takes_littles_value_when_the_excess_is_real() {
        let mut growth = Growth { slow_start: true, ..at(50.0) };
        growth.step(&sight(0.16, 50, 0.0));
        assert_eq!((growth.window(), growth.slow_start()), (8.0, true));
        growth.step(&sight(0.31, 50, 0.0));
        assert!(!growth.slow_start());
    }

    #[test]
    fn those_that_still_wait_tell_of_an_excess_before_their_first_tokens_do() {
        let mut growth = at(50.0);
        growth.step(&Sight { excess_waiting: 0.16, ..sight(0.0, 50, 0.0) });
        assert_eq!(growth.window(), 8.0);
        let mut small = at(10.0);
        small.step(&Sight { excess_waiting: 0.14, ..sight(0.0, 50, 0.0) });
        assert!(small.window() > 10.0);
    }

    #[test]
    fn grows_by_half_a_round_while_the_excess_is_small_and_the_window_is_full() {
        let mut growth = at(10.0);
        (0..8).for_each(|_| growth.step(&sight(0.1, 20, 0.0)));
        assert!((growth.window() - 15.0).abs() < 1e-9, "{growth:?}");
        let mut roomy = at(10.0);
        roomy.step(&sight(0.1, 5, 0.0));
        assert_eq!(roomy.window(), 10.0);
        let mut slow_start = Growth { slow_start: true, ..at(10.0) };
        (0..4).for_each(|_| slow_start.step(&sight(0.1, 30, 0.0)));
        assert!((slow_start.window() - 20.0).abs() < 1e-9, "doubles in twice the base time: {slow_start:?}");
    }

    #[test]
    fn whole_answers_tell_late_so_growth_stays_near_littles_value() {
        let whole = Sight { measure: Measure::WholeAnswer, target: 12.0, ..sight(0.1, 500, 0.0) };
        let mut growth = at(10.0);
        (0..200).for_each(|_| growth.step(&whole));
        assert!((growth.window() - 13.2).abs() < 1e-9, "{growth:?}");
        let mut slow_start = Growth { slow_start: true, ..at(10.0) };
        (0..20).for_each(|_| slow_start.step(&whole));
        assert!(slow_start.window() > 100.0);
    }

    #[test]
    fn two_may_come_together_until_the_excess_is_real() {
        let mut shared = Growth { window_min: 1.0, ..at(1.0) };
        shared.step(&Sight { target: 0.4, ..sight(0.0, 0, 9.0) });
        assert_eq!(shared.window(), 2.0);
        shared.step(&Sight { target: 0.4, ..sight(0.2, 1, 0.0) });
        assert_eq!(shared.window(), 1.0);
    }

    #[test]
    fn a_late_tick_grows_no_more_than_the_time_that_somebody_is_known_to_wait() {
        let mut growth = at(10.0);
        growth.step(&Sight { dt: 600.0, ..sight(0.1, 20, 0.0) });
        assert!((growth.window() - 10.0 * 1.5_f64.sqrt()).abs() < 1e-9, "{growth:?}");
        let mut cold = at(2.0);
        cold.step(&Sight { dt: 600.0, base_known: false, ..sight(0.0, 100, 0.0) });
        assert!((cold.window() - 6.0).abs() < 1e-9);
    }

    #[test]
    fn falls_back_to_twice_littles_value_while_nobody_is_held_back() {
        let mut growth = at(100.0);
        growth.step(&Sight { dt: 30.0, ..sight(0.0, 1, 9.0) });
        assert!((growth.window() - 100.0 / std::f64::consts::E).abs() < 1e-9);
        growth.step(&Sight { dt: 600.0, ..sight(0.0, 1, 9.0) });
        assert_eq!(growth.window(), 16.0);
        let mut small = at(3.0);
        small.step(&sight(0.0, 1, 9.0));
        assert_eq!(small.window(), 8.0);
    }

    #[test]
    fn holds_while_nothing_comes() {
        let nothing = Sight { count: 0, target: 0.0, ..sight(0.0, 5, 0.0) };
        let mut growth = at(40.0);
        growth.step(&nothing);
        growth.step(&Sight { blocked: 0.0, awaiting: 0, dt: 3_600.0, ..nothing });
        assert_eq!(growth.window(), 40.0);
    }

    #[test]
    fn a_cold_start_is_paced_and_bounded() {
        let cold = Sight { base_known: false, count: 0, target: 0.0, ..sight(0.0, 1, 0.0) };
        let mut growth = at(2.0);
        (0..20).for_each(|_| growth.step(&Sight { awaiting: 50, ..cold }));
        assert!((growth.window() - 22.0).abs() < 1e-9, "20 a second: {growth:?}");
        (0..20_000).for_each(|_| growth.step(&cold));
        assert!((growth.window() - 22.0).abs() < 1e-9, "one waits, it stays: {growth:?}");
        (0..20_000).for_each(|_| growth.step(&Sight { awaiting: 5_000, ..cold }));
        assert_eq!(growth.window(), BLIND_MAX);
        (0..2_000).for_each(|_| growth.unanswered());
        assert_eq!(growth.window(), 2.0);
    }
}
