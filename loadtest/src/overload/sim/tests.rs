//! The simulation itself: callers as described, every call ends once, a front hears what happens.

use super::{Call, Decision, Decisions, Fixed, Front, Outcome, Scenario, calls, not_streaming, run};
use router_core::overload::limiter::End;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

const SMALL: &str = "
about: a small server
server: {kind: A, replicas: 2, slots: 4}
capacity: 2.6
warm_up: 10s
measured: 60s
expect: []
";

fn scenario(more: &str) -> Scenario {
    Scenario::parse(&format!("{SMALL}{more}")).unwrap()
}

fn seconds(from: u64, until: u64) -> std::ops::Range<Duration> {
    Duration::from_secs(from)..Duration::from_secs(until)
}

fn rate(calls: &[Call], window: &std::ops::Range<Duration>) -> f64 {
    let inside = calls.iter().filter(|call| window.contains(&call.at)).count();
    inside as f64 / (window.end - window.start).as_secs_f64()
}

#[test]
fn a_scenario_with_an_unknown_key_or_without_sense_is_refused() {
    let wrong = [
        ("outagee: {}", "outagee"),
        ("delay: {median: 1, sigma: 0}", "median"),
        ("outage: {at: 1s, until: 2s, replicas: 2}", "an outage leaves a replica"),
        ("prompts: {long_share: 1.5}", "a share is from 0 to 1"),
    ];
    for (more, why) in wrong {
        let error = Scenario::parse(&format!("{SMALL}{more}")).unwrap_err().to_string();
        assert!(error.contains(why), "{more}: {error}");
    }
}

#[test]
fn callers_come_as_often_as_the_scenario_says_and_ask_the_same_at_every_load() {
    let plain = scenario("");
    let (once, thrice) = (calls(&plain, 10.0, 7), calls(&plain, 30.0, 7));
    assert_eq!(once, calls(&plain, 10.0, 7));
    assert!((rate(&once, &seconds(0, 70)) / 26.0 - 1.0).abs() < 0.1);
    assert!((rate(&thrice, &seconds(0, 70)) / 78.0 - 1.0).abs() < 0.1);
    let asked = |calls: &[Call]| calls.iter().take(500).map(|call| call.output_tokens).collect::<Vec<_>>();
    assert_eq!(asked(&once), asked(&thrice));

    let flash = calls(&scenario("flash: {at: 20s, until: 30s, times: 5}"), 10.0, 7);
    assert!((rate(&flash, &seconds(20, 30)) / 130.0 - 1.0).abs() < 0.1);
    assert!((rate(&flash, &seconds(30, 70)) / 26.0 - 1.0).abs() < 0.1);

    let bursts = scenario("bursts: {on: 2.5, on_for: 5s, off: 0.5, off_for: 15s}");
    let mean = (0..20).map(|seed| rate(&calls(&bursts, 10.0, seed), &seconds(0, 70))).sum::<f64>() / 20.0;
    assert!((mean / 26.0 - 1.0).abs() < 0.15, "{mean}");
}

#[test]
fn a_share_of_the_callers_do_not_stream_and_a_larger_share_contains_them() {
    let all = calls(&scenario(""), 10.0, 7);
    let (some, most) = (not_streaming(&all, 0.3), not_streaming(&all, 0.7));
    let share = some.iter().filter(|call| !call.stream).count() as f64 / some.len() as f64;
    assert!((share - 0.3).abs() < 0.05, "{share}");
    assert!(some.iter().zip(&most).all(|(some, most)| some.stream || !most.stream));
}

#[test]
fn a_delay_that_moves_arrives_where_it_should() {
    let ramp = "delay: {median: 1s, sigma: 0, per_prompt_token: 1ms, ramp: {at: 20s, until: 40s, to: 3s}}";
    for call in calls(&scenario(ramp), 10.0, 7) {
        let own = call.delay.as_secs_f64() - f64::from(call.prompt_tokens) / 1000.0;
        let want = 1.0 + 2.0 * ((call.at.as_secs_f64() - 20.0) / 20.0).clamp(0.0, 1.0);
        assert!((own - want).abs() < 1e-6, "{own} at {:?}", call.at);
    }
}

