//! What the request bodies of all calls may hold together. A count that every call adds to and takes from; no
//! lock, and nobody waits: a body for which there is no room is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use router_core::dialect::Reason;

/// Bytes that are held for request bodies.
#[derive(Debug, Default)]
pub(crate) struct BodyMemory {
    held: AtomicU64,
}

/// A call's part of it, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    memory: Arc<BodyMemory>,
    bytes: u64,
}

impl BodyMemory {
    /// A part of nothing, which may grow.
    pub(super) fn part(self: &Arc<Self>) -> Reservation {
        Reservation { memory: self.clone(), bytes: 0 }
    }
}

impl Reservation {
    /// Grows to `bytes`, if all parts together stay within `limit_bytes`.
    pub(super) fn grow_to(&mut self, bytes: u64, limit_bytes: u64) -> Result<(), Reason> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let before = self.memory.held.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > limit_bytes {
            self.memory.held.fetch_sub(more, Ordering::Relaxed);
            return Err(Reason::BodyMemory);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let memory = Arc::<BodyMemory>::default();
        let (mut first, mut second) = (memory.part(), memory.part());
        first.grow_to(60, 100).unwrap();
        first.grow_to(50, 100).unwrap();
        assert_eq!(second.grow_to(41, 100), Err(Reason::BodyMemory));
        second.grow_to(40, 100).unwrap();
        assert_eq!(first.grow_to(61, 100), Err(Reason::BodyMemory));
        drop(first);
        second.grow_to(100, 100).unwrap();
        drop(second);
        assert_eq!(memory.held.load(Ordering::Relaxed), 0);
    }
}
