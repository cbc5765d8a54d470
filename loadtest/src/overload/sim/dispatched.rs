//! The dispatcher as a front: who finds no place waits in order, is refused early, or is given up.

use super::call::{Call, CallId};
use super::front::{Decision, Decisions, Front};
use super::scenario::Scenario;
use crate::modelsim::rng::hash;
use router_core::config::Balance;
use router_core::dialect::{Dialect, DialectSet};
use router_core::overload::dispatch::{
    self, Admission, Arrival, Batch, Bulkhead, Counts, Demand, Dispatcher, Endpoint, Order, PermitId, Plan,
    Pool, Priority, QueueBounds, Segment, Start, Target, Targets, Topic, WhenFull,
};
use router_core::overload::gauges::Gauges;
use router_core::overload::limiter::{End, Limiter, Seen};
use std::collections::HashMap;
use std::time::Duration;

/// One route with one pool of one endpoint, and three segments.
#[derive(Debug)]
pub struct Dispatched {
    dispatcher: Dispatcher,
    patience: Duration,
    /// Calls that wait or are under way, by both names.
    ours: HashMap<dispatch::CallId, CallId>,
    theirs: HashMap<CallId, (dispatch::CallId, Option<PermitId>)>,
    /// Kept for its memory.
    out: Vec<dispatch::Decision>,
}

impl Dispatched {
    /// With nothing under way.
    pub fn new(scenario: &Scenario, limiter: Box<dyn Limiter>, counts: Counts) -> Self {
        let objective = scenario.objective;
        let segment = |(name, share): (&str, f64)| Segment {
            name: name.to_owned(),
            share,
            order: Order::Fair,
            objective: Some(objective.first_token.0),
            max_inflight_ratio: None,
        };
        let topic = Topic {
            name: "letters".to_owned(),
            targets: vec![Target { label: "pool".to_owned(), pool: 0, weight: 1, dialects: DialectSet::ALL }],
            when_full: WhenFull::Spill,
            queue: QueueBounds { wait: objective.whole.0, requests: QUEUE_REQUESTS, tokens: u64::MAX },
        };
        let pool = Pool {
            name: "pool".to_owned(),
            endpoints: vec![Endpoint { identity: "server".to_owned(), limiter }],
            balance: Balance::LeastRequest,
            batch: Batch { reserve: 0.0, minimum: 0 },
            bulkhead: Bulkhead::default(),
            counts,
        };
        let segments = SEGMENTS.map(segment).to_vec();
        let plan = Plan { topics: vec![topic], segments, pools: vec![pool] };
        Self {
            dispatcher: Dispatcher::new(Duration::ZERO, plan),
            patience: objective.first_token.0,
            ours: HashMap::new(),
            theirs: HashMap::new(),
            out: Vec::new(),
        }
    }

    fn started(&mut self, start: Start, call: CallId, decisions: &mut Decisions) {
        self.ours.remove(&start.call);
        self.theirs.insert(call, (start.call, Some(start.permit)));
        decisions.push_back(Decision::Start(call));
    }

    /// Passes on what the dispatcher has decided.
    fn pass_on(&mut self, decisions: &mut Decisions) {
        let mut out = std::mem::take(&mut self.out);
        for decision in out.drain(..) {
            match decision {
                dispatch::Decision::Start(start) => {
                    if let Some(&call) = self.ours.get(&start.call) {
                        self.started(start, call, decisions);
                    }
                }
                dispatch::Decision::Drop { call, .. } => {
                    if let Some(call) = self.ours.remove(&call) {
                        self.theirs.remove(&call);
                        decisions.push_back(Decision::Refuse(call));
                    }
                }
            }
        }
        self.out = out;
    }

    fn permit(&self, call: &Call) -> Option<PermitId> {
        self.theirs.get(&call.id).and_then(|(_, permit)| *permit)
    }
}

impl Front for Dispatched {
    fn arrive(&mut self, now: Duration, call: &Call, decisions: &mut Decisions) {
        let arrival = Arrival {
            topic: 0,
            segment: call.segment,
            priority: Priority::Realtime,
            targets: Targets::ALL,
            dialect: Dialect::OpenAi,
            bound: None,
            prompt_tokens: call.prompt_tokens,
            tokens: call.prompt_tokens + ANSWER_TOKENS,
            stream: call.stream,
            patience: Some(self.patience),
            answer_within: None,
            demand: Demand::New,
            random: hash(call.id, b"turn"),
        };
        match self.dispatcher.arrive(now, &arrival, &mut self.out) {
            Admission::Started(start) => self.started(start, call.id, decisions),
            Admission::Queued(waiting) => {
                self.ours.insert(waiting, call.id);
                self.theirs.insert(call.id, (waiting, None));
            }
            Admission::Refused(_) => decisions.push_back(Decision::Refuse(call.id)),
        }
        self.pass_on(decisions);
    }

    fn first_token(&mut self, now: Duration, call: &Call, decisions: &mut Decisions) {
        if let Some(permit) = self.permit(call) {
            self.dispatcher.observe(now, permit, Seen::FirstToken, &mut self.out);
            self.pass_on(decisions);
        }
    }

    fn token(&mut self, now: Duration, call: &Call) {
        if let Some(permit) = self.permit(call) {
            self.dispatcher.observe(now, permit, Seen::Tokens(1), &mut self.out);
        }
    }

    fn finish(&mut self, now: Duration, call: &Call, end: End, decisions: &mut Decisions) {
        if let Some((_, Some(permit))) = self.theirs.remove(&call.id) {
            self.dispatcher.finish(now, permit, end, &mut self.out);
            self.pass_on(decisions);
        }
    }

    fn leave(&mut self, now: Duration, call: &Call, decisions: &mut Decisions) {
        match self.theirs.remove(&call.id) {
            Some((_, Some(permit))) => {
                self.dispatcher.finish(now, permit, End::Cancelled, &mut self.out);
            }
            Some((waiting, None)) => {
                self.ours.remove(&waiting);
                self.dispatcher.cancel(now, waiting, &mut self.out);
            }
            None => {}
        }
        self.pass_on(decisions);
    }

    fn tick(&mut self, now: Duration, decisions: &mut Decisions) {
        self.dispatcher.tick(now, &mut self.out);
        self.pass_on(decisions);
    }

    fn gauges(&mut self, now: Duration, gauges: Gauges, decisions: &mut Decisions) {
        self.dispatcher.hear(now, (0, 0), gauges, &mut self.out);
        self.pass_on(decisions);
    }
}

/// The segments of the overload research, with their shares of a contended pool.
const SEGMENTS: [(&str, f64); 3] = [("high", 5.0), ("middle", 3.0), ("low", 2.0)];

const QUEUE_REQUESTS: u32 = 400;

/// What an answer is estimated at.
const ANSWER_TOKENS: u32 = 190;
