//! Random histories: whatever happens in whatever order, everything that must hold does after every step, and in
//! the end everybody was served or heard why not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::rig::*;
use crate::config::Balance;
use crate::dialect::{Dialect, DialectSet};
use crate::overload::dispatch::*;
use crate::overload::limiter::{End, Seen};

const SEEDS: u64 = 320;
const STEPS: usize = 250;

/// What the gateway would know.
struct World {
    rig: Rig,
    random: SmallRng,
    limits: Vec<Arc<AtomicU32>>,
    waiting: BTreeMap<String, CallId>,
    running: Vec<PermitId>,
    topics: usize,
    segments: usize,
    began: u64,
    ended: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut limits = Vec::new();
        let plan = plan(&mut random, &mut limits);
        let (topics, segments) = (plan.topics.len(), plan.segments.len());
        let rig = Rig::new(plan);
        Self {
            rig,
            random,
            limits,
            waiting: BTreeMap::new(),
            running: Vec::new(),
            topics,
            segments,
            began: 0,
            ended: 0,
        }
    }

    fn one_in(&mut self, of: u32) -> bool {
        self.random.random_range(0..of) == 0
    }

    fn hear(&mut self, decisions: Vec<Decision>) {
        for decision in decisions {
            match decision {
                Decision::Start(start) => {
                    assert!(self.waiting.remove(&format!("{:?}", start.call)).is_some(), "it waited");
                    self.run(start);
                }
                Decision::Drop { call, refusal } => {
                    assert!(self.waiting.remove(&format!("{call:?}")).is_some(), "it waited");
                    assert!((SEC..=30 * SEC).contains(&refusal.retry_after));
                    self.ended += 1;
                }
            }
        }
    }

    fn run(&mut self, start: Start) {
        assert!(!self.running.contains(&start.permit), "a permit is given once");
        self.running.push(start.permit);
    }

    fn arrive(&mut self) {
        let prompt_tokens = self.random.random_range(0..2_000);
        let arrival = Arrival {
            topic: self.random.random_range(0..self.topics),
            segment: self.random.random_range(0..self.segments),
            priority: if self.one_in(3) { Priority::Batch } else { Priority::Realtime },
            targets: if self.one_in(4) { Targets(self.random.random()) } else { Targets::ALL },
            dialect: if self.one_in(3) { Dialect::Anthropic } else { Dialect::OpenAi },
            bound: self.one_in(8).then(|| self.random.random_range(0..4)),
            prompt_tokens,
            tokens: prompt_tokens + self.random.random_range(0..1_000),
            stream: !self.one_in(4),
            patience: (!self.one_in(3)).then(|| MS * self.random.random_range(1..10_000)),
            answer_within: self.one_in(4).then(|| MS * self.random.random_range(1..30_000)),
            demand: if self.one_in(4) { Demand::Repeated } else { Demand::New },
            random: self.random.random(),
        };
        let (admission, out) = self.rig.arrive_and(&arrival);
        match admission {
            Admission::Started(start) => {
                self.began += 1;
                self.run(start);
            }
            Admission::Queued(call) => {
                self.began += 1;
                self.waiting.insert(format!("{call:?}"), call);
            }
            Admission::Refused(refusal) => assert!((SEC..=30 * SEC).contains(&refusal.retry_after)),
        }
        self.hear(out);
    }

    fn pick(&mut self) -> Option<usize> {
        (!self.running.is_empty()).then(|| self.random.random_range(0..self.running.len()))
    }

    fn end(&mut self) {
        let Some(at) = self.pick() else { return };
        let permit = self.running.swap_remove(at);
        let end = match self.random.random_range(0..4) {
            0 => End::Refused,
            1 => End::Cancelled,
            _ => End::Whole { output_tokens: Some(10) },
        };
        if end == End::Refused && self.one_in(2) {
            let until = self.rig.now + MS * self.random.random_range(0..3_000);
            self.rig.dispatcher.rest(self.rig.now, permit, until);
        }
        let mut out = Vec::new();
        assert!(self.rig.dispatcher.finish(self.rig.now, permit, end, &mut out));
        assert!(!self.rig.dispatcher.finish(self.rig.now, permit, end, &mut out), "no permit twice");
        self.ended += 1;
        self.hear(out);
    }

    fn see(&mut self) {
        let Some(at) = self.pick() else { return };
        let seen = match self.random.random_range(0..8) {
            0..4 => Seen::FirstToken,
            4 => Seen::Whole,
            _ => Seen::Tokens(self.random.random_range(0..300)),
        };
        let out = self.rig.seen(self.running[at], seen);
        self.hear(out);
    }

    fn leave(&mut self) {
        let at = self.random.random_range(0..self.waiting.len().max(1));
        let Some((key, call)) = self.waiting.iter().nth(at).map(|(key, call)| (key.clone(), *call)) else {
            return;
        };
        let mut out = Vec::new();
        assert!(self.rig.dispatcher.cancel(self.rig.now, call, &mut out));
        self.waiting.remove(&key);
        self.ended += 1;
        self.hear(out);
    }

    fn pass(&mut self) {
        self.rig.now += MS * self.random.random_range(0..300);
        let mut out = Vec::new();
        self.rig.dispatcher.tick(self.rig.now, &mut out);
        self.hear(out);
        for pool in 0..self.rig.dispatcher.pools.len() {
            let state = &self.rig.dispatcher.pools[pool];
            let idle = state.has_room() && state.queued > 0;
            let held = |lane| self.rig.dispatcher.lanes.at(lane).key.class.priority() == Priority::Batch;
            assert!(
                !idle || self.rig.dispatcher.next_lane(pool).is_none_or(held),
                "no room is kept from a call that may have it"
            );
        }
    }

    fn reload(&mut self) {
        let plan = plan(&mut self.random, &mut self.limits);
        (self.topics, self.segments) = (plan.topics.len(), plan.segments.len());
        let mut out = Vec::new();
        self.rig.reloaded = true;
        self.rig.dispatcher.reload(self.rig.now, plan, &mut out);
        self.hear(out);
    }

    fn step(&mut self, may_reload: bool) {
        match self.random.random_range(0..100) {
            0..45 => self.arrive(),
            45..60 => self.end(),
            60..80 => self.see(),
            80..84 => self.leave(),
            84..97 => self.pass(),
            97..99 if !self.limits.is_empty() => {
                let at = self.random.random_range(0..self.limits.len());
                self.limits[at].store(self.random.random_range(0..8), Ordering::Relaxed);
            }
            99 if may_reload => self.reload(),
            _ => {}
        }
        self.rig.verify();
        let known = self.rig.dispatcher.inflight() + self.rig.dispatcher.queued() as usize;
        assert_eq!(known, self.running.len() + self.waiting.len());
        assert_eq!(self.began - self.ended, known as u64, "lag is exact");
    }

    /// Everybody gets an end.
    fn settle(&mut self) {
        self.limits.iter().for_each(|limit| limit.store(3, Ordering::Relaxed));
        for _ in 0..5_000 {
            if self.running.is_empty() && self.waiting.is_empty() {
                break;
            }
            if !self.running.is_empty() {
                self.end();
            }
            self.pass();
        }
        assert_eq!((self.running.len(), self.waiting.len()), (0, 0), "nobody starves");
        assert_eq!(self.began, self.ended);
        for topic in self.rig.dispatcher.topics(self.rig.now) {
            assert_eq!((topic.totals.lag, topic.totals.lag_tokens), (0, 0));
            let watermarks =
                |one: &crate::overload::lag::PartitionState| one.low_watermark == one.log_end_offset;
            assert!(topic.partitions.iter().all(watermarks));
        }
    }
}

