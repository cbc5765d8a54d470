//! What becomes of an arrival: it starts, it waits, or it is refused; and who gives way to it in a full queue.

use std::time::Duration;

use super::call::{Admission, Arrival, CallId, Decision, Refusal, Targets};
use super::clock::Class;
use super::plan::WhenFull;
use super::predict::{Outlook, hint};
use super::slab::NONE;
use super::start::Seek;
use super::{Call, Dispatcher};
use crate::dialect::Shed;

/// Most waiting calls that give way to one arrival.
const DISPLACED_MOST: usize = 16;

/// A call may wait for none of its pools, and nothing that waits for them counts for less.
struct NoRoom;

impl Dispatcher {
    /// A call wants to be served. Calls that give way to it in a full queue are among the decisions; what becomes of
    /// itself is the answer.
    pub fn arrive(&mut self, now: Duration, arrival: &Arrival, out: &mut Vec<Decision>) -> Admission {
        if arrival.topic >= self.planned_topics || arrival.segment >= self.planned_segments {
            return Admission::Refused(Refusal {
                reason: Shed::NoEndpoint,
                retry_after: hint(Duration::ZERO),
            });
        }
        let call = self.call(now, arrival);
        let ask = self.ask(&call);
        let admission = if let Some(won) = self.place(now, &ask, &Seek::of(&call)) {
            let key = self.append(call);
            Admission::Started(self.begin(now, key, &ask, won))
        } else {
            self.wait(now, call, out)
        };
        self.check_invariants();
        admission
    }

    fn call(&mut self, now: Duration, arrival: &Arrival) -> Call {
        let (targets, rotation) = self.reach(arrival);
        Call {
            topic: u32::try_from(arrival.topic).unwrap_or(NONE),
            segment: u32::try_from(arrival.segment).unwrap_or(NONE),
            priority: arrival.priority,
            stream: arrival.stream,
            demand: arrival.demand,
            prompt_tokens: arrival.prompt_tokens,
            tokens: arrival.tokens,
            tokens_left: arrival.tokens,
            targets,
            dialect: arrival.dialect,
            rotation,
            patience: self.patience(arrival, targets),
            arrived: now,
            random: arrival.random,
            sequence: 0,
            offset: 0,
            lane: NONE,
            previous: NONE,
            next: NONE,
            older: NONE,
            newer: NONE,
        }
    }

    /// How long the caller will wait for the first token, as far as anything is known of that.
    fn patience(&self, arrival: &Arrival, targets: Targets) -> Option<Duration> {
        let Some(answer_within) = arrival.answer_within else { return arrival.patience };
        let service = self.topics[arrival.topic].service;
        let mut rest = if service.is_known() { service.mean_secs() } else { 0.0 };
        let pools = targets.iter().filter_map(|target| self.pool_of(arrival.topic, target));
        rest -= pools.map(|pool| self.pools[pool].first_token.mean()).fold(f64::INFINITY, f64::min);
        let rest = Duration::try_from_secs_f64(rest.max(0.0)).unwrap_or(Duration::MAX);
        let whole = answer_within.saturating_sub(rest);
        Some(arrival.patience.map_or(whole, |patience| patience.min(whole)))
    }

    /// The targets that an arrival may start at, and whose turn it is among them.
    fn reach(&mut self, arrival: &Arrival) -> (Targets, u32) {
        let topic = &mut self.topics[arrival.topic];
        if let Some(bound) = arrival.bound {
            let exists = bound < topic.targets.len();
            let bound = if exists { Targets::only(bound) } else { Targets::NONE };
            return (bound.and(arrival.targets), NONE);
        }
        let targets = topic.weighted.and(arrival.targets);
        let rotation = topic.rotation(targets);
        if topic.when_full == WhenFull::Spill {
            return (targets, rotation);
        }
        let Some((_, turns)) = topic.rotations.get_mut(rotation as usize) else { return (targets, NONE) };
        let (pools, all) = (&self.pools, &topic.targets);
        let turn = turns.pick(|target| targets.contains(target) && !pools[all[target].pool].rests());
        (turn.map_or(targets, Targets::only), NONE)
    }

