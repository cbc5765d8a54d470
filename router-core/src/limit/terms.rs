//! What a quota allows, as the cells work with it.

use std::time::Duration;

use crate::config::Quota;

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Calls over time.
    Requests,
    /// Tokens over time, of prompts and answers.
    Tokens,
    /// Calls at a time.
    Concurrency,
}

/// So many units in so much time, and a bucket for those who come at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    ns_per_unit: f64,
    bucket_ns: u64,
    bucket: u64,
}

/// What a quota allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Calls over time.
    pub requests: Option<Rate>,
    /// Tokens over time: the bucket is what one minute brings.
    pub tokens: Option<Rate>,
    /// Calls at a time.
    pub concurrent: Option<u32>,
    /// Whether who exceeds it is refused; else it is only counted.
    pub enforce: bool,
}

impl Kind {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Tokens, Self::Concurrency];

    /// The word for it in metrics and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Concurrency => "concurrency",
        }
    }
}

impl Rate {
    /// `units` each `time`, and at most `bucket` at once. All three are above zero; a bucket of less than one unit is
    /// one unit.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "such casts saturate, at 0 too"
    )]
    pub fn new(units: f64, time: Duration, bucket: f64) -> Self {
        let ns_per_unit = (time.as_secs_f64() * 1e9 / units).max(NS_PER_UNIT_MIN);
        let bucket = bucket.max(1.0).floor();
        Self { ns_per_unit, bucket_ns: (bucket * ns_per_unit) as u64, bucket: bucket as u64 }
    }

    /// Most units at once.
    #[must_use]
    pub const fn bucket(&self) -> u64 {
        self.bucket
    }

    /// The time in which an empty bucket fills.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.bucket_ns)
    }

    /// Units that come back in a second, to the nearest whole one.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "such casts saturate, at 0 too"
    )]
    pub fn units_per_second(&self) -> u64 {
        (1e9 / self.ns_per_unit).round() as u64
    }

    pub(super) const fn bucket_ns(&self) -> u64 {
        self.bucket_ns
    }

    /// The time in which so many units come back; rounded down, so that as many fit a bucket as it is said to hold.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "such casts saturate, at 0 too"
    )]
    pub(super) fn cost_ns(&self, units: u32) -> u64 {
        (f64::from(units) * self.ns_per_unit) as u64
    }

    /// The units that come back in so much time.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "such casts saturate, and what is lost is less than a unit"
    )]
    pub(super) fn whole_units(&self, ns: u64) -> u64 {
        // The last nanosecond may have been lost to rounding.
        ((ns.saturating_add(1) as f64 / self.ns_per_unit) as u64).min(self.bucket)
    }

    /// The time in which as many units come back as at the rate `before` in `ns`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "such casts saturate, and what is lost is less than a unit"
    )]
    pub(super) fn scaled_ns(&self, before: &Self, ns: u64) -> u64 {
        (ns as f64 / before.ns_per_unit * self.ns_per_unit) as u64
    }
}

impl Terms {
    /// Those of no quota: everything is allowed, and nothing counted.
    pub const NONE: Self = Self { requests: None, tokens: None, concurrent: None, enforce: false };

    /// Those of a quota as it is configured.
    #[must_use]
    pub fn of(quota: &Quota) -> Self {
        let tokens = quota.tokens_per_minute.map(f64::from);
        Self {
            requests: quota.requests.map(|requests| {
                Rate::new(requests.per_second, Duration::from_secs(1), f64::from(requests.burst))
            }),
            tokens: tokens.map(|tokens| Rate::new(tokens, Duration::from_secs(60), tokens)),
            concurrent: quota.concurrent,
            enforce: quota.enforce,
        }
    }
}

/// Faster than a nanosecond for each unit is no limit that a clock could keep.
const NS_PER_UNIT_MIN: f64 = 1.0;
