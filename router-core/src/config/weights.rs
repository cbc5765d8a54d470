//! Weights as people write them (0.6) and as Weir counts them (600000 of a million). Integers add up exactly
//! and in every order, so a route's shares cannot drift apart from what its file says.

use super::WEIGHT_SUM;
use super::problem::{Complaint, shown};

/// Weights are read in billionths, three digits finer than they are kept, so that rounding comes last.
pub(super) const WRITTEN_SUM: u64 = 1_000_000_000;
/// How far the weights of a route may miss 1: three thirds of six digits do.
pub(super) const TOLERANCE: u64 = 1_000;

/// Reads a ratio from 0 to 1, in billionths.
pub(super) fn ratio(text: &str) -> Result<u64, Complaint> {
    let wanted = "a weight is a number from 0 to 1, as in 0.6";
    let number = number(text)
        .ok_or_else(|| Complaint::new(format!("expected a number, found {}", shown(text))).help(wanted))?;
    if !(0.0..=1.0).contains(&number) {
        return Err(Complaint::new(format!("{} is not between 0 and 1", shown(text))).help(wanted));
    }
    let written = in_parts(number);
    if number > 0.0 && written < WRITTEN_SUM / u64::from(WEIGHT_SUM) {
        return Err(Complaint::new(format!("{} is too small to count", shown(text)))
            .help("the smallest weight above 0 is 0.000001"));
    }
    Ok(written)
}

/// Reads a weight from 0 to 1 by the rules of the file, in millionths, for what operators ask for at run time.
///
/// # Errors
///
/// One line that says what would be right.
pub fn parse_weight(text: &str) -> Result<u32, String> {
    let written = ratio(text).map_err(|complaint| complaint.to_string())?;
    // Rounded, as those of a file are.
    let unit = WRITTEN_SUM / u64::from(WEIGHT_SUM);
    Ok(u32::try_from((written + unit / 2) / unit).unwrap_or(WEIGHT_SUM))
}

/// A weight in millionths as people write it: 600000 is `0.6`.
#[must_use]
pub fn render_weight(millionths: u32) -> String {
    decimal(millionths.into(), 6)
}

/// A decimal number; `NaN` and infinities, which Rust would read, are none.
pub(super) fn number(text: &str) -> Option<f64> {
    let decimal = text.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    text.parse::<f64>().ok().filter(|number| decimal && number.is_finite())
}

/// Divides [`WEIGHT_SUM`] in the proportions of `written`, exactly: every share is rounded down and what is
/// left over goes to the largest remainders, the earlier of equal ones first. All zero if `written` is.
///
/// # Example
///
/// 6 : 3 : 2 gives 545454.54…, 272727.27… and 181818.18…; the one left over goes to the first: 545455, 272727
/// and 181818.
pub(super) fn shares(written: &[u64]) -> Vec<u32> {
    divide(WEIGHT_SUM, written)
}

/// The same for another `total`.
pub(crate) fn divide(total: u32, written: &[u64]) -> Vec<u32> {
    let sum: u128 = written.iter().map(|&part| u128::from(part)).sum();
    if sum == 0 {
        return vec![0; written.len()];
    }
    let scaled = |part: u64| u128::from(part) * u128::from(total);
    let mut shares: Vec<u32> =
        written.iter().map(|&part| u32::try_from(scaled(part) / sum).unwrap_or(total)).collect();
    let mut by_remainder: Vec<usize> = (0..written.len()).collect();
    by_remainder.sort_by_key(|&index| std::cmp::Reverse(scaled(written[index]) % sum));
    let left_over = total - shares.iter().sum::<u32>();
    for (_, index) in (0..left_over).zip(by_remainder) {
        shares[index] += 1;
    }
    debug_assert_eq!(shares.iter().sum::<u32>(), total);
    shares
}

/// Weights of any size as integers in the same proportions.
pub(super) fn in_proportion(weights: &[f64]) -> Vec<u64> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return vec![0; weights.len()];
    }
    weights.iter().map(|weight| in_parts(weight / largest)).collect()
}

/// Why the weights of a route are refused, if they are, with ones that would do.
pub(super) fn sum_complaint(written: &[u64]) -> Option<Complaint> {
    let sum: u64 = written.iter().sum();
    if sum.abs_diff(WRITTEN_SUM) <= TOLERANCE {
        return None;
    }
    let complaint = Complaint::new(format!("weights sum to {} instead of 1", decimal(sum, 9)));
    if sum == 0 {
        return Some(complaint.help("at least one must be above 0"));
    }
    let would_do: Vec<_> = shares(written).into_iter().map(|share| decimal(share.into(), 6)).collect();
    Some(complaint.help(format!("{} would do", would_do.join(", "))))
}