    /// A call that cannot start: it waits if that makes sense.
    fn wait(&mut self, now: Duration, mut call: Call, out: &mut Vec<Decision>) -> Admission {
        let (topic, segment) = (call.topic as usize, call.segment as usize);
        let ask = self.ask(&call);
        let mut outlook = self.outlook(topic, call.targets, segment, ask.class);
        if let Some(rest) = self.rest_of(now, topic, call.targets) {
            let bound = self.topics[topic].bounds.wait;
            if rest > call.patience.map_or(bound, |patience| patience.min(bound)) {
                let retry_after = hint(if rest == Duration::MAX { Duration::ZERO } else { rest });
                return self.refuse(now, &call, Refusal { reason: Shed::NoEndpoint, retry_after });
            }
            outlook.wait += rest.as_secs_f64();
        }
        for target in call.targets.iter() {
            if let Some(pool) = self.pool_of(topic, target) {
                self.pools[pool].pace.blocked(now);
            }
        }
        self.topics[topic].pace.blocked(now);
        let retry_after = outlook.retry_after(call.patience);
        let refusal = |reason| Refusal { reason, retry_after };
        if call.patience.is_some_and(|patience| outlook.would_miss(patience)) {
            return self.refuse(now, &call, refusal(Shed::WouldMiss));
        }
        let Ok(displaced) = self.room_at_pools(&mut call) else {
            return self.refuse(now, &call, refusal(Shed::Bulkhead));
        };
        // Out of line while room is made in the topic's queue, for which it may be enough.
        if let Some(index) = displaced {
            self.unlink(index);
        }
        let roomy = self.make_room_in_queue(now, &call, out);
        match displaced {
            Some(index) if roomy => self.give_up(now, index, Shed::Displaced, out),
            Some(index) => self.enqueue(index),
            None => {}
        }
        if !roomy {
            return self.refuse(now, &call, refusal(Shed::QueueFull));
        }
        let key = self.append(call);
        self.enqueue(key.index);
        Admission::Queued(CallId(key))
    }

    fn refuse(&mut self, now: Duration, call: &Call, refusal: Refusal) -> Admission {
        let at = self.book(call.topic as usize, call.segment as usize);
        self.ledgers[at].ledger.refused += 1;
        self.turn_away(now, at, call.demand);
        Admission::Refused(refusal)
    }

    /// Gives up a waiting call.
    pub(super) fn give_up(&mut self, now: Duration, index: u32, reason: Shed, out: &mut Vec<Decision>) {
        self.unlink(index);
        let Some(call) = self.calls.at(index) else { return };
        let class = self.ask(call).class;
        let outlook = self.outlook(call.topic as usize, call.targets, call.segment as usize, class);
        let refusal = Refusal { reason, retry_after: outlook.retry_after(call.patience) };
        let (at, demand) = (self.book(call.topic as usize, call.segment as usize), call.demand);
        let key = self.calls.key(index);
        self.commit(index);
        self.turn_away(now, at, demand);
        if let Some(key) = key {
            out.push(Decision::Drop { call: CallId(key), refusal });
        }
    }

    /// How long all endpoints of these targets rest; `None` if any does not. For ever where there are none.
    fn rest_of(&self, now: Duration, topic: usize, targets: Targets) -> Option<Duration> {
        let mut soonest = Duration::MAX;
        for target in targets.iter() {
            let Some(pool) = self.pool_of(topic, target).map(|pool| &self.pools[pool]) else { continue };
            if !pool.rests() {
                return None;
            }
            soonest = soonest.min(pool.rests_until.map_or(Duration::MAX, |until| until.saturating_sub(now)));
        }
        Some(soonest)
    }

