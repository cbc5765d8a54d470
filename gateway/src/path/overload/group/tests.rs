use std::sync::atomic::{AtomicU32, Ordering};

use router_core::config;
use router_core::dialect::Dialect;
use router_core::overload::dispatch::{Demand, Priority};
use router_core::overload::limiter::{Attempt, Limiter, Place, Reading};

use super::*;
use crate::path::telemetry::Metrics;

/// One endpoint that takes one call at a time.
pub(in crate::path::overload) fn snapshot() -> Arc<Snapshot> {
    let text = "pools: {p: {endpoints: [{url: http://a}], concurrency: {algorithm: fixed, limit: 1}}}\n\
                routes: {r: {targets: [{pool: p}]}}";
    let config = config::load(text, &|_| None).unwrap().config;
    Arc::new(Snapshot::build(config, &Metrics::new().unwrap(), None).unwrap())
}

/// A group of it.
fn group() -> Arc<Group> {
    Group::new(&Clock::new(), &snapshot(), Members { topics: vec![0], pools: vec![0] })
}

/// A limiter whose first tick is a mistake of Weir's own.
#[derive(Debug)]
struct Stumbles {
    ticks: Arc<AtomicU32>,
}

impl Limiter for Stumbles {
    fn admit(&mut self, _: Duration, _: Attempt) -> Option<Place> {
        Some(Place::new(0))
    }

    fn observe(&mut self, _: Duration, _: &Place, _: Seen) {}

    fn release(&mut self, _: Duration, _: Place, _: End) {}

    fn tick(&mut self, _: Duration) {
        if self.ticks.fetch_add(1, Ordering::SeqCst) == 0 {
            // Without a word: other tests of this process listen to what panics say.
            std::panic::resume_unwind(Box::new("in a tick"));
        }
    }

    fn read(&self, _: Duration) -> Reading {
        Reading::default()
    }
}

/// A group with a call under way, in which time stumbles at its first step; `ticks` counts them.
pub(in crate::path::overload) fn stumbling(clock: &Clock, ticks: &Arc<AtomicU32>) -> Arc<Group> {
    let snapshot = snapshot();
    let members = Members { topics: vec![0], pools: vec![0] };
    let mut plan = plan::of(&snapshot, &members);
    plan.pools[0].endpoints[0].limiter = Box::new(Stumbles { ticks: ticks.clone() });
    let group = Group::new(clock, &snapshot, members);
    group.lock().dispatcher = Dispatcher::new(clock.now(), plan);
    started(&group);
    group
}

/// A call, of which nobody but the dispatcher knows.
fn arrive(group: &Group) -> Admission {
    let arrival = Arrival {
        topic: 0,
        segment: 0,
        priority: Priority::Realtime,
        targets: Targets::NONE.with(0),
        dialect: Dialect::OpenAi,
        bound: None,
        prompt_tokens: 10,
        tokens: 20,
        stream: true,
        patience: None,
        answer_within: None,
        demand: Demand::New,
        random: 0,
    };
    group.lock().dispatcher.arrive(group.clock.now(), &arrival, &mut Vec::new())
}

fn started(group: &Group) -> Start {
    match arrive(group) {
        Admission::Started(start) => start,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_place_that_nobody_waits_for_is_given_back_and_the_next_in_line_gets_it() {
    let group = group();
    let first = started(&group);
    for _ in 0..3 {
        assert!(matches!(arrive(&group), Admission::Queued(_)));
    }
    let (tell, mut decided) = oneshot::channel();
    let Admission::Queued(last) = arrive(&group) else { panic!("it waits") };
    group.lock().waiting.insert(last, Waiter { route: "r".into(), tell });
    group.finish(first.permit, 0, End::Cancelled);
    let admitted = decided.try_recv().expect("its turn has come").unwrap();
    assert_eq!(group.lock().dispatcher.inflight(), 1, "its own alone");
    drop(admitted);
    assert!(group.is_over());
}

#[test]
fn a_place_of_a_route_that_is_gone_is_given_back() {
    let group = group();
    let first = started(&group);
    let Admission::Queued(waits) = arrive(&group) else { panic!("it waits") };
    let (tell, mut decided) = oneshot::channel();
    group.lock().waiting.insert(waits, Waiter { route: "r".into(), tell });
    group.lock().members.topics.clear();
    group.finish(first.permit, 0, End::Cancelled);
    let refusal = decided.try_recv().expect("it is told").unwrap_err();
    assert_eq!(refusal.reason, Shed::NoEndpoint);
    assert!(group.is_over());
}

#[test]
fn a_panic_under_the_lock_does_not_end_the_next_call() {
    let group = group();
    let panics = std::thread::scope(|scope| {
        let panics = || {
            let _state = group.lock();
            // Without a word: other tests of this process listen to what panics say.
            std::panic::resume_unwind(Box::new("in a room"));
        };
        scope.spawn(panics).join().is_err()
    });
    assert!(panics);
    let first = started(&group);
    group.finish(first.permit, 0, End::Cancelled);
    assert!(group.is_over());
}
