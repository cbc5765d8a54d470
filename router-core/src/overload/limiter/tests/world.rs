//! A small world for limiters: a model server with slots, a first-come queue, prefill and decode, and callers
//! who arrive at random, are refused when the limiter says so, and leave when no first token comes.
//! Deterministic.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::super::{Attempt, End, Limiter, Place, Reading, Seen};

const TICK_SECONDS: f64 = 0.05;

#[derive(Clone, Copy)]
pub(super) struct World {
    pub(super) seconds: f64,
    /// Nothing before this counts.
    pub(super) warm: f64,
    /// Arrivals per second at a time.
    pub(super) rate: fn(f64) -> f64,
    /// Slots at a time.
    pub(super) slots: fn(f64) -> u32,
    /// Mean time before a request reaches the server's queue; it varies by a fifth.
    pub(super) delay: fn(f64) -> f64,
    pub(super) per_prompt_token: f64,
    pub(super) per_token: f64,
    pub(super) output_mean: f64,
    /// More than this at the server are answered with 429.
    pub(super) refuses_above: u32,
    pub(super) objective: f64,
    pub(super) patience: f64,
    pub(super) stream_share: f64,
    /// Time from one tick to the next.
    pub(super) tick: f64,
}

/// 128 slots, 28 answers a second.
pub(super) const SERVER_A: World = World {
    seconds: 160.0,
    warm: 40.0,
    rate: |_| 28.0,
    slots: |_| 128,
    delay: |_| 0.01,
    per_prompt_token: 0.000_1,
    per_token: 0.022_6,
    output_mean: 200.0,
    refuses_above: u32::MAX,
    objective: 2.0,
    patience: 10.0,
    stream_share: 1.0,
    tick: TICK_SECONDS,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) arrived: f64,
    /// Refused by the limiter.
    pub(super) held_back: f64,
    /// Refused by the server.
    pub(super) refused: f64,
    /// Answered whole with the first token inside the objective, per second.
    pub(super) goodput: f64,
    pub(super) inflight_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick,
    Arrive,
    Reach(usize),
    First(usize),
    Done(usize),
    Leave(usize),
}

struct Call {
    place: Option<Place>,
    arrived: f64,
    first: Option<f64>,
    prompt: u32,
    output: u32,
    stream: bool,
    running: bool,
}

pub(super) struct Run<'a> {
    world: World,
    limiter: &'a mut dyn Limiter,
    random: SmallRng,
    now: f64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    calls: Vec<Call>,
    queue: VecDeque<usize>,
    running: u32,
    at_server: u32,
    outcome: Outcome,
}

