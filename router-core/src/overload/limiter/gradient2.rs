//! Netflix/concurrency-limits' `Gradient2Limit`, in its `WindowedLimit` as Netflix ships it: the limit
//! shrinks in proportion as the mean response time of a window rises above `rtt_tolerance` times its
//! long-term mean.
//!
//! ```text
//! gradient = clamp(rtt_tolerance · long / short, 0.5, 1)
//! limit    = 0.8 · limit + 0.2 · (limit · gradient + queue_size)
//! ```
//!
//! It reads the time of the whole answer: when answers merely get longer it holds traffic back for nothing,
//! and what changes slowly it takes for normal. Here for comparison, and for upstreams whose answers are all
//! alike.

use super::counted::{Ended, Rule};
use super::{End, places};

/// A fall of the response time to less than half of its long-term mean is an old overload that is over: the
/// mean then gives way by this factor a window.
const RECOVERY: f64 = 0.95;

/// The long-term mean is a plain mean of so many windows at first.
const WARM_UP_WINDOWS: u32 = 10;

/// A window with fewer samples is thrown away.
const WINDOW_SAMPLES_MIN: u32 = 10;

/// Length of a window. Netflix has a range for it, and both its ends at one second.
const WINDOW_SECONDS: f64 = 1.0;

/// Settings of [`Algorithm::Gradient2`](super::Algorithm::Gradient2), with Netflix's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gradient2Settings {
    /// Limit at the start.
    pub initial_limit: u32,
    /// Smallest limit.
    pub min_limit: u32,
    /// Largest limit.
    pub max_limit: u32,
    /// Attempts that may queue at the upstream: what the limit grows by.
    pub queue_size: u32,
    /// How far the response time may rise above its long-term mean before the limit shrinks.
    pub rtt_tolerance: f64,
    /// Share of a window's result that goes into the limit, 0 to 1.
    pub smoothing: f64,
    /// Windows that the long-term mean looks back.
    pub long_window: u32,
}

impl Default for Gradient2Settings {
    fn default() -> Self {
        Self {
            initial_limit: 20,
            min_limit: 20,
            max_limit: 200,
            queue_size: 4,
            rtt_tolerance: 1.5,
            smoothing: 0.2,
            long_window: 600,
        }
    }
}

/// A limit that follows the ratio of long-term to short-term response time.
#[derive(Debug)]
pub(super) struct Gradient2 {
    settings: Gradient2Settings,
    limit: f64,
    long: f64,
    windows: u32,
    window: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    sum: f64,
    count: u32,
    inflight_max: u32,
    ends: f64,
}

impl Gradient2 {
    /// Starts at the initial limit.
    pub(super) fn new(settings: Gradient2Settings) -> Self {
        let limit = f64::from(settings.initial_limit);
        Self { settings, limit, long: 0.0, windows: 0, window: Window::default() }
    }

    fn follow(&mut self, short: f64, inflight: u32) {
        let settings = &self.settings;
        let gain = if self.windows < WARM_UP_WINDOWS {
            1.0 / f64::from(self.windows + 1)
        } else {
            2.0 / (f64::from(settings.long_window) + 1.0)
        };
        self.windows = self.windows.saturating_add(1);
        self.long += gain * (short - self.long);
        let long = self.long;
        if long > 2.0 * short {
            self.long *= RECOVERY;
        }
        // While the callers use less than half of the limit, it is not what decides.
        if f64::from(inflight) < self.limit / 2.0 {
            return;
        }
        let gradient = (settings.rtt_tolerance * long / short.max(f64::MIN_POSITIVE)).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + f64::from(settings.queue_size);
        let smoothed = self.limit + settings.smoothing * (wanted - self.limit);
        self.limit = smoothed.min(f64::from(settings.max_limit)).max(f64::from(settings.min_limit));
    }
}

impl Rule for Gradient2 {
    fn limit(&self) -> u32 {
        places(self.limit)
    }

    fn learn(&mut self, now: f64, ended: &Ended) {
        if ended.end == End::Cancelled {
            return;
        }
        self.window.inflight_max = self.window.inflight_max.max(ended.inflight);
        if ended.end != End::Refused {
            self.window.sum += ended.took;
            self.window.count += 1;
        }
        if now > self.window.ends {
            let window = std::mem::take(&mut self.window);
            self.window.ends = now + WINDOW_SECONDS;
            if window.count >= WINDOW_SAMPLES_MIN {
                self.follow(window.sum / f64::from(window.count), window.inflight_max);
            }
        }
    }
}
