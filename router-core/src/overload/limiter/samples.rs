//! What was measured in the last seconds: how many first tokens (or answers), how long they took, how large
//! they were. Kept in buckets of a tenth of a second, so that the memory does not grow with the rate.

use std::collections::VecDeque;

/// One bucket holds what came within this long of its first sample: fine enough that the window's edge is
/// known to 2 % of it, and 10 s of it are a hundred buckets at any rate.
const BUCKET_SECONDS: f64 = 0.1;

/// The window is stretched back, but never further than this: older samples say nothing of now.
const STRETCH_SECONDS: f64 = 10.0;

/// The window is stretched back until it holds so many samples: the mean of fewer swings by more than a
/// quarter.
const SAMPLES_MIN: u32 = 16;

/// After the first sample of all the window is for so long no shorter than [`COLD_WINDOW_SECONDS`]: what had waited for
/// a server that was dead is served all at once, and is no rate.
const COLD_SECONDS: f64 = 30.0;
const COLD_WINDOW_SECONDS: f64 = 5.0;

/// The shortest span that a rate is computed over.
const SPAN_MIN_SECONDS: f64 = 0.1;

/// Buckets that can begin within the longest window, and one that is being filled.
const BUCKETS_MAX: usize = 102;

const NANOS: f64 = 1e9;

const MILLION: f64 = 1e6;

/// One measured attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Seconds that it waited.
    pub(super) waited: f64,
    /// Tokens that the time depends on: of the prompt for first tokens, of the answer for whole answers.
    pub(super) tokens: u32,
    /// Whether the wait was measured; otherwise it is only known to have ended by now.
    pub(super) measured: bool,
    /// How much it says of what goes by beside its tokens, up to 1.
    pub(super) weight: f64,
}

impl Sample {
    /// A wait that was measured, and that says as much as any other.
    pub(super) fn measured(waited: f64, tokens: u32) -> Self {
        Self { waited, tokens, measured: true, weight: 1.0 }
    }

    /// A wait that has ended by now.
    pub(super) fn ended(waited: f64, tokens: u32) -> Self {
        Self { waited, tokens, measured: false, weight: 0.0 }
    }
}

/// The samples of the last seconds, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Summary {
    pub(super) count: u32,
    /// Samples per second.
    pub(super) rate: f64,
    /// Mean wait of the measured ones in seconds.
    pub(super) waited: Option<f64>,
    /// Mean wait of all of them in seconds.
    pub(super) waited_all: Option<f64>,
    /// Mean tokens.
    pub(super) tokens: Option<f64>,
    /// Mean wait and mean tokens, of each as much as it weighs.
    pub(super) weighed: Option<(f64, f64)>,
}

/// Times are whole nanoseconds, so that taking a bucket out again leaves no rounding behind.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    first: f64,
    last: f64,
    count: u32,
    measured: u32,
    waited_nanos: u64,
    measured_nanos: u64,
    tokens: u64,
    weighed: Weighed,
}

/// Weights, and what they weigh, in millionths.
#[derive(Clone, Copy, Debug, Default)]
struct Weighed {
    weight: u64,
    waited: u64,
    tokens: u64,
}

/// The samples of the last seconds, stretched back to ten while they are fewer than sixteen.
#[derive(Debug)]
pub(super) struct Samples {
    buckets: VecDeque<Bucket>,
    total: Bucket,
    /// Since when there has been anything to measure.
    began: Option<f64>,
    /// The first sample of all.
    first: Option<f64>,
}

impl Samples {
    pub(super) fn new() -> Self {
        let buckets = VecDeque::with_capacity(BUCKETS_MAX);
        Self { buckets, total: Bucket::default(), began: None, first: None }
    }

