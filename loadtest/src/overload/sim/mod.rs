//! Overload control in simulated time: seeded callers, a [`Front`] that decides who may start, and the engine of
//! [`modelsim`](crate::modelsim) behind it.
//!
//! The front is the product's own: the limiter that the gateway runs, alone or under its dispatcher. Nothing here
//! reads a clock or sleeps, so an hour passes in seconds and every run can be repeated from its seed.
//!
//! What a front reaches is worth nothing without what could have been reached: [`attainable()`] searches the best
//! fixed number of calls in flight for the very same callers. A [`Scenario`] says which share of that a front must
//! reach; the scenarios are in `loadtest/scenarios`.
//!
//! Simplified: no network time but a delay before the server's queue, callers do not retry, the prompt's tokens are
//! known exactly.

mod algorithm;
mod attainable;
mod call;
mod dispatched;
mod front;
mod outcome;
mod scenario;
#[cfg(test)]
mod tests;
mod verdict;
mod world;

pub use attainable::{Attainable, attainable};
pub use call::{Call, CallId, calls, not_streaming};
pub use dispatched::Dispatched;
pub use front::{Decision, Decisions, Fixed, Front, Gate};
pub use outcome::{Ending, Life, Outcome, Summary, Window};
pub use scenario::{Algorithm, Expectation, Objective, Scenario, ScenarioError, Span};
pub use verdict::{Line, judge};
pub use world::run;
