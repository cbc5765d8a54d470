//! The callers: when they come and what they ask, drawn from a seed before anything runs, so that every front meets
//! the same ones.

use super::scenario::{Delay, Scenario};
use crate::modelsim::engine::JobId;
use crate::modelsim::rng::{Lengths, Rng};
use std::time::Duration;

/// A call's place in the list of calls; also the name of its job at the server.
pub type CallId = JobId;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// Its place in the list.
    pub id: CallId,
    /// When it arrives.
    pub at: Duration,
    /// Tokens of its prompt.
    pub prompt_tokens: u32,
    /// Tokens of its answer.
    pub output_tokens: u32,
    /// Whether the gateway sees the first token.
    pub stream: bool,
    /// From 0 to 1: the calls of a lower rank than their share are those that do not stream.
    pub stream_rank: f64,
    /// Time between its start and the server's queue.
    pub delay: Duration,
    /// Which gateway it comes to, an arbitrary number.
    pub gateway: usize,
    /// Segment of its caller: 0 has 20 % of the calls, 1 has 30 %, 2 has 50 %.
    pub segment: usize,
}

/// All calls of a run, streams, at `load` times the capacity, in order of arrival. They go on for as long as a measured
/// one may last, so that the load does not fall while the last ones are served.
pub fn calls(scenario: &Scenario, load: f64, seed: u64) -> Vec<Call> {
    let mut arrivals = Arrivals::new(scenario, load, seed);
    // Drawn apart from the arrivals: the same callers ask the same at every load.
    let mut rng = Rng::new(seed ^ CONTENT);
    let until = scenario.measured_until() + scenario.objective.whole.0;
    let mut calls = Vec::new();
    while let Some(at) = arrivals.next().filter(|&at| at < until) {
        calls.push(draw(scenario, &mut rng, calls.len() as u64, at));
    }
    calls
}

/// The same calls, of which a share do not stream.
pub fn not_streaming(calls: &[Call], share: f64) -> Vec<Call> {
    calls.iter().map(|call| Call { stream: call.stream_rank >= share, ..*call }).collect()
}

fn draw(scenario: &Scenario, rng: &mut Rng, id: CallId, at: Duration) -> Call {
    let (prompts, answers) = (scenario.prompts, scenario.answers);
    let mean = answers.later.filter(|later| at >= later.at.0).map_or(answers.mean, |later| later.mean);
    let output_tokens = Lengths { mean, ..Lengths::OUTPUTS }.draw(rng);
    let long = rng.unit() < prompts.long_share;
    let ordinary = Lengths { mean: prompts.mean, ..Lengths::PROMPTS }.draw(rng);
    let prompt_tokens = if long { prompts.long_tokens } else { ordinary };
    let normal = rng.normal();
    let delay = scenario.delay.map_or(Duration::ZERO, |delay| wait(&delay, at, prompt_tokens, normal));
    let stream_rank = rng.unit();
    let gateway = rng.index(usize::MAX);
    let segment = match rng.unit() {
        unit if unit < 0.2 => 0,
        unit if unit < 0.5 => 1,
        _ => 2,
    };
    Call { id, at, prompt_tokens, output_tokens, stream: true, stream_rank, delay, gateway, segment }
}

fn wait(delay: &Delay, at: Duration, prompt_tokens: u32, normal: f64) -> Duration {
    let from = delay.median.0.as_secs_f64();
    let median = delay.ramp.map_or(from, |ramp| {
        let passed = at.saturating_sub(ramp.at.0).div_duration_f64(ramp.until.0.saturating_sub(ramp.at.0));
        from + (ramp.to.0.as_secs_f64() - from) * passed.min(1.0)
    });
    let prompt = delay.per_prompt_token.0.as_secs_f64() * f64::from(prompt_tokens);
    Duration::from_secs_f64((median + prompt) * (delay.sigma * normal).exp())
}

/// A Poisson process whose rate changes.
struct Arrivals<'a> {
    scenario: &'a Scenario,
    rate: f64,
    rng: Rng,
    now: f64,
    /// Whether a burst is on, and when that changes.
    burst: (bool, f64),
}

impl<'a> Arrivals<'a> {
    fn new(scenario: &'a Scenario, load: f64, seed: u64) -> Self {
        Self { scenario, rate: scenario.capacity * load, rng: Rng::new(seed), now: 0.0, burst: (true, 0.0) }
    }

    /// The multiple of the rate now, and when it changes next.
    fn phase(&mut self) -> (f64, f64) {
        if let Some(bursts) = self.scenario.bursts {
            if self.now >= self.burst.1 {
                let on = !self.burst.0;
                let mean = if on { bursts.on_for.0 } else { bursts.off_for.0 };
                self.burst = (on, self.now + self.rng.exponential(mean.as_secs_f64()));
            }
            return (if self.burst.0 { bursts.on } else { bursts.off }, self.burst.1);
        }
        let Some(flash) = self.scenario.flash else { return (1.0, f64::INFINITY) };
        let (at, until) = (flash.at.0.as_secs_f64(), flash.until.0.as_secs_f64());
        match self.now {
            now if now < at => (1.0, at),
            now if now < until => (flash.times, until),
            _ => (1.0, f64::INFINITY),
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let (times, change) = self.phase();
            let next = self.now + self.rng.exponential(1.0 / (self.rate * times));
            if next < change {
                self.now = next;
                return Some(Duration::from_secs_f64(next));
            }
            // The process has no memory: it starts anew at the change.
            self.now = change;
        }
    }
}

const CONTENT: u64 = 0x5EED_C0DE;