/// What a front has heard of each call: started, then how it ended.
type Heard = Rc<RefCell<BTreeMap<u64, Vec<&'static str>>>>;

/// One queue without any bound before `places` places, which writes down what it hears.
#[derive(Debug)]
struct Queue {
    free: usize,
    waiting: VecDeque<u64>,
    heard: Heard,
}

impl Queue {
    fn hear(&self, call: u64, what: &'static str) {
        self.heard.borrow_mut().entry(call).or_default().push(what);
    }

    fn pump(&mut self, decisions: &mut Decisions) {
        while self.free > 0 {
            let Some(next) = self.waiting.pop_front() else { return };
            self.free -= 1;
            self.hear(next, "start");
            decisions.push_back(Decision::Start(next));
        }
    }
}

impl Front for Queue {
    fn arrive(&mut self, _: Duration, call: &Call, decisions: &mut Decisions) {
        self.waiting.push_back(call.id);
        self.pump(decisions);
    }

    fn first_token(&mut self, _: Duration, call: &Call, _: &mut Decisions) {
        self.hear(call.id, "first token");
    }

    fn token(&mut self, _: Duration, _: &Call) {}

    fn finish(&mut self, _: Duration, call: &Call, end: End, decisions: &mut Decisions) {
        self.free += 1;
        self.hear(call.id, if matches!(end, End::Whole { .. }) { "whole" } else { "failed" });
        self.pump(decisions);
    }

    fn leave(&mut self, _: Duration, call: &Call, decisions: &mut Decisions) {
        let waited = self.waiting.iter().position(|id| *id == call.id);
        match waited {
            Some(at) => drop(self.waiting.remove(at)),
            None => self.free += 1,
        }
        self.hear(call.id, "left");
        self.pump(decisions);
    }

    fn tick(&mut self, _: Duration, _: &mut Decisions) {}
}

#[test]
fn a_front_hears_of_every_call_once_and_in_order() {
    let scenario = scenario("outage: {at: 30s, until: 40s, replicas: 1}\n");
    let heard = Heard::default();
    let queue = Queue { free: 8, waiting: VecDeque::new(), heard: Rc::clone(&heard) };
    let calls = calls(&scenario, 2.0, 7);
    let outcome = run(&scenario, &calls, vec![Box::new(queue)]);
    let possible: [&[&str]; 6] = [
        &["left"],
        &["start", "left"],
        &["start", "failed"],
        &["start", "first token", "left"],
        &["start", "first token", "failed"],
        &["start", "first token", "whole"],
    ];
    let measured = seconds(10, 70);
    let mut seen = BTreeMap::new();
    for call in calls.iter().filter(|call| measured.contains(&call.at)) {
        let life = heard.borrow()[&call.id].clone();
        let which = possible.iter().position(|one| *one == life);
        *seen.entry(which.unwrap_or_else(|| panic!("call {}: {life:?}", call.id))).or_insert(0) += 1;
    }
    assert!([0, 4, 5].iter().all(|kind| seen.contains_key(kind)), "{seen:?}");
    let summary = outcome.summary(&measured);
    assert!(summary.left > 0.2 && summary.held > 0.5 && summary.refused <= 0.0, "{summary:?}");
}

fn shares(outcome: &Outcome) -> [f64; 3] {
    let summary = outcome.summary(&seconds(10, 70));
    [summary.refused, summary.refused_upstream, summary.left]
}

#[test]
fn who_is_refused_and_by_whom_is_told_apart() {
    let open = scenario("");
    let calls_of = calls(&open, 2.0, 7);
    let [refused, upstream, left] = shares(&run(&open, &calls_of, vec![Box::new(Fixed::new(8))]));
    assert!(refused > 0.3 && upstream <= 0.0 && left <= 0.0);
    let capped = SMALL.replace("slots: 4", "slots: 4, inflight_max: 8");
    let capped = Scenario::parse(&capped).unwrap();
    let [refused, upstream, left] = shares(&run(&capped, &calls_of, vec![Box::new(Fixed::new(1000))]));
    assert!(refused <= 0.0 && upstream > 0.3 && left <= 0.0);
}
