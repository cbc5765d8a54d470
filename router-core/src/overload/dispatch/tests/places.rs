//! Places: taken, given back, refused, rested, capped; targets and endpoints.

use super::rig::*;
use crate::config::Balance;
use crate::dialect::Shed;
use crate::overload::dispatch::*;
use crate::overload::limiter::{End, Seen};

#[test]
fn a_call_starts_at_once_while_there_is_room_and_waits_when_there_is_none() {
    let mut rig = Rig::new(simple(2, &[1.0]));
    let first = rig.start(&call());
    assert_eq!((first.target, first.pool, first.endpoint), (0, 0, 0));
    rig.start(&call());
    let waits = rig.queue(&call());
    assert_eq!(rig.lag(), 3);
    let next = rig.next(first.permit);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].call, waits);
}

#[test]
fn a_permit_is_given_back_once() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let start = rig.start(&call());
    rig.finish(start.permit);
    let again = rig.dispatcher.finish(rig.now, start.permit, End::Cancelled, &mut Vec::new());
    assert!(!again);
    assert_eq!(rig.seen(start.permit, Seen::FirstToken), []);
    assert_eq!(rig.lag(), 0);
    assert_eq!(rig.dispatcher.next_wakeup(rig.now), None);
}

#[test]
fn a_caller_that_leaves_the_queue_is_no_lag_and_one_that_started_keeps_its_permit() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let start = rig.start(&call());
    let first = rig.queue(&call());
    let second = rig.queue(&call());
    assert!(rig.dispatcher.cancel(rig.now, first, &mut Vec::new()));
    assert!(!rig.dispatcher.cancel(rig.now, first, &mut Vec::new()));
    assert_eq!(rig.lag(), 2);
    let next = rig.next(start.permit);
    assert_eq!(next[0].call, second);
    assert!(!rig.dispatcher.cancel(rig.now, second, &mut Vec::new()), "it has a permit by now");
    rig.finish(next[0].permit);
    assert_eq!(rig.lag(), 0);
}

#[test]
fn a_first_token_makes_room_where_those_without_one_are_counted() {
    let mut plan = simple(1, &[1.0]);
    plan.pools[0].counts = Counts::FirstToken;
    plan.pools[0].endpoints[0].limiter = slots(1, Counts::FirstToken).0;
    let mut rig = Rig::new(plan);
    let first = rig.start(&call());
    let waits = rig.queue(&call());
    let out = rig.seen(first.permit, Seen::FirstToken);
    assert_eq!(started(out[0]).call, waits);
}

#[test]
fn what_was_to_be_a_stream_and_comes_whole_waits_for_no_first_token() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let start = rig.start(&call());
    let waits = rig.queue(&call());
    for _ in 0..2 {
        assert_eq!(rig.seen(start.permit, Seen::Whole), []);
        assert_eq!((rig.dispatcher.pools[0].awaiting, rig.dispatcher.pools[0].whole), (0, 1));
    }
    assert_eq!(rig.next(start.permit)[0].call, waits);
    assert_eq!((rig.dispatcher.pools[0].awaiting, rig.dispatcher.pools[0].whole), (1, 0));
}

#[test]
fn least_request_spreads_and_round_robin_takes_turns() {
    for balance in [Balance::LeastRequest, Balance::RoundRobin] {
        let mut plan = simple(0, &[1.0]);
        plan.pools = vec![Pool { balance, ..pool("p", &[2, 2, 2]) }];
        let mut rig = Rig::new(plan);
        let mut counts = [0; 3];
        for random in 0..6_u64 {
            let random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            counts[rig.start(&Arrival { random, ..call() }).endpoint] += 1;
        }
        assert_eq!(counts, [2, 2, 2], "every place is found");
        rig.queue(&call());
    }
}

#[test]
fn targets_take_turns_by_weight_and_a_full_one_is_passed_over_without_credit() {
    let mut plan = simple(0, &[1.0]);
    plan.topics = vec![topic("t", &[(0, 6), (1, 2), (2, 2)])];
    plan.pools = vec![pool("a", &[100]), pool("b", &[100]), pool("c", &[1])];
    let mut rig = Rig::new(plan);
    let turns: Vec<usize> = (0..6).map(|_| rig.start(&call()).target).collect();
    assert_eq!(turns[..5], [0, 1, 0, 2, 0]);
    let mut counts = [0; 3];
    for _ in 0..40 {
        counts[rig.start(&call()).target] += 1;
    }
    assert_eq!(counts, [30, 10, 0], "the shares of the two that have room");
}

#[test]
fn a_target_that_takes_no_part_keeps_its_credit_in_the_turns_of_others() {
    let mut plan = simple(0, &[1.0]);
    plan.topics = vec![topic("t", &[(0, 1), (1, 1), (2, 1)])];
    plan.pools = vec![pool("a", &[100]), pool("b", &[100]), pool("c", &[100])];
    let mut rig = Rig::new(plan);
    let mut counts = [0; 3];
    for step in 0..30 {
        let targets = if step % 2 == 0 { Targets::ALL } else { Targets::NONE.with(0).with(1) };
        counts[rig.start(&Arrival { targets, ..call() }).target] += 1;
    }
    assert!(counts[2] == 5, "{counts:?}");
}

