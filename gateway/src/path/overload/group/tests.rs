use router_core::config;
use router_core::dialect::Dialect;
use router_core::overload::dispatch::{Demand, Priority};

use super::*;
use crate::path::telemetry::Metrics;

/// A group whose one endpoint takes one call at a time.
fn group() -> Arc<Group> {
    let text = "pools: {p: {endpoints: [{url: http://a}], concurrency: {algorithm: fixed, limit: 1}}}\n\
                routes: {r: {targets: [{pool: p}]}}";
    let config = config::load(text, &|_| None).unwrap().config;
    let snapshot = Arc::new(Snapshot::build(config, &Metrics::new().unwrap(), None).unwrap());
    Group::new(&Clock::new(), &snapshot, Members { topics: vec![0], pools: vec![0] })
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
