//! Early refusal, expiry, and the guards against locking everybody out.

use std::time::Duration;

use super::rig::*;
use crate::dialect::Shed;
use crate::overload::dispatch::*;
use crate::overload::limiter::{End, Seen};

fn patient(patience: Duration) -> Arrival {
    Arrival { patience: Some(patience), ..call() }
}

/// Serves a call each 100 ms for five seconds, each with a first token after `first_token`.
fn warmed(plan: Plan, first_token: Duration) -> Rig {
    let mut rig = Rig::new(plan);
    for _ in 0..50 {
        let start = rig.start(&call());
        rig.pass(first_token);
        rig.seen(start.permit, Seen::FirstToken);
        rig.pass(100 * MS - first_token);
        rig.finish(start.permit);
    }
    rig
}

#[test]
fn who_cannot_be_served_in_time_hears_so_on_arrival() {
    let mut rig = warmed(simple(1, &[1.0]), 50 * MS);
    rig.start(&call());
    let mut admitted = 0;
    let refusal = loop {
        match rig.arrive(&patient(2 * SEC)) {
            Admission::Queued(_) => admitted += 1,
            Admission::Refused(refusal) => break refusal,
            Admission::Started(start) => panic!("{start:?}"),
        }
    };
    // Ten calls a second: 2 s × 0.95 less the upstream's time are some 18 calls.
    assert!((15..20).contains(&admitted), "{admitted}");
    assert_eq!(refusal.reason, Shed::WouldMiss);
    assert!((SEC..2 * SEC).contains(&refusal.retry_after), "{refusal:?}");
    assert!(matches!(rig.arrive(&patient(10 * SEC)), Admission::Queued(_)), "others may have more time");
    assert!(
        matches!(rig.arrive(&call()), Admission::Queued(_)),
        "no patience given: never refused by prediction"
    );
}

#[test]
fn who_comes_often_is_reckoned_with_though_nothing_of_it_waits() {
    let admitted = |other: usize| {
        let mut rig = warmed(simple(2, &[1.0, 1.0]), 50 * MS);
        rig.start(&of(0));
        rig.start(&of(other));
        (0..30).take_while(|_| matches!(rig.arrive(&patient(2 * SEC)), Admission::Queued(_))).count()
    };
    let alone = admitted(0);
    assert!((15..20).contains(&alone), "{alone}");
    let beside = admitted(1);
    assert!((7..11).contains(&beside), "{beside} beside {alone}: half of what starts is the other's");
}

#[test]
fn a_hint_is_by_the_pace_at_which_calls_start() {
    let mut plan = simple(1, &[1.0]);
    plan.topics[0].queue.requests = 100;
    let mut rig = warmed(plan, 50 * MS);
    rig.start(&call());
    for _ in 0..100 {
        rig.queue(&call());
    }
    let refusal = rig.refused(&call());
    assert_eq!(refusal.reason, Shed::QueueFull);
    let secs = refusal.retry_after.as_secs_f64();
    assert!((8.0..13.0).contains(&secs), "100 calls at 10 a second: {secs}");
}

#[test]
fn nobody_is_refused_while_nobody_waits_whatever_the_estimate() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    for _ in 0..5 {
        let start = rig.start(&patient(SEC));
        rig.pass(20 * SEC);
        rig.seen(start.permit, Seen::FirstToken);
        rig.finish(start.permit);
    }
    let start = rig.start(&patient(SEC));
    let second = rig.queue(&patient(SEC));
    assert_eq!(rig.next(start.permit)[0].call, second);
}

#[test]
fn a_waiting_call_is_given_up_when_it_becomes_hopeless() {
    let mut rig = warmed(simple(1, &[1.0]), 50 * MS);
    rig.start(&call());
    let hasty = rig.queue(&patient(SEC));
    let other = rig.queue(&patient(4 * SEC));
    let out = rig.pass(SEC);
    assert_eq!(dropped(&out[0]), (hasty, Shed::Expired));
    assert_eq!(out.len(), 1);
    let out = rig.pass(4 * SEC);
    assert_eq!(dropped(&out[0]), (other, Shed::Expired));
}

#[test]
fn a_call_that_became_hopeless_since_the_last_tick_is_not_started() {
    let mut rig = warmed(simple(1, &[1.0]), 50 * MS);
    let start = rig.start(&call());
    let hasty = rig.queue(&patient(SEC));
    let next = rig.queue(&call());
    rig.now += 2 * SEC;
    let out = rig.finish(start.permit);
    assert_eq!(dropped(&out[0]), (hasty, Shed::Expired));
    assert_eq!(started(out[1]).call, next);
}

