//! A bucket that refills with time, as one number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Rate;

/// A bucket that refills with time: the generic cell rate algorithm.
///
/// All of its state is the time at which the bucket is full again, `t`. With `i` the time in which one unit comes back
/// and `b` the time in which an empty bucket fills, a charge of `n` units at `now` is within the rate if
/// `max(t, now) + n·i − now ≤ b`, and moves `t` to `max(t, now) + n·i`. Over any interval a cell lets through at most
/// its bucket plus rate × time, what was given back in it not counted.
///
/// What is given back moves `t` towards the past, and counts only as far as the bucket is not full already: no credit
/// beyond the bucket comes of it.
///
/// # Fed by leases
///
/// Where the rate is kept elsewhere (for several processes together) and handed out in batches, the same cell holds the
/// batch: ask it with a `now` that stands still, so that nothing comes back by itself, and
/// [`give_back`](Self::give_back) each batch as it arrives. What is left of the bucket is then what is
/// left of the lease.
///
/// ```
/// use std::time::Duration;
/// use router_core::limit::{Cell, Rate};
///
/// let (cell, rate) = (Cell::default(), Rate::new(200.0, Duration::from_secs(1), 400.0));
/// let start = Duration::from_secs(5);
/// assert!((0..400).all(|_| cell.take(&rate, 1, start).is_ok()), "the burst");
/// assert_eq!(cell.take(&rate, 1, start), Err(Duration::from_millis(5)), "then one every 5 ms");
/// assert!(cell.take(&rate, 1, start + Duration::from_millis(5)).is_ok());
/// cell.give_back(&rate, 1);
/// assert!(cell.take(&rate, 1, start + Duration::from_millis(5)).is_ok());
/// ```
#[derive(Debug, Default)]
pub struct Cell {
    /// When the bucket is full again, in nanoseconds of the clock that the caller passes in.
    full_at_ns: AtomicU64,
}

/// How a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Whole units that may be taken at once.
    pub remaining: u64,
    /// Until the bucket is full.
    pub full_in: Duration,
}

impl Cell {
    /// Takes `units` at `now`, all or none. What is more than the bucket holds is taken once the bucket is full, and
    /// the rest of it charged to the time that follows.
    ///
    /// # Errors
    ///
    /// How long to wait until as much can be taken, if nobody else comes before.
    pub fn take(&self, rate: &Rate, units: u32, now: Duration) -> Result<(), Duration> {
        let (now, cost) = (ns(now), rate.cost_ns(units));
        // From when on it can be taken.
        let due =
            |full_at: u64| full_at.max(now).saturating_add(cost.min(rate.bucket_ns())) - rate.bucket_ns();
        let moved = self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let within = full_at.max(now) - now <= rate.bucket_ns() - cost.min(rate.bucket_ns());
            within.then(|| full_at.max(now).saturating_add(cost))
        });
        match moved {
            Ok(_) => Ok(()),
            Err(full_at) => Err(Duration::from_nanos(due(full_at).saturating_sub(now))),
        }
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&self, rate: &Rate, units: u32) {
        if units > 0 {
            self.update(|full_at| full_at.saturating_sub(rate.cost_ns(units)));
        }
    }

    /// Charges what was used beyond what was taken, whether it is there or not: the time that follows pays for it.
    pub fn charge(&self, rate: &Rate, units: u32, now: Duration) {
        if units > 0 {
            self.update(|full_at| full_at.max(ns(now)).saturating_add(rate.cost_ns(units)));
        }
    }

    /// Keeps what has been used while the rate changes: as many units are missing from the bucket after as before, but
    /// of those that the old bucket could give no more than the new one holds. Else whoever emptied a large bucket
    /// would wait at a small rate for all of it. What was charged beyond the old bucket is a debt, and stays.
    pub fn convert(&self, before: &Rate, after: &Rate, now: Duration) {
        let now = ns(now);
        self.update(|full_at| {
            let missing = full_at.saturating_sub(now);
            let taken = missing.min(before.bucket_ns());
            let owed = after.scaled_ns(before, missing - taken);
            let taken = after.scaled_ns(before, taken).min(after.bucket_ns());
            now.saturating_add(taken.saturating_add(owed))
        });
    }

    /// Begins anew with a full bucket: what is missing was counted at a rate that nobody knows any more.
    pub fn refill(&self) {
        self.full_at_ns.store(0, Ordering::Relaxed);
    }

    /// How it stands at `now`.
    #[must_use]
    pub fn level(&self, rate: &Rate, now: Duration) -> Level {
        let missing = self.full_at_ns.load(Ordering::Relaxed).saturating_sub(ns(now));
        let remaining = rate.whole_units(rate.bucket_ns().saturating_sub(missing));
        Level { remaining, full_in: Duration::from_nanos(missing) }
    }

    fn update(&self, next: impl Fn(u64) -> u64) {
        let always = |full_at| Some(next(full_at));
        // It never gives up, so there is nothing to hear of.
        self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, always).unwrap_or_default();
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
