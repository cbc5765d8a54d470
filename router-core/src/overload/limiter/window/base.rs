//! What does the endpoint take without a queue of its own? A mean, fitted over the tokens that it depends on:
//! `s0 = a + b · tokens`. A mean and not a low percentile, because Little's law needs the mean: all jitter
//! above a low percentile would be taken for queueing.

/// How much each older sample counts less in the slope: the last hundred or so make it.
const FORGET: f64 = 0.99;

/// Weight of samples before the slope is believed.
const SLOPE_WEIGHT_MIN: f64 = 15.0;

/// Least variance of the tokens, relative to their mean square, that a slope can be read from.
const VARIANCE_MIN: f64 = 1e-6;

/// Gain of the intercept once it is warm: half of it is from the last 35 samples.
const INTERCEPT_GAIN: f64 = 0.02;

/// The base time as a line over tokens, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Base {
    intercept: f64,
    slope: f64,
    samples: u32,
    sums: Sums,
}

/// Weighted sums of a least-squares line: weight, tokens x, seconds y.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    weight: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
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
        self.remainder(waited, tokens);
    }

    /// A whole answer, of a busy server or an idle one: what a token takes *now*. What an answer takes beside its
    /// tokens stays as it was learned.
    pub(super) fn pace(&mut self, waited: f64, tokens: f64) {
        self.fit(waited, tokens, 0.0);
    }

    /// A whole answer of an idle server: what it took beside its tokens.
    pub(super) fn remainder(&mut self, waited: f64, tokens: f64) {
        self.samples = self.samples.saturating_add(1);
        let gain = (1.0 / f64::from(self.samples)).max(INTERCEPT_GAIN);
        self.intercept += gain * (self.beside(waited, tokens) - self.intercept);
    }

    /// What is left of a wait beside its tokens.
    pub(super) fn beside(&self, waited: f64, tokens: f64) -> f64 {
        waited - self.slope * tokens
    }

    /// Whether it is known what a token takes.
    pub(super) fn has_slope(&self) -> bool {
        self.slope > 0.0
    }

    /// A sample for the slope alone. The line turns around its value at `mean_tokens`, which stays.
    pub(super) fn fit(&mut self, waited: f64, tokens: f64, mean_tokens: f64) {
        let old = self.sums;
        let sums = Sums {
            weight: old.weight * FORGET + 1.0,
            x: old.x * FORGET + tokens,
            y: old.y * FORGET + waited,
            xx: old.xx * FORGET + tokens * tokens,
            xy: old.xy * FORGET + tokens * waited,
        };
        self.sums = sums;
        let variance = sums.weight * sums.xx - sums.x * sums.x;
        if sums.weight > SLOPE_WEIGHT_MIN && variance > VARIANCE_MIN * sums.weight * sums.xx {
            let slope = ((sums.weight * sums.xy - sums.x * sums.y) / variance).max(0.0);
            self.intercept += (self.slope - slope) * mean_tokens;
            self.slope = slope;
        }
    }

    /// Moves the line so that attempts of `tokens` on the mean took `waited`; returns the base time at
    /// `mean_tokens`.
    pub(super) fn set(&mut self, waited: f64, tokens: f64, mean_tokens: f64) -> f64 {
        let seconds = (waited + self.slope * (mean_tokens - tokens)).max(0.0);
        self.intercept = seconds - self.slope * mean_tokens;
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
    fn a_probe_moves_the_line_up_or_down() {
        let mut base = Base::default();
        (0..50_u32).for_each(|step| base.sample(0.1 + 0.001 * f64::from(step), f64::from(step), 25.0));
        assert!((base.set(0.5, 0.0, 25.0) - 0.525).abs() < 0.01);
        assert!((base.seconds(25.0) - 0.525).abs() < 0.01);
    }
}
