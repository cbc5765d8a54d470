//! Who goes next, who gives way.

use super::rig::*;
use crate::dialect::Shed;
use crate::overload::dispatch::*;

/// The order in which calls that wait start, one after the other.
fn order(rig: &mut Rig, first: PermitId, count: usize) -> Vec<CallId> {
    let (mut permit, mut order) = (first, Vec::new());
    for _ in 0..count {
        let next = rig.next(permit);
        assert_eq!(next.len(), 1);
        (permit, order) = (next[0].permit, [order, vec![next[0].call]].concat());
    }
    order
}

#[test]
fn within_a_segment_first_come_first_served() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let start = rig.start(&call());
    let calls: Vec<CallId> = (0..5).map(|_| rig.queue(&call())).collect();
    assert_eq!(order(&mut rig, start.permit, 5), calls);
}

#[test]
fn within_a_segment_age_counts_across_topics() {
    let mut plan = simple(1, &[1.0]);
    plan.topics.push(topic("u", &[(0, 1)]));
    let mut rig = Rig::new(plan);
    let start = rig.start(&call());
    let calls: Vec<CallId> = (0..6).map(|index| rig.queue(&Arrival { topic: index % 2, ..call() })).collect();
    assert_eq!(order(&mut rig, start.permit, 6), calls);
}

#[test]
fn realtime_before_batch_and_strict_before_fair() {
    let mut plan = simple(1, &[1.0, 1.0]);
    plan.segments[1].order = Order::Strict;
    let mut rig = Rig::new(plan);
    let start = rig.start(&call());
    let batch_fair = rig.queue(&batch(0));
    let batch_strict = rig.queue(&batch(1));
    let fair = rig.queue(&of(0));
    let strict: Vec<CallId> = (0..3).map(|_| rig.queue(&of(1))).collect();
    let expected = [strict, vec![fair, batch_strict, batch_fair]].concat();
    assert_eq!(order(&mut rig, start.permit, 6), expected);
}

#[test]
fn batch_leaves_its_reserve_and_waits_behind_realtime() {
    let mut plan = simple(10, &[1.0]);
    plan.pools[0].batch.reserve = 0.4;
    let mut rig = Rig::new(plan);
    let starts: Vec<Start> = (0..6).map(|_| rig.start(&batch(0))).collect();
    let waits = rig.queue(&batch(0));
    let realtime: Vec<Start> = (0..4).map(|_| rig.start(&of(0))).collect();
    rig.queue(&of(0));
    assert_eq!(rig.next(realtime[0].permit).len(), 1);
    assert_eq!(rig.next(realtime[1].permit).len(), 0, "the reserve is not for batch");
    rig.next(realtime[2].permit);
    rig.next(realtime[3].permit);
    assert_eq!(rig.next(starts[0].permit).len(), 0, "6 of 10 are under way");
    assert_eq!(rig.next(starts[1].permit)[0].call, waits, "5 of 10 are");
}

#[test]
fn the_reserve_is_of_the_bulkhead_where_that_is_the_limit() {
    let mut plan = simple(1_000, &[1.0]);
    plan.pools[0].batch.reserve = 0.5;
    plan.pools[0].bulkhead.inflight = Some(4);
    let mut rig = Rig::new(plan);
    let first = rig.start(&batch(0));
    rig.start(&batch(0));
    let waits = rig.queue(&batch(0));
    rig.start(&of(0));
    assert_eq!(rig.next(first.permit).len(), 0, "half of the places are taken");
    let realtime = rig.start(&of(0));
    assert_eq!(rig.next(realtime.permit).len(), 0);
    rig.dispatcher.cancel(rig.now, waits, &mut Vec::new());
}

#[test]
fn batch_gets_its_minimum_in_any_case() {
    let mut plan = simple(2, &[1.0]);
    plan.pools[0].batch = Batch { reserve: 0.5, minimum: 1 };
    let mut rig = Rig::new(plan);
    let start = rig.start(&of(0));
    let other = rig.start(&of(0));
    let realtime = rig.queue(&of(0));
    let (first, second) = (rig.queue(&batch(0)), rig.queue(&batch(0)));
    let next = rig.next(start.permit);
    assert_eq!(next[0].call, first);
    assert_eq!(rig.next(other.permit)[0].call, realtime);
    assert_eq!(rig.next(next[0].permit)[0].call, second);
}

