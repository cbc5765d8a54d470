//! The promises in numbers, over simulated minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::terms;
use crate::limit::{Hold, Meter, Outputs, Terms};

#[test]
fn two_hundred_a_second_with_a_burst_of_four_hundred() {
    let (meter, terms) = (Meter::default(), terms(Some((200.0, 400)), None, None));
    let offered = 10 * 1000;
    let admitted = (0..offered).filter(|call| {
        let now = Duration::from_millis(*call);
        let entered = meter.enter(&terms, now);
        entered.map(|hold| meter.settle(&terms, hold, 0, now)).is_ok()
    });
    let admitted = admitted.count();
    // 400 at once, and 200 for each of 10 s.
    assert!((2376..=2424).contains(&admitted), "{admitted}");
}

/// One simulated hour of streams that reserve, and end in many ways: tokens used in all, and the terms.
fn an_hour_of_streams(seed: u64, tokens_per_minute: u32, calls_per_second: f64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let (meter, outputs) = (Meter::default(), Outputs::default());
    let terms = terms(None, Some(tokens_per_minute), None);
    let mut open: BTreeMap<Duration, Vec<(Hold, u32)>> = BTreeMap::new();
    let (mut now, mut used, end) = (Duration::ZERO, 0, Duration::from_secs(3600));
    while now < end {
        now += Duration::from_secs_f64(random.random_range(0.0..2.0 / calls_per_second));
        while let Some(entry) = open.first_entry().filter(|entry| *entry.key() <= now) {
            let at = *entry.key();
            used += entry.remove().into_iter().map(|ended| settle(&meter, &terms, ended, at)).sum::<u64>();
        }
        let prompt = random.random_range(20..600);
        let most = random.random_bool(0.5).then(|| random.random_range(10..800));
        let reserved = prompt + most.unwrap_or(u32::MAX).min(outputs.usual_most());
        let Ok(mut hold) = meter.enter(&terms, now) else { continue };
        if meter.reserve(&terms, &mut hold, reserved, now).is_err() {
            meter.give_back(&terms, hold);
            continue;
        }
        let answer = random.random_range(1..1500).min(most.unwrap_or(u32::MAX));
        // Some leave in the middle, some before anything came.
        let made = match random.random_range(0..10) {
            0 => 0,
            1 | 2 => answer / 2,
            _ => answer,
        };
        outputs.observe(made, now);
        let ends = now + Duration::from_millis(u64::from(made) * 20);
        // What the estimate of the prompt missed.
        let tokens = prompt * random.random_range(80..125) / 100 + made;
        open.entry(ends).or_default().push((hold, tokens));
    }
    used + open.into_values().flatten().map(|ended| settle(&meter, &terms, ended, end)).sum::<u64>()
}

fn settle(meter: &Meter, terms: &Terms, (hold, tokens): (Hold, u32), now: Duration) -> u64 {
    meter.settle(terms, hold, tokens, now);
    u64::from(tokens)
}

#[test]
fn tokens_of_mixed_streams_with_aborts_are_the_bucket_and_the_rate() {
    for seed in 0..8 {
        for tokens_per_minute in [60_000_u32, 400_000] {
            let offered = f64::from(tokens_per_minute) / 60.0 / 300.0;
            let used = an_hour_of_streams(seed, tokens_per_minute, offered);
            // One bucket, and an hour.
            let promised = u64::from(tokens_per_minute) * 61;
            let error = used.abs_diff(promised) as f64 / promised as f64;
            assert!(error < 0.03, "seed {seed}: {used} of {promised}");
        }
    }
}

#[test]
fn who_asks_for_less_than_the_rate_is_never_refused() {
    let (meter, terms) = (Meter::default(), terms(Some((50.0, 10)), Some(600_000), Some(1)));
    for call in 0..10_000 {
        let now = Duration::from_millis(20 * call);
        let mut hold = meter.enter(&terms, now).unwrap();
        meter.reserve(&terms, &mut hold, 500, now).unwrap();
        meter.settle(&terms, hold, 199, now);
    }
}
