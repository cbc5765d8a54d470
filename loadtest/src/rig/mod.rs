//! What every measurement stands on: the machine, the programs it starts and ends, what they use, a request to send
//! and a reader of what comes back.

mod answer;
mod envoy;
mod limits;
mod machine;
mod memory;
mod nginx;
mod process;
mod programs;
mod request;
mod wire;
mod workdir;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};

pub(crate) use answer::Answer;
pub(crate) use envoy::config as envoy_config;
pub(crate) use limits::raise_descriptors;
pub(crate) use machine::Machine;
pub(crate) use memory::{rss_bytes, signal};
pub(crate) use process::{Daemon, Launch, Ready};
pub(crate) use programs::{Binaries, Proxy, Script, Wanted, free_address};
pub(crate) use request::{BODY_BYTES_MIN, render};
pub(crate) use wire::Wire;
pub(crate) use workdir::Workdir;

/// Whether what was measured is as it should be.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Everything was answered, and within the bars where there are any.
    Good,
    /// Not so, and why.
    Bad(String),
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RigError {
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was wanted.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program is not there.
    #[error("{0}")]
    Missing(String),
    /// A program did not come up.
    #[error("{name} did not get ready: {said}")]
    NotReady {
        /// Which program.
        name: &'static str,
        /// What it wrote.
        said: String,
    },
    /// The options do not fit together, or the machine does not fit them.
    #[error("{0}")]
    Usage(String),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl RigError {
    /// Says what was wanted when `source` happened.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Runs a measurement on a runtime of its own, until it is done or somebody interrupts it. Whatever is dropped on the
/// way out takes its processes and files along.
///
/// # Errors
///
/// Returns why nothing could be measured.
pub(crate) fn run(measure: impl Future<Output = Result<Verdict, RigError>>) -> Result<Verdict, RigError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(RigError::io("starting the runtime"))?;
    runtime.block_on(async {
        tokio::select! {
            verdict = measure => verdict,
            () = interrupted() => Err(RigError::Interrupted),
        }
    })
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! { _ = terminate.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Writes a table or another result.
///
/// # Errors
///
/// Says that stdout is gone.
pub(crate) fn print(text: &str) -> Result<(), RigError> {
    writeln!(io::stdout(), "{text}").map_err(RigError::io("writing to stdout"))
}

/// Writes what is being done.
///
/// # Errors
///
/// Says that stderr is gone.
pub(crate) fn progress(text: &str) -> Result<(), RigError> {
    writeln!(io::stderr(), "{text}").map_err(RigError::io("writing to stderr"))
}

/// Where `http://HOST:PORT` is, for the command line.
///
/// # Errors
///
/// Says that it is not such a URL, or that nobody knows the host.
pub(crate) fn address(url: &str) -> Result<SocketAddr, String> {
    let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let authority = authority.ok_or_else(|| "it must be http://HOST:PORT".to_owned())?;
    let addresses = authority.to_socket_addrs().map_err(|error| format!("{authority}: {error}"))?;
    addresses.into_iter().next().ok_or_else(|| format!("{authority} has no address"))
}
