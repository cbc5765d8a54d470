//! A new plan while calls are under way: what has the same name goes on, what is gone ends by itself.

use std::time::Duration;

use super::Dispatcher;
use super::call::{Decision, Targets};
use super::ledger::Book;
use super::plan::{Plan, Segment};
use super::pool::{Pool, Used};
use super::slab::NONE;
use super::topic::TopicState;
use crate::dialect::Shed;

/// Where things went: by their old index, the new one.
#[derive(Debug, Default)]
struct Moves {
    topics: Vec<Option<usize>>,
    segments: Vec<Option<usize>>,
    pools: Vec<Option<usize>>,
    /// By old pool, then old endpoint.
    endpoints: Vec<Vec<Option<usize>>>,
}

impl Dispatcher {
    /// Goes by another plan from now on. Indices mean the new plan's from then on, also in later decisions about
    /// calls that wait.
    ///
    /// Topics, segments, pools and targets are known by their names: ledgers, clocks and estimates of those that stay
    /// go on. An endpoint of the same pool and identity keeps its limiter and what is under way there; the others'
    /// attempts end where they are, on no plan's account. Waiting calls keep their order, and those of
    /// their targets that speak their dialect still; one that has none left is given up.
    pub fn reload(&mut self, now: Duration, plan: Plan, out: &mut Vec<Decision>) {
        let waiting = self.take_out_waiting();
        let mut moves = Moves::default();
        self.move_segments(plan.segments, &mut moves);
        self.move_pools(now, plan.pools, &mut moves);
        let masks = self.move_topics(plan.topics, &mut moves);
        self.move_calls(&moves, &masks);
        for index in waiting {
            if self.calls.at(index).is_some_and(|call| call.targets.is_empty()) {
                self.give_up(now, index, Shed::NoEndpoint, out);
            } else {
                self.enqueue(index);
            }
        }
        for pool in 0..self.pools.len() {
            self.pump(now, pool, out);
        }
        self.check_invariants();
    }

    /// The waiting calls, oldest first, in no lane any more.
    pub(super) fn take_out_waiting(&mut self) -> Vec<u32> {
        let mut waiting: Vec<(u64, u32)> = self
            .calls
            .iter()
            .filter(|(_, call)| call.lane != NONE)
            .map(|(index, call)| (call.sequence, index))
            .collect();
        waiting.sort_unstable();
        let waiting: Vec<u32> = waiting.into_iter().map(|(_, index)| index).collect();
        waiting.iter().for_each(|index| self.unlink(*index));
        waiting
    }

    fn move_segments(&mut self, planned: Vec<Segment>, moves: &mut Moves) {
        let old = std::mem::replace(&mut self.segments, planned);
        self.planned_segments = self.segments.len();
        let count = old.len();
        for (index, segment) in old.into_iter().enumerate() {
            let found = self.segments.iter().position(|new| new.name == segment.name);
            let busy = || self.ledgers.iter().skip(index).step_by(count).any(|book| book.ledger.lag() > 0);
            let to = found.or_else(|| busy().then_some(self.segments.len()));
            if to == Some(self.segments.len()) {
                self.segments.push(segment);
            }
            moves.segments.push(to);
        }
    }

    fn move_pools(&mut self, now: Duration, planned: Vec<super::plan::Pool>, moves: &mut Moves) {
        let count = self.segments.len();
        let old = std::mem::take(&mut self.pools);
        self.pools = planned.into_iter().map(|pool| Pool::new(now, pool, count)).collect();
        self.planned_pools = self.pools.len();
        for mut pool in old {
            let found = self.pools[..self.planned_pools].iter().position(|new| new.name == pool.name);
            let mut endpoints = vec![None; pool.endpoints.len()];
            let to = if let Some(to) = found {
                endpoints = self.pools[to].take_over(now, &mut pool, &moves.segments);
                Some(to)
            } else if pool.inflight > 0 {
                endpoints = (0..pool.endpoints.len()).map(Some).collect();
                pool.retire(now, &moves.segments, count);
                self.pools.push(pool);
                Some(self.pools.len() - 1)
            } else {
                None
            };
            moves.pools.push(to);
            moves.endpoints.push(endpoints);
        }
    }

    /// Moves the topics; for each old one, where its targets went.
    fn move_topics(
        &mut self,
        planned: Vec<super::plan::Topic>,
        moves: &mut Moves,
    ) -> Vec<Vec<Option<usize>>> {
        let mut books = std::mem::take(&mut self.ledgers).into_iter();
        let old = std::mem::replace(&mut self.topics, planned.into_iter().map(TopicState::new).collect());
        self.planned_topics = self.topics.len();
        let count = self.segments.len();
        self.ledgers = vec![Book::default(); self.topics.len() * count];
        let mut targets = Vec::new();
        for mut topic in old {
            let old_books: Vec<Book> = books.by_ref().take(moves.segments.len()).collect();
            let found = self.topics[..self.planned_topics].iter().position(|new| new.name == topic.name);
            let busy = old_books.iter().any(|book| book.ledger.lag() > 0);
            let to = found.or_else(|| busy.then_some(self.topics.len()));
            let went =
                to.filter(|to| *to < self.topics.len()).map(|to| self.topics[to].take_over(&mut topic));
            targets.push(went.unwrap_or_else(|| vec![None; topic.targets.len()]));
            if to == Some(self.topics.len()) {
                topic.targets.clear();
                topic.rotations.clear();
                topic.weighted = Targets::NONE;
                self.topics.push(topic);
                self.ledgers.extend(std::iter::repeat_n(Book::default(), count));
            }
            moves.topics.push(to);
            let Some(to) = to else { continue };
            for (book, segment) in old_books.into_iter().zip(&moves.segments) {
                if let Some(segment) = segment {
                    self.ledgers[to * count + segment] = book;
                }
            }
        }
        targets
    }

