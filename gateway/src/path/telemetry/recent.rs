//! How the calls of each target went in the last minute, for operators who shift weights: rings of a slot a second that
//! calls count themselves into as they end, with a few atomic additions and no lock. A slot is begun anew by the first
//! call of its second; one that ends in the same instant may be lost to the count, which a minute survives.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How far operators look back.
pub(crate) const WINDOW_SECS: u32 = 60;
/// More than the window, and a power of two.
const SLOTS: u32 = 64;
/// First tokens are counted in buckets that grow by a quarter to a fifth, from 1 ms to 268 s.
const BUCKETS: usize = 72;
/// The unit of the buckets, in microseconds: the first four of them are a millisecond.
const UNIT_BITS: u32 = 8;

/// Calls of one target, by the second in which they ended.
pub(crate) struct Recent {
    origin: Instant,
    slots: Box<[Slot]>,
}

#[derive(Debug)]
struct Slot {
    /// Counted from 1 at the origin; 0 was never.
    second: AtomicU32,
    calls: AtomicU32,
    errors: AtomicU32,
    first_tokens: [AtomicU32; BUCKETS],
}

/// Calls of one target that went there because it was its turn, under certain weights.
#[derive(Debug)]
pub(crate) struct Turns {
    origin: Instant,
    /// The second and its count.
    slots: [AtomicU64; SLOTS as usize],
}

/// What the last minute was like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Lately {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) first_token_p50: Option<Duration>,
    pub(crate) first_token_p95: Option<Duration>,
}

/// The rings of all targets, so that they go on over a reload.
#[derive(Debug)]
pub(crate) struct Recents {
    origin: Instant,
    known: Mutex<Known>,
}

/// By route and target; turns by their weights, too.
#[derive(Debug, Default)]
struct Known {
    calls: HashMap<(String, String), Arc<Recent>>,
    turns: HashMap<(String, String), (Vec<u32>, Arc<Turns>)>,
}

impl Recents {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), known: Mutex::default() }
    }

    /// How the calls of a target go.
    pub(crate) fn calls(&self, route: &str, target: &str) -> Arc<Recent> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.to_owned(), target.to_owned());
        if !known.calls.contains_key(&key) {
            // Those that no configuration has any more.
            known.calls.retain(|_, recent| Arc::strong_count(recent) > 1);
        }
        known.calls.entry(key).or_insert_with(|| Arc::new(Recent::new(self.origin))).clone()
    }

    /// The turns of a target under the weights of its route: with others they are counted anew, so that what was
    /// begun before is not held against them.
    pub(crate) fn turns(&self, route: &str, target: &str, weights: &[u32]) -> Arc<Turns> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.to_owned(), target.to_owned());
        if let Some((_, turns)) = known.turns.get(&key).filter(|(under, _)| under == weights) {
            return turns.clone();
        }
        known.turns.retain(|_, (_, turns)| Arc::strong_count(turns) > 1);
        let turns = Arc::new(Turns::new(self.origin));
        known.turns.insert(key, (weights.to_vec(), turns.clone()));
        turns
    }
}

impl Recent {
    fn new(origin: Instant) -> Self {
        let slot = |_| Slot {
            second: AtomicU32::new(0),
            calls: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            first_tokens: [const { AtomicU32::new(0) }; BUCKETS],
        };
        Self { origin, slots: (0..SLOTS).map(slot).collect() }
    }

