//! The options of `loadtest attack`, and the attacks there are.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::rig::{RigError, address};

/// What to attack, how, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The gateway, as `http://HOST:PORT`. Without it a model server and Weir are started.
    #[arg(long, value_name = "URL", value_parser = address, requires = "pid")]
    pub(crate) url: Option<SocketAddr>,
    /// The gateway's process, for its memory.
    #[arg(long, requires = "url")]
    pub(crate) pid: Option<u32>,
    /// The attacks, one after the other.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    pub(crate) only: Vec<Attack>,
    /// Seconds that each attack lasts.
    #[arg(long, default_value_t = 15)]
    pub(crate) seconds: u64,
    /// Ordinary requests a second, before and beside each attack.
    #[arg(long, default_value_t = 50)]
    pub(crate) rate: u64,
    /// The Weir to start, instead of the one built beside this program.
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub(crate) weir: Option<PathBuf>,
}

/// One way to be a bad client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// 500 connections send their request's head at one byte a second.
    SlowHeader,
    /// 500 connections send their request's body at one byte a second.
    SlowBody,
    /// 50 connections ask for streams and never read.
    NeverReading,
    /// 5,000 connections say nothing.
    Idle,
    /// Clients leave after the first event of a stream.
    Leaving,
    /// No attack, and only by name: clients as many who read their streams to the end, to compare `leaving` with. The
    /// streams must be as long as what is made of one before its client has left, some thousand events.
    Staying,
    /// HTTP/2: requests that are reset at once (CVE-2023-44487).
    RapidReset,
    /// HTTP/2: requests that the server is made to reset (CVE-2025-8671).
    MadeYouReset,
    /// HTTP/2: a request's head that never ends (CVE-2024-27316).
    Continuation,
    /// HTTP/2: SETTINGS, each of which must be acknowledged (CVE-2019-9515).
    Settings,
    /// HTTP/2: PING, each of which must be answered (CVE-2019-9512).
    Ping,
    /// HTTP/2: DATA without data (CVE-2019-9518).
    EmptyData,
    /// HTTP/2: heads of 16 KB that decode to 48 MB.
    HpackBomb,
}

impl Attack {
    /// Its name on the command line and in the table.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it is frames, which must be cut.
    pub(crate) const fn is_flood(self) -> bool {
        match self {
            Self::SlowHeader
            | Self::SlowBody
            | Self::NeverReading
            | Self::Idle
            | Self::Leaving
            | Self::Staying => false,
            Self::RapidReset
            | Self::MadeYouReset
            | Self::Continuation
            | Self::Settings
            | Self::Ping
            | Self::EmptyData
            | Self::HpackBomb => true,
        }
    }

    /// How many connections it keeps up.
    pub(crate) const fn connections(self) -> usize {
        match self {
            Self::SlowHeader | Self::SlowBody => 500,
            Self::NeverReading => 50,
            Self::Idle => 5000,
            Self::Leaving | Self::Staying => 32,
            _ => 4,
        }
    }
}

impl Options {
    /// Refuses what cannot be measured.
    ///
    /// # Errors
    ///
    /// Says which option does not fit.
    pub(crate) fn check(&self) -> Result<(), RigError> {
        if self.seconds == 0 || !(1..=1000).contains(&self.rate) {
            return Err(RigError::Usage("--seconds must be at least 1, --rate 1 to 1000".to_owned()));
        }
        Ok(())
    }

    /// What to do, in the table's order.
    pub(crate) fn attacks(&self) -> Vec<Attack> {
        if !self.only.is_empty() {
            return self.only.clone();
        }
        Attack::value_variants().iter().copied().filter(|attack| *attack != Attack::Staying).collect()
    }
}