    fn move_calls(&mut self, moves: &Moves, targets: &[Vec<Option<usize>>]) {
        let to = |map: &[Option<usize>], old: u32| {
            let new = map.get(old as usize).copied().flatten();
            new.and_then(|new| u32::try_from(new).ok()).unwrap_or(old)
        };
        for call in self.calls.values_mut() {
            let went = targets.get(call.topic as usize).map_or(&[][..], Vec::as_slice);
            call.topic = to(&moves.topics, call.topic);
            let known = &self.topics[call.topic as usize].targets;
            let speaks = |to: &usize| known.get(*to).is_some_and(|to| to.dialects.contains(call.dialect));
            let moved = call.targets.iter().filter_map(|target| *went.get(target)?).filter(speaks);
            call.targets = moved.fold(Targets::NONE, Targets::with);
            call.segment = to(&moves.segments, call.segment);
            if call.rotation != NONE {
                call.rotation = self.topics[call.topic as usize].rotation(call.targets);
            }
        }
        for held in self.permits.values_mut() {
            let endpoints = moves.endpoints.get(held.pool as usize).map_or(&[][..], Vec::as_slice);
            held.endpoint = to(endpoints, held.endpoint);
            held.pool = to(&moves.pools, held.pool);
            held.segment = to(&moves.segments, held.segment);
        }
    }
}

impl Pool {
    /// Goes on with what `old` has under way and knows; where its endpoints went.
    fn take_over(&mut self, now: Duration, old: &mut Self, segments: &[Option<usize>]) -> Vec<Option<usize>> {
        let planned = self.endpoints.len();
        let mut went = Vec::new();
        let mut taken = vec![false; planned];
        for mut endpoint in old.endpoints.drain(..) {
            let same = |index: &usize| !taken[*index] && self.endpoints[*index].identity == endpoint.identity;
            if let Some(index) = (0..planned).find(same) {
                taken[index] = true;
                endpoint.retired = false;
                self.endpoints[index] = endpoint;
                went.push(Some(index));
            } else if endpoint.inflight > 0 {
                endpoint.retired = true;
                self.endpoints.push(endpoint);
                went.push(Some(self.endpoints.len() - 1));
            } else {
                went.push(None);
            }
        }
        (self.inflight, self.inflight_batch) = (old.inflight, old.inflight_batch);
        (self.awaiting, self.whole) = (old.awaiting, old.whole);
        self.used = moved(&old.used, segments, self.used.len());
        self.clock = old.clock.moved(&origins(segments, self.used.len()));
        self.pace = old.pace.clone();
        self.first_token = old.first_token.clone();
        self.roll_call(now);
        self.sum = self.read(now);
        went
    }

    /// Segments have other indices from now on, of `count`; nothing waits.
    pub(super) fn renumber(&mut self, segments: &[Option<usize>], count: usize) {
        self.used = moved(&self.used, segments, count);
        self.clock = self.clock.moved(&origins(segments, count));
        self.queued_tokens = vec![[0; 2]; count];
    }

    /// It is in no plan any more: it takes nothing new.
    fn retire(&mut self, now: Duration, segments: &[Option<usize>], count: usize) {
        self.renumber(segments, count);
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.retired = true);
        self.roll_call(now);
    }
}

impl TopicState {
    /// Goes on with what `old` knows; where its targets went.
    fn take_over(&mut self, old: &mut Self) -> Vec<Option<usize>> {
        self.pace = old.pace.clone();
        (self.service, self.gauge, self.saturation) = (old.service, old.gauge, old.saturation);
        let alike = |(new, old): (&super::Target, &super::Target)| {
            (&new.label, new.weight) == (&old.label, old.weight)
        };
        if self.targets.len() == old.targets.len() && self.targets.iter().zip(&old.targets).all(alike) {
            self.rotations = std::mem::take(&mut old.rotations);
        }
        let find = |target: &super::Target| self.targets.iter().position(|new| new.label == target.label);
        old.targets.iter().map(find).collect()
    }
}

/// For each new segment its old index.
fn origins(segments: &[Option<usize>], count: usize) -> Vec<Option<usize>> {
    (0..count).map(|new| segments.iter().position(|to| *to == Some(new))).collect()
}

fn moved(used: &[Used], segments: &[Option<usize>], count: usize) -> Vec<Used> {
    origins(segments, count)
        .into_iter()
        .map(|old| old.and_then(|old| used.get(old)).copied().unwrap_or_default())
        .collect()
}
