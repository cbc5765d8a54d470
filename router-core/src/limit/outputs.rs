//! How long answers are of late: what is reserved for one that has not been made.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The length that nine answers of ten do not exceed, in fixed memory: a histogram with four classes to each doubling
/// of the length, so that what it says is at most a fifth too much. Old answers fade: each minute takes an eighth of
/// their weight, half of it is gone after five.
///
/// It starts as if ten answers of 256 tokens had come. Two that are counted at the same moment as the histogram fades
/// may be lost, which a quantile survives.
///
/// ```
/// use std::time::Duration;
/// use router_core::limit::Outputs;
///
/// let outputs = Outputs::default();
/// assert_eq!(outputs.usual_most(), 256, "before any has come");
/// for tokens in (1..=1000).cycle().take(10_000) {
///     outputs.observe(tokens, Duration::ZERO);
/// }
/// assert!((900..1090).contains(&outputs.usual_most()), "{}", outputs.usual_most());
/// ```
#[derive(Debug)]
pub struct Outputs {
    /// Answers by length, in parts of one.
    weights: [AtomicU32; CLASSES],
    usual_most: AtomicU32,
    /// Minutes that have been taken into account.
    faded_min: AtomicU64,
}

impl Default for Outputs {
    fn default() -> Self {
        let prior = class(PRIOR_TOKENS);
        let weight = |class| AtomicU32::new(if class == prior { PRIOR_ANSWERS * WEIGHT } else { 0 });
        Self {
            weights: std::array::from_fn(weight),
            usual_most: AtomicU32::new(PRIOR_TOKENS),
            faded_min: AtomicU64::new(0),
        }
    }
}

impl Outputs {
    /// Longer answers count as this long: no model makes more in one call.
    pub const TOKENS_MAX: u32 = (1 << 20) - 1;

    /// An answer of so many tokens came to its end.
    pub fn observe(&self, tokens: u32, now: Duration) {
        self.fade(now.as_secs() / 60);
        let weight = &self.weights[class(tokens)];
        // Adding to what is nearly full would begin anew at 0.
        if weight.load(Ordering::Relaxed) < u32::MAX / 2 {
            weight.fetch_add(WEIGHT, Ordering::Relaxed);
        }
        self.usual_most.store(self.quantile(), Ordering::Relaxed);
    }

    /// Tokens that nine answers of ten do not exceed.
    #[must_use]
    pub fn usual_most(&self) -> u32 {
        self.usual_most.load(Ordering::Relaxed)
    }

    fn fade(&self, minute: u64) {
        let before = self.faded_min.fetch_max(minute, Ordering::Relaxed);
        // Whoever moved it on has to do it.
        let Some(minutes) = minute.checked_sub(before).filter(|minutes| *minutes > 0) else { return };
        for weight in &self.weights {
            let faded = (0..minutes.min(FORGOTTEN_MIN))
                .fold(weight.load(Ordering::Relaxed), |weight, _| weight - weight.div_ceil(8));
            weight.store(faded, Ordering::Relaxed);
        }
    }

    fn quantile(&self) -> u32 {
        let weight = |weight: &AtomicU32| u64::from(weight.load(Ordering::Relaxed));
        let all: u64 = self.weights.iter().map(weight).sum();
        if all == 0 {
            return PRIOR_TOKENS;
        }
        let mut above = all / 10;
        for (class, weight) in self.weights.iter().map(weight).enumerate().rev() {
            match above.checked_sub(weight) {
                Some(left) => above = left,
                None => return most(class),
            }
        }
        0
    }
}

/// The class of a length: its highest bit and the two behind it.
const fn class(tokens: u32) -> usize {
    let tokens = if tokens > Outputs::TOKENS_MAX { Outputs::TOKENS_MAX } else { tokens };
    if tokens < 4 {
        return tokens as usize;
    }
    let exponent = tokens.ilog2();
    // 4 is class 4.
    (4 * (exponent as usize - 1)) + (tokens >> (exponent - 2) & 3) as usize
}

/// The longest of a class.
#[expect(clippy::cast_possible_truncation, reason = "there are fewer than a hundred")]
const fn most(class: usize) -> u32 {
    if class < 4 {
        return class as u32;
    }
    let exponent = (class / 4 + 1) as u32;
    let step = 1 << (exponent - 2);
    (1 << exponent) + (class % 4 + 1) as u32 * step - 1
}

const CLASSES: usize = class(Outputs::TOKENS_MAX) + 1;
/// Parts of an answer, so that one can fade.
const WEIGHT: u32 = 64;
/// A page or so.
const PRIOR_TOKENS: u32 = 256;
/// So that the first answers do not decide alone.
const PRIOR_ANSWERS: u32 = 10;
/// After so many minutes nothing is left of however many.
const FORGOTTEN_MIN: u64 = 240;
