//! Whether a scenario comes out as its file says.

use super::attainable::{Attainable, attainable};
use super::call::{Call, calls, not_streaming};
use super::outcome::{Outcome, Summary};
use super::scenario::{Algorithm, Expectation, Scenario};
use super::world::{run, run_with_gauges};
use std::fmt;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

/// One expectation at one load with one seed: what came out.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was expected.
    pub expect: Expectation,
    /// Multiple of the capacity.
    pub load: f64,
    /// The callers' seed.
    pub seed: u64,
    /// Goodput as a share of the attainable.
    pub share: Option<f64>,
    /// The best fixed limit and its goodput, if the expectation is relative to it.
    pub attainable: Option<(u32, f64)>,
    /// The figures.
    pub summary: Summary,
    /// Expectations that it misses, in words.
    pub misses: Vec<String>,
}

/// Runs every expectation of the scenario with the callers of one seed, each load in a thread of its own.
pub fn judge(scenario: &Scenario, seed: u64) -> Vec<Line> {
    let mut loads: Vec<f64> =
        scenario.expect.iter().flat_map(|expect| expect.loads.iter().copied()).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    thread::scope(|scope| {
        let judging = |load| scope.spawn(move || judge_load(scenario, load, seed));
        let judged: Vec<_> = loads.into_iter().map(judging).collect();
        judged
            .into_iter()
            .flat_map(|lines| lines.join().unwrap_or_else(|cause| resume_unwind(cause)))
            .collect()
    })
}

fn judge_load(scenario: &Scenario, load: f64, seed: u64) -> Vec<Line> {
    let calls = calls(scenario, load, seed);
    let expected: Vec<&Expectation> =
        scenario.expect.iter().filter(|expect| expect.loads.contains(&load)).collect();
    let relative = expected.iter().any(|expect| expect.is_relative());
    let best = relative.then(|| attainable(scenario, &calls, load));
    let mut runs = Runs { scenario, calls: &calls, seed, done: Vec::new() };
    let line = |expect: &&Expectation| {
        let outcome = runs.outcome(expect);
        Line { load, seed, ..compare(scenario, expect, &outcome, best.as_ref()) }
    };
    expected.iter().map(line).collect()
}

/// What is in front of the server, as far as an expectation can choose it.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Setup {
    pub(super) algorithm: Algorithm,
    pub(super) gateways: u32,
    pub(super) gauges: bool,
    pub(super) non_streaming: f64,
    pub(super) queue: bool,
}

/// Runs with the same calls, each made once.
struct Runs<'a> {
    scenario: &'a Scenario,
    calls: &'a [Call],
    seed: u64,
    done: Vec<(Setup, Rc<Outcome>)>,
}

impl Runs<'_> {
    fn outcome(&mut self, expect: &Expectation) -> Rc<Outcome> {
        let Expectation { algorithm, gateways, gauges, non_streaming, queue, .. } = *expect;
        let setup = Setup { algorithm, gateways, gauges, non_streaming, queue };
        if let Some((_, outcome)) = self.done.iter().find(|(done, _)| *done == setup) {
            return Rc::clone(outcome);
        }
        let front = |gateway| algorithm.front(self.scenario, setup, self.seed ^ u64::from(gateway));
        let calls = not_streaming(self.calls, non_streaming);
        let fronts = (0..gateways).map(front).collect();
        let outcome = if gauges { run_with_gauges } else { run }(self.scenario, &calls, fronts);
        let outcome = Rc::new(outcome);
        self.done.push((setup, Rc::clone(&outcome)));
        outcome
    }
}

fn compare(scenario: &Scenario, expect: &Expectation, outcome: &Outcome, best: Option<&Attainable>) -> Line {
    let from = expect.from.map_or(scenario.warm_up.0, |from| from.0);
    let until = expect.until.map_or_else(|| scenario.measured_until(), |until| until.0);
    let summary = outcome.summary(&(from..until));
    let attainable = best.map(|best| (best.limit, best.outcome.summary(&(from..until)).goodput));
    let share = attainable.map(|(_, goodput)| summary.goodput / goodput);
    let mut line =
        Line { expect: expect.clone(), load: 0.0, seed: 0, share, attainable, summary, misses: Vec::new() };
    line.misses = misses(&line);
    line
}

