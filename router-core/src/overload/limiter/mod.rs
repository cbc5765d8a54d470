//! How many attempts does one endpoint get at a time? Every algorithm answers to the same trait: it is asked
//! before an attempt, hears what becomes of it, and can be read.

mod aimd;
mod algorithm;
mod counted;
mod fixed;
mod gradient;
mod gradient2;
mod histogram;
mod samples;
mod slots;
mod window;

use std::time::Duration;

pub use self::aimd::AimdSettings;
pub use self::algorithm::Algorithm;
pub use self::fixed::FixedSettings;
pub use self::gradient::{GradientSettings, MinRtt};
pub use self::gradient2::Gradient2Settings;
pub use self::window::{FirstTokenWindow, FirstTokenWindowSettings};

use super::gauges::Gauges;

/// How often [`Limiter::tick`] is to be called while anything is under way or waits: half of the shortest time in
/// which a limit has to move, and rare enough to cost nothing.
pub const TICK: Duration = Duration::from_millis(50);

/// An attempt that wants to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Estimated length of its prompt.
    pub prompt_tokens: u32,
    /// Whether its answer streams: otherwise its first token is not seen.
    pub stream: bool,
}

/// An attempt's place at an endpoint. Given back to the limiter that gave it by [`Limiter::release`], exactly once.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Place(u64);

impl Place {
    /// A place by the number under which its limiter knows it.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// That number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.0
    }
}

/// What is seen of an attempt that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The first event with content, a tool call or reasoning.
    FirstToken,
    /// The head of an answer that is no event stream, though one was asked for: its end is all that will be seen.
    Whole,
    /// So many more tokens since the last report.
    Tokens(u32),
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The answer came whole.
    Whole {
        /// Tokens of the answer, as the server counted them, else as events were counted; `None` if nobody did.
        output_tokens: Option<u32>,
    },
    /// The endpoint answered 429, 503 or 529: it takes no more than it has. No sample.
    Refused,
    /// Without an answer: its caller left, its connection broke, a clock ended it, another status came. No sample.
    Cancelled,
}

/// What a limiter thinks of its endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Attempts that have not ended.
    pub inflight: u32,
    /// Those of them that count as waiting for their first token.
    pub awaiting_first_token: u32,
    /// How many more attempts could start now.
    pub free: u32,
    /// First tokens (for limiters that do not see them: answers) per second.
    pub rate: f64,
    /// Mean time to the first token of late: where few answers stream, what they take beside their tokens; to the end
    /// of the answer where nobody counts these.
    pub first_token: Option<Duration>,
    /// The same of an endpoint without a queue of its own (`s0`).
    pub base_first_token: Option<Duration>,
    /// Most attempts that may be under way at once, whatever they wait for; `None` if there is no such cap.
    pub decode_cap: Option<u32>,
}

/// Decides how many attempts an endpoint gets at a time.
pub trait Limiter: std::fmt::Debug + Send {
    /// Takes a place for an attempt, if there is one. `None` is noted: somebody is being held back.
    /// Whoever waits therefore asks again after each [`tick`](Self::tick), which may have made room.
    fn admit(&mut self, now: Duration, attempt: Attempt) -> Option<Place>;

    /// Hears what is seen of an attempt.
    fn observe(&mut self, now: Duration, place: &Place, seen: Seen);

    /// Takes back the place of an attempt that has ended.
    fn release(&mut self, now: Duration, place: Place, end: End);

    /// Lets time pass. To be called each [`TICK`] while anything is under way or waits; late calls, and
    /// pauses while nothing is under way, do no harm.
    fn tick(&mut self, now: Duration);

    /// Hears what the server tells of its own queue, as it was a moment ago. It may only hold back: what the
    /// limiter counts itself rules, and it works without. Most have no use for it.
    fn hear(&mut self, _now: Duration, _gauges: Gauges) {}

    /// What it thinks.
    fn read(&self, now: Duration) -> Reading;
}

/// The whole places that a limit gives.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u32")]
pub(super) fn places(limit: f64) -> u32 {
    limit.clamp(0.0, f64::from(u32::MAX)) as u32
}

/// A mean that was measured, for a reading.
fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests;
