//! Who goes next, and where? One dispatcher decides for a group of routes and pools that are linked: an arrival
//! starts at once, waits in order, or hears that it will not be served in time. A call starts only together with an
//! endpoint and that endpoint's permit, so overload, route and select are one decision.
//!
//! It is a state machine: told of events with the time at which they happen, it answers with decisions. It never
//! waits; [`Dispatcher::next_wakeup`] says when [`Dispatcher::tick`] is due. The gateway holds it behind one lock and
//! wakes the callers that the decisions are about.
//!
//! - order: `realtime` before `batch`, `strict` segments before the others, then shares of estimated tokens over
//!   two seconds (virtual time, by pool and segment), then first come, first served;
//! - bounds: requests, tokens and wait of each topic's queue; what may wait for a pool; a segment's part of a pool;
//! - early refusal: a call whose predicted first token is later than its caller waits, on arrival and while it waits;
//! - displacement: the newest call of the segment that holds most of a full queue for its share makes room for a
//!   better one;
//! - turns: the smooth rotation over the targets that can take a call when it starts; a skipped target keeps no credit.
//!
//! While nobody waits a start costs some tens of nanoseconds and allocates nothing.
//!
//! Between events no pool has both room and a call that may take it. So an arrival asks only the limiters: whoever
//! waits could not have taken the place that it gets.

mod ahead;
mod arrive;
mod call;
mod clock;
mod gauges;
mod ledger;
mod merge;
mod plan;
mod pool;
mod predict;
mod queue;
mod reload;
mod signals;
mod slab;
mod start;
#[cfg(test)]
mod tests;
mod tick;
mod topic;

use std::time::Duration;

pub use call::{Admission, Arrival, CallId, Decision, Demand, PermitId, Priority, Refusal, Start, Targets};
pub use merge::Moved;
pub use plan::{
    Batch, Bulkhead, Counts, Endpoint, Order, Plan, Pool, QueueBounds, Segment, Target, Topic, WhenFull,
};
pub use signals::Standing;

use self::clock::Class;
use self::ledger::Book;
use self::pool::{Held, Sum};
use self::queue::{LaneKey, Lanes};
use self::slab::Slab;
use self::topic::TopicState;
use super::limiter::{End, Seen};
use crate::dialect::Dialect;

/// Decides for one group of linked routes and pools.
#[derive(Debug)]
pub struct Dispatcher {
    topics: Vec<TopicState>,
    /// How many of the topics are in the plan; what was in an earlier one and is not over comes after them.
    planned_topics: usize,
    segments: Vec<Segment>,
    planned_segments: usize,
    pools: Vec<pool::Pool>,
    planned_pools: usize,
    calls: Slab<Call>,
    permits: Slab<Held>,
    lanes: Lanes,
    /// By topic, then segment.
    ledgers: Vec<Book>,
    /// Of the next call.
    sequence: u64,
    ticked: Duration,
    /// Levels may still fall by themselves until then.
    unsettled_until: Duration,
    settled: Duration,
    /// Kept for their memory.
    scratch: Vec<u32>,
    sums: Vec<Sum>,
}

/// A call from its arrival to its end.
#[derive(Debug)]
struct Call {
    topic: u32,
    segment: u32,
    priority: Priority,
    stream: bool,
    demand: Demand,
    prompt_tokens: u32,
    tokens: u32,
    /// Of the estimated tokens those that did not come yet.
    tokens_left: u32,
    targets: Targets,
    dialect: Dialect,
    rotation: u32,
    patience: Option<Duration>,
    arrived: Duration,
    random: u64,
    sequence: u64,
    /// Its offset in its book.
    offset: u64,
    /// Where it waits, [`NONE`](slab::NONE) once it started.
    lane: u32,
    previous: u32,
    next: u32,
    /// Its neighbours in its book.
    older: u32,
    newer: u32,
}

impl Call {
    fn lane_key(&self, segments: &[Segment]) -> LaneKey {
        LaneKey {
            topic: self.topic,
            segment: self.segment,
            class: Class::of(self.priority, segments[self.segment as usize].order),
            targets: self.targets,
            rotation: self.rotation,
        }
    }
}

impl Dispatcher {
    /// A dispatcher with nothing under way.
    #[must_use]
    pub fn new(now: Duration, plan: Plan) -> Self {
        let mut dispatcher = Self {
            topics: Vec::new(),
            planned_topics: 0,
            segments: Vec::new(),
            planned_segments: 0,
            pools: Vec::new(),
            planned_pools: 0,
            calls: Slab::new(),
            permits: Slab::new(),
            lanes: Lanes::default(),
            ledgers: Vec::new(),
            sequence: 0,
            ticked: now,
            unsettled_until: now,
            settled: now,
            scratch: Vec::new(),
            sums: Vec::new(),
        };
        dispatcher.reload(now, plan, &mut Vec::new());
        dispatcher
    }

