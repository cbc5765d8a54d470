//! What can be put in front of a simulated server.

use super::dispatched::Dispatched;
use super::front::{Fixed, Front, Gate};
use super::scenario::{Algorithm, Scenario};
use super::verdict::Setup;
use router_core::overload::dispatch::Counts;
use router_core::overload::limiter::{
    self, AimdSettings, FirstTokenWindowSettings, Gradient2Settings, GradientSettings,
};

impl Algorithm {
    /// A front for one of the gateways. `seed` is for its own randomness.
    pub(super) fn front(self, scenario: &Scenario, setup: Setup, seed: u64) -> Box<dyn Front> {
        let Some(limiter) = self.limiter(scenario, setup.gateways) else {
            return Box::new(Fixed::new(u32::MAX));
        };
        let limiter = limiter.build(seed);
        if setup.queue {
            Box::new(Dispatched::new(scenario, limiter, self.counts()))
        } else {
            Box::new(Gate::new(limiter))
        }
    }

    fn counts(self) -> Counts {
        match self {
            Self::FirstTokenWindow | Self::Unguarded => Counts::FirstToken,
            Self::None | Self::Gradient | Self::GradientP90 | Self::Gradient2 | Self::Aimd => {
                Counts::Inflight
            }
        }
    }

    fn limiter(self, scenario: &Scenario, gateways: u32) -> Option<limiter::Algorithm> {
        let objective = scenario.objective;
        let window = FirstTokenWindowSettings {
            first_token_objective: Some(objective.first_token.0),
            inter_token_objective: Some(objective.inter_token.0),
            gateways,
            base_time: None,
        };
        let gradient = GradientSettings::default();
        Some(match self {
            Self::None => return None,
            Self::FirstTokenWindow => limiter::Algorithm::FirstTokenWindow(window),
            Self::Unguarded => limiter::Algorithm::FirstTokenWindow(FirstTokenWindowSettings {
                inter_token_objective: None,
                ..window
            }),
            Self::Gradient => limiter::Algorithm::Gradient(gradient),
            Self::GradientP90 => limiter::Algorithm::Gradient(GradientSettings {
                sample_aggregate_percentile: 0.9,
                ..gradient
            }),
            Self::Gradient2 => limiter::Algorithm::Gradient2(Gradient2Settings::default()),
            Self::Aimd => limiter::Algorithm::Aimd(AimdSettings::default()),
        })
    }
}
