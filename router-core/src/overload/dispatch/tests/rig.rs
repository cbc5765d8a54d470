//! A dispatcher with limiters whose limits the test sets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::config::Balance;
use crate::dialect::{Dialect, DialectSet, Shed};
use crate::overload::dispatch::*;
use crate::overload::limiter::{Attempt, End, Limiter, Place, Reading, Seen};

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SEC: Duration = Duration::from_secs(1);

/// So many attempts at a time, counted as a first-token window or in all.
#[derive(Debug)]
struct Slots {
    limit: Arc<AtomicU32>,
    counts: Counts,
    next: u64,
    held: BTreeSet<u64>,
    awaiting: BTreeSet<u64>,
    base: Option<Duration>,
}

impl Slots {
    fn taken(&self) -> u32 {
        let taken = if self.counts == Counts::Inflight { &self.held } else { &self.awaiting };
        u32::try_from(taken.len()).unwrap()
    }
}

impl Limiter for Slots {
    fn admit(&mut self, _: Duration, _: Attempt) -> Option<Place> {
        (self.taken() < self.limit.load(Ordering::Relaxed)).then(|| {
            self.next += 1;
            self.held.insert(self.next);
            self.awaiting.insert(self.next);
            Place::new(self.next)
        })
    }

    fn observe(&mut self, _: Duration, place: &Place, seen: Seen) {
        assert!(self.held.contains(&place.number()), "the place is held");
        if seen == Seen::FirstToken {
            self.awaiting.remove(&place.number());
        }
    }

    fn release(&mut self, _: Duration, place: Place, _: End) {
        assert!(self.held.remove(&place.number()), "a place is given back once");
        self.awaiting.remove(&place.number());
    }

    fn tick(&mut self, _: Duration) {}

    fn read(&self, _: Duration) -> Reading {
        Reading {
            inflight: u32::try_from(self.held.len()).unwrap(),
            awaiting_first_token: u32::try_from(self.awaiting.len()).unwrap(),
            free: self.limit.load(Ordering::Relaxed).saturating_sub(self.taken()),
            base_first_token: self.base,
            ..Reading::default()
        }
    }
}

/// A limiter with that limit, which the test may change.
pub(super) fn slots(limit: u32, counts: Counts) -> (Box<dyn Limiter>, Arc<AtomicU32>) {
    let limit = Arc::new(AtomicU32::new(limit));
    let base = Some(100 * MS);
    let slots = Slots {
        limit: limit.clone(),
        counts,
        next: 0,
        held: BTreeSet::new(),
        awaiting: BTreeSet::new(),
        base,
    };
    (Box::new(slots), limit)
}

pub(super) fn pool(name: &str, limits: &[u32]) -> Pool {
    let endpoint = |(index, limit): (usize, &u32)| Endpoint {
        identity: format!("{name}-{index}"),
        limiter: slots(*limit, Counts::Inflight).0,
    };
    Pool {
        name: name.into(),
        endpoints: limits.iter().enumerate().map(endpoint).collect(),
        balance: Balance::LeastRequest,
        batch: Batch { reserve: 0.0, minimum: 0 },
        bulkhead: Bulkhead::default(),
        counts: Counts::Inflight,
    }
}

pub(super) fn topic(name: &str, targets: &[(usize, u32)]) -> Topic {
    let target = |(index, (pool, weight)): (usize, &(usize, u32))| Target {
        label: format!("{pool}/{index}"),
        pool: *pool,
        weight: *weight,
        dialects: DialectSet::ALL,
    };
    Topic {
        name: name.into(),
        targets: targets.iter().enumerate().map(target).collect(),
        when_full: WhenFull::Spill,
        queue: QueueBounds { wait: 60 * SEC, requests: 1_000, tokens: 10_000_000 },
    }
}

pub(super) fn segment(name: &str, share: f64) -> Segment {
    Segment { name: name.into(), share, order: Order::Fair, objective: None, max_inflight_ratio: None }
}

