//! Which limiter an endpoint gets: all of them as plain settings.

use super::Limiter;
use super::aimd::{Aimd, AimdSettings};
use super::counted::Counted;
use super::fixed::FixedSettings;
use super::gradient::{Gradient, GradientSettings};
use super::gradient2::{Gradient2, Gradient2Settings};
use super::window::{FirstTokenWindow, FirstTokenWindowSettings};

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
    pub fn build(&self, seed: u64) -> Box<dyn Limiter> {
        match *self {
            Self::FirstTokenWindow(settings) => Box::new(FirstTokenWindow::new(settings)),
            Self::Gradient(settings) => Box::new(Counted::new(Gradient::new(settings, seed))),
            Self::Gradient2(settings) => Box::new(Counted::new(Gradient2::new(settings))),
            Self::Aimd(settings) => Box::new(Counted::new(Aimd::new(settings))),
            Self::Fixed(settings) => Box::new(Counted::new(settings)),
        }
    }
}
