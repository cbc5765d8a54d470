//! The options of `loadtest overload`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::rig::RigError;

/// What is in front of the model servers, and what it is put through.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME", default_values_t = Kind::ALL)]
    pub(crate) only: Vec<Kind>,
    /// Loads of the steady points, as multiples of what the model servers can answer (with --short 0.8, 1.5 and 3).
    #[arg(long, value_delimiter = ',', value_name = "X", default_values_t = [0.8, 1.0, 1.5, 2.0, 3.0])]
    pub(crate) loads: Vec<f64>,
    /// Seconds that a point counts (with --short 30).
    #[arg(long, default_value_t = 90)]
    pub(crate) seconds: u64,
    /// Seconds before that, in which the model servers fill up and the limit is found (with --short 10).
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub(crate) warm_up: u64,
    /// The callers follow from it.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Weir's limiters to measure, one after the other: first_token_window, gradient, gradient2, aimd, fixed=N.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub(crate) algorithm: Vec<Limit>,
    /// Something else in Weir's place (beside it, if --algorithm names a limiter).
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    pub(crate) against: Vec<Against>,
    /// Also check by fixed limits of 0.85, 1 and 1.15 times the best one what could have been attained.
    #[arg(long)]
    pub(crate) check: bool,
    /// Three steady points of 30 s, with bars that allow for so few callers: to see that it holds, not to quote.
    #[arg(long, conflicts_with_all = ["seconds", "warm_up", "loads", "only"])]
    pub(crate) short: bool,
    /// Writes goodput by load as a picture.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// The Weir to measure, instead of the one built beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) weir: Option<PathBuf>,
    /// The Envoy to measure, instead of the one on the path.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
    /// Measures in front of a llama.cpp server instead: its program (`llama-server`).
    #[arg(long, value_name = "PATH", conflicts_with_all = ["against", "check", "short"])]
    pub(crate) llama: Option<PathBuf>,
    /// What the llama.cpp server is to serve, a GGUF file.
    #[arg(long, value_name = "FILE", requires = "llama")]
    pub(crate) llama_model: Option<PathBuf>,
}

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Poisson arrivals, at each of the loads.
    Steady,
    /// The same at 3 times the capacity, enterprise being `order: strict`.
    Strict,
    /// Half of the capacity goes without a word and comes back, under 0.9 times the capacity.
    Step,
    /// Bursts of 2.5 times the capacity.
    Burst,
    /// Five times as many callers for a while.
    Flash,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Steady, Self::Strict, Self::Step, Self::Burst, Self::Flash];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Strict => "strict",
            Self::Step => "step",
            Self::Burst => "burst",
            Self::Flash => "flash",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One of Weir's limiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Its own.
    FirstTokenWindow,
    /// Envoy's.
    Gradient,
    /// Netflix's.
    Gradient2,
    /// Additive increase, multiplicative decrease.
    Aimd,
    /// So many calls at a time.
    Fixed(u32),
}

impl Limit {
    /// As the configuration calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FirstTokenWindow => "first_token_window",
            Self::Gradient => "gradient",
            Self::Gradient2 => "gradient2",
            Self::Aimd => "aimd",
            Self::Fixed(_) => "fixed",
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = [Self::FirstTokenWindow, Self::Gradient, Self::Gradient2, Self::Aimd];
        if let Some(limit) = named.into_iter().find(|limit| limit.name() == text) {
            return Ok(limit);
        }
        let fixed =
            text.strip_prefix("fixed=").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
        fixed.map(Self::Fixed).ok_or_else(|| {
            "known: first_token_window, gradient, gradient2, aimd, and fixed=N with a number".to_owned()
        })
    }
}

/// What Weir is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// Envoy with its adaptive concurrency filter, as its documentation sets it up.
    Envoy,
    /// Nothing: callers ask the model server itself.
    Nothing,
}

/// What is in front of the model servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Weir(Limit),
    /// Weir without a queue at a fixed limit: what the attainable level is checked with.
    Gate(u32),
    Against(Against),
}

impl fmt::Display for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weir(Limit::FirstTokenWindow) => f.write_str("weir"),
            Self::Weir(Limit::Fixed(limit)) => write!(f, "weir, fixed={limit}"),
            Self::Weir(limit) => write!(f, "weir, {}", limit.name()),
            Self::Gate(limit) => write!(f, "fixed limit {limit}, no queue"),
            Self::Against(Against::Envoy) => f.write_str("envoy, adaptive concurrency"),
            Self::Against(Against::Nothing) => f.write_str("no gateway"),
        }
    }
}

impl Options {
    /// With what the short form says in place of the options.
    pub(crate) fn shortened(&self) -> Self {
        if !self.short {
            return self.clone();
        }
        let (only, loads) = (vec![Kind::Steady], vec![0.8, 1.5, 3.0]);
        Self { only, loads, seconds: 30, warm_up: 10, ..self.clone() }
    }

    /// Refuses what cannot be measured.
    ///
    /// # Errors
    ///
    /// Says which option does not fit.
    pub(crate) fn check(&self) -> Result<(), RigError> {
        let sane = self.loads.iter().all(|load| (0.01..=20.0).contains(load));
        let why = match () {
            () if !sane => "--loads are from 0.01 to 20",
            () if self.loads.is_empty() || self.only.is_empty() => "there is nothing to measure",
            () if !(9..=3600).contains(&self.seconds) => "--seconds is from 9 to 3600",
            () if self.warm_up > 3600 => "--warm-up is at most 3600",
            () => return Ok(()),
        };
        Err(RigError::Usage(why.to_owned()))
    }

    /// What to put in front of the model servers, in the order of the tables.
    pub(crate) fn fronts(&self) -> Vec<Front> {
        let default = [Limit::FirstTokenWindow];
        let limits: &[Limit] = match (&self.algorithm[..], &self.against[..]) {
            ([], []) => &default,
            (named, _) => named,
        };
        let weirs = limits.iter().copied().map(Front::Weir);
        weirs.chain(self.against.iter().copied().map(Front::Against)).collect()
    }
}
