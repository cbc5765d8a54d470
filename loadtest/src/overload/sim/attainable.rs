//! What could have been attained: the best fixed number of calls in flight, searched for the very same callers.

use super::call::Call;
use super::front::Fixed;
use super::outcome::Outcome;
use super::scenario::Scenario;
use super::world::run;

/// The best fixed limit for some callers.
#[derive(Clone, Debug)]
pub struct Attainable {
    /// Calls in flight.
    pub limit: u32,
    /// Answers inside their objective per second.
    pub goodput: f64,
    /// The run with that limit.
    pub outcome: Outcome,
}

/// Searches the best fixed limit for calls that come at `load` times the capacity. Goodput rises with the limit up
/// to a plateau and falls behind it, but for noise: the search climbs from a guess both ways, until a step is
/// clearly worse.
pub fn attainable(scenario: &Scenario, calls: &[Call], load: f64) -> Attainable {
    let guess = guess(scenario, load);
    let mut best = attempt(scenario, calls, limit(guess));
    for direction in [1, -1] {
        climb(scenario, calls, guess, direction, &mut best);
    }
    best
}

fn climb(scenario: &Scenario, calls: &[Call], guess: i32, direction: i32, best: &mut Attainable) {
    let window = scenario.warm_up.0..scenario.measured_until();
    let mut step = guess + direction;
    while (0..STEPS).contains(&step) {
        let tried = attempt(scenario, calls, limit(step));
        let clearly_worse = tried.goodput < best.goodput * CLEARLY_WORSE;
        let nobody_was_refused = tried.outcome.summary(&window).refused <= 0.0;
        if tried.goodput > best.goodput {
            *best = tried;
        }
        if clearly_worse || (direction > 0 && nobody_was_refused) {
            return;
        }
        step += direction;
    }
}

fn attempt(scenario: &Scenario, calls: &[Call], limit: u32) -> Attainable {
    let front = Fixed::new(limit).told_of(scenario.outage, scenario.server.replicas);
    let outcome = run(scenario, calls, vec![Box::new(front)]);
    let goodput = outcome.summary(&(scenario.warm_up.0..scenario.measured_until())).goodput;
    Attainable { limit, goodput, outcome }
}

/// The step whose limit is nearest to the calls that are in flight if everybody is served at once.
fn guess(scenario: &Scenario, load: f64) -> i32 {
    let delay = scenario.delay.map_or(0.0, |delay| delay.median.0.as_secs_f64());
    let inflight = scenario.capacity * load.min(1.0) * (ANSWER_SECONDS + delay);
    (0..STEPS).find(|&step| f64::from(limit(step)) >= inflight).unwrap_or(STEPS - 1)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 3 to a few thousand")]
fn limit(step: i32) -> u32 {
    (LIMIT_MIN * LIMIT_RATIO.powi(step)).round() as u32
}

/// The limits tried are 3, 4, 5 … 2650.
const LIMIT_MIN: f64 = 3.0;
const LIMIT_RATIO: f64 = 1.18;
const STEPS: i32 = 42;

/// Goodput below this share of the best is not noise.
const CLEARLY_WORSE: f64 = 0.97;

/// A usual answer of the research workload takes so long on a busy server.
const ANSWER_SECONDS: f64 = 4.7;