fn plan(random: &mut SmallRng, limits: &mut Vec<Arc<AtomicU32>>) -> Plan {
    let some = |random: &mut SmallRng| random.random_range(0..3) == 0;
    let segments = (0..random.random_range(1..5)).map(|index| Segment {
        name: format!("s{index}"),
        share: f64::from(random.random_range(1..10_u32)),
        order: if some(random) { Order::Strict } else { Order::Fair },
        objective: some(random).then(|| MS * random.random_range(100..5_000)),
        max_inflight_ratio: some(random).then(|| random.random_range(0.0..1.0)),
    });
    let segments: Vec<Segment> = segments.collect();
    let count = random.random_range(1..4_usize);
    let mut pools = Vec::new();
    for index in 0..count {
        let counts = if some(random) { Counts::FirstToken } else { Counts::Inflight };
        let mut endpoints = Vec::new();
        for endpoint in 0..random.random_range(1..4) {
            let (limiter, limit) = slots(random.random_range(0..6), counts);
            limits.push(limit);
            endpoints.push(Endpoint { identity: format!("e{endpoint}"), limiter });
        }
        pools.push(Pool {
            name: format!("p{index}"),
            endpoints,
            balance: if some(random) { Balance::RoundRobin } else { Balance::LeastRequest },
            batch: Batch { reserve: random.random_range(0.0..0.9), minimum: random.random_range(0..3) },
            bulkhead: Bulkhead {
                inflight: some(random).then(|| random.random_range(1..10)),
                pending: some(random).then(|| random.random_range(0..20)),
            },
            counts,
        });
    }
    let topics = (0..random.random_range(1..4)).map(|index| Topic {
        name: format!("t{index}"),
        targets: (0..random.random_range(1..4))
            .map(|target| Target {
                label: format!("{target}"),
                pool: random.random_range(0..count),
                weight: random.random_range(0..4),
                dialects: DialectSet { openai: true, anthropic: some(random) },
            })
            .collect(),
        when_full: if some(random) { WhenFull::Wait } else { WhenFull::Spill },
        queue: QueueBounds {
            wait: MS * random.random_range(100..20_000),
            requests: random.random_range(0..40),
            tokens: random.random_range(0..40_000),
        },
    });
    let topics = topics.collect();
    Plan { topics, segments, pools }
}

#[test]
fn whatever_happens_everything_holds_after_every_step() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step(false);
            }
            world.settle();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn reloads_lose_nothing_either() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step(true);
            }
            world.settle();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