#[test]
fn a_bound_call_goes_to_its_target_only_and_takes_no_turn() {
    let mut plan = simple(0, &[1.0]);
    plan.topics = vec![topic("t", &[(0, 1), (1, 0)])];
    plan.pools = vec![pool("a", &[1]), pool("b", &[1])];
    let mut rig = Rig::new(plan);
    let bound = Arrival { bound: Some(1), ..call() };
    assert_eq!(rig.start(&bound).target, 1);
    let waits = rig.queue(&bound);
    let first = rig.start(&call());
    assert_eq!(first.target, 0, "a target without a weight is for bound calls only");
    rig.queue(&call());
    assert_eq!(rig.next(first.permit)[0].target, 0);
    assert_ne!(rig.next(first_permit_of(&rig, 1))[0].target, 0);
    assert!(!rig.dispatcher.cancel(rig.now, waits, &mut Vec::new()));
    let elsewhere = Arrival { bound: Some(1), targets: Targets::NONE.with(0), ..call() };
    assert_eq!(rig.refused(&elsewhere).reason, Shed::NoEndpoint);
}

fn first_permit_of(rig: &Rig, pool: u32) -> PermitId {
    let (index, _) = rig.dispatcher.permits.iter().find(|(_, held)| held.pool == pool).unwrap();
    PermitId(rig.dispatcher.permits.key(index).unwrap())
}

#[test]
fn with_wait_a_call_is_bound_to_the_target_whose_turn_it_was() {
    let mut plan = simple(0, &[1.0]);
    plan.topics = vec![Topic { when_full: WhenFull::Wait, ..topic("t", &[(0, 1), (1, 1)]) }];
    plan.pools = vec![pool("a", &[1]), pool("b", &[10])];
    let mut rig = Rig::new(plan);
    let first = rig.start(&call());
    assert_eq!((first.target, rig.start(&call()).target), (0, 1));
    let waits = rig.queue(&call());
    assert_eq!(rig.start(&call()).target, 1, "the others' turns go on");
    let next = rig.next(first.permit);
    assert_eq!((next[0].call, next[0].target), (waits, 0));
}

#[test]
fn a_resting_endpoint_takes_nothing_until_it_is_over() {
    let mut plan = simple(0, &[1.0]);
    plan.pools = vec![pool("p", &[5, 5])];
    let mut rig = Rig::new(plan);
    let first = rig.start(&call());
    rig.dispatcher.rest(rig.now, first.permit, rig.now + 3 * SEC);
    for _ in 0..5 {
        assert_ne!(rig.start(&call()).endpoint, first.endpoint);
    }
    let waits = rig.queue(&call());
    assert_eq!(rig.finish(first.permit), []);
    assert_eq!(rig.pass(2900 * MS), []);
    let out = rig.pass(150 * MS);
    assert_eq!((started(out[0]).call, started(out[0]).endpoint), (waits, first.endpoint));
}

#[test]
fn an_arrival_wakes_an_endpoint_whose_rest_is_over() {
    let mut rig = Rig::new(simple(5, &[1.0]));
    let first = rig.start(&call());
    rig.dispatcher.rest(rig.now, first.permit, rig.now + SEC);
    rig.finish(first.permit);
    rig.now += SEC;
    rig.start(&call());
}

#[test]
fn whoever_waits_goes_before_an_arrival_that_finds_a_rest_over() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let first = rig.start(&call());
    rig.dispatcher.rest(rig.now, first.permit, rig.now + SEC);
    rig.finish(first.permit);
    let waits = rig.queue(&call());
    rig.now += SEC;
    rig.queue(&call());
    let out = rig.pass(50 * MS);
    assert_eq!((out.len(), started(out[0]).call), (1, waits));
}

#[test]
fn where_every_endpoint_rests_longer_than_a_call_may_wait_it_is_refused() {
    let mut rig = Rig::new(simple(5, &[1.0]));
    let first = rig.start(&call());
    rig.dispatcher.rest(rig.now, first.permit, rig.now + 10 * SEC);
    let refusal = rig.refused(&Arrival { patience: Some(2 * SEC), ..call() });
    assert_eq!(refusal, Refusal { reason: Shed::NoEndpoint, retry_after: 10 * SEC });
    rig.queue(&call());
    let nowhere = rig.refused(&Arrival { targets: Targets::NONE, ..call() });
    assert_eq!((nowhere.reason, nowhere.retry_after), (Shed::NoEndpoint, SEC));
}