    /// Notes that something is under way again, from which a sample may come: after a pause rates count from
    /// here.
    pub(super) fn expect(&mut self, now: f64) {
        if self.buckets.back().is_none_or(|newest| now - newest.last > STRETCH_SECONDS) {
            self.began = Some(now);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of u64"
    )]
    pub(super) fn add(&mut self, now: f64, sample: Sample) {
        let nanos = (sample.waited * NANOS).clamp(0.0, 1e15) as u64;
        let one = Bucket {
            first: now,
            last: now,
            count: 1,
            measured: u32::from(sample.measured),
            waited_nanos: nanos,
            measured_nanos: if sample.measured { nanos } else { 0 },
            tokens: u64::from(sample.tokens),
            weighed: Weighed::new(&sample),
        };
        self.total.add(&one);
        self.first.get_or_insert(now);
        match self.buckets.back_mut() {
            Some(bucket) if now - bucket.first < BUCKET_SECONDS => bucket.add(&one),
            _ => {
                if self.buckets.len() >= BUCKETS_MAX {
                    self.drop_oldest();
                }
                self.buckets.push_back(one);
            }
        }
    }

    /// Forgets what is older than a window of so many seconds and adds up the rest.
    pub(super) fn summary(&mut self, now: f64, window: f64) -> Summary {
        let cold = self.first.is_some_and(|first| now - first < COLD_SECONDS);
        let window = if cold { window.max(COLD_WINDOW_SECONDS) } else { window };
        while let Some(oldest) = self.buckets.front() {
            let enough = self.total.count - oldest.count >= SAMPLES_MIN;
            let age = now - oldest.last;
            if age <= window || (age <= STRETCH_SECONDS.max(window) && !enough) {
                break;
            }
            self.drop_oldest();
        }
        let total = &self.total;
        let since_began = self.began.map_or(f64::INFINITY, |began| now - began).max(SPAN_MIN_SECONDS);
        let reach = self.buckets.front().map_or(window, |oldest| (now - oldest.first).max(window));
        Summary {
            count: total.count,
            rate: f64::from(total.count) / reach.min(since_began),
            waited: mean(total.measured_nanos as f64 / NANOS, total.measured),
            waited_all: mean(total.waited_nanos as f64 / NANOS, total.count),
            tokens: mean(total.tokens as f64, total.count),
            weighed: total.weighed.means(),
        }
    }

    /// Starts anew.
    pub(super) fn reset(&mut self, now: f64) {
        self.buckets.clear();
        self.total = Bucket::default();
        self.began = Some(now);
        self.first = None;
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.buckets.pop_front() {
            self.total.count -= oldest.count;
            self.total.measured -= oldest.measured;
            self.total.waited_nanos -= oldest.waited_nanos;
            self.total.measured_nanos -= oldest.measured_nanos;
            self.total.tokens -= oldest.tokens;
            self.total.weighed.weight -= oldest.weighed.weight;
            self.total.weighed.waited -= oldest.weighed.waited;
            self.total.weighed.tokens -= oldest.weighed.tokens;
        }
    }
}

impl Bucket {
    fn add(&mut self, other: &Self) {
        self.last = other.last;
        self.count += other.count;
        self.measured += other.measured;
        self.waited_nanos += other.waited_nanos;
        self.measured_nanos += other.measured_nanos;
        self.tokens += other.tokens;
        self.weighed.weight += other.weighed.weight;
        self.weighed.waited += other.weighed.waited;
        self.weighed.tokens += other.weighed.tokens;
    }
}

impl Weighed {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the range of u64")]
    fn new(sample: &Sample) -> Self {
        let millionths = |value: f64| (value * sample.weight * MILLION).clamp(0.0, 1e15) as u64;
        Self {
            weight: millionths(1.0),
            waited: millionths(sample.waited),
            tokens: millionths(f64::from(sample.tokens)),
        }
    }

    fn means(&self) -> Option<(f64, f64)> {
        let mean = |sum: u64| sum as f64 / self.weight as f64;
        (self.weight > 0).then(|| (mean(self.waited), mean(self.tokens)))
    }
}