    /// A call has ended.
    pub(super) fn note(&self, at: Instant, failed: bool, first_token: Option<Duration>) {
        let second = second(self.origin, at);
        let Some(slot) = self.slots.get((second % SLOTS) as usize) else { return };
        let known = slot.second.load(Ordering::Relaxed);
        if known != second
            && slot.second.compare_exchange(known, second, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let counts = slot.first_tokens.iter().chain([&slot.calls, &slot.errors]);
            counts.for_each(|count| count.store(0, Ordering::Relaxed));
        }
        slot.calls.fetch_add(1, Ordering::Relaxed);
        if failed {
            slot.errors.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(count) = first_token.and_then(|time| slot.first_tokens.get(bucket(time))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The minute before `at`.
    pub(crate) fn lately(&self, at: Instant) -> Lately {
        let now = second(self.origin, at);
        let mut lately = Lately::default();
        let mut first_tokens = [0_u64; BUCKETS];
        for slot in self.slots.iter().filter(|slot| is_late(slot.second.load(Ordering::Relaxed), now)) {
            lately.calls += u64::from(slot.calls.load(Ordering::Relaxed));
            lately.errors += u64::from(slot.errors.load(Ordering::Relaxed));
            for (sum, count) in first_tokens.iter_mut().zip(&slot.first_tokens) {
                *sum += u64::from(count.load(Ordering::Relaxed));
            }
        }
        lately.first_token_p50 = quantile(&first_tokens, 50);
        lately.first_token_p95 = quantile(&first_tokens, 95);
        lately
    }
}

impl Turns {
    fn new(origin: Instant) -> Self {
        Self { origin, slots: [const { AtomicU64::new(0) }; SLOTS as usize] }
    }

    /// A call whose turn it was has ended.
    pub(super) fn note(&self, at: Instant) {
        let second = second(self.origin, at);
        let Some(slot) = self.slots.get((second % SLOTS) as usize) else { return };
        let known = slot.load(Ordering::Relaxed);
        let begun = u64::from(second) << 32;
        let fresh = known >> 32 != u64::from(second)
            && slot.compare_exchange(known, begun | 1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !fresh {
            slot.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those of the minute before `at`.
    pub(crate) fn lately(&self, at: Instant) -> u64 {
        let now = second(self.origin, at);
        let slots = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        let late = slots.filter(|slot| is_late(u32::try_from(slot >> 32).unwrap_or_default(), now));
        late.map(|slot| slot & u64::from(u32::MAX)).sum()
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Recent").finish_non_exhaustive()
    }
}

fn second(origin: Instant, at: Instant) -> u32 {
    u32::try_from(at.saturating_duration_since(origin).as_secs() + 1).unwrap_or(u32::MAX)
}

fn is_late(second: u32, now: u32) -> bool {
    second > 0 && second <= now && now - second < WINDOW_SECS
}

/// The bucket of a time: four for each doubling.
fn bucket(time: Duration) -> usize {
    let units = u64::try_from(time.as_micros()).unwrap_or(u64::MAX) >> UNIT_BITS;
    let units = units.clamp(4, (1 << (BUCKETS / 4 + 2)) - 1);
    let shift = units.ilog2() - 2;
    shift as usize * 4 + (units >> shift) as usize - 4
}

/// The middle of a bucket.
fn middle(bucket: usize) -> Duration {
    let shift = bucket / 4;
    let units = (bucket % 4 + 4) as u64;
    // Of the two halves of a unit, the lower ones: `units` of them and a half.
    Duration::from_micros(((2 * units + 1) << shift) << (UNIT_BITS - 1))
}

fn quantile(counts: &[u64], percent: u64) -> Option<Duration> {
    let all: u64 = counts.iter().sum();
    let rank = (all * percent).div_ceil(100).max(1);
    let mut seen = 0;
    let found = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    found.map(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(recents: &Recents, seconds: u64) -> Instant {
        recents.origin + Duration::from_secs(seconds)
    }

    #[test]
    fn a_minute_is_seen_and_no_more() {
        let recents = Recents::new();
        let (recent, turns) = (recents.calls("r", "t"), recents.turns("r", "t", &[1]));
        for second in 0..200 {
            recent.note(at(&recents, second), second % 2 == 0, Some(Duration::from_millis(100)));
            turns.note(at(&recents, second));
        }
        let lately = recent.lately(at(&recents, 199));
        assert_eq!((lately.calls, lately.errors, turns.lately(at(&recents, 199))), (60, 30, 60));
        assert_eq!(recent.lately(at(&recents, 219)).calls, 40);
        assert_eq!(
            (recent.lately(at(&recents, 300)), turns.lately(at(&recents, 300))),
            (Lately::default(), 0)
        );
    }

    #[test]
    fn first_tokens_are_known_to_an_eighth() {
        let recents = Recents::new();
        let recent = recents.calls("r", "t");
        for ms in 1..=1000 {
            recent.note(recents.origin, false, Some(Duration::from_millis(ms)));
        }
        let lately = recent.lately(recents.origin);
        for (found, ms) in [(lately.first_token_p50, 500.0), (lately.first_token_p95, 950.0)] {
            let off = found.unwrap().as_secs_f64() * 1e3 / ms;
            assert!((0.875..1.125).contains(&off), "{found:?} for {ms} ms");
        }
        for micros in [0, 1, 999, 1_000, 70_000, 268_000_000, u64::MAX] {
            assert!(bucket(Duration::from_micros(micros)) < BUCKETS, "{micros}");
        }
        for one in 0..BUCKETS {
            assert_eq!(bucket(middle(one)), one, "a bucket's middle is in it");
        }
    }

    #[test]
    fn with_other_weights_turns_are_counted_anew_and_calls_are_not() {
        let recents = Recents::new();
        let before = recents.turns("r", "t", &[1, 2]);
        assert!(Arc::ptr_eq(&before, &recents.turns("r", "t", &[1, 2])));
        assert!(!Arc::ptr_eq(&before, &recents.turns("r", "t", &[2, 1])));
        let calls = recents.calls("r", "t");
        assert!(Arc::ptr_eq(&calls, &recents.calls("r", "t")));
        assert!(!Arc::ptr_eq(&calls, &recents.calls("r", "u")));
    }
}
