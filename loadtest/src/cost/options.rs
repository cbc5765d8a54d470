//! The options of `loadtest cost`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::rig::{BODY_BYTES_MIN, Proxy, RigError};

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
    /// Requests a second, over all connections, instead of as many as will go: what a proxy costs that is not busy,
    /// and what it adds to an answer's time.
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<u32>,
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
    /// The Envoy to measure, instead of the one on the path.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
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

impl Options {
    /// Refuses what cannot be measured.
    ///
    /// # Errors
    ///
    /// Says which option does not fit.
    pub(crate) fn check(&self) -> Result<(), RigError> {
        if self.seconds == 0 || self.rounds == 0 || self.connections == 0 || self.rate == Some(0) {
            return Err(RigError::Usage(
                "--seconds, --rounds, --connections and --rate must be at least 1".to_owned(),
            ));
        }
        if self.body_bytes < BODY_BYTES_MIN {
            return Err(RigError::Usage("--body-bytes must be at least 256".to_owned()));
        }
        let compares = self.only.contains(&Proxy::Relay) && self.only.contains(&Proxy::Weir);
        if self.check_ratio.is_some() && !compares {
            return Err(RigError::Usage("--check-ratio needs both relay and weir".to_owned()));
        }
        Ok(())
    }
}
