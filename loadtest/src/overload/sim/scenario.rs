//! Scenario files: a server, its callers, and what each algorithm must reach with them.

use crate::modelsim::cluster::{Caps, Cluster};
use crate::modelsim::engine::EngineSettings;
use crate::modelsim::rng::Lengths;
use serde::Deserialize;
use std::time::Duration;

/// A file that is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not the YAML that it should be.
    #[error(transparent)]
    Yaml(Box<serde_saphyr::Error>),
    /// Readable, and makes no sense.
    #[error("{0}")]
    Senseless(&'static str),
}

/// One server under one kind of load.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows.
    pub about: String,
    /// What answers.
    pub server: Server,
    /// Arrivals per second at load 1.
    pub capacity: f64,
    /// What is asked.
    #[serde(default)]
    pub prompts: Prompts,
    /// How long the answers are.
    #[serde(default)]
    pub answers: Answers,
    /// The callers come in bursts instead of evenly.
    pub bursts: Option<Bursts>,
    /// Many more callers for a while.
    pub flash: Option<Flash>,
    /// Replicas go and come back.
    pub outage: Option<Outage>,
    /// Time that passes before a call is in the server's queue.
    pub delay: Option<Delay>,
    /// When an answer is good.
    #[serde(default)]
    pub objective: Objective,
    /// A caller leaves without a first token after this.
    #[serde(default = "patience")]
    pub patience: Span,
    /// Callers before this do not count.
    pub warm_up: Span,
    /// Callers count for this long.
    pub measured: Span,
    /// What must come out.
    pub expect: Vec<Expectation>,
}

/// The server behind the gateway.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its type.
    pub kind: Kind,
    /// Replicas behind its address.
    #[serde(default = "four")]
    pub replicas: usize,
    /// Slots of a replica, if not those of its type.
    pub slots: Option<usize>,
    /// Above so many calls it answers 429.
    pub inflight_max: Option<usize>,
}

/// Types of servers, see [`EngineSettings`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Kind {
    /// Its slots are the limit.
    A,
    /// Its memory is the limit.
    B,
    /// The time per token is the limit.
    C,
    /// It has no limit: every call runs at once, at the same pace.
    Unlimited,
}

/// Prompts: log-normal, and a share of long ones.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompts {
    /// Mean tokens of the ordinary ones.
    pub mean: f64,
    /// Share of the long ones.
    pub long_share: f64,
    /// Tokens of the long ones.
    pub long_tokens: u32,
}

/// Answers: log-normal.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    /// Mean tokens.
    pub mean: f64,
    /// From `at` on the mean is another one.
    pub later: Option<Later>,
}

/// A change of the mean length of answers.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Later {
    /// When.
    pub at: Span,
    /// Mean tokens from then on.
    pub mean: f64,
}

/// Bursts: states of exponential length with different rates.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// Rate within a burst, as a multiple.
    pub on: f64,
    /// Mean length of a burst.
    pub on_for: Span,
    /// Rate between bursts, as a multiple.
    pub off: f64,
    /// Mean time between bursts.
    pub off_for: Span,
}

/// A flash crowd.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    /// When it comes.
    pub at: Span,
    /// When it goes.
    pub until: Span,
    /// The rate as a multiple.
    pub times: f64,
}

/// Replicas that are away for a while. Their calls fail.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// When they go.
    pub at: Span,
    /// When they are back.
    pub until: Span,
    /// How many.
    pub replicas: usize,
}

/// Time before the server's queue: network, prefill elsewhere, hidden reasoning. `median × exp(sigma × normal)`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// Median.
    pub median: Span,
    /// Added to the median for each token of the prompt.
    #[serde(default)]
    pub per_prompt_token: Span,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
    /// The median moves in a straight line to another value.
    pub ramp: Option<Ramp>,
}

/// A median that moves.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// When it begins to.
    pub at: Span,
    /// When it has arrived.
    pub until: Span,
    /// Where.
    pub to: Span,
}

/// When an answer is good. Times count from arrival.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Latest first token.
    pub first_token: Span,
    /// Latest end.
    pub whole: Span,
    /// Longest mean time per token.
    pub inter_token: Span,
}

