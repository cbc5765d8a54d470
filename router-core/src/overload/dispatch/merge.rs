//! Two groups of routes and pools that a new plan links become one: nothing that is under way, waits or is counted in
//! either is lost.

use super::Dispatcher;
use super::call::{CallId, PermitId};
use super::ledger::Book;
use super::plan::Segment;
use super::slab::NONE;

/// Where the calls and permits of a dispatcher went that another one took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    calls: u32,
    permits: u32,
}

impl Moved {
    /// What a call is known by now.
    #[must_use]
    pub const fn call(self, CallId(call): CallId) -> CallId {
        CallId(call.moved(self.calls))
    }

    /// What a permit is known by now.
    #[must_use]
    pub const fn permit(self, PermitId(permit): PermitId) -> PermitId {
        PermitId(permit.moved(self.permits))
    }
}

impl Dispatcher {
    /// Whether it has this topic, or calls of it from an earlier plan.
    #[must_use]
    pub fn knows_topic(&self, name: &str) -> bool {
        self.topics.iter().any(|topic| topic.name == name)
    }

    /// Whether it has this pool, or attempts there from an earlier plan.
    #[must_use]
    pub fn knows_pool(&self, name: &str) -> bool {
        self.pools.iter().any(|pool| pool.name == name)
    }

    /// Takes over all that another dispatcher, which knows none of its topics and pools, knows and has under way.
    /// Until [`Dispatcher::reload`] brings a plan of both, no calls of the other's topics can arrive.
    pub fn absorb(&mut self, mut other: Self) -> Moved {
        let mut waiting = self.take_out_waiting();
        let theirs = other.take_out_waiting();
        let bases = Bases {
            topics: index(self.topics.len()),
            pools: index(self.pools.len()),
            calls: self.calls.end(),
            segments: self.unite_segments(&other.segments),
        };
        let moved = Moved { calls: bases.calls, permits: self.permits.end() };
        self.unite_tables(&mut other, &bases);
        self.unite_calls(other, &bases);
        waiting.extend(theirs.into_iter().map(|call| call + bases.calls));
        self.number_anew();
        waiting.sort_unstable_by_key(|call| self.calls.at(*call).map(|call| call.sequence));
        waiting.into_iter().for_each(|call| self.enqueue(call));
        self.check_invariants();
        moved
    }

    /// Makes the segments those of both; for each of the other's, its index here. Nothing waits.
    fn unite_segments(&mut self, others: &[Segment]) -> Vec<Option<usize>> {
        let before = self.segments.len();
        let mut went = Vec::with_capacity(others.len());
        for segment in others {
            let known = self.segments.iter().position(|own| own.name == segment.name);
            went.push(Some(known.unwrap_or(self.segments.len())));
            if known.is_none() {
                self.segments.push(segment.clone());
            }
        }
        let count = self.segments.len();
        let stay: Vec<_> = (0..before).map(Some).collect();
        self.pools.iter_mut().for_each(|pool| pool.renumber(&stay, count));
        let mut books = Vec::with_capacity(self.topics.len() * count);
        for own in self.ledgers.chunks(before.max(1)) {
            books.extend_from_slice(own);
            books.extend(std::iter::repeat_n(Book::default(), count - before));
        }
        self.ledgers = books;
        went
    }

    /// Adds the other's topics, books and pools behind the own.
    fn unite_tables(&mut self, other: &mut Self, bases: &Bases) {
        let count = self.segments.len();
        for mut pool in other.pools.drain(..) {
            pool.renumber(&bases.segments, count);
            self.pools.push(pool);
        }
        for mut topic in other.topics.drain(..) {
            topic.targets.iter_mut().for_each(|target| target.pool += bases.pools as usize);
            self.topics.push(topic);
        }
        for theirs in other.ledgers.chunks(bases.segments.len().max(1)) {
            let first = self.ledgers.len();
            self.ledgers.extend(std::iter::repeat_n(Book::default(), count));
            for (book, to) in theirs.iter().zip(&bases.segments) {
                let Some(to) = to else { continue };
                self.ledgers[first + to] = book.moved(bases.calls);
            }
        }
    }

    /// Adds the other's calls and permits.
    fn unite_calls(&mut self, mut other: Self, bases: &Bases) {
        let beyond = |call: u32| if call == NONE { NONE } else { call + bases.calls };
        for call in other.calls.values_mut() {
            call.topic += bases.topics;
            call.segment = bases.segment(call.segment);
            (call.older, call.newer) = (beyond(call.older), beyond(call.newer));
        }
        for held in other.permits.values_mut() {
            held.call += bases.calls;
            held.pool += bases.pools;
            held.segment = bases.segment(held.segment);
        }
        self.calls.absorb(other.calls);
        self.permits.absorb(other.permits);
        self.ticked = self.ticked.max(other.ticked);
        self.unsettled_until = self.unsettled_until.max(other.unsettled_until);
    }

    /// Numbers the calls of both in the order in which they came.
    fn number_anew(&mut self) {
        let mut order: Vec<_> =
            self.calls.iter().map(|(index, call)| (call.arrived, call.sequence, index)).collect();
        order.sort_unstable();
        for (sequence, (_, _, index)) in (0..).zip(&order) {
            if let Some(call) = self.calls.at_mut(*index) {
                call.sequence = sequence;
            }
        }
        self.sequence = order.len() as u64;
    }
}

/// Where the other's things begin among the own.
#[derive(Debug)]
struct Bases {
    topics: u32,
    pools: u32,
    calls: u32,
    /// By the other's index of a segment, the index here.
    segments: Vec<Option<usize>>,
}

impl Bases {
    fn segment(&self, old: u32) -> u32 {
        self.segments.get(old as usize).copied().flatten().map_or(NONE, index)
    }
}

fn index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NONE)
}
