//! What became of the calls of a run, and the figures made of it.

use super::call::Call;
use super::scenario::{Objective, Scenario};
use std::time::Duration;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The answer came whole.
    Whole,
    /// The front refused it, at once or later.
    Refused,
    /// The server refused it.
    RefusedUpstream,
    /// The caller left.
    Left,
    /// Its server went away.
    Failed,
}

/// The life of one call; every time counts from the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// When the front started it.
    pub started: Option<Duration>,
    /// When its first token came.
    pub first_token: Option<Duration>,
    /// When and how it ended.
    pub ended: Option<(Duration, Ending)>,
}

impl Life {
    /// Whether the whole answer came, inside its objective.
    pub fn is_good(&self, call: &Call, objective: &Objective) -> bool {
        let (Some(first), Some((end, Ending::Whole))) = (self.first_token, self.ended) else { return false };
        let decoded = call.output_tokens.saturating_sub(1);
        // A few tokens say nothing of the pace.
        let pace = call.output_tokens < 10 || (end - first) <= objective.inter_token.0 * decoded;
        pace && first - call.at <= objective.first_token.0 && end - call.at <= objective.whole.0
    }

    fn is_held(&self, call: &Call) -> bool {
        self.started.is_none_or(|started| started - call.at > HELD)
    }
}

/// Arrivals from the first time up to the second.
pub type Window = std::ops::Range<Duration>;

/// All calls of a run with their lives.
#[derive(Clone, Debug)]
pub struct Outcome {
    calls: Vec<(Call, Life)>,
    objective: Objective,
}

/// Figures of the calls of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Calls per second.
    pub offered: f64,
    /// Answers inside their objective per second.
    pub goodput: f64,
    /// Share of each segment's calls that were answered inside the objective.
    pub good: [f64; 3],
    /// Share of the calls that the front refused.
    pub refused: f64,
    /// Share of the calls that the server refused.
    pub refused_upstream: f64,
    /// Share of the calls whose callers left.
    pub left: f64,
    /// Share of the calls that the front refused or delayed.
    pub held: f64,
    /// Median time from arrival to the first token.
    pub first_token_p50: Duration,
    /// 95th percentile of it.
    pub first_token_p95: Duration,
}

impl Outcome {
    /// What became of the calls, in the same order.
    pub fn new(scenario: &Scenario, calls: &[Call], lives: Vec<Life>) -> Self {
        Self { calls: calls.iter().copied().zip(lives).collect(), objective: scenario.objective }
    }

    /// The calls that arrived in the window, with their lives.
    pub fn arrived(&self, window: &Window) -> impl Iterator<Item = &(Call, Life)> {
        self.calls.iter().filter(move |(call, _)| window.contains(&call.at))
    }

    /// The figures of the calls that arrived in the window.
    pub fn summary(&self, window: &Window) -> Summary {
        let inside: Vec<&(Call, Life)> = self.arrived(window).collect();
        let good = |(call, life): &(Call, Life)| life.is_good(call, &self.objective);
        let share = |matches: &dyn Fn(&(Call, Life)) -> bool, of: &dyn Fn(&(Call, Life)) -> bool| {
            let all = inside.iter().filter(|one| of(one)).count();
            inside.iter().filter(|one| of(one) && matches(one)).count() as f64 / all.max(1) as f64
        };
        let ended = |ending| move |(_, life): &(Call, Life)| life.ended.is_some_and(|(_, how)| how == ending);
        let all = |_: &(Call, Life)| true;
        let seconds = (window.end - window.start).as_secs_f64();
        let offered = inside.len() as f64 / seconds;
        let mut waits: Vec<Duration> =
            inside.iter().filter_map(|(call, life)| Some(life.first_token? - call.at)).collect();
        waits.sort_unstable();
        Summary {
            offered,
            goodput: share(&good, &all) * offered,
            good: [0, 1, 2].map(|segment| share(&good, &|(call, _)| call.segment == segment)),
            refused: share(&ended(Ending::Refused), &all),
            refused_upstream: share(&ended(Ending::RefusedUpstream), &all),
            left: share(&ended(Ending::Left), &all),
            held: share(&|(call, life)| life.is_held(call), &all),
            first_token_p50: percentile(&waits, 50),
            first_token_p95: percentile(&waits, 95),
        }
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(at).copied().unwrap_or_default()
}

/// A call that starts within this of its arrival was not delayed.
const HELD: Duration = Duration::from_millis(5);
