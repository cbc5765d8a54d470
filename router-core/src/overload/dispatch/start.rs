//! Starting calls: which target and endpoint, and what is written down when one starts.

use std::time::Duration;

use super::call::{CallId, Decision, PermitId, Start, Targets};
use super::clock::Class;
use super::pool::{Ask, Held};
use super::predict::Outlook;
use super::slab::{Key, NONE};
use super::{Call, Dispatcher};
use crate::dialect::Shed;
use crate::overload::limiter::{Attempt, Place};

/// Where a call may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seek {
    topic: usize,
    targets: Targets,
    rotation: u32,
    /// Of a waiting call: the pool at which it is next, and its lane.
    origin: Option<(usize, u32)>,
}

impl Seek {
    pub(super) const fn of(call: &Call) -> Self {
        Self { topic: call.topic as usize, targets: call.targets, rotation: call.rotation, origin: None }
    }
}

/// A place that was found.
#[derive(Debug)]
pub(super) struct Won {
    target: usize,
    pool: usize,
    endpoint: u32,
    place: Place,
}

impl Dispatcher {
    pub(super) fn ask(&self, call: &Call) -> Ask {
        let segment = &self.segments[call.segment as usize];
        Ask {
            segment: call.segment as usize,
            class: Class::of(call.priority, segment.order),
            attempt: Attempt { prompt_tokens: call.prompt_tokens, stream: call.stream },
            tokens: call.tokens,
            random: call.random,
            ratio: segment.max_inflight_ratio,
            share: segment.share,
        }
    }

    /// Finds a place for a call among those of its targets that can take it, at the one whose turn it is.
    pub(super) fn place(&mut self, now: Duration, ask: &Ask, seek: &Seek) -> Option<Won> {
        let Seek { topic, targets, rotation, origin } = *seek;
        let mut open = Targets::NONE;
        for target in targets.iter() {
            let pool = self.topics[topic].targets[target].pool;
            let state = &mut self.pools[pool];
            if state.wake(now) && origin.is_none() && state.queued > 0 {
                // Whoever waits goes first, with the next tick.
                state.full = true;
            }
            let may = state.has_room() && state.lets(ask.segment, ask.class, ask.ratio);
            // Elsewhere a waiting call may start only if it is next there too.
            let is_next = |(origin, lane)| pool == origin || self.next_lane(pool) == Some(lane);
            if may && origin.is_none_or(is_next) {
                open = open.with(target);
            }
        }
        while !open.is_empty() {
            let target = self.turn(seek, open);
            let pool = self.topics[topic].targets[target].pool;
            if let Some((endpoint, place)) = self.pools[pool].admit(now, ask) {
                if let Some((_, rotation)) = self.topics[topic].rotations.get_mut(rotation as usize) {
                    rotation.take(target, |target| open.contains(target));
                }
                return Some(Won { target, pool, endpoint, place });
            }
            for other in open.iter() {
                if self.topics[topic].targets[other].pool == pool {
                    open = open.without(other);
                }
            }
        }
        None
    }

    /// Which of these targets is next.
    fn turn(&self, seek: &Seek, open: Targets) -> usize {
        let first = open.0.trailing_zeros() as usize;
        if open.single().is_some() {
            return first;
        }
        let rotation = self.topics[seek.topic].rotations.get(seek.rotation as usize);
        rotation.and_then(|(_, rotation)| rotation.next(|target| open.contains(target))).unwrap_or(first)
    }

    /// Writes down that an appended call, which is in no lane, starts.
    pub(super) fn begin(&mut self, now: Duration, call: Key, ask: &Ask, won: Won) -> Start {
        let Won { target, pool, endpoint, place } = won;
        self.pools[pool].begin(endpoint, ask);
        let (topic, stream) = self.calls.at(call.index).map_or((0, false), |call| (call.topic, call.stream));
        self.topics[topic as usize].pace.started(ask.tokens);
        let permit = self.permits.insert(Held {
            call: call.index,
            segment: u32::try_from(ask.segment).unwrap_or(NONE),
            class: ask.class,
            pool: u32::try_from(pool).unwrap_or(NONE),
            endpoint,
            place,
            stream,
            first_token: false,
            started: now,
        });
        Start { call: CallId(call), permit: PermitId(permit), target, pool, endpoint: endpoint as usize }
    }

    /// Starts what waits for a pool, in order, as long as there is room.
    pub(super) fn pump(&mut self, now: Duration, pool: usize, out: &mut Vec<Decision>) {
        while self.pools[pool].queued > 0 && self.pools[pool].has_room() {
            let Some(lane) = self.next_lane(pool) else { return };
            let index = self.lanes.at(lane).first;
            if self.is_hopeless(now, index) {
                self.give_up(now, index, Shed::Expired, out);
            } else if !self.start_queued(now, index, pool, out) {
                // Nobody else can if the one who is next cannot: there is no room, or none but what is kept from
                // batch calls, and only such are left.
                return;
            }
        }
    }

    fn start_queued(&mut self, now: Duration, index: u32, pool: usize, out: &mut Vec<Decision>) -> bool {
        let Some(key) = self.calls.key(index) else { return false };
        let Some(call) = self.calls.at(index) else { return false };
        let (ask, seek) = (self.ask(call), Seek { origin: Some((pool, call.lane)), ..Seek::of(call) });
        let Some(won) = self.place(now, &ask, &seek) else { return false };
        self.unlink(index);
        let start = self.begin(now, key, &ask, won);
        out.push(Decision::Start(start));
        true
    }

    fn is_hopeless(&self, now: Duration, index: u32) -> bool {
        let Some(call) = self.calls.at(index) else { return false };
        let Some(patience) = call.patience else { return false };
        let upstream = self.upstream(call.topic as usize, call.targets);
        upstream.hopeless(now.saturating_sub(call.arrived), patience)
    }

    /// What the best of these targets' pools promises once a call starts there.
    pub(super) fn upstream(&self, topic: usize, targets: Targets) -> Outlook {
        let mut best = Outlook { wait: 0.0, upper: f64::INFINITY, base: 0.0, awaiting: false };
        for target in targets.iter() {
            let Some(pool) = self.pool_of(topic, target).map(|pool| &self.pools[pool]) else { continue };
            best.awaiting |= pool.awaiting + pool.whole > 0;
            if pool.first_token.upper() < best.upper {
                (best.upper, best.base) = (pool.first_token.upper(), pool.sum.base);
            }
        }
        best
    }
}
