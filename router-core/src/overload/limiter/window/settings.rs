//! What an operator may say of a first-token window, and what follows from it.

use std::time::Duration;

use super::fraction::Fraction;

/// First-token objective where no segment has one.
const OBJECTIVE: Duration = Duration::from_secs(2);

/// Share of the objective that the upstream's own queue may take: the rest is for Weir's, where it can be
/// ordered.
const TAU_RATIO: f64 = 0.15;

/// Attempts that may always wait, so that a server's next is there when it is free.
const WINDOW_MIN: f64 = 2.0;

/// The same when several gateways each keep it.
const WINDOW_MIN_SHARED: f64 = 1.0;

/// Base time that is believed at most on a shared pool: the other gateways' queue looks like base time.
const BASE_SHARED_SECONDS: f64 = 0.1;

/// Settings of [`FirstTokenWindow`](super::FirstTokenWindow).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstTokenWindowSettings {
    /// The smallest first-token objective of the segments that use the endpoint; 2 s if there is none.
    pub first_token_objective: Option<Duration>,
    /// The smallest objective for the time between tokens; without one there is no guard.
    pub inter_token_objective: Option<Duration>,
    /// Gateways that share the endpoint without knowing of each other, this one among them.
    pub gateways: u32,
    /// The longest first-token time of an idle endpoint that is believed. Without it as long as it is found,
    /// but 0.1 s where several gateways share the endpoint.
    pub base_time: Option<Duration>,
}

impl Default for FirstTokenWindowSettings {
    fn default() -> Self {
        Self { first_token_objective: None, inter_token_objective: None, gateways: 1, base_time: None }
    }
}

impl FirstTokenWindowSettings {
    /// Seconds that the upstream's own queue may take at least.
    pub(super) fn tau(&self) -> f64 {
        TAU_RATIO * self.objective()
    }

    fn objective(&self) -> f64 {
        self.first_token_objective.unwrap_or(OBJECTIVE).as_secs_f64()
    }

    /// A gateway's part of an attempt. Two gateways with one each are no more than keeps a server busy.
    pub(super) fn fraction(&self) -> Option<Fraction> {
        (f64::from(self.gateways) > WINDOW_MIN).then(|| Fraction::new(self.gateways, self.objective()))
    }

    /// Seconds to the first token of an idle endpoint that are believed.
    pub(super) fn base_max(&self) -> f64 {
        match self.base_time {
            Some(base_time) => base_time.as_secs_f64(),
            None if self.gateways > 1 => BASE_SHARED_SECONDS,
            None => f64::INFINITY,
        }
    }

    pub(super) fn window_min(&self) -> f64 {
        if self.gateways > 1 { WINDOW_MIN_SHARED } else { WINDOW_MIN }
    }
}
