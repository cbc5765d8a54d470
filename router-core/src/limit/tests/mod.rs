//! What a quota promises, in compressed time: exactly its rate, whatever comes and however it ends.

mod exactness;
mod properties;

use std::time::Duration;

use super::{Kind, Meter, Outputs, Terms};
use crate::config::{Quota, RequestRate};

const NONE: Quota = Quota { requests: None, tokens_per_minute: None, concurrent: None, enforce: true };

/// Terms by their configuration.
fn terms(rate: Option<(f64, u32)>, tokens_per_minute: Option<u32>, concurrent: Option<u32>) -> Terms {
    let requests = rate.map(|(per_second, burst)| RequestRate { per_second, burst });
    Terms::of(&Quota { requests, tokens_per_minute, concurrent, ..NONE })
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_place_is_free_again_when_its_call_ends() {
    let (meter, terms) = (Meter::default(), terms(None, None, Some(2)));
    let now = Duration::ZERO;
    let first = meter.enter(&terms, now).unwrap();
    let second = meter.enter(&terms, now).unwrap();
    assert_eq!(meter.enter(&terms, now).unwrap_err().kind, Kind::Concurrency);
    meter.settle(&terms, first, 0, now);
    let third = meter.enter(&terms, now).unwrap();
    meter.give_back(&terms, second);
    // A place stays one, whatever the terms have become.
    meter.settle(&Terms::of(&NONE), third, 0, now);
    assert_eq!(meter.concurrent(), 0);
}

#[test]
fn a_call_that_is_refused_takes_nothing() {
    let (meter, terms) = (Meter::default(), terms(Some((1.0, 2)), Some(100), Some(9)));
    let now = secs(100.0);
    let mut hold = meter.enter(&terms, now).unwrap();
    meter.reserve(&terms, &mut hold, 100, now).unwrap();
    let mut second = meter.enter(&terms, now).unwrap();
    let spent = meter.reserve(&terms, &mut second, 10, now).unwrap_err();
    assert_eq!((spent.kind, spent.wait), (Kind::Tokens, secs(6.0)));
    assert_eq!((hold.tokens(), second.tokens()), (Some(100), None));
    assert_eq!(meter.enter(&terms, now).unwrap_err().kind, Kind::Requests);
    assert_eq!(meter.concurrent(), 2, "who was refused has no place");
    meter.give_back(&terms, second);
    let third = meter.enter(&terms, now).expect("a request that was given back");
    meter.give_back(&terms, third);
    meter.give_back(&terms, hold);
    assert_eq!(meter.requests().level(&terms.requests.unwrap(), now).remaining, 2);
    assert_eq!(meter.tokens().level(&terms.tokens.unwrap(), now).remaining, 100);
}

#[test]
fn what_is_larger_than_the_bucket_waits_for_all_of_it_and_pays_afterwards() {
    let (meter, terms) = (Meter::default(), terms(None, Some(600), None));
    let rate = terms.tokens.unwrap();
    let mut hold = meter.enter(&terms, Duration::ZERO).unwrap();
    meter.reserve(&terms, &mut hold, 1500, Duration::ZERO).expect("the bucket is full");
    let mut next = meter.enter(&terms, Duration::ZERO).unwrap();
    let spent = meter.reserve(&terms, &mut next, 1, Duration::ZERO).unwrap_err();
    // 900 beyond the bucket, and one for itself, at 10 a second.
    assert_eq!(spent.wait, secs(90.1));
    // It was shorter than that after all.
    meter.settle(&terms, hold, 700, secs(1.0));
    assert_eq!(meter.tokens().level(&rate, secs(1.0)).full_in, secs(69.0));
    meter.reserve(&terms, &mut next, 10, secs(11.0)).unwrap();
    // And this one longer.
    meter.settle(&terms, next, 310, secs(11.0));
    assert_eq!(meter.tokens().level(&rate, secs(11.0)).full_in, secs(90.0));
}

#[test]
fn other_terms_keep_what_has_been_used() {
    let meter = Meter::default();
    let (before, after) = (terms(Some((10.0, 100)), None, None), terms(Some((50.0, 200)), None, None));
    let now = secs(7.0);
    for _ in 0..60 {
        meter.settle(&before, meter.enter(&before, now).unwrap(), 0, now);
    }
    assert_eq!(meter.requests().level(&before.requests.unwrap(), now).remaining, 40);
    meter.convert(&before, &after, now);
    assert_eq!(meter.requests().level(&after.requests.unwrap(), now).remaining, 140);
    meter.convert(&after, &before, now);
    assert_eq!(meter.requests().level(&before.requests.unwrap(), now).remaining, 40);
}

/// A meter of which the whole bucket of requests is used, and `debt` more.
fn emptied(terms: &Terms, now: Duration, debt: u32) -> Meter {
    let (meter, rate) = (Meter::default(), terms.requests.unwrap());
    meter.requests().take(&rate, u32::try_from(rate.bucket()).unwrap(), now).unwrap();
    meter.requests().charge(&rate, debt, now);
    meter
}

#[test]
fn a_lower_quota_throttles_and_does_not_shut() {
    let (before, after) = (terms(Some((1000.0, 2000)), None, None), terms(Some((10.0, 20)), None, None));
    let (now, rate) = (secs(7.0), after.requests.unwrap());
    let meter = emptied(&before, now, 0);
    meter.convert(&before, &after, now);
    assert_eq!(meter.requests().level(&rate, now).full_in, secs(2.0), "its own bucket is empty, and no more");
    assert_eq!(meter.enter(&after, now).unwrap_err().wait, secs(0.1));
    let in_debt = emptied(&before, now, 50);
    in_debt.convert(&before, &after, now);
    assert_eq!(
        in_debt.requests().level(&rate, now).full_in,
        secs(7.0),
        "50 that no bucket held, at 10 a second"
    );
    let some = Meter::default();
    some.requests().take(&before.requests.unwrap(), 5, now).unwrap();
    some.convert(&before, &after, now);
    assert_eq!(
        some.requests().level(&rate, now).remaining,
        15,
        "what fits the new bucket is counted one to one"
    );
}

#[test]
fn a_debt_ends_with_its_quota() {
    let (dear, none) = (terms(Some((0.001, 2)), None, Some(5)), terms(None, None, Some(5)));
    let cheap = terms(Some((1000.0, 2)), None, Some(5));
    let now = secs(7.0);
    let meter = emptied(&dear, now, 100);
    meter.convert(&dear, &none, now);
    meter.convert(&none, &cheap, now);
    let level = meter.requests().level(&cheap.requests.unwrap(), now);
    assert_eq!((level.remaining, level.full_in), (2, Duration::ZERO));
}

#[test]
fn a_second_brings_what_the_rate_says() {
    let brings = |rate, burst| terms(Some((rate, burst)), None, None).requests.unwrap().units_per_second();
    assert_eq!([brings(50.0, 1), brings(0.3, 1), brings(3.0, 9), brings(333.0, 2)], [50, 0, 3, 333]);
}

#[test]
fn a_cell_that_is_fed_by_leases_has_what_it_was_given() {
    let rate = terms(Some((100.0, 50)), None, None).requests.unwrap();
    let cell = super::Cell::default();
    let still = Duration::from_secs(1);
    cell.charge(&rate, 50, still);
    assert!(cell.take(&rate, 1, still).is_err(), "nothing yet");
    cell.give_back(&rate, 20);
    assert!((0..20).all(|_| cell.take(&rate, 1, still).is_ok()));
    assert!(cell.take(&rate, 1, still).is_err(), "and no more than the lease");
}

#[test]
fn usual_lengths_are_followed_and_old_ones_forgotten() {
    let outputs = Outputs::default();
    for _ in 0..1000 {
        outputs.observe(2000, secs(1.0));
    }
    assert!((2000..2400).contains(&outputs.usual_most()), "{}", outputs.usual_most());
    for minute in 1..60 {
        for _ in 0..10 {
            outputs.observe(50, secs(60.0 * f64::from(minute)));
        }
    }
    assert!((50..60).contains(&outputs.usual_most()), "{}", outputs.usual_most());
    outputs.observe(u32::MAX, secs(1e6));
    assert!(outputs.usual_most() < 2 << 20);
    // Time that stands still or goes back changes nothing.
    outputs.observe(0, secs(1.0));
}

#[test]
fn one_answer_in_ten_may_be_long() {
    let outputs = Outputs::default();
    for call in 0..10_000 {
        outputs.observe(if call % 20 == 0 { 8000 } else { 100 }, secs(1.0));
    }
    assert!((100..128).contains(&outputs.usual_most()), "{}", outputs.usual_most());
    for call in 0..10_000 {
        outputs.observe(if call % 5 == 0 { 8000 } else { 100 }, secs(1.0));
    }
    assert!((8000..9600).contains(&outputs.usual_most()), "{}", outputs.usual_most());
}