pub(super) fn call() -> Arrival {
    Arrival {
        topic: 0,
        segment: 0,
        priority: Priority::Realtime,
        targets: Targets::ALL,
        dialect: Dialect::OpenAi,
        bound: None,
        prompt_tokens: 20,
        tokens: 100,
        stream: true,
        patience: None,
        answer_within: None,
        demand: Demand::New,
        random: 7,
    }
}

/// A call of a segment.
pub(super) fn of(segment: usize) -> Arrival {
    Arrival { segment, ..call() }
}

pub(super) fn batch(segment: usize) -> Arrival {
    Arrival { priority: Priority::Batch, ..of(segment) }
}

/// One pool with one endpoint of that limit, one topic, and segments of these shares.
pub(super) fn simple(limit: u32, shares: &[f64]) -> Plan {
    Plan {
        topics: vec![topic("t", &[(0, 1)])],
        segments: shares
            .iter()
            .enumerate()
            .map(|(index, share)| segment(&format!("s{index}"), *share))
            .collect(),
        pools: vec![pool("p", &[limit])],
    }
}

pub(super) struct Rig {
    pub(super) dispatcher: Dispatcher,
    pub(super) now: Duration,
    /// A reload may have made the bounds smaller than what waits.
    pub(super) reloaded: bool,
}

impl Rig {
    pub(super) fn verify(&self) {
        self.dispatcher.verify();
        if !self.reloaded {
            self.dispatcher.verify_bounds();
        }
    }

    pub(super) fn new(plan: Plan) -> Self {
        Self { dispatcher: Dispatcher::new(SEC, plan), now: SEC, reloaded: false }
    }

    pub(super) fn arrive(&mut self, arrival: &Arrival) -> Admission {
        let (admission, out) = self.arrive_and(arrival);
        assert_eq!(out, [], "nobody gives way");
        admission
    }

    pub(super) fn arrive_and(&mut self, arrival: &Arrival) -> (Admission, Vec<Decision>) {
        let mut out = Vec::new();
        let admission = self.dispatcher.arrive(self.now, arrival, &mut out);
        self.verify();
        (admission, out)
    }

    pub(super) fn start(&mut self, arrival: &Arrival) -> Start {
        match self.arrive(arrival) {
            Admission::Started(start) => start,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn queue(&mut self, arrival: &Arrival) -> CallId {
        match self.arrive(arrival) {
            Admission::Queued(call) => call,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn refused(&mut self, arrival: &Arrival) -> Refusal {
        match self.arrive(arrival) {
            Admission::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn seen(&mut self, permit: PermitId, seen: Seen) -> Vec<Decision> {
        let mut out = Vec::new();
        self.dispatcher.observe(self.now, permit, seen, &mut out);
        self.verify();
        out
    }

    pub(super) fn finish(&mut self, permit: PermitId) -> Vec<Decision> {
        let mut out = Vec::new();
        assert!(self.dispatcher.finish(self.now, permit, End::Whole { output_tokens: None }, &mut out));
        self.verify();
        out
    }

    /// Ends an attempt and gives the calls that start in its place.
    pub(super) fn next(&mut self, permit: PermitId) -> Vec<Start> {
        let decisions = self.finish(permit);
        decisions.into_iter().map(started).collect()
    }

    /// Lets time pass, tick by tick.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<Decision> {
        let (mut out, end) = (Vec::new(), self.now + time);
        while self.now < end {
            self.now = end.min(self.now + 50 * MS);
            self.dispatcher.tick(self.now, &mut out);
            self.verify();
        }
        out
    }

    pub(super) fn lag(&mut self) -> u64 {
        self.dispatcher.topics(self.now).iter().map(|topic| topic.totals.lag).sum()
    }
}

pub(super) fn started(decision: Decision) -> Start {
    match decision {
        Decision::Start(start) => start,
        Decision::Drop { .. } => panic!("{decision:?}"),
    }
}

pub(super) fn dropped(decision: &Decision) -> (CallId, Shed) {
    match decision {
        Decision::Drop { call, refusal } => (*call, refusal.reason),
        Decision::Start(_) => panic!("{decision:?}"),
    }
}
