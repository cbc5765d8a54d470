//! What does the endpoint take without a queue of its own? A mean, fitted over the tokens that it depends on:
//! `s0 = a + b · tokens`. A mean and not a low percentile, because Little's law needs the mean: all jitter
//! above a low percentile would be taken for queueing.

/// How much each older sample counts less in the slope: the last hundred or so make it.
const FORGET: f64 = 0.99;

/// Samples before the slope is believed.
const SLOPE_SAMPLES_MIN: f64 = 15.0;

/// Least variance of the tokens, relative to their mean square, that a slope can be read from.
const VARIANCE_MIN: f64 = 1e-6;

/// Gain of the intercept once it is warm: half of it is from the last 35 samples.
const INTERCEPT_GAIN: f64 = 0.02;

/// A whole answer whose tokens take so long says half as much of what goes by beside them as one of a single token: how
/// long they take differs from answer to answer by a sixth or so, with what shares their batch, and a sixth of 2 s is
/// as much as the wait that is to be seen (`tau`, 0.3 s).
const HALF_WEIGHT_SECONDS: f64 = 2.0;

/// The base time as a line over tokens, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Base {
    intercept: f64,
    slope: f64,
    samples: u32,
    sums: Sums,
    idle: Idle,
}

/// Weighted sums of a least-squares line: weight, tokens x, seconds y; and how many samples they are of.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: f64,
    weight: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

/// Weighted sum of what whole answers of an idle server took beside their tokens.
#[derive(Clone, Copy, Debug, Default)]
struct Idle {
    weight: f64,
    seconds: f64,
}

impl Base {
    /// Samples of an idle server so far.
    pub(super) fn samples(&self) -> u32 {
        self.samples
    }

    pub(super) fn seconds(&self, tokens: f64) -> f64 {
        (self.intercept + self.slope * tokens).max(0.0)
    }

    /// The same for whole answers: nothing is quicker than its tokens.
    pub(super) fn whole_seconds(&self, tokens: f64) -> f64 {
        self.intercept.max(0.0) + self.slope * tokens
    }

    /// A sample of an idle server. `mean_tokens` is what is usual now.
    pub(super) fn sample(&mut self, waited: f64, tokens: f64, mean_tokens: f64) {
        self.fit(waited, tokens, mean_tokens);
        self.samples = self.samples.saturating_add(1);
        let gain = (1.0 / f64::from(self.samples)).max(INTERCEPT_GAIN);
        self.intercept += gain * (self.beside(waited, tokens) - self.intercept);
    }

    /// A whole answer, of a busy server or an idle one: what a token takes *now*. What an answer takes beside its
    /// tokens stays as it was learned.
    pub(super) fn pace(&mut self, waited: f64, tokens: f64) {
        let first = !self.has_slope();
        self.fit_weighed(waited, tokens, self.weight(tokens));
        if first && self.has_slope() {
            // Until now all of an answer went by beside its tokens.
            let Sums { weight, x, y, .. } = self.sums;
            self.intercept = ((y - self.slope * x) / weight).max(0.0);
            self.idle = Idle { weight, seconds: weight * self.intercept };
        }
    }

    /// A whole answer of an idle server: what it took beside its tokens.
    pub(super) fn remainder(&mut self, waited: f64, tokens: f64) {
        self.samples = self.samples.saturating_add(1);
        let (kept, weight) = (1.0 - INTERCEPT_GAIN, self.weight(tokens));
        self.idle.weight = kept * self.idle.weight + weight;
        self.idle.seconds = kept * self.idle.seconds + weight * self.beside(waited, tokens);
        self.intercept = self.idle.seconds / self.idle.weight;
    }

    /// How much a whole answer of so many tokens says of what goes by beside them. Few tokens tell soon, too: of the
    /// queue of now.
    pub(super) fn weight(&self, tokens: f64) -> f64 {
        let seconds = self.slope * tokens / HALF_WEIGHT_SECONDS;
        1.0 / (1.0 + seconds * seconds)
    }

    /// What an idle server takes beside the tokens of a whole answer, if it is known what those take.
    pub(super) fn beside_tokens(&self) -> Option<f64> {
        self.has_slope().then(|| self.intercept.max(0.0))
    }

    /// Seconds that so many tokens take.
    pub(super) fn token_seconds(&self, tokens: f64) -> f64 {
        self.slope * tokens
    }

