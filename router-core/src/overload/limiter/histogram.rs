//! Percentiles of durations in fixed memory: 32 buckets for each doubling, so a percentile is right to 2 %.
//! Envoy's own histogram has 90 buckets for each factor of ten, which is as fine.

/// log2 of the buckets for each doubling.
const FINENESS: u32 = 5;

/// Doublings covered, from a microsecond to 19 hours.
const DOUBLINGS: usize = 36;

const BUCKETS: usize = DOUBLINGS << FINENESS;

/// Shortest duration told apart, in seconds: 2^-20.
const SHORTEST: f64 = 1.0 / 1_048_576.0;

/// Bits of an `f64` below its exponent.
const MANTISSA_BITS: u32 = 52;

/// Counts of durations by size.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: Box<[u32]>,
    total: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0 }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, seconds: f64) {
        if let Some(count) = self.counts.get_mut(bucket(seconds)) {
            *count += 1;
            self.total += 1;
        }
    }

    pub(super) fn total(&self) -> u32 {
        self.total
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The value that `ratio` (0 to 1) of the durations do not pass, in seconds; `None` without any.
    pub(super) fn percentile(&self, ratio: f64) -> Option<f64> {
        let wanted = (f64::from(self.total) * ratio.clamp(0.0, 1.0)).ceil().max(1.0);
        let mut passed = 0;
        for (index, count) in self.counts.iter().enumerate() {
            passed += count;
            if f64::from(passed) >= wanted {
                return Some((lower_edge(index) + lower_edge(index + 1)) / 2.0);
            }
        }
        None
    }
}

/// The exponent and the first bits of the mantissa, read as one number, grow with the logarithm.
fn bucket(seconds: f64) -> usize {
    let steps = seconds.max(SHORTEST).to_bits() >> (MANTISSA_BITS - FINENESS);
    let first = SHORTEST.to_bits() >> (MANTISSA_BITS - FINENESS);
    usize::try_from(steps - first).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

fn lower_edge(bucket: usize) -> f64 {
    let first = SHORTEST.to_bits() >> (MANTISSA_BITS - FINENESS);
    f64::from_bits((first + bucket as u64) << (MANTISSA_BITS - FINENESS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_two_percent() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|step| histogram.add(f64::from(step) / 1_000.0));
        for (ratio, expected) in [(0.5, 5.0), (0.9, 9.0), (0.99, 9.9)] {
            let found = histogram.percentile(ratio).unwrap();
            assert!((found / expected - 1.0).abs() < 0.02, "{found} for {expected}");
        }
        histogram.clear();
        assert_eq!((histogram.percentile(0.5), histogram.total()), (None, 0));
    }

    #[test]
    fn what_is_out_of_range_goes_to_the_ends() {
        let mut histogram = Histogram::default();
        [0.0, -1.0, f64::NAN, 1e12].into_iter().for_each(|seconds| histogram.add(seconds));
        assert_eq!(histogram.total(), 4);
        assert!(histogram.percentile(0.5).unwrap() < 1e-5);
        assert!(histogram.percentile(1.0).unwrap() > 3_600.0);
    }
}
