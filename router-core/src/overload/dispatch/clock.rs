//! Virtual time: whose turn it is at a pool. Start-time fair queuing (Goyal, Vin, Cheng 1996) in estimated tokens:
//! a segment's clock goes forward by `tokens / share` with each call that starts, and the segment whose clock is
//! furthest behind goes next. A segment that had nothing waiting catches up to the one served last, but for what it
//! left to the others of its share of the last two seconds while calls waited: no other idle time is saved up.

use super::call::Priority;
use super::plan::Order;

/// Calls of a lower class start only when none of a higher one could.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    RealtimeStrict,
    RealtimeFair,
    BatchStrict,
    BatchFair,
}

impl Class {
    pub(super) const COUNT: u8 = 4;

    pub(super) const fn of(priority: Priority, order: Order) -> Self {
        match (priority, order) {
            (Priority::Realtime, Order::Strict) => Self::RealtimeStrict,
            (Priority::Realtime, Order::Fair) => Self::RealtimeFair,
            (Priority::Batch, Order::Strict) => Self::BatchStrict,
            (Priority::Batch, Order::Fair) => Self::BatchFair,
        }
    }

    pub(super) const fn priority(self) -> Priority {
        match self {
            Self::RealtimeStrict | Self::RealtimeFair => Priority::Realtime,
            Self::BatchStrict | Self::BatchFair => Priority::Batch,
        }
    }
}

/// A pool's clocks.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// Where each segment's next call starts; of its realtime and of its batch calls.
    starts: Vec<[f64; 2]>,
    /// Where the call that started last did, by class.
    now: [f64; 4],
    /// The same when the first of those that wait now began to, by class.
    level: [f64; 4],
}

impl Clock {
    pub(super) fn new(segments: usize) -> Self {
        Self { starts: vec![[0.0; 2]; segments], now: [0.0; 4], level: [0.0; 4] }
    }

    /// Where the call of the class that started last did.
    pub(super) const fn now(&self, class: Class) -> f64 {
        self.now[class as usize]
    }

    /// Where this segment's next call starts.
    pub(super) fn start(&self, segment: usize, priority: Priority) -> f64 {
        self.starts.get(segment).map_or(0.0, |starts| starts[priority as usize])
    }

    /// The first call of a priority is about to wait: until now nobody took anything from anybody.
    pub(super) fn level(&mut self, priority: Priority) {
        for class in [Class::of(priority, Order::Strict), Class::of(priority, Order::Fair)] {
            self.level[class as usize] = self.now[class as usize];
        }
    }

    /// The segment had nothing waiting: it catches up to `credit` behind the others.
    pub(super) fn catch_up(&mut self, segment: usize, class: Class, credit: f64) {
        if let Some(starts) = self.starts.get_mut(segment) {
            let start = &mut starts[class.priority() as usize];
            let (now, level) = (self.now[class as usize], self.level[class as usize]);
            *start = start.max(level.max(now - credit));
        }
    }

    /// A call of the segment starts, which costs it `tokens / share`.
    pub(super) fn charge(&mut self, segment: usize, class: Class, cost: f64) {
        if let Some(starts) = self.starts.get_mut(segment) {
            let start = &mut starts[class.priority() as usize];
            let now = &mut self.now[class as usize];
            *now = now.max(*start);
            *start += cost;
        }
    }

    /// The clocks of other segments: `from[i]` is where segment `i`'s was.
    pub(super) fn moved(&self, from: &[Option<usize>]) -> Self {
        let start = |old: &Option<usize>| old.and_then(|old| self.starts.get(old)).copied();
        let highest = |priority: usize| self.now[2 * priority].max(self.now[2 * priority + 1]);
        let fresh = [highest(0), highest(1)];
        let starts = from.iter().map(|old| start(old).unwrap_or(fresh)).collect();
        Self { starts, now: self.now, level: self.level }
    }
}
