//! The loop: the next thing to happen happens, until every measured call has ended.

use super::call::{Call, CallId};
use super::front::{Decision, Decisions, Front};
use super::outcome::{Ending, Life, Outcome};
use super::scenario::Scenario;
use crate::modelsim::cluster::Cluster;
use crate::modelsim::engine::{Event, Job};
use crate::modelsim::rng::hash;
use router_core::overload::gauges::Gauges;
use router_core::overload::limiter::{End, TICK};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Sends the calls through the fronts, one for each gateway, to the scenario's server.
pub fn run(scenario: &Scenario, calls: &[Call], fronts: Vec<Box<dyn Front>>) -> Outcome {
    World::new(scenario, calls, fronts).run()
}

/// The same with gateways that ask the server for its own queue, each once a second at a time of its own.
pub(super) fn run_with_gauges(scenario: &Scenario, calls: &[Call], fronts: Vec<Box<dyn Front>>) -> Outcome {
    let mut world = World::new(scenario, calls, fronts);
    for gateway in 0..world.fronts.len() {
        let first = SCRAPE.mul_f64(hash(gateway as u64, b"scrape") as f64 / u64::MAX as f64);
        world.timers.push(Reverse((first, Alarm::Scrape(gateway))));
    }
    world.run()
}

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// Replicas go.
    Lose,
    /// Replicas come back.
    Restore,
    /// A started call comes to the server's queue.
    Reach(CallId),
    /// A caller has no first token and leaves.
    NoFirstToken(CallId),
    /// A caller has no whole answer and leaves.
    NotWhole(CallId),
    /// A gateway asks the server for its own queue.
    Scrape(usize),
}

struct World<'a> {
    scenario: &'a Scenario,
    calls: &'a [Call],
    lives: Vec<Life>,
    cluster: Cluster,
    fronts: Vec<Box<dyn Front>>,
    decisions: Decisions,
    timers: BinaryHeap<Reverse<(Duration, Alarm)>>,
    /// So many calls have arrived.
    arrived: usize,
    /// When the fronts are told next that time passes.
    tick: Duration,
    /// Measured calls that have not ended.
    open: usize,
    now: Duration,
}

