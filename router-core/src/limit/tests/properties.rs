//! What holds for every history.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use crate::limit::{Cell, Hold, Meter, Rate};

use super::terms;

#[derive(Clone, Copy, Debug)]
enum Step {
    Pause(u64),
    Take(u32),
    /// Gives back a part of what was taken.
    GiveBack(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..20_000_u64).prop_map(Step::Pause),
        (1..300_u32).prop_map(Step::Take),
        any::<u8>().prop_map(Step::GiveBack),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// Over any interval no more goes through than the bucket and what the interval brings, where what comes back in it
    /// counts as not gone.
    #[test]
    fn never_more_than_the_bucket_and_the_rate(
        per_second in 0.1..5000.0_f64,
        bucket in 1..2000_u32,
        steps in steps(),
    ) {
        let rate = Rate::new(per_second, Duration::from_secs(1), f64::from(bucket));
        let (cell, mut now, mut held) = (Cell::default(), Duration::ZERO, 0_u32);
        let mut history: Vec<(Duration, i64)> = Vec::new();
        for step in steps {
            match step {
                Step::Pause(micros) => now += Duration::from_micros(micros),
                Step::Take(units) => {
                    let before = cell.level(&rate, now);
                    let taken = cell.take(&rate, units, now);
                    // As much as there is can be had, and no more: but what is larger than the bucket has it all.
                    let there = before.remaining >= u64::from(units.min(bucket));
                    prop_assert_eq!(taken.is_ok(), there, "{:?} {}", before, units);
                    if taken.is_ok() {
                        held += units;
                        history.push((now, i64::from(units.min(bucket))));
                    } else {
                        let wait = taken.unwrap_err();
                        prop_assert!(!wait.is_zero());
                        prop_assert!(cell.level(&rate, now + wait).remaining + 1 >= u64::from(units.min(bucket)));
                    }
                }
                Step::GiveBack(part) => {
                    let units = held * u32::from(part) / 255;
                    held -= units;
                    cell.give_back(&rate, units);
                    history.push((now, -i64::from(units)));
                }
            }
            prop_assert!(cell.level(&rate, now).remaining <= u64::from(bucket), "no credit beyond the bucket");
        }
        for (first, (from, _)) in history.iter().enumerate() {
            let mut gone = 0;
            for (at, units) in &history[first..] {
                gone += units;
                let brought = (*at - *from).as_secs_f64() * per_second;
                prop_assert!(gone as f64 <= f64::from(bucket) + brought + 1.0, "{gone} in {:?}", *at - *from);
            }
        }
    }

    /// Whatever ends however: nothing stays taken, and the bucket is full in the end.
    #[test]
    fn what_everybody_gave_back_is_there(calls in prop::collection::vec((1..500_u32, any::<bool>()), 1..100)) {
        let (meter, terms) = (Meter::default(), terms(Some((10.0, 1000)), Some(100_000), Some(1000)));
        let now = Duration::from_secs(1);
        let holds: Vec<(Hold, bool)> = calls
            .into_iter()
            .map(|(tokens, served)| {
                let mut hold = meter.enter(&terms, now).unwrap();
                meter.reserve(&terms, &mut hold, tokens, now).unwrap();
                (hold, served)
            })
            .collect();
        let served = holds.iter().filter(|(_, served)| *served).count() as u64;
        for (hold, served) in holds {
            if served { meter.settle(&terms, hold, 0, now) } else { meter.give_back(&terms, hold) }
        }
        prop_assert_eq!(meter.concurrent(), 0);
        prop_assert_eq!(meter.requests().level(&terms.requests.unwrap(), now).remaining, 1000 - served);
        prop_assert_eq!(meter.tokens().level(&terms.tokens.unwrap(), now).remaining, 100_000);
    }
}

#[test]
fn threads_at_once_lose_nothing_and_gain_nothing() {
    let rate = Rate::new(1e6, Duration::from_secs(1), 100_000.0);
    let (cell, taken) = (Cell::default(), AtomicU64::new(0));
    let now = Duration::from_secs(3);
    let offer = || {
        for round in 0..100_000_u32 {
            let took = cell.take(&rate, 1, now).is_ok();
            let returned = took && round % 7 == 0;
            if returned {
                cell.give_back(&rate, 1);
            }
            taken.fetch_add(u64::from(took && !returned), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(offer))));
    assert_eq!(taken.load(Ordering::Relaxed), 100_000);
    assert_eq!(cell.level(&rate, now).remaining, 0);
}
