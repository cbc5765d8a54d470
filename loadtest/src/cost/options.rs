//! The options of `loadtest cost`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::CostError;
use super::request::BODY_BYTES_MIN;

/// What to measure, and how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Seconds that each proxy is measured in each round, after one second of warm-up.
    #[arg(long, default_value_t = 4)]
    pub(crate) seconds: u64,
    /// How often the proxies take turns; a row of the table is the median.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Keep-alive connections, each with one request at a time.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Size of the request body in bytes.
    #[arg(long, default_value_t = 1024)]
    pub(crate) body_bytes: usize,
    /// What the upstream answers.
    #[arg(long, value_enum, default_value_t = Scenario::Whole)]
    pub(crate) scenario: Scenario,
    /// What to measure; the relay is what the others are compared with.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Proxy::ALL)]
    pub(crate) only: Vec<Proxy>,
    /// The Weir to measure, instead of the one built beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) weir: Option<PathBuf>,
    /// Exit with 1 if Weir's CPU time is above this many times the relay's. For use by hand: on a shared
    /// machine figures vary by a quarter.
    #[arg(long, value_name = "RATIO")]
    pub(crate) check_ratio: Option<f64>,
    /// Where to write every round's figures.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What the upstream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// One JSON document: CPU time per request.
    Whole,
    /// Server-sent events, at once and then 10 ms apart: CPU time per event.
    Stream,
}

/// What stands between the load and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Proxy {
    /// Nothing: what the load and the upstream can do by themselves.
    Direct,
    /// A bare hyper relay.
    Relay,
    /// nginx with one worker.
    Nginx,
    /// Weir.
    Weir,
}

impl Proxy {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 4] = [Self::Direct, Self::Relay, Self::Nginx, Self::Weir];

    /// Its name in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Nginx => "nginx",
            Self::Weir => "weir",
        }
    }
}

impl Options {
    /// Refuses what cannot be measured.
    ///
    /// # Errors
    ///
    /// Says which option does not fit.
    pub(crate) fn check(&self) -> Result<(), CostError> {
        if self.seconds == 0 || self.rounds == 0 || self.connections == 0 {
            return Err(CostError::Usage("--seconds, --rounds and --connections must be at least 1"));
        }
        if self.body_bytes < BODY_BYTES_MIN {
            return Err(CostError::Usage("--body-bytes must be at least 256"));
        }
        let compares = self.only.contains(&Proxy::Relay) && self.only.contains(&Proxy::Weir);
        if self.check_ratio.is_some() && !compares {
            return Err(CostError::Usage("--check-ratio needs both relay and weir"));
        }
        Ok(())
    }
}
