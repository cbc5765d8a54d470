//! Everything that must hold between events.

use super::super::slab::NONE;
use crate::overload::dispatch::*;

impl Dispatcher {
    pub(super) fn verify(&self) {
        self.verify_lanes();
        self.verify_pools();
        self.verify_books();
    }

    fn waiting(&self) -> impl Iterator<Item = (u32, &Call)> {
        self.calls.iter().filter(|(_, call)| call.lane != NONE)
    }

    fn verify_lanes(&self) {
        let mut seen = 0;
        for (index, lane) in self.lanes.used() {
            let (mut at, mut previous, mut length, mut sequence) = (lane.first, NONE, 0, None);
            while let Some(call) = self.calls.at(at) {
                assert_eq!((call.lane, call.previous), (index, previous));
                assert_eq!(call.lane_key(&self.segments), lane.key);
                assert!(sequence < Some(call.sequence), "first come, first served");
                assert!(previous != NONE || call.sequence == lane.first_sequence);
                (sequence, previous, length) = (Some(call.sequence), at, length + 1);
                at = call.next;
            }
            assert_eq!((at, lane.last, lane.length), (NONE, previous, length));
            seen += length;
            for pool in &lane.pools {
                let lanes = &self.pools[*pool as usize].lanes;
                assert_eq!(lanes.iter().filter(|other| **other == index).count(), 1);
            }
        }
        assert_eq!((seen, seen as usize), (self.lanes.queued, self.waiting().count()));
    }

    fn verify_pools(&self) {
        for (index, pool) in (0_u32..).zip(&self.pools) {
            let waiting: Vec<&Call> = pool
                .lanes
                .iter()
                .flat_map(|lane| self.waiting().filter(|(_, call)| call.lane == *lane).map(|(_, call)| call))
                .collect();
            assert_eq!(pool.queued as usize, waiting.len());
            let realtime = waiting.iter().filter(|call| call.priority == Priority::Realtime).count();
            assert_eq!(pool.queued_realtime as usize, realtime);
            for (segment, tokens) in pool.queued_tokens.iter().enumerate() {
                for priority in [Priority::Realtime, Priority::Batch] {
                    let own = waiting
                        .iter()
                        .filter(|call| (call.segment as usize, call.priority) == (segment, priority));
                    let sum: u64 = own.map(|call| u64::from(call.tokens)).sum();
                    assert_eq!(tokens[priority as usize], sum);
                }
            }
            let held: Vec<_> =
                self.permits.iter().map(|(_, held)| held).filter(|held| held.pool == index).collect();
            assert_eq!(pool.inflight as usize, held.len());
            let whole = held.iter().filter(|held| !held.stream).count();
            let awaiting = held.iter().filter(|held| held.stream && !held.first_token).count();
            assert_eq!((pool.whole as usize, pool.awaiting as usize), (whole, awaiting));
            let of_batch = held.iter().filter(|held| held.class.priority() == Priority::Batch).count();
            assert_eq!(pool.inflight_batch as usize, of_batch);
            for (segment, used) in pool.used.iter().enumerate() {
                let own = held.iter().filter(|held| held.segment as usize == segment).count();
                assert_eq!(used.inflight as usize, own);
            }
            for (at, endpoint) in pool.endpoints.iter().enumerate() {
                let own = held.iter().filter(|held| held.endpoint as usize == at).count();
                assert_eq!(endpoint.inflight as usize, own);
                assert_eq!(
                    endpoint.limiter.read(self.ticked).inflight,
                    endpoint.inflight,
                    "no place lost or doubled"
                );
            }
        }
    }

    fn verify_books(&self) {
        assert_eq!(self.ledgers.len(), self.topics.len() * self.segments.len());
        for (at, book) in self.ledgers.iter().enumerate() {
            let own = |call: &&Call| self.book(call.topic as usize, call.segment as usize) == at;
            let calls: Vec<&Call> = self.calls.iter().map(|(_, call)| call).filter(own).collect();
            assert_eq!(book.ledger.lag(), calls.len() as u64);
            let left: u64 = calls.iter().map(|call| u64::from(call.tokens_left)).sum();
            assert_eq!(book.ledger.lag_tokens, left);
            assert_eq!(book.ledger.queued as usize, calls.iter().filter(|call| call.lane != NONE).count());
            let oldest = calls.iter().map(|call| call.offset).min();
            assert_eq!(self.calls.at(book.oldest).map(|call| call.offset), oldest, "the low watermark");
        }
    }

    pub(super) fn verify_bounds(&self) {
        for (at, topic) in self.topics.iter().enumerate().take(self.planned_topics) {
            let own = |call: &&Call| call.topic as usize == at;
            let calls: Vec<&Call> = self.waiting().map(|(_, call)| call).filter(own).collect();
            let tokens: u64 = calls.iter().map(|call| u64::from(call.tokens)).sum();
            assert_eq!((topic.queued as usize, topic.queued_tokens), (calls.len(), tokens));
            assert!(topic.queued <= topic.bounds.requests && tokens <= topic.bounds.tokens);
        }
        for pool in &self.pools {
            assert!(pool.bulkhead.inflight.is_none_or(|cap| pool.inflight <= cap));
            assert!(pool.bulkhead.pending.is_none_or(|cap| pool.queued <= cap));
        }
    }
}