impl World<'_> {
    fn run(mut self) -> Outcome {
        while self.open > 0 {
            self.now = self.next();
            self.serve();
            self.ring();
            self.arrive();
            if self.tick <= self.now {
                self.tick += TICK;
                self.fronts.iter_mut().for_each(|front| front.tick(self.now, &mut self.decisions));
                self.carry_out();
            }
        }
        Outcome::new(self.scenario, self.calls, self.lives)
    }

    fn next(&self) -> Duration {
        let arrival = self.calls.get(self.arrived).map(|call| call.at);
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        [arrival, timer, self.cluster.next_event()]
            .into_iter()
            .flatten()
            .min()
            .map_or(self.tick, |at| at.min(self.tick))
    }

    fn arrive(&mut self) {
        while let Some(call) = self.calls.get(self.arrived).filter(|call| call.at <= self.now) {
            self.arrived += 1;
            self.timers.push(Reverse((call.at + self.scenario.patience.0, Alarm::NoFirstToken(call.id))));
            self.timers.push(Reverse((call.at + self.scenario.objective.whole.0, Alarm::NotWhole(call.id))));
            self.tell(call, |front, now, decisions| front.arrive(now, call, decisions));
        }
    }

    fn serve(&mut self) {
        for event in self.cluster.advance(self.now) {
            let Some(call) = self.call(event.id()) else { continue };
            match event {
                Event::Token { first: true, at, .. } => {
                    if let Some(life) = self.life(call.id) {
                        life.first_token = Some(at);
                    }
                    if call.stream {
                        self.tell(call, |front, now, decisions| front.first_token(now, call, decisions));
                    }
                }
                Event::Token { .. } if call.stream => {
                    let (now, gateway) = (self.now, call.gateway % self.fronts.len());
                    self.fronts.get_mut(gateway).into_iter().for_each(|front| front.token(now, call));
                }
                Event::Token { .. } | Event::Preempted { .. } => {}
                Event::Finished { .. } => {
                    let end = End::Whole { output_tokens: Some(call.output_tokens) };
                    self.finish(call, Ending::Whole, end);
                }
            }
        }
    }

    fn ring(&mut self) {
        while let Some(Reverse((_, alarm))) =
            self.timers.peek().copied().filter(|Reverse((at, _))| *at <= self.now)
        {
            self.timers.pop();
            match alarm {
                Alarm::Lose => self.lose(),
                Alarm::Restore => self.cluster.restore(),
                Alarm::Reach(id) => self.reach(id),
                Alarm::NoFirstToken(id) => self.leave(id, |life| life.first_token.is_none()),
                Alarm::NotWhole(id) => self.leave(id, |_| true),
                Alarm::Scrape(gateway) => self.scrape(gateway),
            }
            self.carry_out();
        }
    }

    fn scrape(&mut self, gateway: usize) {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let gauges =
            Gauges { waiting: count(self.cluster.waiting()), running: count(self.cluster.running()) };
        if let Some(front) = self.fronts.get_mut(gateway) {
            front.gauges(self.now, gauges, &mut self.decisions);
        }
        self.timers.push(Reverse((self.now + SCRAPE, Alarm::Scrape(gateway))));
    }

    fn lose(&mut self) {
        let replicas = self.scenario.outage.map_or(0, |outage| outage.replicas);
        for id in self.cluster.lose(self.now, replicas) {
            if let Some(call) = self.call(id) {
                self.finish(call, Ending::Failed, End::Cancelled);
            }
        }
    }

    fn reach(&mut self, id: CallId) {
        let Some(call) = self.call(id) else { return };
        if self.life(id).is_none_or(|life| life.ended.is_some()) {
            return;
        }
        let job = Job { id, prompt_tokens: call.prompt_tokens, output_tokens: call.output_tokens };
        if self.cluster.submit(self.now, job).is_err() {
            self.finish(call, Ending::RefusedUpstream, End::Refused);
        }
    }

    fn leave(&mut self, id: CallId, impatient: impl Fn(&Life) -> bool) {
        let Some(call) = self.call(id) else { return };
        if self.life(id).is_some_and(|life| life.ended.is_none() && impatient(life)) {
            self.cluster.cancel(self.now, id);
            self.end(call, Ending::Left);
            self.tell(call, |front, now, decisions| front.leave(now, call, decisions));
        }
    }

    fn finish(&mut self, call: &Call, ending: Ending, end: End) {
        self.end(call, ending);
        self.tell(call, |front, now, decisions| front.finish(now, call, end, decisions));
    }

    /// Tells the call's gateway something, and does what it decides.
    fn tell(&mut self, call: &Call, news: impl FnOnce(&mut dyn Front, Duration, &mut Decisions)) {
        let gateway = call.gateway % self.fronts.len();
        if let Some(front) = self.fronts.get_mut(gateway) {
            news(front.as_mut(), self.now, &mut self.decisions);
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(decision) = self.decisions.pop_front() {
            match decision {
                Decision::Start(id) => self.start(id),
                Decision::Refuse(id) => {
                    if let Some(call) = self.call(id) {
                        self.end(call, Ending::Refused);
                    }
                }
            }
        }
    }

    fn start(&mut self, id: CallId) {
        let (now, Some(call)) = (self.now, self.call(id)) else { return };
        if let Some(life) = self.life(id) {
            debug_assert!(
                life.started.is_none() && life.ended.is_none(),
                "call {id} starts twice or too late"
            );
            life.started = Some(now);
        }
        if call.delay.is_zero() {
            self.reach(id);
        } else {
            self.timers.push(Reverse((now + call.delay, Alarm::Reach(id))));
        }
    }

    fn end(&mut self, call: &Call, ending: Ending) {
        let (now, window) = (self.now, self.scenario.warm_up.0..self.scenario.measured_until());
        if let Some(life) = self.life(call.id) {
            debug_assert!(life.ended.is_none(), "call {} ends twice", call.id);
            life.ended = Some((now, ending));
        }
        self.open -= usize::from(window.contains(&call.at));
    }

    fn life(&mut self, id: CallId) -> Option<&mut Life> {
        self.lives.get_mut(usize::try_from(id).ok()?)
    }
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, calls: &'a [Call], fronts: Vec<Box<dyn Front>>) -> Self {
        let window = scenario.warm_up.0..scenario.measured_until();
        let open = calls.iter().filter(|call| window.contains(&call.at)).count();
        let outage = scenario.outage.map(|outage| (outage.at.0, outage.until.0));
        let mut timers = BinaryHeap::new();
        for (at, alarm) in
            outage.into_iter().flat_map(|(at, until)| [(at, Alarm::Lose), (until, Alarm::Restore)])
        {
            timers.push(Reverse((at, alarm)));
        }
        World {
            scenario,
            calls,
            lives: vec![Life::default(); calls.len()],
            cluster: scenario.cluster(),
            fronts,
            decisions: Decisions::new(),
            timers,
            arrived: 0,
            tick: TICK,
            open,
            now: Duration::ZERO,
        }
    }

    fn call(&self, id: CallId) -> Option<&'a Call> {
        self.calls.get(usize::try_from(id).ok()?)
    }
}

/// How often gauges are asked for.
const SCRAPE: Duration = Duration::from_secs(1);
