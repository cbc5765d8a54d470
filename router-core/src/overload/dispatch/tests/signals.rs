//! Lag, unmet demand, saturation, levels.

use super::rig::*;
use crate::overload::dispatch::*;
use crate::overload::lag::{Level, TopicState};
use crate::overload::limiter::{End, Seen};

fn read(rig: &mut Rig) -> TopicState {
    rig.dispatcher.topics(rig.now).remove(0)
}

#[test]
fn lag_is_what_is_queued_and_what_is_under_way() {
    let mut rig = Rig::new(simple(2, &[1.0, 1.0]));
    let first = rig.start(&of(0));
    rig.start(&of(1));
    rig.queue(&of(1));
    rig.now += SEC;
    let state = read(&mut rig);
    let totals = state.totals;
    assert_eq!((totals.lag, totals.queued, totals.inflight, totals.lag_tokens), (3, 1, 2, 300));
    assert_eq!((totals.oldest_age_ms, totals.unmet, totals.scale_lag), (1_000, 0, 3));
    assert_eq!((state.limit, state.endpoints_ready), (2, 1));
    let offsets: Vec<_> = state
        .partitions
        .iter()
        .map(|one| {
            (one.partition.as_str(), one.log_end_offset, one.committed_offset, one.low_watermark, one.lag)
        })
        .collect();
    assert_eq!(offsets, [("s0", 1, 0, 0, 1), ("s1", 2, 0, 0, 2)]);
    rig.finish(first.permit);
    let state = read(&mut rig);
    assert_eq!((state.partitions[0].committed_offset, state.partitions[0].low_watermark), (1, 1));
    assert_eq!((state.totals.queued, state.totals.drain_ms), (0, 0));
}

#[test]
fn tokens_leave_the_lag_as_they_come() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    let start = rig.start(&Arrival { prompt_tokens: 30, tokens: 100, ..call() });
    rig.seen(start.permit, Seen::FirstToken);
    assert_eq!(read(&mut rig).totals.lag_tokens, 70);
    rig.seen(start.permit, Seen::Tokens(50));
    assert_eq!(read(&mut rig).totals.lag_tokens, 20);
    rig.seen(start.permit, Seen::Tokens(500));
    assert_eq!(read(&mut rig).totals.lag_tokens, 0);
    rig.finish(start.permit);
    assert_eq!((read(&mut rig).totals.lag, read(&mut rig).totals.lag_tokens), (0, 0));
}

#[test]
fn refused_demand_shows_as_calls_that_would_be_under_way() {
    let mut plan = simple(1, &[1.0]);
    plan.topics[0].queue.requests = 0;
    let mut rig = Rig::new(plan);
    let first = rig.start(&call());
    rig.pass(4 * SEC);
    rig.finish(first.permit);
    rig.start(&call());
    for step in 0..600 {
        rig.refused(&call());
        if step % 2 == 0 {
            rig.refused(&Arrival { demand: Demand::Repeated, ..call() });
        }
        rig.pass(100 * MS);
    }
    let totals = read(&mut rig).totals;
    // Ten a second, each of which would take four seconds.
    assert!((36..=44).contains(&totals.unmet), "{totals:?}");
    assert_eq!(totals.scale_lag, totals.lag + totals.unmet);
    assert_eq!(totals.lag, 1, "they were never appended");
    rig.pass(120 * SEC);
    assert_eq!(read(&mut rig).totals.unmet, 0);
}

#[test]
fn saturation_is_of_the_window_until_something_waits_and_of_the_objective_then() {
    let mut plan = simple(10, &[1.0]);
    plan.segments[0].objective = Some(SEC);
    let mut rig = Rig::new(plan);
    for _ in 0..5 {
        rig.start(&call());
    }
    rig.pass(300 * MS);
    assert!((read(&mut rig).saturation - 0.35).abs() < 1e-9);
    for _ in 0..5 {
        rig.start(&call());
    }
    rig.pass(300 * MS);
    assert!((read(&mut rig).saturation - 0.7).abs() < 1e-9);
    for _ in 0..50 {
        rig.queue(&call());
    }
    let state = read(&mut rig);
    assert!(state.saturation > 2.0, "unclamped: {}", state.saturation);
    assert!(state.partitions[0].retry_after_ms >= 1_000);
}

