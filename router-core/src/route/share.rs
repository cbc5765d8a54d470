//! Does a target get the share that its weight promises? Calls are few and shares are not exact, so only what chance
//! does not explain is a skew.

use crate::config::WEIGHT_SUM;

/// Off by less than this is never called a skew, however many calls there were.
const TOLERATED: f64 = 0.01;
/// So many standard deviations happen by chance in 1 of 370 looks.
const DEVIATIONS: f64 = 3.0;

/// Whether `turns` of `all` calls are off a weight in millionths by more than sampling allows: by three standard
/// deviations of a binomial share, and by at least one percentage point.
///
/// ```text
/// |turns / all − w| > max(3 · √(w · (1 − w) / all), 0.01)
/// ```
///
/// Over a good rotation shares are far closer than that. What skews them is a full target whose turns others take, or
/// calls of an API that a target does not speak.
///
/// # Example
///
/// 560 of 1000 calls for a weight of 0.6 are 0.04 off, and chance allows 0.046; of 2000, chance allows 0.033.
///
/// ```
/// use router_core::route::is_skewed;
/// assert!(!is_skewed(560, 1_000, 600_000));
/// assert!(is_skewed(1_120, 2_000, 600_000));
/// ```
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
pub fn is_skewed(turns: u64, all: u64, weight: u32) -> bool {
    if all == 0 {
        return false;
    }
    let (all, weight) = (all as f64, f64::from(weight) / f64::from(WEIGHT_SUM));
    let chance = DEVIATIONS * (weight * (1.0 - weight) / all).sqrt();
    (turns as f64 / all - weight).abs() > chance.max(TOLERATED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_calls_prove_nothing_and_many_do() {
        assert!(!is_skewed(0, 0, 600_000));
        assert!(!is_skewed(0, 3, 600_000));
        assert!(is_skewed(0, 30, 600_000));
    }

    #[test]
    fn a_percentage_point_is_tolerated_of_any_number() {
        assert!(!is_skewed(609_999, 1_000_000, 600_000));
        assert!(is_skewed(610_001, 1_000_000, 600_000));
        assert!(is_skewed(3, 100, 0), "a target without a weight got calls by turn");
        assert!(!is_skewed(100, 100, WEIGHT_SUM));
    }
}
