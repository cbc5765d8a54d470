//! Envoy's adaptive concurrency (`gradient_controller.cc`), with its fields, defaults and manners: the limit
//! follows the ratio of the response time of an idle server to that of now.
//!
//! ```text
//! gradient = clamp(min_rtt · (1 + buffer) / sample_rtt, 0.5, 2)
//! limit    = clamp(limit · gradient + sqrt(limit · gradient), min_concurrency, max_concurrency_limit)
//! ```
//!
//! `sample_rtt` is a percentile of the last interval's response times. `min_rtt` is measured anew every so
//! often: the limit is then pinned to `min_concurrency` until enough answers *that began since* have ended.
//! With answers of a language model, which last as long as they are long, both are wrong: in simulation it
//! keeps 16 to 20 % of what a fixed limit attains, and 35 % at half the load, where nothing needs limiting.
//! Here for those who come from Envoy.

use std::time::Duration;

use super::counted::{Ended, Rule};
use super::histogram::Histogram;
use super::{End, places};

/// After so many intervals at the smallest limit the measured `min_rtt` is doubted, and measured again.
const MINIMUM_RUN: u32 = 5;

/// Settings of [`Algorithm::Gradient`](super::Algorithm::Gradient), named as Envoy names them. Where Envoy has no
/// default, its documentation's example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientSettings {
    /// Which percentile of the response times stands for all of them, as a ratio (0.5 is the median).
    pub sample_aggregate_percentile: f64,
    /// Largest limit.
    pub max_concurrency_limit: u32,
    /// How often the limit is computed.
    pub concurrency_update_interval: Duration,
    /// How the response time of an idle server is known.
    pub min_rtt: MinRtt,
    /// Smallest limit, and the one at which an idle server is measured.
    pub min_concurrency: u32,
    /// How far the response time may lie above an idle server's, as a ratio of it.
    pub buffer: f64,
}

/// How the response time of an idle server is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MinRtt {
    /// It is measured.
    Measured {
        /// How long a measurement counts.
        interval: Duration,
        /// Answers that make a measurement.
        request_count: u32,
        /// The interval is longer by a random share of up to this ratio.
        jitter: f64,
    },
    /// It is given.
    Fixed(Duration),
}

impl Default for GradientSettings {
    fn default() -> Self {
        let interval = Duration::from_secs(60);
        Self {
            sample_aggregate_percentile: 0.5,
            max_concurrency_limit: 1_000,
            concurrency_update_interval: Duration::from_millis(100),
            min_rtt: MinRtt::Measured { interval, request_count: 50, jitter: 0.15 },
            min_concurrency: 3,
            buffer: 0.25,
        }
    }
}

/// A limit that follows the ratio of an idle server's response time to that of now.
#[derive(Debug)]
pub(super) struct Gradient {
    settings: GradientSettings,
    limit: u32,
    min_rtt: f64,
    phase: Phase,
    samples: Histogram,
    /// Answers to attempts that started before it do not count.
    epoch: f64,
    /// Intervals in a row that ended at the smallest limit.
    minimum_run: u32,
    random: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// An idle server's response time is being measured; the limit that was in force comes back afterwards.
    Measuring { deferred: u32 },
    /// The limit follows; when it is next computed, and when the measurement is next repeated.
    Following { update: f64, measure: f64 },
}

impl Gradient {
    /// Starts with a measurement, or, with a fixed `min_rtt`, at the smallest limit. `seed` is for the
    /// jitter.
    pub(super) fn new(settings: GradientSettings, seed: u64) -> Self {
        let limit = settings.min_concurrency;
        let (phase, min_rtt) = match settings.min_rtt {
            MinRtt::Measured { .. } => (Phase::Measuring { deferred: limit }, 0.0),
            MinRtt::Fixed(min_rtt) => {
                (Phase::Following { update: 0.0, measure: f64::INFINITY }, min_rtt.as_secs_f64())
            }
        };
        let samples = Histogram::default();
        Self { settings, limit, min_rtt, phase, samples, epoch: 0.0, minimum_run: 0, random: seed }
    }

    fn follow(&mut self, now: f64, sample_rtt: f64) {
        let GradientSettings { min_concurrency, max_concurrency_limit, buffer, .. } = self.settings;
        let gradient = (self.min_rtt * (1.0 + buffer) / sample_rtt).clamp(0.5, 2.0);
        let limit = f64::from(self.limit) * gradient;
        let new = places(limit + limit.sqrt()).min(max_concurrency_limit).max(min_concurrency);
        let at_minimum = self.limit == min_concurrency && new == min_concurrency;
        self.minimum_run = if at_minimum { self.minimum_run + 1 } else { 0 };
        self.limit = new;
        let measured = matches!(self.settings.min_rtt, MinRtt::Measured { .. });
        if let Phase::Following { measure, .. } = &mut self.phase
            && measured
            && self.minimum_run >= MINIMUM_RUN
        {
            *measure = now;
        }
    }

    /// The percentile of the samples, which are then forgotten.
    fn aggregate(&mut self) -> Option<f64> {
        let aggregate = self.samples.percentile(self.settings.sample_aggregate_percentile);
        self.samples.clear();
        aggregate
    }

    /// 0 to 1, by splitmix64.
    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Rule for Gradient {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn learn(&mut self, now: f64, ended: &Ended) {
        if !matches!(ended.end, End::Whole { .. }) || ended.started < self.epoch {
            return;
        }
        self.samples.add(ended.took);
        let (Phase::Measuring { deferred }, MinRtt::Measured { interval, request_count, jitter }) =
            (self.phase, self.settings.min_rtt)
        else {
            return;
        };
        if self.samples.total() >= request_count {
            self.min_rtt = self.aggregate().unwrap_or(ended.took);
            self.limit = deferred;
            self.minimum_run = 0;
            let stretch = 1.0 + jitter * self.random();
            self.phase = Phase::Following {
                update: now + self.settings.concurrency_update_interval.as_secs_f64(),
                measure: now + interval.as_secs_f64() * stretch,
            };
        }
    }

    fn advance(&mut self, now: f64) {
        let Phase::Following { update, measure } = self.phase else { return };
        if now >= measure {
            self.phase = Phase::Measuring { deferred: self.limit };
            self.limit = self.settings.min_concurrency;
            self.minimum_run = 0;
            self.samples.clear();
            self.epoch = now;
        } else if now >= update {
            let update = now + self.settings.concurrency_update_interval.as_secs_f64();
            self.phase = Phase::Following { update, measure };
            if let Some(sample_rtt) = self.aggregate() {
                self.follow(now, sample_rtt);
            }
        }
    }
}