#[test]
fn levels_tell_how_it_stands() {
    let mut plan = simple(10, &[1.0]);
    plan.topics[0].queue.requests = 1;
    let mut rig = Rig::new(plan);
    let starts: Vec<Start> = (0..10).map(|_| rig.start(&call())).collect();
    rig.pass(3 * SEC);
    assert_eq!(read(&mut rig).level, Level::Elevated);
    let waits = rig.queue(&call());
    for _ in 0..10 {
        rig.refused(&call());
        rig.pass(500 * MS);
    }
    let state = read(&mut rig);
    assert_eq!((state.level, state.partitions[0].level), (Level::Critical, Level::Critical));
    assert_eq!(rig.dispatcher.standing(0, 0).unwrap().level, Level::Critical);
    rig.dispatcher.cancel(rig.now, waits, &mut Vec::new());
    for start in starts {
        rig.finish(start.permit);
    }
    assert_eq!(read(&mut rig).totals.lag, 0);
    // Nothing is under way any more, but the level has yet to fall.
    let mut ticks = 0;
    while let Some(at) = rig.dispatcher.next_wakeup(rig.now) {
        rig.now = at;
        rig.dispatcher.tick(at, &mut Vec::new());
        ticks += 1;
        assert!(ticks < 1_000, "it comes to rest");
    }
    assert_eq!(read(&mut rig).level, Level::Normal);
}

#[test]
fn a_single_refusal_shows_whatever_the_level_did_before() {
    for before in (0..2_000).step_by(250) {
        let mut plan = simple(10, &[1.0]);
        plan.topics[0].queue.requests = 1;
        let mut rig = Rig::new(plan);
        for _ in 0..10 {
            rig.start(&call());
        }
        rig.pass(SEC);
        assert_eq!(rig.dispatcher.standing(0, 0).unwrap().level, Level::Elevated);
        rig.queue(&call());
        rig.pass(MS * before);
        rig.refused(&call());
        let mut shown = false;
        for _ in 0..20 {
            rig.pass(100 * MS);
            shown |= rig.dispatcher.standing(0, 0).unwrap().level == Level::Critical;
        }
        assert!(shown, "{before} ms after others");
    }
}

#[test]
fn a_pool_counts_what_waits_for_several_by_weight() {
    let mut plan = simple(0, &[1.0]);
    plan.topics = vec![topic("t", &[(0, 3), (1, 1)])];
    plan.pools = vec![pool("a", &[1]), pool("b", &[1])];
    let mut rig = Rig::new(plan);
    rig.start(&call());
    rig.start(&call());
    for _ in 0..4 {
        rig.queue(&call());
    }
    let pools = rig.dispatcher.pools(rig.now);
    assert_eq!((pools[0].inflight, pools[1].inflight), (1, 1));
    assert!((pools[0].queued - 3.0).abs() < 1e-9 && (pools[1].queued - 1.0).abs() < 1e-9, "{pools:?}");
}

#[test]
fn whatever_becomes_of_calls_lag_returns_to_zero() {
    let mut plan = simple(1, &[1.0]);
    plan.topics[0].queue.wait = 2 * SEC;
    let mut rig = Rig::new(plan);
    let first = rig.start(&call());
    let left = rig.queue(&call());
    let second = rig.queue(&call());
    rig.queue(&call());
    rig.dispatcher.cancel(rig.now, left, &mut Vec::new());
    let mut out = Vec::new();
    rig.dispatcher.finish(rig.now, first.permit, End::Refused, &mut out);
    assert_eq!(started(out[0]).call, second);
    rig.pass(3 * SEC);
    rig.dispatcher.finish(rig.now, started(out[0]).permit, End::Cancelled, &mut out);
    let totals = read(&mut rig).totals;
    assert_eq!((totals.lag, totals.lag_tokens, totals.queued, totals.inflight), (0, 0, 0, 0));
}
