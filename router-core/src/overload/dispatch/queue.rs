//! What waits: lanes of calls of one topic, segment, class and set of targets, each first come, first served. Which
//! lane goes next at a pool is decided by class, then virtual time, then age.

use super::Dispatcher;
use super::call::{Priority, Targets};
use super::clock::Class;
use super::slab::NONE;

/// Calls that differ in nothing that matters but their age, as a list through [`Call`](super::Call)'s links.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) key: LaneKey,
    /// The pools that its targets lead to, each once.
    pub(super) pools: Vec<u32>,
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) length: u32,
    /// Of the first call.
    pub(super) first_sequence: u64,
    /// Its segment's bound.
    ratio: Option<f64>,
}

/// What the calls of a lane have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneKey {
    pub(super) topic: u32,
    pub(super) segment: u32,
    pub(super) class: Class,
    pub(super) targets: Targets,
    /// Whose turn it is among them, [`NONE`] where they take no turn.
    pub(super) rotation: u32,
}

/// Every lane; the empty ones are used again.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    pub(super) lanes: Vec<Lane>,
    free: Vec<u32>,
    /// Calls in all of them.
    pub(super) queued: u32,
}

impl Lanes {
    pub(super) fn at(&self, lane: u32) -> &Lane {
        &self.lanes[lane as usize]
    }

    /// Those that have calls.
    pub(super) fn used(&self) -> impl Iterator<Item = (u32, &Lane)> {
        (0_u32..).zip(&self.lanes).filter(|(_, lane)| lane.length > 0)
    }

    fn take(&mut self, key: LaneKey) -> u32 {
        let empty = Lane {
            key,
            pools: Vec::new(),
            first: NONE,
            last: NONE,
            length: 0,
            first_sequence: u64::MAX,
            ratio: None,
        };
        if let Some(lane) = self.free.pop() {
            let pools = std::mem::take(&mut self.lanes[lane as usize].pools);
            self.lanes[lane as usize] = Lane { pools, ..empty };
            return lane;
        }
        self.lanes.push(empty);
        u32::try_from(self.lanes.len() - 1).unwrap_or(NONE)
    }
}

impl Dispatcher {
    /// Puts a call that is in no lane at the end of its lane.
    pub(super) fn enqueue(&mut self, index: u32) {
        let Some(call) = self.calls.at(index) else { return };
        let key = call.lane_key(&self.segments);
        let lane = self.lane(key);
        let slot = &mut self.lanes.lanes[lane as usize];
        let last = slot.last;
        slot.last = index;
        slot.length += 1;
        self.lanes.queued += 1;
        if last == NONE {
            slot.first = index;
        } else if let Some(last) = self.calls.at_mut(last) {
            last.next = index;
        }
        let Some(call) = self.calls.at_mut(index) else { return };
        call.lane = lane;
        call.previous = last;
        call.next = NONE;
        let (tokens, sequence) = (call.tokens, call.sequence);
        if last == NONE {
            self.lanes.lanes[lane as usize].first_sequence = sequence;
        }
        self.count(lane, tokens, true);
    }

    /// Takes a call out of its lane, wherever in it.
    pub(super) fn unlink(&mut self, index: u32) {
        let Some(call) = self.calls.at_mut(index) else { return };
        let (lane, previous, next, tokens) = (call.lane, call.previous, call.next, call.tokens);
        if lane == NONE {
            return;
        }
        (call.lane, call.previous, call.next) = (NONE, NONE, NONE);
        let mut first_sequence = u64::MAX;
        if let Some(next) = self.calls.at_mut(next) {
            next.previous = previous;
            first_sequence = next.sequence;
        }
        if let Some(previous) = self.calls.at_mut(previous) {
            previous.next = next;
        }
        let slot = &mut self.lanes.lanes[lane as usize];
        slot.length -= 1;
        self.lanes.queued -= 1;
        if slot.last == index {
            slot.last = previous;
        }
        if slot.first == index {
            slot.first = next;
            slot.first_sequence = first_sequence;
        }
        self.count(lane, tokens, false);
        if self.lanes.at(lane).length == 0 {
            self.close(lane);
        }
    }

