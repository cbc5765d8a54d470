//! Shares of a contended pool.

use super::rig::*;
use crate::overload::dispatch::*;

/// Keeps every segment's queue filled and counts the tokens that start, until so many did.
fn served(rig: &mut Rig, tokens: &[u32], total: u64) -> Vec<u64> {
    let (mut sums, mut running) = (vec![0_u64; tokens.len()], Vec::new());
    let mut of_call = std::collections::BTreeMap::new();
    let random = |step: u64| step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (segment, tokens) in tokens.iter().enumerate() {
        for step in 0..20 {
            let arrival = Arrival { tokens: *tokens, random: random(step), ..of(segment) };
            match rig.arrive(&arrival) {
                Admission::Started(start) => running.push(start.permit),
                Admission::Queued(call) => drop(of_call.insert(format!("{call:?}"), segment)),
                Admission::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
    }
    let mut step = 0;
    while sums.iter().sum::<u64>() < total {
        step += 1;
        let permit = running.remove(usize::try_from(random(step) >> 33).unwrap() % running.len());
        for start in rig.next(permit) {
            let segment = of_call[&format!("{:?}", start.call)];
            sums[segment] += u64::from(tokens[segment]);
            running.push(start.permit);
            let call = rig.queue(&Arrival { tokens: tokens[segment], random: random(step), ..of(segment) });
            of_call.insert(format!("{call:?}"), segment);
        }
    }
    sums
}

fn assert_shares(sums: &[u64], shares: &[f64]) {
    let (all, whole) = (sums.iter().sum::<u64>() as f64, shares.iter().sum::<f64>());
    for (sum, share) in sums.iter().zip(shares) {
        let (got, due) = (*sum as f64 / all, share / whole);
        assert!((got / due - 1.0).abs() < 0.05, "{got:.3} for {due:.3}");
    }
}

#[test]
fn tokens_are_shared_as_configured_whatever_the_calls_sizes() {
    let shares = [5.0, 3.0, 2.0];
    for tokens in [[100, 100, 100], [400, 50, 100], [30, 900, 200]] {
        let mut rig = Rig::new(simple(7, &shares));
        let sums = served(&mut rig, &tokens, 150_000);
        assert_shares(&sums, &shares);
    }
}

#[test]
fn pools_that_spill_into_each_other_are_shared_too() {
    let shares = [5.0, 3.0, 2.0];
    let mut plan = simple(0, &shares);
    plan.topics = vec![topic("t", &[(0, 1), (1, 1), (2, 1)])];
    plan.pools = vec![pool("a", &[3]), pool("b", &[2, 2]), pool("c", &[1])];
    let sums = served(&mut Rig::new(plan), &[100, 70, 130], 100_000);
    assert_shares(&sums, &shares);
}

#[test]
fn a_strict_segment_that_fills_the_pool_gets_all_of_it() {
    let mut plan = simple(4, &[1.0, 9.0]);
    plan.segments[0].order = Order::Strict;
    let sums = served(&mut Rig::new(plan), &[100, 100], 50_000);
    assert_eq!(sums[1], 0, "{sums:?}");
}

#[test]
fn what_a_segment_left_to_those_who_waited_it_may_take_at_once() {
    let mut rig = Rig::new(simple(1, &[1.0, 1.0]));
    let mut permit = rig.start(&of(0)).permit;
    rig.queue(&of(0));
    // Ten calls a second, and always somebody waits.
    for _ in 0..100 {
        rig.queue(&of(0));
        rig.pass(100 * MS);
        permit = rig.next(permit)[0].permit;
    }
    for _ in 0..30 {
        rig.queue(&of(0));
    }
    let burst: Vec<CallId> = (0..30).map(|_| rig.queue(&of(1))).collect();
    let mut of_burst = Vec::new();
    for _ in 0..30 {
        let start = rig.next(permit)[0];
        permit = start.permit;
        of_burst.push(burst.contains(&start.call));
    }
    assert_eq!(of_burst[..10], [true; 10], "half of the last two seconds");
    let later = of_burst[12..].iter().filter(|burst| **burst).count();
    assert!((8..=10).contains(&later), "{later} of 18: nobody is starved");
}
