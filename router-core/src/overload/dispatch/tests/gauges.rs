//! What a server tells of its own queue holds calls back and lets them go.

use super::rig::*;
use crate::overload::dispatch::*;
use crate::overload::gauges::Gauges;
use crate::overload::limiter::{FirstTokenWindow, FirstTokenWindowSettings};

fn hear(rig: &mut Rig, waiting: u32) -> Vec<Decision> {
    let mut out = Vec::new();
    rig.dispatcher.hear(rig.now, (0, 0), Gauges { waiting, running: 0 }, &mut out);
    rig.verify();
    out
}

#[test]
fn calls_wait_while_others_do_at_the_server_and_start_when_these_are_gone() {
    let mut plan = simple(1, &[1.0]);
    plan.pools[0].counts = Counts::FirstToken;
    plan.pools[0].endpoints[0].limiter = Box::new(FirstTokenWindow::new(FirstTokenWindowSettings::default()));
    let mut rig = Rig::new(plan);
    assert_eq!(hear(&mut rig, 1_000), []);
    rig.start(&call());
    let waits = rig.queue(&call());
    assert_eq!(hear(&mut rig, 1_000), []);
    let out = hear(&mut rig, 1);
    assert_eq!(out.iter().map(|one| started(*one).call).collect::<Vec<_>>(), [waits], "the one is ours");
}

#[test]
fn of_a_server_that_is_in_no_plan_it_is_ignored() {
    let mut rig = Rig::new(simple(1, &[1.0]));
    for place in [(0, 1), (1, 0), (usize::MAX, usize::MAX)] {
        rig.dispatcher.hear(rig.now, place, Gauges { waiting: 9, running: 9 }, &mut Vec::new());
    }
    rig.start(&call());
}