    /// The lane of that kind.
    fn lane(&mut self, key: LaneKey) -> u32 {
        let book = self.book(key.topic as usize, key.segment as usize);
        let priority = key.class.priority() as usize;
        let last = self.ledgers[book].lanes[priority];
        let known = |lane: u32| {
            self.lanes.lanes.get(lane as usize).is_some_and(|lane| lane.length > 0 && lane.key == key)
        };
        if known(last) {
            return last;
        }
        let any_pool = key.targets.iter().find_map(|target| self.pool_of(key.topic as usize, target));
        let near = any_pool.map_or(&[][..], |pool| &self.pools[pool].lanes);
        let lane = near.iter().copied().find(|lane| known(*lane));
        let lane = lane.unwrap_or_else(|| self.open_lane(key));
        self.ledgers[book].lanes[priority] = lane;
        lane
    }

    fn open_lane(&mut self, key: LaneKey) -> u32 {
        let lane = self.lanes.take(key);
        let mut pools = std::mem::take(&mut self.lanes.lanes[lane as usize].pools);
        pools.clear();
        for target in key.targets.iter() {
            let pool = self.pool_of(key.topic as usize, target).and_then(|pool| u32::try_from(pool).ok());
            if let Some(pool) = pool.filter(|pool| !pools.contains(pool)) {
                pools.push(pool);
            }
        }
        for &pool in &pools {
            self.set_clock(pool as usize, key.segment as usize, key.class);
            self.pools[pool as usize].lanes.push(lane);
        }
        let ratio = self.segments[key.segment as usize].max_inflight_ratio;
        let slot = &mut self.lanes.lanes[lane as usize];
        (slot.pools, slot.ratio) = (pools, ratio);
        lane
    }

    fn close(&mut self, lane: u32) {
        for &pool in &self.lanes.at(lane).pools {
            let lanes = &mut self.pools[pool as usize].lanes;
            if let Some(at) = lanes.iter().position(|other| *other == lane) {
                lanes.swap_remove(at);
            }
        }
        self.lanes.free.push(lane);
    }

    /// Counts a call in or out wherever waiting calls are counted.
    fn count(&mut self, lane: u32, tokens: u32, comes: bool) {
        let (one, tokens) =
            if comes { (1, u64::from(tokens)) } else { (u32::MAX, u64::from(tokens).wrapping_neg()) };
        let Lane { key, pools, .. } = self.lanes.at(lane);
        let priority = key.class.priority();
        for &pool in pools {
            let pool = &mut self.pools[pool as usize];
            pool.queued = pool.queued.wrapping_add(one);
            if priority == Priority::Realtime {
                pool.queued_realtime = pool.queued_realtime.wrapping_add(one);
            }
            let sum = &mut pool.queued_tokens[key.segment as usize][priority as usize];
            *sum = sum.wrapping_add(tokens);
        }
        let topic = &mut self.topics[key.topic as usize];
        topic.queued = topic.queued.wrapping_add(one);
        topic.queued_tokens = topic.queued_tokens.wrapping_add(tokens);
        let ledger =
            &mut self.ledgers[key.topic as usize * self.segments.len() + key.segment as usize].ledger;
        ledger.queued = ledger.queued.wrapping_add(one);
        let sum = &mut ledger.queued_tokens[priority as usize];
        *sum = sum.wrapping_add(tokens);
    }

    /// The lane whose turn it is at a pool, of those that may start there at all.
    pub(super) fn next_lane(&self, pool: usize) -> Option<u32> {
        let pool = &self.pools[pool];
        let batch_is_due = pool.batch_is_due();
        let mut best: Option<(u8, f64, u64, u32)> = None;
        for &lane in &pool.lanes {
            let Lane { key, first_sequence, ratio, .. } = self.lanes.at(lane);
            let segment = key.segment as usize;
            if !pool.lets(segment, key.class, *ratio) {
                continue;
            }
            let priority = key.class.priority();
            // What batch calls get in any case they get first: behind realtime it might be nothing.
            let due = batch_is_due && priority == Priority::Batch;
            let rank = key.class as u8 + if due { 0 } else { Class::COUNT };
            let start = pool.clock.start(segment, priority);
            let before = |(first, earliest, oldest, _): (u8, f64, u64, u32)| {
                rank < first
                    || rank == first && (start < earliest || start <= earliest && *first_sequence < oldest)
            };
            if best.is_none_or(before) {
                best = Some((rank, start, *first_sequence, lane));
            }
        }
        best.map(|(.., lane)| lane)
    }
}
