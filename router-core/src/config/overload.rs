//! The settings of overload control: who is served before whom, how much work an endpoint gets at a time, and how
//! much may wait. What each does is in `crate::overload`; the defaults and their reasons are in
//! `config::defaults`.

use std::time::Duration;

use super::{Endpoint, Key};

/// A class of callers.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The name in the file, in headers and in metrics.
    pub name: String,
    /// Its part of a full pool, relative to the other segments'; above 0.
    pub share: f64,
    /// Whether it keeps to its share.
    pub order: Order,
    /// How urgent its calls are.
    pub priority: Priority,
    /// What it was promised.
    pub objective: Objective,
    /// Most of a pool's places that it may have at a time; above 0, at most 1.
    pub max_inflight_ratio: f64,
    /// Keys by which its callers are known, in the file's order.
    pub keys: Vec<Key>,
}

/// What stands between the segments of a full pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each gets its share.
    Fair,
    /// It is served before those that are fair.
    Strict,
}

/// How urgent a call is; the urgent one is the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits for it.
    Realtime,
    /// It takes what realtime calls leave over.
    Batch,
}

/// What a segment was promised. Without a promise nothing is refused because it would come late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objective {
    /// From a call's arrival to its first token.
    pub first_token: Option<Duration>,
    /// Mean time for each token after the first.
    pub inter_token: Option<Duration>,
}

/// How the number of attempts that an endpoint gets at a time is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Concurrency {
    /// By the attempts that have no first token yet.
    FirstTokenWindow(FirstTokenWindow),
    /// Envoy's gradient controller.
    Gradient(Gradient),
    /// Netflix's second gradient.
    Gradient2(Gradient2),
    /// Netflix's additive increase, multiplicative decrease.
    Aimd(Aimd),
    /// A number.
    Fixed {
        /// Most attempts under way.
        limit: u32,
    },
}

/// Settings of [`Concurrency::FirstTokenWindow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstTokenWindow {
    /// How many gateways share the pool, this one included.
    pub gateways: u32,
    /// The longest first-token time that an endpoint with nothing else to do is believed to have. Without it any, but
    /// 0.1 s where several gateways share the pool.
    pub base_time: Option<Duration>,
}

/// Settings of [`Concurrency::Gradient`], with Envoy's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gradient {
    /// Percentile of the response times of an update interval that is compared with the shortest, 0 to 100.
    pub sample_aggregate_percentile: u32,
    /// Highest limit.
    pub max_concurrency_limit: u32,
    /// How often the limit moves.
    pub concurrency_update_interval: Duration,
    /// How the shortest response time is found.
    pub min_rtt: MinRtt,
}

/// How [`Gradient`] finds the response time of an endpoint that has nothing else to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRtt {
    /// Whether it is measured or known.
    pub source: MinRttSource,
    /// The limit while it is measured, and the lowest at any time.
    pub min_concurrency: u32,
    /// By how much response times may exceed it without the limit falling, in percent of it.
    pub buffer_percent: u32,
}

/// Where [`MinRtt`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinRttSource {
    /// It is measured from time to time.
    Measured {
        /// Time between two measurements.
        interval: Duration,
        /// Random part that is added to that time, in percent of it.
        jitter_percent: u32,
        /// Responses that make a measurement.
        request_count: u32,
    },
    /// It is known.
    Fixed(Duration),
}

/// Bounds of a limit and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Lowest limit.
    pub min: u32,
    /// Highest limit, at least `min`.
    pub max: u32,
    /// The first limit, within both.
    pub initial: u32,
}

/// Settings of [`Concurrency::Gradient2`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gradient2 {
    /// Bounds.
    pub span: Span,
    /// How many times the long-term mean response times may be without the limit falling; at least 1.
    pub rtt_tolerance: f64,
    /// Part of a new limit in the next one; above 0, at most 1.
    pub smoothing: f64,
    /// What the limit grows by while response times do not.
    pub queue_size: u32,
    /// Samples that the long-term mean stretches over.
    pub long_window: u32,
}

/// Settings of [`Concurrency::Aimd`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aimd {
    /// Bounds.
    pub span: Span,
    /// Response time from which the limit falls.
    pub timeout: Duration,
    /// What a limit that falls is multiplied with; at least 0.5, below 1.
    pub backoff_ratio: f64,
}

/// How calls that do not stream are counted by [`Concurrency::FirstTokenWindow`], since nobody sees their first
/// token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonStreaming {
    /// When the first token is likely to be there.
    Estimate,
    /// When it is there: they are sent as streams, and their answers put together.
    Stream,
}

/// Caps on what a pool takes, so that it cannot use up what others need. `None` is no cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bulkhead {
    /// Connections to all of its endpoints.
    pub connections: Option<u32>,
    /// Calls that wait for it.
    pub pending: Option<u32>,
    /// Calls that it works on.
    pub streams: Option<u32>,
}

/// Where a pool's servers tell how many requests wait for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GaugesSource {
    /// The metrics page of the pool's only server; `None` where each endpoint has it at `/metrics`.
    pub url: Option<Endpoint>,
}

/// What batch calls may have of a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Batch {
    /// Part of the window that batch calls leave free; 0 to 1.
    pub reserve: f64,
    /// Batch calls that are always let in.
    pub minimum: u32,
}

/// What becomes of a route's call while the target whose turn it is takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Another target takes it.
    Spill,
    /// It waits for that target.
    Wait,
}

/// How much may wait for a route, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Longest wait.
    pub wait: Duration,
    /// Most calls.
    pub requests: u32,
    /// Most estimated tokens of all of them, prompts and answers; `None` where the memory for bodies is the only bound.
    pub tokens: Option<u64>,
}

impl Objective {
    /// The strictest of what these segments were promised, which is what a pool has to keep that serves all of them.
    #[must_use]
    pub fn strictest(segments: &[Segment]) -> Self {
        let all = segments.iter().map(|segment| segment.objective);
        Self {
            first_token: all.clone().filter_map(|one| one.first_token).min(),
            inter_token: all.filter_map(|one| one.inter_token).min(),
        }
    }
}

impl Order {
    /// Both, the default first.
    pub const ALL: [Self; 2] = [Self::Fair, Self::Strict];

    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fair => "fair",
            Self::Strict => "strict",
        }
    }
}

impl Priority {
    /// Both, the default first.
    pub const ALL: [Self; 2] = [Self::Realtime, Self::Batch];

    /// The name in the file and in `x-weir-priority`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Batch => "batch",
        }
    }
}

impl Concurrency {
    /// The names of all algorithms, the default first.
    pub const ALGORITHMS: [&'static str; 5] =
        ["first_token_window", "gradient", "gradient2", "aimd", "fixed"];

    /// Whether several gateways are said to share the pool.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::FirstTokenWindow(FirstTokenWindow { gateways: 2.., .. }))
    }

    /// The name of the algorithm in the file.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::FirstTokenWindow(_) => Self::ALGORITHMS[0],
            Self::Gradient(_) => Self::ALGORITHMS[1],
            Self::Gradient2(_) => Self::ALGORITHMS[2],
            Self::Aimd(_) => Self::ALGORITHMS[3],
            Self::Fixed { .. } => Self::ALGORITHMS[4],
        }
    }
}

impl NonStreaming {
    /// Both, the default first.
    pub const ALL: [Self; 2] = [Self::Estimate, Self::Stream];

    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Estimate => "estimate",
            Self::Stream => "stream",
        }
    }
}

impl WhenFull {
    /// Both, the default first.
    pub const ALL: [Self; 2] = [Self::Spill, Self::Wait];

    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spill => "spill",
            Self::Wait => "wait",
        }
    }
}