impl Run<'_> {
    fn at(&mut self, seconds: f64, event: Event) {
        self.sequence += 1;
        let micros = Duration::from_secs_f64(seconds.max(0.0)).as_micros();
        self.events.push(Reverse((u64::try_from(micros).unwrap(), self.sequence, event)));
    }

    fn clock(&self) -> Duration {
        Duration::from_secs_f64(self.now)
    }

    fn counts(&self) -> bool {
        self.now >= self.world.warm
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.random.random::<f64>()).ln()
    }

    fn arrive(&mut self) {
        let next = self.now + self.exponential(1.0 / (self.world.rate)(self.now));
        self.at(next, Event::Arrive);
        self.outcome.arrived += f64::from(u8::from(self.counts()));
        let prompt = 50 + self.random.random_range(0..800);
        let output = 1 + super::super::places(self.exponential(self.world.output_mean).min(800.0));
        let stream = self.random.random_bool(self.world.stream_share);
        let delay = (self.world.delay)(self.now) * self.random.random_range(0.8..1.2);
        let now = self.clock();
        let Some(place) = self.limiter.admit(now, Attempt { prompt_tokens: prompt, stream }) else {
            self.outcome.held_back += f64::from(u8::from(self.counts()));
            return;
        };
        self.outcome.inflight_max = self.outcome.inflight_max.max(self.limiter.read(now).inflight);
        let id = self.calls.len();
        let (place, arrived) = (Some(place), self.now);
        self.calls.push(Call { place, arrived, first: None, prompt, output, stream, running: false });
        self.at(self.now + delay, Event::Reach(id));
        self.at(self.now + self.world.patience, Event::Leave(id));
    }

    fn reach(&mut self, id: usize) {
        if self.calls[id].place.is_none() {
            return;
        }
        if self.at_server >= self.world.refuses_above {
            self.outcome.refused += f64::from(u8::from(self.counts()));
            return self.end(id, End::Refused);
        }
        self.at_server += 1;
        self.queue.push_back(id);
        self.fill();
    }

    fn fill(&mut self) {
        while self.running < (self.world.slots)(self.now) {
            let Some(id) = self.queue.pop_front() else { return };
            if self.calls[id].place.is_none() {
                continue;
            }
            self.running += 1;
            self.calls[id].running = true;
            let first = self.now + 0.02 + self.world.per_prompt_token * f64::from(self.calls[id].prompt);
            self.at(first, Event::First(id));
            self.at(first + self.world.per_token * f64::from(self.calls[id].output), Event::Done(id));
        }
    }

    fn first(&mut self, id: usize) {
        let (now, at) = (self.clock(), self.now);
        let call = &mut self.calls[id];
        if let Some(place) = &call.place {
            call.first = Some(at);
            if call.stream {
                self.limiter.observe(now, place, Seen::FirstToken);
            }
        }
    }

    fn done(&mut self, id: usize) {
        let call = &self.calls[id];
        if call.place.is_none() {
            return;
        }
        let good = call.first.is_some_and(|first| first - call.arrived <= self.world.objective);
        self.outcome.goodput += f64::from(u8::from(good && self.counts()));
        let output_tokens = Some(call.output);
        self.leave_server(id);
        self.end(id, End::Whole { output_tokens });
        self.fill();
    }

    /// No first token in time: the caller goes.
    fn leave(&mut self, id: usize) {
        if self.calls[id].place.is_some() && self.calls[id].first.is_none() {
            self.leave_server(id);
            self.end(id, End::Cancelled);
            self.fill();
        }
    }

    fn leave_server(&mut self, id: usize) {
        self.at_server -= 1;
        self.running -= u32::from(std::mem::take(&mut self.calls[id].running));
    }

    fn end(&mut self, id: usize, end: End) {
        let now = self.clock();
        if let Some(place) = self.calls[id].place.take() {
            self.limiter.release(now, place, end);
        }
    }

    fn go(mut self) -> Outcome {
        self.at(0.0, Event::Arrive);
        self.at(0.0, Event::Tick);
        while let Some(Reverse((micros, _, event))) = self.events.pop() {
            self.now = Duration::from_micros(micros).as_secs_f64();
            if self.now >= self.world.seconds {
                break;
            }
            match event {
                Event::Tick => {
                    self.limiter.tick(self.clock());
                    self.fill();
                    self.at(self.now + self.world.tick, Event::Tick);
                }
                Event::Arrive => self.arrive(),
                Event::Reach(id) => self.reach(id),
                Event::First(id) => self.first(id),
                Event::Done(id) => self.done(id),
                Event::Leave(id) => self.leave(id),
            }
        }
        self.outcome.goodput /= self.world.seconds - self.world.warm;
        self.outcome
    }
}

impl World {
    pub(super) fn run(self, limiter: &mut dyn Limiter, seed: u64) -> Outcome {
        Run {
            world: self,
            limiter,
            random: SmallRng::seed_from_u64(seed),
            now: 0.0,
            events: BinaryHeap::new(),
            sequence: 0,
            calls: Vec::new(),
            queue: VecDeque::new(),
            running: 0,
            at_server: 0,
            outcome: Outcome::default(),
        }
        .go()
    }

    /// The goodput of the best fixed limit: so many more than the server holds at the time, found by search.
    pub(super) fn attainable(self, seed: u64) -> f64 {
        let held = |now: f64| {
            f64::from((self.slots)(now).min(self.refuses_above)) + (self.delay)(now) * (self.rate)(now)
        };
        [-8.0, -2.0, 2.0, 6.0, 12.0, 20.0, 32.0, 48.0]
            .into_iter()
            .map(|more| self.run(&mut Oracle { limit: &|now| held(now) + more, held: 0 }, seed))
            .map(|outcome| outcome.goodput)
            .fold(0.0, f64::max)
    }
}

/// A limit that knows the server.
struct Oracle<'a> {
    limit: &'a (dyn Fn(f64) -> f64 + Sync),
    held: u32,
}

impl std::fmt::Debug for Oracle<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Oracle")
    }
}

impl Limiter for Oracle<'_> {
    fn admit(&mut self, now: Duration, _attempt: Attempt) -> Option<Place> {
        let room = self.held < super::super::places((self.limit)(now.as_secs_f64()));
        self.held += u32::from(room);
        room.then(|| Place::new(0))
    }
    fn observe(&mut self, _now: Duration, _place: &Place, _seen: Seen) {}
    fn release(&mut self, _now: Duration, _place: Place, _end: End) {
        self.held -= 1;
    }
    fn tick(&mut self, _now: Duration) {}
    fn read(&self, _now: Duration) -> Reading {
        Reading { inflight: self.held, ..Reading::default() }
    }
}
