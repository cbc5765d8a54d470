//! What a segment of a topic has under way and what it was refused: offsets, tokens, demand that was turned away, and
//! how long an answer takes.

use std::time::Duration;

use super::Gauge;

/// Refusals per second are a mean over about so many seconds: an autoscaler asks every 1 to 30.
const REFUSALS_MEMORY: f64 = 10.0;
/// Weight of one answer in the mean time of service.
const SERVICE_GAIN: f64 = 0.05;

/// The books of one segment of one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// Calls that were ever appended: started or queued.
    pub log_end_offset: u64,
    /// Those of them that have ended.
    pub committed_offset: u64,
    /// Calls that wait.
    pub queued: u32,
    /// Estimated tokens of those, of realtime and of batch calls.
    pub queued_tokens: [u64; 2],
    /// Estimated tokens that are still to come of all that is unfinished.
    pub lag_tokens: u64,
    /// Calls that were never appended, because of overload or for want of an endpoint.
    pub refused: u64,
    refusals_per_sec: f64,
    refusals_as_of: Duration,
    /// When demand was last refused.
    pub refused_at: Option<Duration>,
    /// How near the set point this segment is.
    pub gauge: Gauge,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            log_end_offset: 0,
            committed_offset: 0,
            queued: 0,
            queued_tokens: [0; 2],
            lag_tokens: 0,
            refused: 0,
            refusals_per_sec: 0.0,
            refusals_as_of: Duration::ZERO,
            refused_at: None,
            gauge: Gauge::default(),
        }
    }
}

impl Ledger {
    /// Unfinished calls.
    #[must_use]
    pub const fn lag(&self) -> u64 {
        self.log_end_offset - self.committed_offset
    }

    /// Unfinished calls that do not wait.
    #[must_use]
    pub fn inflight(&self) -> u64 {
        self.lag() - u64::from(self.queued)
    }

    /// A call is appended; its offset.
    pub fn append(&mut self, tokens: u32) -> u64 {
        self.log_end_offset += 1;
        self.lag_tokens += u64::from(tokens);
        self.log_end_offset - 1
    }

    /// An appended call has ended, with so many estimated tokens still to come.
    pub fn commit(&mut self, tokens_left: u32) {
        self.committed_offset += 1;
        self.lag_tokens -= u64::from(tokens_left);
        debug_assert!(self.committed_offset <= self.log_end_offset, "nothing ends that did not begin");
    }

    /// Demand is turned away, or answered with less, for want of capacity.
    pub fn turn_away(&mut self, now: Duration) {
        self.refusals_per_sec = self.refusals_per_sec(now) + 1.0 / REFUSALS_MEMORY;
        self.refusals_as_of = now;
        self.refused_at = Some(now);
    }

    /// How much demand is turned away.
    #[must_use]
    pub fn refusals_per_sec(&self, now: Duration) -> f64 {
        let age = now.saturating_sub(self.refusals_as_of).as_secs_f64();
        self.refusals_per_sec * (-age / REFUSALS_MEMORY).exp()
    }
}

/// Mean time of service, of the answers that came whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Service {
    mean_secs: Option<f64>,
}

impl Service {
    /// An answer took so long from its start.
    pub fn sample(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        let mean = self.mean_secs.get_or_insert(took);
        *mean += SERVICE_GAIN * (took - *mean);
    }

    /// Whether any answer came yet.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.mean_secs.is_some()
    }

    /// Seconds; 1 while nothing is known.
    #[must_use]
    pub fn mean_secs(&self) -> f64 {
        self.mean_secs.unwrap_or(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn unmet_demand_is_a_rate_that_fades() {
        let mut ledger = Ledger::default();
        for tenth in 0..1_000_u32 {
            ledger.turn_away(SEC * tenth / 10);
        }
        let rate = ledger.refusals_per_sec(SEC * 100);
        assert!((9.0..11.0).contains(&rate), "{rate}");
        assert!(ledger.refusals_per_sec(SEC * 200) < 0.01);
    }
}
