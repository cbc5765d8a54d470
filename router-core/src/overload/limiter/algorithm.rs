//! Which limiter an endpoint gets: all of them as plain settings, and one type that is any of them.

use std::time::Duration;

use super::aimd::{Aimd, AimdSettings};
use super::fixed::{Fixed, FixedSettings};
use super::gradient::{Gradient, GradientSettings};
use super::gradient2::{Gradient2, Gradient2Settings};
use super::window::{FirstTokenWindow, FirstTokenWindowSettings};
use super::{Attempt, End, Limiter, Place, Reading, Seen};
use crate::overload::gauges::Gauges;

/// A choice of limiter with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// Limits the attempts that have no first token yet. The default.
    FirstTokenWindow(FirstTokenWindowSettings),
    /// Envoy's adaptive concurrency.
    Gradient(GradientSettings),
    /// Netflix's Gradient2.
    Gradient2(Gradient2Settings),
    /// Additive increase, multiplicative decrease.
    Aimd(AimdSettings),
    /// So many attempts at a time.
    Fixed(FixedSettings),
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::FirstTokenWindow(FirstTokenWindowSettings::default())
    }
}

impl Algorithm {
    /// A limiter for one endpoint. `seed` is for the jitter of those that have one.
    #[must_use]
    pub fn build(&self, seed: u64) -> AnyLimiter {
        match *self {
            Self::FirstTokenWindow(settings) => {
                AnyLimiter::FirstTokenWindow(Box::new(FirstTokenWindow::new(settings)))
            }
            Self::Gradient(settings) => AnyLimiter::Gradient(Box::new(Gradient::new(settings, seed))),
            Self::Gradient2(settings) => AnyLimiter::Gradient2(Box::new(Gradient2::new(settings))),
            Self::Aimd(settings) => AnyLimiter::Aimd(Box::new(Aimd::new(settings))),
            Self::Fixed(settings) => AnyLimiter::Fixed(Box::new(Fixed::new(settings))),
        }
    }
}

/// Any of the limiters. One branch picks it; each is boxed once, when it is built, so that they are of one
/// size.
#[derive(Debug)]
#[expect(missing_docs, reason = "each holds the limiter of its name")]
pub enum AnyLimiter {
    FirstTokenWindow(Box<FirstTokenWindow>),
    Gradient(Box<Gradient>),
    Gradient2(Box<Gradient2>),
    Aimd(Box<Aimd>),
    Fixed(Box<Fixed>),
}

/// Calls the limiter that it is.
macro_rules! each {
    ($any:expr, $limiter:ident => $call:expr) => {
        match $any {
            AnyLimiter::FirstTokenWindow($limiter) => $call,
            AnyLimiter::Gradient($limiter) => $call,
            AnyLimiter::Gradient2($limiter) => $call,
            AnyLimiter::Aimd($limiter) => $call,
            AnyLimiter::Fixed($limiter) => $call,
        }
    };
}

impl Limiter for AnyLimiter {
    fn admit(&mut self, now: Duration, attempt: Attempt) -> Option<Place> {
        each!(self, limiter => limiter.admit(now, attempt))
    }

    fn observe(&mut self, now: Duration, place: &Place, seen: Seen) {
        each!(self, limiter => limiter.observe(now, place, seen));
    }

    fn release(&mut self, now: Duration, place: Place, end: End) {
        each!(self, limiter => limiter.release(now, place, end));
    }

    fn tick(&mut self, now: Duration) {
        each!(self, limiter => limiter.tick(now));
    }

    fn hear(&mut self, now: Duration, gauges: Gauges) {
        each!(self, limiter => limiter.hear(now, gauges));
    }

    fn read(&self, now: Duration) -> Reading {
        each!(self, limiter => limiter.read(now))
    }
}
