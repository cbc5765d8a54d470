//! What the rules look at, once a tick.

use super::answers::Measure;

/// The endpoint as it is seen at one moment. Times in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) now: f64,
    /// Since the last look.
    pub(super) dt: f64,
    /// Samples in the window of samples.
    pub(super) count: u32,
    /// `T`: mean wait of late; the last known one if there are no samples.
    pub(super) waited: f64,
    /// Mean tokens of late.
    pub(super) tokens: f64,
    /// `r`: samples per second.
    pub(super) rate: f64,
    /// `s0`: wait without a queue.
    pub(super) base: f64,
    pub(super) base_known: bool,
    /// Excess wait that is allowed at least.
    pub(super) tau: f64,
    /// `te`: excess wait that is allowed.
    pub(super) allowed: f64,
    /// `e`: excess wait.
    pub(super) excess: f64,
    /// The same of those that still wait: the upper quarter of their ages less `s0`.
    pub(super) excess_waiting: f64,
    /// Little's value: `r · (te + s0)`.
    pub(super) target: f64,
    pub(super) awaiting: u32,
    /// What times are taken to.
    pub(super) measure: Measure,
    /// When somebody was last refused a place.
    pub(super) blocked: f64,
    /// Since when that goes on without a pause longer than `quiet`.
    pub(super) blocked_since: f64,
    /// How long nobody must have been refused a place before an endpoint counts as not busy.
    pub(super) quiet: f64,
}

impl Sight {
    /// Nothing has been seen yet.
    pub(super) fn nothing(tau: f64, quiet: f64) -> Self {
        Self {
            now: 0.0,
            dt: 0.0,
            count: 0,
            waited: 0.0,
            tokens: 0.0,
            rate: 0.0,
            base: 0.0,
            base_known: false,
            tau,
            allowed: tau,
            excess: 0.0,
            excess_waiting: 0.0,
            target: 0.0,
            awaiting: 0,
            measure: Measure::FirstToken,
            blocked: f64::NEG_INFINITY,
            blocked_since: f64::NEG_INFINITY,
            quiet,
        }
    }

    /// Whether somebody was refused a place in the last `seconds`.
    pub(super) fn blocked_within(&self, seconds: f64) -> bool {
        self.now - self.blocked < seconds
    }
}