#[test]
fn who_waits_for_the_whole_answer_has_less_time_for_the_first_token() {
    let mut rig = Rig::new(simple(2, &[1.0]));
    for _ in 0..10 {
        let start = rig.start(&call());
        rig.pass(200 * MS);
        rig.seen(start.permit, Seen::FirstToken);
        rig.pass(1800 * MS);
        rig.finish(start.permit);
    }
    rig.start(&call());
    rig.start(&call());
    let whole = |within| Arrival { stream: false, answer_within: Some(within), ..call() };
    let hasty = rig.queue(&whole(3 * SEC));
    let other = rig.queue(&whole(10 * SEC));
    let gone: Vec<CallId> = rig.pass(2 * SEC).iter().map(|decision| dropped(decision).0).collect();
    assert_eq!(gone, [hasty], "3 s less 1.8 s for the answer");
    let gone: Vec<CallId> = rig.pass(7 * SEC).iter().map(|decision| dropped(decision).0).collect();
    assert_eq!(gone, [other]);
}

#[test]
fn an_objective_below_the_base_time_locks_nobody_out() {
    // The limiter says that an idle server takes 100 ms.
    let mut rig = warmed(simple(1, &[1.0]), 100 * MS);
    let start = rig.start(&patient(20 * MS));
    let second = rig.queue(&patient(20 * MS));
    assert_eq!(rig.next(start.permit)[0].call, second);
}

#[test]
fn a_bad_time_is_forgotten_without_samples() {
    let mut rig = Rig::new(simple(2, &[1.0]));
    let slow: Vec<Start> = (0..2).map(|_| rig.start(&call())).collect();
    rig.pass(10 * SEC);
    for start in &slow {
        rig.seen(start.permit, Seen::FirstToken);
        rig.finish(start.permit);
    }
    let upper = |rig: &Rig| rig.dispatcher.pools[0].first_token.upper();
    let before = upper(&rig);
    rig.pass(20 * SEC);
    assert!(upper(&rig) < 0.05 * before, "{} after {before}", upper(&rig));
}

#[test]
fn a_bad_time_is_not_forgotten_while_there_is_no_room_for_another_call() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let start = rig.start(&call());
    rig.pass(900 * MS);
    rig.seen(start.permit, Seen::FirstToken);
    rig.pass(5 * SEC);
    let waits = rig.queue(&patient(2 * SEC));
    let out = rig.pass(SEC);
    assert_eq!(
        dropped(&out[0]),
        (waits, Shed::Expired),
        "it takes 0.9 s upstream, and that is known to vary"
    );
}

#[test]
fn refusing_everybody_ends_by_itself() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let mut refused_in_the_end = 0;
    let mut running = None;
    for step in 0..600 {
        if let Admission::Started(start) = rig.arrive_and(&patient(SEC)).0 {
            running = Some((start, step));
        }
        // The first minute of answers takes ten times the patience, the rest a tenth of it.
        if let Some((start, since)) = running
            && step - since >= if step < 300 { 100 } else { 1 }
        {
            rig.seen(start.permit, Seen::FirstToken);
            rig.dispatcher.finish(rig.now, start.permit, End::Cancelled, &mut Vec::new());
            running = rig.dispatcher.permits.iter().next().map(|(index, _)| {
                let permit = PermitId(rig.dispatcher.permits.key(index).unwrap());
                (Start { permit, ..start }, step)
            });
        }
        let before = rig.dispatcher.ledgers[0].ledger.refused;
        let out = rig.pass(100 * MS);
        let drops = out.iter().filter(|decision| matches!(decision, Decision::Drop { .. })).count() as u64;
        if step >= 500 {
            refused_in_the_end += drops + rig.dispatcher.ledgers[0].ledger.refused - before;
        }
    }
    assert_eq!(refused_in_the_end, 0);
}

#[test]
fn hints_are_within_what_clients_honour() {
    let mut plan = simple(1, &[1.0]);
    plan.topics[0].queue.requests = 1_000;
    let mut rig = Rig::new(plan);
    rig.start(&call());
    for _ in 0..1_000 {
        rig.queue(&call());
    }
    rig.pass(5 * SEC);
    assert_eq!(rig.refused(&call()).retry_after, 30 * SEC);
}
