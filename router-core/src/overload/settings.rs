//! What a pool's settings mean to its limiters: names and units of the file become those of the algorithms.

use std::time::Duration;

use crate::config::{self, Concurrency, MinRttSource, Objective};
use crate::overload::limiter::{
    AimdSettings, Algorithm, FirstTokenWindowSettings, FixedSettings, Gradient2Settings, GradientSettings,
    MinRtt,
};

/// The limiter of each endpoint of a pool whose segments were promised this at most
/// ([`Objective::strictest`]).
#[must_use]
pub fn algorithm(concurrency: &Concurrency, promised: &Objective) -> Algorithm {
    match *concurrency {
        Concurrency::FirstTokenWindow(window) => Algorithm::FirstTokenWindow(FirstTokenWindowSettings {
            first_token_objective: promised.first_token,
            inter_token_objective: promised.inter_token,
            gateways: window.gateways,
            base_time: window.base_time,
        }),
        Concurrency::Gradient(settings) => Algorithm::Gradient(gradient(&settings)),
        Concurrency::Gradient2(settings) => Algorithm::Gradient2(Gradient2Settings {
            initial_limit: settings.span.initial,
            min_limit: settings.span.min,
            max_limit: settings.span.max,
            queue_size: settings.queue_size,
            rtt_tolerance: settings.rtt_tolerance,
            smoothing: settings.smoothing,
            long_window: settings.long_window,
        }),
        Concurrency::Aimd(settings) => Algorithm::Aimd(AimdSettings {
            initial_limit: settings.span.initial,
            min_limit: settings.span.min,
            max_limit: settings.span.max,
            backoff_ratio: settings.backoff_ratio,
            timeout: settings.timeout,
        }),
        Concurrency::Fixed { limit } => Algorithm::Fixed(FixedSettings { limit }),
    }
}

/// The queue that gateways which share a pool keep at an endpoint at the least, each an attempt without a first token,
/// as a part of the first-token objective: with over a quarter of it there are too many of them for so slow an
/// endpoint, and one gateway in front of it would do better. `None` where one is alone, or nothing is known of the
/// endpoint's rate (first tokens per second).
///
/// # Example
///
/// ```
/// use router_core::config::{Concurrency, FirstTokenWindow, Objective};
/// use router_core::overload::settings::shared_queue_ratio;
///
/// let eight = Concurrency::FirstTokenWindow(FirstTokenWindow { gateways: 8, base_time: None });
/// let promised = Objective { first_token: Some(std::time::Duration::from_secs(2)), inter_token: None };
/// assert_eq!(shared_queue_ratio(&eight, &promised, 40.0), Some(0.1));
/// assert_eq!(shared_queue_ratio(&eight, &promised, 8.0), Some(0.5));
/// ```
#[must_use]
pub fn shared_queue_ratio(concurrency: &Concurrency, promised: &Objective, rate: f64) -> Option<f64> {
    let Concurrency::FirstTokenWindow(window) = concurrency else { return None };
    let objective = promised.first_token.unwrap_or(OBJECTIVE).as_secs_f64();
    (window.gateways > 1 && rate > 0.0).then(|| f64::from(window.gateways) / (rate * objective))
}

/// What is taken for the first-token objective where no segment has one.
const OBJECTIVE: Duration = Duration::from_secs(2);

/// Envoy's percentages as ratios.
fn gradient(settings: &config::Gradient) -> GradientSettings {
    let ratio = |percent: u32| f64::from(percent) / 100.0;
    let min_rtt = match settings.min_rtt.source {
        MinRttSource::Measured { interval, jitter_percent, request_count } => {
            MinRtt::Measured { interval, request_count, jitter: ratio(jitter_percent) }
        }
        MinRttSource::Fixed(value) => MinRtt::Fixed(value),
    };
    GradientSettings {
        sample_aggregate_percentile: ratio(settings.sample_aggregate_percentile),
        max_concurrency_limit: settings.max_concurrency_limit,
        concurrency_update_interval: settings.concurrency_update_interval,
        min_rtt,
        min_concurrency: settings.min_rtt.min_concurrency,
        buffer: ratio(settings.min_rtt.buffer_percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gateways_that_share_a_pool_have_a_queue_in_common() {
        let window =
            |gateways| Concurrency::FirstTokenWindow(config::FirstTokenWindow { gateways, base_time: None });
        let nothing = Objective::default();
        assert_eq!(shared_queue_ratio(&window(4), &nothing, 2.0), Some(1.0), "2 s without an objective");
        assert_eq!(shared_queue_ratio(&window(1), &nothing, 2.0), None);
        assert_eq!(shared_queue_ratio(&window(4), &nothing, 0.0), None);
        assert_eq!(shared_queue_ratio(&Concurrency::Fixed { limit: 4 }, &nothing, 2.0), None);
    }

    #[test]
    fn the_defaults_of_the_file_are_those_of_the_algorithms() {
        let nothing = Objective::default();
        let same = [
            (Concurrency::default(), Algorithm::default()),
            (
                Concurrency::Gradient(config::Gradient::default()),
                Algorithm::Gradient(GradientSettings::default()),
            ),
            (
                Concurrency::Gradient2(config::Gradient2::default()),
                Algorithm::Gradient2(Gradient2Settings::default()),
            ),
            (Concurrency::Aimd(config::Aimd::default()), Algorithm::Aimd(AimdSettings::default())),
        ];
        for (concurrency, expected) in same {
            assert_eq!(algorithm(&concurrency, &nothing), expected);
        }
    }
}
