//! The options of `loadtest streams`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::rig::{Proxy, RigError, address};

/// How many streams, for how long, through what.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams that are to be open at the same moment.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) count: usize,
    /// Seconds that all of them stay open, after the seconds that opening them may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) hold: u64,
    /// Seconds that opening all of them may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub(crate) opening: u64,
    /// Milliseconds between the events of a stream.
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    pub(crate) gap_ms: u64,
    /// Ask by HTTP/2 with prior knowledge, 100 streams to a connection: half the descriptors for the gateway.
    #[arg(long)]
    pub(crate) http2: bool,
    /// A gateway that runs already, as `http://HOST:PORT`; its model server must stream for --opening and --hold.
    /// Without it, this starts a model server and each of --only.
    #[arg(long, value_name = "URL", value_parser = address)]
    pub(crate) url: Option<SocketAddr>,
    /// The process of that gateway, for its memory.
    #[arg(long, requires = "url")]
    pub(crate) pid: Option<u32>,
    /// What to start and measure, one after the other.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "url",
          default_values_t = [Proxy::Relay, Proxy::Nginx, Proxy::Envoy, Proxy::Weir])]
    pub(crate) only: Vec<Proxy>,
    /// The Weir to start, instead of the one built beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) weir: Option<PathBuf>,
    /// The Envoy to start, instead of the one on the path.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
}

impl Options {
    /// Refuses what cannot be measured.
    ///
    /// # Errors
    ///
    /// Says which option does not fit.
    pub(crate) fn check(&self) -> Result<(), RigError> {
        if self.count == 0 || self.gap_ms == 0 {
            return Err(RigError::Usage("--count and --gap-ms must be at least 1".to_owned()));
        }
        Ok(())
    }

    /// How long a stream of the model server is.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.opening + self.hold)
    }

    /// Events of a stream of that length.
    pub(crate) fn events(&self) -> u64 {
        (self.length().as_secs() * 1000).div_ceil(self.gap_ms).max(1)
    }
}