#[test]
fn a_batch_call_may_go_when_the_realtime_call_before_it_leaves() {
    let mut plan = simple(4, &[1.0, 1.0]);
    plan.segments[0].max_inflight_ratio = Some(0.25);
    let mut rig = Rig::new(plan);
    rig.start(&of(0));
    let held = rig.queue(&of(0));
    let after = rig.queue(&batch(1));
    let mut out = Vec::new();
    rig.dispatcher.cancel(rig.now, held, &mut out);
    assert_eq!(started(out[0]).call, after);
}

#[test]
fn a_segment_that_was_idle_while_nobody_waited_has_saved_nothing_up() {
    let mut rig = Rig::new(simple(1, &[1.0, 1.0]));
    let mut permit = rig.start(&of(0)).permit;
    for _ in 0..100 {
        rig.queue(&of(0));
        permit = rig.next(permit)[0].permit;
    }
    for _ in 0..10 {
        rig.queue(&of(0));
    }
    let late: Vec<CallId> = (0..10).map(|_| rig.queue(&of(1))).collect();
    let order = order(&mut rig, permit, 10);
    let of_late = order.iter().filter(|call| late.contains(call)).count();
    assert!((4..=6).contains(&of_late), "{of_late} of 10");
}

#[test]
fn a_full_queue_refuses_its_equals_and_displaces_what_counts_for_less() {
    let mut plan = simple(1, &[5.0, 1.0]);
    plan.topics[0].queue.requests = 4;
    let mut rig = Rig::new(plan);
    rig.start(&of(1));
    let waits: Vec<CallId> = (0..4).map(|_| rig.queue(&of(1))).collect();
    assert_eq!(rig.refused(&of(1)).reason, Shed::QueueFull);
    for newest in [3, 2, 1] {
        let (admission, out) = rig.arrive_and(&of(0));
        assert!(matches!(admission, Admission::Queued(_)));
        assert_eq!(out.len(), 1);
        assert_eq!(dropped(&out[0]), (waits[newest], Shed::Displaced));
    }
    // 300 tokens for a share of 5 against 100 for a share of 1: one more is still better.
    let (_, out) = rig.arrive_and(&of(0));
    assert_eq!(dropped(&out[0]), (waits[0], Shed::Displaced));
    assert_eq!(rig.refused(&of(0)).reason, Shed::QueueFull);
    let (_, out) = rig.arrive_and(&of(1));
    assert_eq!(out, [], "who holds nothing still does not outdo 80 for a share");
}

#[test]
fn the_first_to_give_way_is_batch() {
    let mut plan = simple(1, &[1.0, 1.0]);
    plan.topics[0].queue.requests = 2;
    let mut rig = Rig::new(plan);
    rig.start(&of(0));
    let lesser = rig.queue(&batch(1));
    rig.queue(&of(0));
    let (_, out) = rig.arrive_and(&of(0));
    assert_eq!(dropped(&out[0]), (lesser, Shed::Displaced));
}

#[test]
fn a_queue_is_bounded_in_tokens_and_displaces_nobody_in_vain() {
    let mut plan = simple(1, &[1.0, 1.0]);
    plan.topics[0].queue.tokens = 1_000;
    let mut rig = Rig::new(plan);
    rig.start(&of(0));
    let lesser: Vec<CallId> = (0..5).map(|_| rig.queue(&batch(1))).collect();
    for _ in 0..5 {
        rig.queue(&of(0));
    }
    let large = |tokens| Arrival { tokens, ..of(1) };
    assert_eq!(rig.refused(&large(1_001)).reason, Shed::QueueFull);
    assert_eq!(rig.refused(&large(601)).reason, Shed::QueueFull, "the segment would hold more for its share");
    let (admission, out) = rig.arrive_and(&large(300));
    assert!(matches!(admission, Admission::Queued(_)));
    let gone: Vec<CallId> = out.iter().map(|decision| dropped(decision).0).collect();
    assert_eq!(gone, lesser[2..], "the newest three, and no more");
}

#[test]
fn queue_wait_bounds_every_call() {
    let mut plan = simple(1, &[1.0]);
    plan.topics[0].queue.wait = 3 * SEC;
    let mut rig = Rig::new(plan);
    rig.start(&call());
    let waits = rig.queue(&call());
    assert_eq!(rig.pass(2950 * MS), []);
    let out = rig.pass(50 * MS);
    assert_eq!(dropped(&out[0]), (waits, Shed::QueueWait));
    assert_eq!(rig.lag(), 1);
}