    /// When a call of this kind that comes now would get its first token.
    pub(super) fn outlook(&self, topic: usize, targets: Targets, segment: usize, class: Class) -> Outlook {
        let mut outlook = self.upstream(topic, targets);
        let (mut soonest, mut most_ahead, mut rate) = (f64::INFINITY, 0.0_f64, 0.0);
        let mut known = Targets::NONE;
        for target in targets.iter() {
            let Some(pool) = self.pool_of(topic, target) else { continue };
            if known.iter().any(|other| self.pool_of(topic, other) == Some(pool)) {
                continue;
            }
            known = known.with(target);
            let (ahead, pace) = (self.ahead(pool, segment, class), self.pools[pool].pace.tokens_per_sec());
            soonest = soonest.min(ahead / pace);
            most_ahead = most_ahead.max(ahead);
            rate += pace;
        }
        // What waits for several pools stands ahead at each of them, and they all work on it.
        if rate > 0.0 {
            outlook.wait = soonest.min(most_ahead / rate);
        }
        outlook
    }

    /// Leaves a call only the pools for which it may wait. If there is none, a call that counts for less is to make
    /// room at one: its index, or an error if there is no such call.
    fn room_at_pools(&mut self, call: &mut Call) -> Result<Option<u32>, NoRoom> {
        let topic = call.topic as usize;
        let mut roomy = Targets::NONE;
        let mut crowded = None;
        for target in call.targets.iter() {
            let Some(pool) = self.pool_of(topic, target) else { continue };
            match self.pools[pool].bulkhead.pending {
                Some(pending) if self.pools[pool].queued >= pending => {
                    crowded = crowded.or_else(|| (pending > 0).then_some((target, pool)));
                }
                _ => roomy = roomy.with(target),
            }
        }
        if !roomy.is_empty() {
            call.targets = roomy;
            return Ok(None);
        }
        let (target, pool) = crowded.ok_or(NoRoom)?;
        let pool_index = u32::try_from(pool).unwrap_or(NONE);
        let victim =
            self.worse(call, |dispatcher, lane| dispatcher.lanes.at(lane).pools.contains(&pool_index));
        call.targets = Targets::only(target);
        victim.map(Some).ok_or(NoRoom)
    }

    /// Makes room in the topic's queue, by displacing what counts for less; nothing is displaced in vain.
    fn make_room_in_queue(&mut self, now: Duration, call: &Call, out: &mut Vec<Decision>) -> bool {
        let topic = call.topic as usize;
        let mut gone = std::mem::take(&mut self.scratch);
        while !self.fits(call) && gone.len() < DISPLACED_MOST {
            let Some(victim) =
                self.worse(call, |dispatcher, lane| dispatcher.lanes.at(lane).key.topic as usize == topic)
            else {
                break;
            };
            self.unlink(victim);
            gone.push(victim);
        }
        let fits = self.fits(call);
        while let Some(victim) = gone.pop() {
            if fits {
                self.give_up(now, victim, Shed::Displaced, out);
            } else {
                self.enqueue(victim);
            }
        }
        self.scratch = gone;
        fits
    }

    fn fits(&self, call: &Call) -> bool {
        let topic = &self.topics[call.topic as usize];
        topic.queued < topic.bounds.requests
            && topic.queued_tokens + u64::from(call.tokens) <= topic.bounds.tokens
    }

    /// The newest call of the lane that counts for least, if it counts for less than this one would: by class, then
    /// by how much of the topic's queue the segment holds for its share.
    fn worse(&self, call: &Call, counts: impl Fn(&Self, u32) -> bool) -> Option<u32> {
        let mut worst: Option<(Class, f64, u64, u32)> = None;
        for (lane, state) in self.lanes.used().filter(|(lane, _)| counts(self, *lane)) {
            let key = state.key;
            let held = self.held(key.topic as usize, key.segment as usize, key.class, 0);
            let newest = self.calls.at(state.last).map_or(0, |last| last.sequence);
            let candidate = (key.class, held, newest, lane);
            if worst.is_none_or(|worst| candidate > worst) {
                worst = Some(candidate);
            }
        }
        let (class, held, _, lane) = worst?;
        let own_class = self.ask(call).class;
        let own = self.held(call.topic as usize, call.segment as usize, own_class, call.tokens);
        ((own_class, own) < (class, held)).then(|| self.lanes.at(lane).last)
    }

    fn held(&self, topic: usize, segment: usize, class: Class, more: u32) -> f64 {
        let tokens = self.ledgers[self.book(topic, segment)].ledger.queued_tokens[class.priority() as usize];
        (tokens + u64::from(more)) as f64 / self.segments[segment].share
    }
}
