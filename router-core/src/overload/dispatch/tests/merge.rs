//! Two dispatchers whose routes and pools a new plan links become one.

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::rig::*;
use crate::overload::dispatch::*;
use crate::overload::limiter::End;

/// Topic `u` before pool `q`, of two places, with a segment that [`simple`] does not have.
fn other() -> Plan {
    let mut topic = topic("u", &[(0, 1)]);
    // As in `linked`, where the pool has another number.
    topic.targets[0].label = "1/0".into();
    Plan {
        topics: vec![topic],
        segments: vec![segment("s9", 1.0), segment("s0", 1.0)],
        pools: vec![pool("q", &[2])],
    }
}

/// Both topics before both pools.
fn linked() -> Plan {
    Plan {
        topics: vec![topic("u", &[(1, 1)]), topic("t", &[(0, 1), (1, 1)])],
        segments: vec![segment("s0", 1.0), segment("s1", 1.0), segment("s9", 1.0)],
        pools: vec![pool("p", &[1]), pool("q", &[2])],
    }
}

/// The one after the other was absorbed, and where the other's things went.
fn merged(one: &mut Rig, other: Rig) -> Moved {
    let moved = one.dispatcher.absorb(other.dispatcher);
    one.reloaded = true;
    one.verify();
    moved
}

fn reload(rig: &mut Rig) -> Vec<Decision> {
    let mut out = Vec::new();
    rig.dispatcher.reload(rig.now, linked(), &mut out);
    rig.verify();
    out
}

#[test]
fn what_both_have_under_way_goes_on_in_one() {
    let (mut one, mut two) = (Rig::new(simple(1, &[1.0, 2.0])), Rig::new(other()));
    let running = one.start(&of(1));
    let waits = one.queue(&of(0));
    two.now += MS;
    let (first, _) = (two.start(&of(0)), two.start(&of(1)));
    let later = two.queue(&of(0));
    assert!(two.dispatcher.knows_topic("u") && two.dispatcher.knows_pool("q"));
    let moved = merged(&mut one, two);
    assert!(one.dispatcher.knows_topic("u") && one.dispatcher.knows_pool("q"));
    assert_eq!(reload(&mut one), [], "every limiter is as full as it was");
    let state = one.dispatcher.topics(one.now);
    let lags: Vec<_> = state
        .iter()
        .map(|topic| (topic.topic.as_str(), topic.partitions.iter().map(|one| one.lag).collect::<Vec<_>>()))
        .collect();
    assert_eq!(lags, [("u", vec![1, 0, 2]), ("t", vec![1, 1, 0])]);
    // A place at `q` goes to the call that waits for it, under the number that it has by now.
    let next = one.next(moved.permit(first.permit));
    assert_eq!((next[0].call, next[0].pool), (moved.call(later), 1));
    assert_eq!(one.next(running.permit)[0].call, waits);
}

#[test]
fn a_call_that_waited_in_either_can_still_leave() {
    let (mut one, mut two) = (Rig::new(simple(1, &[1.0])), Rig::new(other()));
    one.start(&call());
    two.start(&call());
    two.start(&call());
    let (own, theirs) = (one.queue(&call()), two.queue(&call()));
    let moved = merged(&mut one, two);
    reload(&mut one);
    for call in [own, moved.call(theirs)] {
        assert!(one.dispatcher.cancel(one.now, call, &mut Vec::new()));
        one.verify();
    }
    assert_eq!((one.dispatcher.queued(), one.lag()), (0, 3));
}

/// Calls come and go at random.
fn live(rig: &mut Rig, random: &mut SmallRng, permits: &mut Vec<PermitId>, started: &mut BTreeSet<String>) {
    for _ in 0..random.random_range(0..60) {
        rig.now += MS * random.random_range(0..20);
        if random.random_range(0..3) > 0 {
            let segment = random.random_range(0..2);
            let arrival = Arrival { stream: random.random(), random: random.random(), ..of(segment) };
            match rig.arrive_and(&arrival).0 {
                Admission::Started(start) => permits.push(start.permit),
                Admission::Queued(_) | Admission::Refused(_) => {}
            }
        } else if !permits.is_empty() {
            let permit = permits.swap_remove(random.random_range(0..permits.len()));
            finish(rig, permit, permits, started);
        }
    }
}

fn finish(rig: &mut Rig, permit: PermitId, permits: &mut Vec<PermitId>, started: &mut BTreeSet<String>) {
    let mut out = Vec::new();
    assert!(rig.dispatcher.finish(rig.now, permit, End::Cancelled, &mut out), "a permit is never lost");
    rig.verify();
    for start in out.into_iter().map(super::rig::started) {
        assert!(started.insert(format!("{:?}", start.permit)), "a permit is given once");
        permits.push(start.permit);
    }
}

#[test]
fn after_any_history_of_both_nothing_is_left_over() {
    for seed in 0..256 {
        let mut random = SmallRng::seed_from_u64(seed);
        let (mut one, mut two) = (Rig::new(simple(1, &[1.0, 2.0])), Rig::new(other()));
        let (mut permits, mut theirs, mut started) = (Vec::new(), Vec::new(), BTreeSet::new());
        live(&mut one, &mut random, &mut permits, &mut started);
        started.clear();
        live(&mut two, &mut random, &mut theirs, &mut started);
        started.clear();
        one.now = one.now.max(two.now);
        let unfinished = one.lag() + two.lag();
        let moved = merged(&mut one, two);
        permits.extend(theirs.into_iter().map(|permit| moved.permit(permit)));
        permits.extend(reload(&mut one).into_iter().map(|decision| super::rig::started(decision).permit));
        assert_eq!(one.lag(), unfinished, "seed {seed}");
        live(&mut one, &mut random, &mut permits, &mut started);
        while let Some(permit) = permits.pop() {
            finish(&mut one, permit, &mut permits, &mut started);
        }
        assert_eq!((one.lag(), one.dispatcher.inflight()), (0, 0), "seed {seed}");
    }
}