    /// What is left of a wait beside its tokens.
    pub(super) fn beside(&self, waited: f64, tokens: f64) -> f64 {
        waited - self.token_seconds(tokens)
    }

    /// Whether it is known what a token takes.
    pub(super) fn has_slope(&self) -> bool {
        self.slope > 0.0
    }

    /// A sample for the slope alone. The line turns around its value at `mean_tokens`, which stays.
    pub(super) fn fit(&mut self, waited: f64, tokens: f64, mean_tokens: f64) {
        let slope = self.slope;
        self.fit_weighed(waited, tokens, 1.0);
        self.intercept += (slope - self.slope) * mean_tokens;
    }

    fn fit_weighed(&mut self, waited: f64, tokens: f64, weight: f64) {
        let old = self.sums;
        let sums = Sums {
            count: old.count * FORGET + 1.0,
            weight: old.weight * FORGET + weight,
            x: old.x * FORGET + weight * tokens,
            y: old.y * FORGET + weight * waited,
            xx: old.xx * FORGET + weight * tokens * tokens,
            xy: old.xy * FORGET + weight * tokens * waited,
        };
        self.sums = sums;
        let variance = sums.weight * sums.xx - sums.x * sums.x;
        if sums.count > SLOPE_SAMPLES_MIN && variance > VARIANCE_MIN * sums.weight * sums.xx {
            self.slope = ((sums.weight * sums.xy - sums.x * sums.y) / variance).max(0.0);
        }
    }

    /// Moves the line so that attempts of `tokens` on the mean took `waited`; returns the base time at
    /// `mean_tokens`.
    pub(super) fn set(&mut self, waited: f64, tokens: f64, mean_tokens: f64) -> f64 {
        let seconds = (waited + self.slope * (mean_tokens - tokens)).max(0.0);
        self.intercept = seconds - self.slope * mean_tokens;
        self.idle.seconds = self.idle.weight * self.intercept;
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_the_mean_and_what_a_token_costs() {
        let mut base = Base::default();
        for step in 0..500_u32 {
            let tokens = f64::from(step * 37 % 900);
            let jitter = if step % 2 == 0 { 0.02 } else { -0.02 };
            base.sample(0.1 + 0.0005 * tokens + jitter, tokens, 450.0);
        }
        assert!((base.seconds(0.0) - 0.1).abs() < 0.01, "{base:?}");
        assert!((base.seconds(2_000.0) - 1.1).abs() < 0.05, "{base:?}");
    }

    #[test]
    fn never_takes_longer_prompts_for_faster_ones() {
        let mut base = Base::default();
        (0..100_u32).for_each(|step| base.sample(1.0 - 0.005 * f64::from(step), f64::from(step), 50.0));
        assert!(base.seconds(0.0) <= base.seconds(1_000.0));
    }

    #[test]
    fn whole_answers_tell_what_goes_by_beside_their_tokens_the_more_the_fewer_these_are() {
        let mut base = Base::default();
        // Long ones differ by three seconds among themselves.
        for step in 0..200_u32 {
            let tokens = f64::from(5 + step * 37 % 400);
            let pace = 0.030 + if step % 2 == 0 { 0.004 } else { -0.004 };
            base.pace(0.1 + pace * tokens, tokens);
            base.remainder(0.1 + pace * tokens, tokens);
        }
        assert!(base.beside_tokens().is_some_and(|beside| (beside - 0.1).abs() < 0.05), "{base:?}");
        assert!(base.weight(0.0) > 0.99 && base.weight(67.0) < 0.6 && base.weight(800.0) < 0.01);
    }

    #[test]
    fn what_a_token_takes_is_followed_where_all_answers_are_long() {
        let mut base = Base::default();
        for step in 0..800_u32 {
            let (tokens, pace) = (f64::from(600 + step * 37 % 400), if step < 200 { 0.02 } else { 0.04 });
            base.pace(0.1 + pace * tokens, tokens);
        }
        assert!((base.token_seconds(1.0) - 0.04).abs() < 0.004, "{base:?}");
    }

    #[test]
    fn a_probe_moves_the_line_up_or_down() {
        let mut base = Base::default();
        (0..50_u32).for_each(|step| base.sample(0.1 + 0.001 * f64::from(step), f64::from(step), 25.0));
        assert!((base.set(0.5, 0.0, 25.0) - 0.525).abs() < 0.01);
        assert!((base.seconds(25.0) - 0.525).abs() < 0.01);
    }
}
