//! How long have they waited that still wait? The mean wait of first tokens tells of those that have come:
//! when load rises at once it is a wait late, and the window has grown beyond what the server takes by then.
//! The age of those that wait tells at once.
//!
//! Counted by the twentieth of a second in which a stream started, so that neither a start nor a first token costs
//! anything, and a look goes over the oldest quarter. Streams that hang are no queue: who was overtaken by one that
//! started long after it is left out. And where several gateways share an endpoint nothing is told: what ours wait for
//! is what others sent.

use std::collections::VecDeque;

/// Streams that start within this long of the first of them are of one age: a tick, no look comes between.
const BUCKET_SECONDS: f64 = 0.05;

/// Ten seconds of them. What is older becomes one.
const BUCKETS_MAX: usize = 200;

/// One of so many of those that wait is older than the age that is told: the oldest alone may be a large prompt, and
/// where a server takes them in turn half of those that wait have come just now.
const OLDER: u32 = 4;

/// Fewer that wait tell nothing: they are what the smallest windows hold, and one large prompt would speak for all.
const WAITING_MIN: u32 = 4;

/// Streams that started together.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    first: f64,
    last: f64,
    waiting: u32,
}

/// Streams without a first token, by when they started. Times in seconds.
#[derive(Debug)]
pub(super) struct Ages {
    /// In order; the oldest has somebody who waits.
    buckets: VecDeque<Bucket>,
    waiting: u32,
    /// When the youngest started that has had its first token.
    served: f64,
}

impl Ages {
    pub(super) fn new() -> Self {
        Self { buckets: VecDeque::with_capacity(BUCKETS_MAX + 1), waiting: 0, served: f64::NEG_INFINITY }
    }

    /// A stream starts.
    pub(super) fn started(&mut self, now: f64) {
        self.waiting += 1;
        match self.buckets.back_mut() {
            Some(bucket) if now - bucket.first < BUCKET_SECONDS => {
                bucket.last = now.max(bucket.last);
                bucket.waiting += 1;
            }
            _ => self.buckets.push_back(Bucket { first: now, last: now, waiting: 1 }),
        }
        if self.buckets.len() > BUCKETS_MAX
            && let Some(oldest) = self.buckets.pop_front()
            && let Some(next) = self.buckets.front_mut()
        {
            *next = Bucket { first: oldest.first, waiting: oldest.waiting + next.waiting, ..*next };
        }
    }

    /// One that started then has its first token.
    pub(super) fn served(&mut self, started: f64) {
        self.served = self.served.max(started);
        self.left(started);
    }

    /// One that started then waits no longer.
    pub(super) fn left(&mut self, started: f64) {
        let after = self.buckets.partition_point(|bucket| bucket.first <= started);
        if let Some(bucket) = after.checked_sub(1).and_then(|at| self.buckets.get_mut(at)) {
            let one = bucket.waiting.min(1);
            bucket.waiting -= one;
            self.waiting -= one;
        }
        while self.buckets.front().is_some_and(|oldest| oldest.waiting == 0) {
            self.buckets.pop_front();
        }
    }

    /// The age that a quarter of those that wait have passed, leaving out those that another overtook by more than
    /// `usual`.
    pub(super) fn upper_quarter(&self, now: f64, usual: f64) -> Option<f64> {
        let (mut queued, mut passed) = (self.waiting, 0);
        for bucket in &self.buckets {
            if bucket.last < self.served - usual {
                queued -= bucket.waiting;
                continue;
            }
            passed += bucket.waiting;
            if passed > queued.saturating_sub(1) / OLDER {
                return (queued >= WAITING_MIN).then_some(now - bucket.last);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::places;
    use super::*;

    fn waiting(from: f64, count: u32) -> Ages {
        let mut ages = Ages::new();
        (0..count).for_each(|nth| ages.started(from + 0.1 * f64::from(nth)));
        ages
    }

    fn millis(age: Option<f64>) -> Option<u32> {
        age.map(|age| places((age * 1e3).round()))
    }

    #[test]
    fn a_quarter_of_those_that_wait_are_older() {
        assert_eq!(waiting(0.0, 0).upper_quarter(1.0, 1.0), None);
        assert_eq!(waiting(0.0, 3).upper_quarter(1.0, 1.0), None);
        assert_eq!(millis(waiting(0.0, 4).upper_quarter(1.0, 1.0)), Some(1_000));
        // They started from 0.0 s to 0.7 s.
        let mut ages = waiting(0.0, 8);
        assert_eq!(millis(ages.upper_quarter(1.0, 1.0)), Some(900));
        ages.served(0.0);
        ages.left(0.1);
        assert_eq!(millis(ages.upper_quarter(1.0, 1.0)), Some(700), "the second of six");
    }

    #[test]
    fn streams_that_hang_are_no_queue() {
        let mut ages = waiting(0.0, 8);
        ages.started(5.0);
        (0..4).for_each(|_| ages.started(5.2));
        assert_eq!(millis(ages.upper_quarter(5.4, 0.5)), Some(5_100), "nobody has overtaken them");
        ages.served(5.0);
        assert_eq!(millis(ages.upper_quarter(5.4, 0.5)), Some(200));
        ages.served(5.2);
        assert_eq!(ages.upper_quarter(5.4, 0.5), None);
    }

    #[test]
    fn memory_is_bounded_and_all_who_leave_are_found() {
        let mut ages = waiting(0.0, 5_000);
        assert_eq!((ages.buckets.len(), ages.waiting), (BUCKETS_MAX, 5_000));
        assert!(ages.buckets.capacity() < 2 * BUCKETS_MAX + 2);
        (0..5_000).rev().for_each(|nth| ages.left(0.1 * f64::from(nth)));
        assert_eq!((ages.buckets.len(), ages.waiting), (0, 0));
        ages.left(1.0);
        assert_eq!(ages.waiting, 0);
    }
}