#[test]
fn a_target_whose_endpoints_all_rest_is_passed_over() {
    let mut plan = simple(0, &[1.0]);
    plan.topics = vec![topic("t", &[(0, 1), (1, 1)]), topic("w", &[(0, 1), (1, 1)])];
    plan.topics[1].when_full = WhenFull::Wait;
    plan.pools = vec![pool("a", &[10]), pool("b", &[10])];
    let mut rig = Rig::new(plan);
    let first = rig.start(&call());
    rig.dispatcher.rest(rig.now, first.permit, rig.now + 10 * SEC);
    for _ in 0..3 {
        assert_eq!(rig.start(&call()).target, 1);
        assert_eq!(rig.start(&Arrival { topic: 1, ..call() }).target, 1);
    }
}

#[test]
fn a_bulkhead_bounds_what_is_under_way_and_what_waits() {
    let mut plan = simple(100, &[1.0]);
    plan.pools[0].bulkhead = Bulkhead { inflight: Some(2), pending: Some(1) };
    let mut rig = Rig::new(plan);
    let first = rig.start(&call());
    rig.start(&call());
    let waits = rig.queue(&call());
    assert_eq!(rig.refused(&call()).reason, Shed::Bulkhead);
    let (admission, out) = rig.arrive_and(&Arrival { priority: Priority::Batch, ..call() });
    assert!(matches!(admission, Admission::Refused(_)) && out.is_empty(), "a lesser call displaces nobody");
    assert_eq!(rig.next(first.permit)[0].call, waits);
}

#[test]
fn a_better_call_displaces_a_waiting_one_at_a_bulkhead() {
    let mut plan = simple(1, &[1.0]);
    plan.pools[0].bulkhead = Bulkhead { inflight: None, pending: Some(1) };
    let mut rig = Rig::new(plan);
    rig.start(&call());
    let lesser = rig.queue(&batch(0));
    let (admission, out) = rig.arrive_and(&call());
    assert!(matches!(admission, Admission::Queued(_)));
    assert_eq!(dropped(&out[0]), (lesser, Shed::Displaced));
}

#[test]
fn nobody_gives_way_at_a_pool_to_a_call_that_the_queue_has_no_room_for() {
    let mut plan = simple(1, &[1.0, 1.0]);
    plan.pools[0].bulkhead = Bulkhead { inflight: None, pending: Some(1) };
    plan.topics[0].queue.tokens = 1_000;
    let mut rig = Rig::new(plan);
    rig.start(&of(0));
    let lesser = rig.queue(&batch(1));
    let (admission, out) = rig.arrive_and(&Arrival { tokens: 1_001, ..of(0) });
    assert!(
        matches!(admission, Admission::Refused(Refusal { reason: Shed::QueueFull, .. })),
        "{admission:?}"
    );
    assert_eq!(out, []);
    let (admission, out) = rig.arrive_and(&of(0));
    assert!(matches!(admission, Admission::Queued(_)));
    assert_eq!(dropped(&out[0]), (lesser, Shed::Displaced));
}

#[test]
fn of_two_pools_a_call_waits_for_the_one_that_takes_waiting_calls() {
    let mut plan = simple(0, &[1.0]);
    plan.topics = vec![topic("t", &[(0, 1), (1, 1)])];
    plan.pools = vec![pool("a", &[1]), pool("b", &[1])];
    plan.pools[0].bulkhead.pending = Some(0);
    let mut rig = Rig::new(plan);
    let (a, b) = (rig.start(&call()), rig.start(&call()));
    let waits = rig.queue(&call());
    assert_eq!(rig.next(a.permit), []);
    assert_eq!(rig.next(b.permit)[0].call, waits);
}

#[test]
fn a_segment_keeps_to_its_part_of_the_places() {
    let mut plan = simple(10, &[1.0, 1.0]);
    plan.segments[0].max_inflight_ratio = Some(0.3);
    let mut rig = Rig::new(plan);
    let first = rig.start(&of(0));
    rig.start(&of(0));
    rig.start(&of(0));
    let waits = rig.queue(&of(0));
    for _ in 0..7 {
        rig.start(&of(1));
    }
    rig.queue(&of(1));
    let next = rig.next(first.permit);
    assert_eq!(next[0].call, waits, "its own place is free again");
}

#[test]
fn a_segment_always_gets_one_place() {
    let mut plan = simple(2, &[1.0]);
    plan.segments[0].max_inflight_ratio = Some(0.01);
    let mut rig = Rig::new(plan);
    rig.start(&call());
    rig.queue(&call());
}

#[test]
fn the_ratio_is_of_the_window_where_first_tokens_are_counted() {
    let mut plan = simple(1, &[1.0]);
    plan.pools[0].counts = Counts::FirstToken;
    plan.pools[0].endpoints[0].limiter = slots(4, Counts::FirstToken).0;
    plan.segments[0].max_inflight_ratio = Some(0.5);
    let mut rig = Rig::new(plan);
    for _ in 0..20 {
        let start = rig.start(&call());
        assert_eq!(rig.seen(start.permit, Seen::FirstToken), [], "long answers do not count against it");
    }
    rig.start(&call());
    rig.start(&call());
    rig.queue(&call());
}