/// What algorithms must reach.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Which algorithm.
    pub algorithm: Algorithm,
    /// At which loads, as multiples of the capacity.
    pub loads: Vec<f64>,
    /// Gateways in front of the server, each with a front of its own.
    #[serde(default = "one")]
    pub gateways: u32,
    /// Whether each of them asks the server for its own queue, once a second.
    #[serde(default)]
    pub gauges: bool,
    /// Share of the calls whose first token is not seen.
    #[serde(default)]
    pub non_streaming: f64,
    /// Whether who finds no place waits in the dispatcher's queue; else they are refused at once.
    #[serde(default)]
    pub queue: bool,
    /// Share of each segment's calls that are answered inside the objective, at least.
    pub segments: Option<[f64; 3]>,
    /// What is attainable, in answers per second, give or take 5 %: holds the simulated server to what is known of
    /// it.
    pub attainable: Option<f64>,
    /// Goodput as a share of the attainable, at least, in the mean over many seeds.
    pub at_least: Option<f64>,
    /// Goodput as a share of the attainable, at most: a rival that is not as bad as we say.
    pub at_most: Option<f64>,
    /// First-token time of the 95th percentile, at most.
    pub first_token_p95: Option<Span>,
    /// Share of the calls that may be refused or delayed by the gateway.
    pub held: Option<f64>,
    /// Share of the calls that may get the server's own 429.
    pub refused_upstream: Option<f64>,
    /// Only callers that come from here on count.
    pub from: Option<Span>,
    /// Only callers that come before count.
    pub until: Option<Span>,
}

/// What is in front of the server.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Everybody may start.
    None,
    /// Weir's own.
    FirstTokenWindow,
    /// Weir's own without its guard of the time per token.
    Unguarded,
    /// Envoy's, with its defaults.
    Gradient,
    /// Envoy's on the 90th percentile.
    GradientP90,
    /// Netflix's.
    Gradient2,
    /// Additive increase, multiplicative decrease.
    Aimd,
}

/// A duration as configs write it: `2s`, `60ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = humantime::DurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        humantime::parse_duration(&text).map(Self)
    }
}

impl Default for Prompts {
    fn default() -> Self {
        Self { mean: Lengths::PROMPTS.mean, long_share: 0.0, long_tokens: 6000 }
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self { mean: Lengths::OUTPUTS.mean, later: None }
    }
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            first_token: Span(Duration::from_secs(2)),
            whole: Span(Duration::from_secs(30)),
            inter_token: Span(Duration::from_millis(60)),
        }
    }
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// Says what is wrong, with its place in the text.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self =
            serde_saphyr::from_str(text).map_err(|error| ScenarioError::Yaml(Box::new(error)))?;
        scenario.check()
    }

    fn check(self) -> Result<Self, ScenarioError> {
        let share = |share: f64| (0.0..=1.0).contains(&share);
        let replicas = self.server.replicas;
        let refused = [
            (self.capacity <= 0.0, "capacity must be above 0"),
            (self.measured.0.is_zero(), "measured must be above 0"),
            (self.expect.iter().any(|expect| expect.gateways == 0), "at least one gateway is needed"),
            (!self.expect.iter().all(|expect| share(expect.non_streaming)), "a share is from 0 to 1"),
            (!share(self.prompts.long_share), "a share is from 0 to 1"),
            (self.outage.is_some_and(|outage| outage.replicas >= replicas), "an outage leaves a replica"),
            (self.engine().check().is_err(), "such an engine could not run"),
            (self.expect.iter().any(|expect| expect.loads.is_empty()), "an expectation needs loads"),
        ];
        match refused.into_iter().find(|&(wrong, _)| wrong) {
            Some((_, why)) => Err(ScenarioError::Senseless(why)),
            None => Ok(self),
        }
    }

    /// Callers that come before this count.
    pub fn measured_until(&self) -> Duration {
        self.warm_up.0 + self.measured.0
    }

    /// Idle replicas.
    pub(super) fn cluster(&self) -> Cluster {
        let caps = Caps { inflight: self.server.inflight_max, waiting: None };
        Cluster::new(self.engine(), self.server.replicas, caps)
    }

    fn engine(&self) -> EngineSettings {
        let kind = match self.server.kind {
            Kind::A => EngineSettings::A,
            Kind::B => EngineSettings::B,
            Kind::C => EngineSettings::C,
            Kind::Unlimited => UNLIMITED,
        };
        EngineSettings { slots: self.server.slots.unwrap_or(kind.slots), ..kind }
    }
}

fn patience() -> Span {
    Span(Duration::from_secs(10))
}

fn four() -> usize {
    4
}

fn one() -> u32 {
    1
}

/// Twenty-five tokens a second for everybody: slow, since every token costs the simulation, and well inside the usual
/// objective of 60 ms.
const UNLIMITED: EngineSettings = EngineSettings {
    slots: 1_000_000,
    kv_tokens: 1 << 50,
    chunk_tokens: 1 << 50,
    step_base: Duration::from_millis(40),
    step_per_decode: Duration::ZERO,
    step_per_prefill_token: Duration::ZERO,
    step_per_kv_token: Duration::ZERO,
};
