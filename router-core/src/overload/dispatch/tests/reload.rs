//! A new plan while calls are under way.

use super::rig::*;
use crate::dialect::{Dialect, DialectSet, Shed};
use crate::overload::dispatch::*;

fn reload(rig: &mut Rig, plan: Plan) -> Vec<Decision> {
    let mut out = Vec::new();
    rig.dispatcher.reload(rig.now, plan, &mut out);
    rig.verify();
    out
}

#[test]
fn what_stays_goes_on() {
    let mut rig = Rig::new(simple(2, &[1.0, 2.0]));
    let first = rig.start(&of(0));
    rig.start(&of(1));
    let waits = rig.queue(&of(1));
    let mut plan = simple(100, &[2.0, 1.0, 1.0]);
    plan.segments.swap(0, 1);
    plan.topics.insert(0, topic("new", &[(0, 1)]));
    assert_eq!(reload(&mut rig, plan), [], "the endpoint keeps its limiter, which is full");
    assert_eq!(rig.lag(), 3);
    let next = rig.next(first.permit);
    assert_eq!(next[0].call, waits);
    let state = rig.dispatcher.topics(rig.now);
    assert_eq!(state.iter().map(|topic| topic.totals.lag).collect::<Vec<_>>(), [0, 2]);
    let lags: Vec<_> = state[1].partitions.iter().map(|one| (one.partition.as_str(), one.lag)).collect();
    assert_eq!(lags, [("s1", 2), ("s0", 0), ("s2", 0)]);
}

#[test]
fn more_room_is_used_at_once() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    rig.start(&call());
    let waits = rig.queue(&call());
    let mut plan = simple(1, &[1.0]);
    plan.pools[0].endpoints.push(Endpoint { identity: "more".into(), limiter: slots(1, Counts::Inflight).0 });
    let out = reload(&mut rig, plan);
    assert_eq!((started(out[0]).call, started(out[0]).endpoint), (waits, 1));
}

#[test]
fn what_is_gone_ends_by_itself_and_waiting_calls_hear_of_it() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let start = rig.start(&call());
    let waits = rig.queue(&call());
    let mut plan = simple(1, &[1.0]);
    plan.topics[0].name = "other".into();
    plan.pools[0].name = "other".into();
    let out = reload(&mut rig, plan);
    assert_eq!(out.len(), 1);
    assert_eq!(dropped(&out[0]), (waits, Shed::NoEndpoint));
    assert_eq!(rig.lag(), 0, "the other topic's");
    rig.start(&call());
    assert_eq!(rig.finish(start.permit), []);
    assert_eq!(rig.dispatcher.inflight(), 1);
    reload(&mut rig, simple(1, &[1.0]));
    assert_eq!(
        (rig.dispatcher.topics.len(), rig.dispatcher.pools.len()),
        (2, 2),
        "what has ended is forgotten"
    );
}

#[test]
fn an_endpoint_that_comes_back_while_it_still_works_keeps_count() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let start = rig.start(&call());
    let mut plan = simple(1, &[1.0]);
    plan.pools[0].endpoints.clear();
    reload(&mut rig, plan);
    assert_eq!(rig.refused(&call()).reason, Shed::NoEndpoint);
    reload(&mut rig, simple(1, &[1.0]));
    let waits = rig.queue(&call());
    assert_eq!(rig.next(start.permit)[0].call, waits);
}

#[test]
fn waiting_calls_go_on_where_their_dialect_is_still_spoken() {
    let plan = || {
        let mut plan = simple(1, &[1.0]);
        plan.topics = vec![topic("t", &[(0, 1), (1, 1)])];
        plan.pools = vec![pool("a", &[1]), pool("b", &[1])];
        plan
    };
    let mut rig = Rig::new(plan());
    let under_way = [rig.start(&call()), rig.start(&call())];
    let anthropic = Arrival { dialect: Dialect::Anthropic, ..call() };
    let first = rig.queue(&anthropic);
    let second = rig.queue(&call());
    let bound = rig.queue(&Arrival { bound: Some(0), ..anthropic });
    let mut less = plan();
    less.topics[0].targets[0].dialects = DialectSet { openai: true, anthropic: false };
    let out = reload(&mut rig, less);
    assert_eq!(out.iter().map(dropped).collect::<Vec<_>>(), [(bound, Shed::NoEndpoint)]);
    for (pool, next) in [(0, second), (1, first)] {
        let ends = under_way.iter().find(|start| start.pool == pool).unwrap();
        let started = rig.next(ends.permit);
        assert_eq!((started.len(), started[0].call, started[0].pool), (1, next, pool));
    }
}