fn mean(sum: f64, count: u32) -> Option<f64> {
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// The rule by the letter, with every sample kept.
    fn exact(all: &[(f64, f64)], now: f64, window: f64) -> (f64, f64) {
        let kept: Vec<_> = all.iter().filter(|(at, _)| now - at <= STRETCH_SECONDS).collect();
        let recent = kept.iter().filter(|(at, _)| now - at <= window).count();
        let kept = &kept[kept.len() - recent.max(kept.len().min(SAMPLES_MIN as usize))..];
        let span = kept.first().map_or(window, |(at, _)| (now - at).max(window));
        let mean = kept.iter().map(|(_, waited)| waited).sum::<f64>() / kept.len() as f64;
        (kept.len() as f64 / span, mean)
    }

    #[test]
    fn buckets_tell_the_same_as_every_sample_kept() {
        for (rate, tolerance) in [(0.5, 1e-6), (2.0, 0.08), (30.0, 0.03), (2_000.0, 0.02)] {
            let mut random = SmallRng::seed_from_u64(7);
            let (mut samples, mut all, mut now, mut ticked) = (Samples::new(), Vec::new(), 0.0, 0.0);
            samples.expect(now);
            while now < 40.0 {
                now += -(1.0 - random.random::<f64>()).ln() / rate;
                let waited = random.random::<f64>();
                samples.add(now, Sample::measured(waited, 1));
                all.push((now, waited));
                if now > 15.0 && now - ticked > 0.3 {
                    ticked = now;
                    let (summary, (rate, mean)) = (samples.summary(now, 5.0), exact(&all, now, 5.0));
                    assert!((summary.rate / rate - 1.0).abs() <= tolerance, "{} for {rate}", summary.rate);
                    assert!((summary.waited.unwrap() / mean - 1.0).abs() <= 2.0 * tolerance);
                }
            }
            assert!(samples.buckets.len() <= BUCKETS_MAX);
        }
    }

    #[test]
    fn memory_is_bounded_even_if_nobody_asks() {
        let mut samples = Samples::new();
        for step in 0..100_000 {
            samples.add(f64::from(step) * 0.03, Sample::measured(1.0, 3));
        }
        assert!(samples.buckets.capacity() < 2 * BUCKETS_MAX);
        let summary = samples.summary(3_000.0, 5.0);
        assert!((summary.rate - 33.3).abs() < 1.0, "{}", summary.rate);
        assert_eq!((summary.waited, summary.tokens), (Some(1.0), Some(3.0)));
    }

    #[test]
    fn a_few_samples_stretch_the_window_to_ten_seconds_and_no_further() {
        let mut samples = Samples::new();
        samples.expect(0.0);
        for at in [1.0, 2.0, 9.0] {
            samples.add(at, Sample::measured(at, 0));
        }
        assert_eq!(samples.summary(10.0, 5.0).count, 3);
        assert_eq!(samples.summary(11.5, 5.0).count, 2);
        assert_eq!(samples.summary(30.0, 5.0), Summary::default());
    }

    #[test]
    fn after_a_pause_the_rate_counts_from_the_first_attempt() {
        let mut samples = Samples::new();
        samples.add(1.0, Sample::measured(9.0, 0));
        samples.expect(100.0);
        for step in 0..20 {
            samples.add(100.0 + f64::from(step) * 0.05, Sample::measured(0.1, 0));
        }
        assert!((samples.summary(101.0, 5.0).rate - 20.0).abs() < 0.1);
    }

    #[test]
    fn an_estimated_wait_counts_in_the_rate_but_not_in_the_mean() {
        let mut samples = Samples::new();
        samples.add(1.0, Sample::measured(1.0, 0));
        samples.add(1.0, Sample::ended(3.0, 0));
        let summary = samples.summary(2.0, 5.0);
        assert_eq!((summary.count, summary.waited, summary.waited_all), (2, Some(1.0), Some(2.0)));
    }

    #[test]
    fn what_weighs_less_counts_less_and_leaves_nothing_behind() {
        let mut samples = Samples::new();
        samples.add(1.0, Sample { weight: 0.25, ..Sample::measured(5.0, 100) });
        samples.add(1.0, Sample::measured(1.0, 20));
        samples.add(1.0, Sample::ended(9.0, 900));
        assert_eq!(samples.summary(2.0, 5.0).weighed, Some((1.8, 36.0)));
        assert_eq!(samples.summary(30.0, 5.0).weighed, None);
    }
}