/// `parts` of `10^digits` as a decimal number: 600000 of 10^6 is `0.6`.
fn decimal(parts: u64, digits: u32) -> String {
    let unit = 10_u64.pow(digits);
    let width = digits as usize;
    let text = format!("{}.{:0width$}", parts / unit, parts % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `ratio` in billionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to 10^9 after clamping; a float-to-integer conversion that can fail does not exist"
)]
fn in_parts(ratio: f64) -> u64 {
    (ratio.clamp(0.0, 1.0) * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{in_proportion, number, parse_weight, ratio, render_weight, shares, sum_complaint};
    use crate::config::WEIGHT_SUM;

    fn written(weights: &[&str]) -> Vec<u64> {
        weights.iter().map(|weight| ratio(weight).unwrap()).collect()
    }

    #[test]
    fn shares_add_up_to_the_last_millionth() {
        assert_eq!(shares(&written(&["0.6", "0.2", "0.2"])), [600_000, 200_000, 200_000]);
        assert_eq!(shares(&[6, 3, 2]), [545_455, 272_727, 181_818]);
        assert_eq!(shares(&[1, 1, 1]), [333_334, 333_333, 333_333]);
        assert_eq!(shares(&[0, 5]), [0, WEIGHT_SUM]);
        assert_eq!(shares(&[0, 0]), [0, 0]);
        assert_eq!(shares(&[]), [0_u32; 0]);
    }

    #[test]
    fn a_wrong_sum_names_weights_that_would_do() {
        let told = |weights: &[&str]| sum_complaint(&written(weights)).map(|complaint| complaint.to_string());
        assert_eq!(
            told(&["0.6", "0.3", "0.2"]).as_deref(),
            Some("weights sum to 1.1 instead of 1; 0.545455, 0.272727, 0.181818 would do")
        );
        assert_eq!(told(&["0.5"]).as_deref(), Some("weights sum to 0.5 instead of 1; 1 would do"));
        assert_eq!(
            told(&["0", "0"]).as_deref(),
            Some("weights sum to 0 instead of 1; at least one must be above 0")
        );
        assert_eq!(told(&["0.6", "0.2", "0.2"]), None);
        assert_eq!(told(&["0.333333", "0.333333", "0.333333"]), None, "misses by exactly the tolerance");
        assert!(told(&["0.333332", "0.333333", "0.333333"]).is_some(), "misses by more than the tolerance");
    }

    #[test]
    fn the_tolerance_is_a_millionth_both_ways() {
        for (sum, fits) in
            [(1_000_001_000, true), (1_000_001_001, false), (999_999_000, true), (999_998_999, false)]
        {
            assert_eq!(sum_complaint(&[sum]).is_none(), fits, "{sum}");
        }
    }

    #[test]
    fn what_is_no_weight() {
        for text in ["", "NaN", "nan", "inf", "infinity", "-inf", "1e999", "60%", "1_0", "0x1", "1,0", "half"]
        {
            assert_eq!(number(text), None, "{text}");
            assert!(ratio(text).is_err(), "{text}");
        }
        for text in ["-0.1", "1.1", "1e-7", "2"] {
            assert!(ratio(text).is_err(), "{text}");
        }
        assert_eq!(ratio("1e-6"), Ok(1_000), "JSON writes small numbers so");
    }

    #[test]
    fn weights_are_read_and_written_in_millionths() {
        assert_eq!(parse_weight("0.7"), Ok(700_000));
        assert_eq!(parse_weight("0.3333333"), Ok(333_333));
        for millionths in [0, 1, 700_000, 333_333, WEIGHT_SUM] {
            assert_eq!(parse_weight(&render_weight(millionths)), Ok(millionths));
        }
        assert!(parse_weight("NaN").unwrap_err().contains("a weight is a number from 0 to 1"));
        assert!(parse_weight("1.01").unwrap_err().contains("not between 0 and 1"));
    }

    #[test]
    fn weights_of_any_size_keep_their_proportion() {
        assert_eq!(shares(&in_proportion(&[3.0, 1.0])), [750_000, 250_000]);
        assert_eq!(shares(&in_proportion(&[1e300, 1e300])), [500_000, 500_000]);
        assert_eq!(shares(&in_proportion(&[1e-300, 0.0])), [WEIGHT_SUM, 0]);
    }

    proptest! {
        #[test]
        fn shares_always_sum_exactly(parts in prop::collection::vec(0..=super::WRITTEN_SUM, 1..40)) {
            prop_assume!(parts.iter().any(|&part| part > 0));
            let shares = shares(&parts);
            prop_assert_eq!(shares.iter().sum::<u32>(), WEIGHT_SUM);
            let sum: u128 = parts.iter().map(|&part| u128::from(part)).sum();
            for (part, share) in parts.iter().zip(&shares) {
                let down = u128::from(*part) * u128::from(WEIGHT_SUM) / sum;
                prop_assert!(u128::from(*share) == down || u128::from(*share) == down + 1);
            }
        }

        #[test]
        fn weights_that_would_do_do(parts in prop::collection::vec(0..=super::WRITTEN_SUM, 1..20)) {
            if let Some(help) = sum_complaint(&parts).and_then(|complaint| complaint.help)
                && let Some(list) = help.strip_suffix(" would do")
            {
                let weights: Vec<_> = list.split(", ").map(|weight| ratio(weight).unwrap()).collect();
                prop_assert_eq!(sum_complaint(&weights), None);
            }
        }
    }
}