fn misses(line: &Line) -> Vec<String> {
    let Line { expect, summary, .. } = line;
    let attainable = line.attainable.map(|(_, goodput)| goodput);
    let p95 = summary.first_token_p95.as_secs_f64();
    let share = line.share.unwrap_or(f64::NAN);
    let off = attainable.zip(expect.attainable).map_or(0.0, |(is, known)| (is / known - 1.0).abs());
    let bounds = [
        ("at least", share, expect.at_least, expect.at_least.is_none_or(|bound| share + CHANCE >= bound)),
        most("at most", share, expect.at_most),
        ("attainable", attainable.unwrap_or(f64::NAN), expect.attainable, off <= ATTAINABLE_OFF),
        most("first token p95 at most", p95, expect.first_token_p95.map(|span| span.0.as_secs_f64())),
        most("held at most", summary.held, expect.held),
        most("refused upstream at most", summary.refused_upstream, expect.refused_upstream),
    ];
    let segments = expect.segments.unwrap_or_default();
    let by_segment = segments.iter().zip(&summary.good);
    let by_segment =
        by_segment.map(|(&bound, &is)| ("segment at least", is, Some(bound), is + CHANCE >= bound));
    let missed = bounds.into_iter().chain(by_segment).filter(|(.., met)| !met);
    missed.filter_map(|(what, is, bound, _)| Some(format!("{what} {}, is {is:.3}", bound?))).collect()
}

fn most(what: &'static str, is: f64, bound: Option<f64>) -> (&'static str, f64, Option<f64>, bool) {
    (what, is, bound, bound.is_none_or(|bound| is <= bound))
}

impl Expectation {
    /// Whether it has to be known what is attainable.
    fn is_relative(&self) -> bool {
        self.at_least.is_some() || self.at_most.is_some() || self.attainable.is_some()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expectation { algorithm, gateways, gauges, non_streaming, queue, .. } = self.expect;
        write!(f, "| {algorithm:?}")?;
        if queue {
            write!(f, " and queue")?;
        }
        if gateways > 1 {
            write!(f, ", {gateways} gateways")?;
        }
        if gauges {
            write!(f, " with gauges")?;
        }
        if non_streaming > 0.0 {
            write!(f, ", {:.0} % do not stream", non_streaming * 100.0)?;
        }
        write!(f, " | {} | {} | ", self.load, self.seed)?;
        match (self.attainable, self.share) {
            (Some((limit, goodput)), Some(share)) => write!(f, "{goodput:.1}/s at {limit} | {share:.2}")?,
            _ => write!(f, "- | -")?,
        }
        let Summary { first_token_p50, first_token_p95, .. } = self.summary;
        write!(f, " | {:.2}/{:.2}", first_token_p50.as_secs_f64(), first_token_p95.as_secs_f64())?;
        let Summary { refused, refused_upstream, left, held, .. } = self.summary;
        for share in [refused, refused_upstream, left, held] {
            write!(f, " | {:.1}%", share * 100.0)?;
        }
        let [high, middle, low] = self.summary.good.map(|share| share * 100.0);
        write!(f, " | {high:.0}/{middle:.0}/{low:.0}% | {} |", self.misses.join("; "))
    }
}

impl Line {
    /// What came out in the mean of the same expectation at the same load with several seeds. Its seed is the first.
    pub fn mean(lines: &[Self]) -> Option<Self> {
        let mut mean = lines.first()?.clone();
        let of = |figure: &dyn Fn(&Self) -> f64| lines.iter().map(figure).sum::<f64>() / lines.len() as f64;
        let time = |figure: &dyn Fn(&Summary) -> Duration| {
            Duration::from_secs_f64(of(&|line| figure(&line.summary).as_secs_f64()))
        };
        mean.share = mean.share.map(|_| of(&|line| line.share.unwrap_or_default()));
        mean.attainable = mean
            .attainable
            .map(|(limit, _)| (limit, of(&|line| line.attainable.map_or(0.0, |(_, goodput)| goodput))));
        mean.summary = Summary {
            offered: of(&|line| line.summary.offered),
            goodput: of(&|line| line.summary.goodput),
            good: std::array::from_fn(|at| of(&|line| line.summary.good[at])),
            refused: of(&|line| line.summary.refused),
            refused_upstream: of(&|line| line.summary.refused_upstream),
            left: of(&|line| line.summary.left),
            held: of(&|line| line.summary.held),
            first_token_p50: time(&|summary| summary.first_token_p50),
            first_token_p95: time(&|summary| summary.first_token_p95),
        };
        mean.misses = misses(&mean);
        Some(mean)
    }

    /// The heads of the columns that a line prints.
    pub const HEAD: &str = "| in front | load | seed | attainable | share | first token p50/p95 s | refused | by the server | left | held | good by segment | misses |\n|---|---|---|---|---|---|---|---|---|---|---|---|";
}

/// The attainable limit was chosen with these very callers in hand, and another two minutes of callers differ: a front
/// that keeps its promise misses it by up to this much.
const CHANCE: f64 = 0.015;

/// The attainable level of other callers is another one; by more it is another server.
const ATTAINABLE_OFF: f64 = 0.05;