    /// What is seen of an attempt. Of one that has ended it is ignored.
    pub fn observe(&mut self, now: Duration, permit: PermitId, seen: Seen, out: &mut Vec<Decision>) {
        let Some(held) = self.permits.find(permit.0) else { return };
        let pool = &mut self.pools[held.pool as usize];
        pool.endpoints[held.endpoint as usize].limiter.observe(now, &held.place, seen);
        let call = held.call;
        match seen {
            Seen::Tokens(tokens) => self.progress(call, tokens),
            Seen::FirstToken if !held.first_token => {
                held.first_token = true;
                if held.stream {
                    pool.first_token(now, held.segment as usize, now.saturating_sub(held.started));
                }
                pool.full = false;
                let pool = held.pool as usize;
                let prompt_tokens = self.calls.at(call).map_or(0, |call| call.prompt_tokens);
                self.progress(call, prompt_tokens);
                self.pump(now, pool, out);
            }
            Seen::Whole if held.stream && !held.first_token => {
                held.stream = false;
                pool.comes_whole(held.segment as usize);
                let pool = held.pool as usize;
                self.pump(now, pool, out);
            }
            Seen::FirstToken | Seen::Whole => {}
        }
        self.check_invariants();
    }

    /// An attempt has ended and its call with it: its place is free and goes to whoever is next. Whether there was
    /// such an attempt.
    pub fn finish(&mut self, now: Duration, permit: PermitId, end: End, out: &mut Vec<Decision>) -> bool {
        let Some(held) = self.permits.remove(permit.0) else { return false };
        let (call, pool) = (held.call, held.pool as usize);
        let took = now.saturating_sub(held.started);
        self.pools[pool].end(now, held, end);
        if let Some(call) = self.commit(call)
            && matches!(end, End::Whole { .. })
        {
            self.topics[call.topic as usize].service.sample(took);
        }
        self.pump(now, pool, out);
        self.check_invariants();
        true
    }

    /// A caller that waits has left. Whether its call did wait: if not, it has started, and the permit that its
    /// [`Decision::Start`] brought is to be given back.
    pub fn cancel(&mut self, now: Duration, call: CallId, out: &mut Vec<Decision>) -> bool {
        let waits = self.calls.find(call.0).is_some_and(|call| call.lane != slab::NONE);
        if waits {
            let lane = self.calls.at(call.0.index).map_or(slab::NONE, |call| call.lane);
            self.unlink(call.0.index);
            self.commit(call.0.index);
            // Batch calls may have waited only because this one did. The lane knows its pools until it is used again.
            for step in 0..self.lanes.at(lane).pools.len() {
                let pool = self.lanes.at(lane).pools[step] as usize;
                self.pump(now, pool, out);
            }
        }
        self.check_invariants();
        waits
    }

    /// The endpoint of this attempt takes no further ones until then (an upstream's 429, 503 or 529).
    /// To be told before the attempt's end is.
    pub fn rest(&mut self, now: Duration, permit: PermitId, until: Duration) {
        let Some(held) = self.permits.find(permit.0) else { return };
        let pool = &mut self.pools[held.pool as usize];
        let endpoint = &mut pool.endpoints[held.endpoint as usize];
        endpoint.rests_until = endpoint.rests_until.max(Some(until));
        pool.roll_call(now);
    }

    /// When [`Dispatcher::tick`] is due; `None` while nothing is under way or waits.
    #[must_use]
    pub fn next_wakeup(&self, now: Duration) -> Option<Duration> {
        let settled = now >= self.unsettled_until;
        let idle = self.calls.len() == 0 && settled;
        (!idle).then(|| now.max(self.ticked + super::limiter::TICK))
    }

    /// Calls that wait.
    #[must_use]
    pub const fn queued(&self) -> u32 {
        self.lanes.queued
    }

    /// Attempts that have not ended.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.permits.len()
    }

    fn pool_of(&self, topic: usize, target: usize) -> Option<usize> {
        self.topics.get(topic)?.targets.get(target).map(|target| target.pool)
    }

    /// What must hold after every event and is cheap to see; the tests see the rest.
    fn check_invariants(&self) {
        debug_assert_eq!(
            self.calls.len(),
            self.permits.len() + self.lanes.queued as usize,
            "a call waits or holds a permit"
        );
    }
}
