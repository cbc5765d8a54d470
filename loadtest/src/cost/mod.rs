//! What a proxy costs: CPU time per request (or per streamed event) of Weir, of a bare hyper relay, of nginx,
//! in one run on one machine.
//!
//! One core belongs to the proxy under test, the others to the upstream and to the load. Each proxy is started
//! anew for each round, the rounds interleave (A B C, A B C), and a row is the median of its rounds: machines
//! drift, and figures of different minutes do not compare. CPU time is what the kernel charged to the proxy's
//! processes, so the proxy's share of the TCP work is in it.

mod answer;
mod generator;
mod machine;
mod nginx;
mod options;
mod process;
mod proxies;
mod report;
mod request;
mod workdir;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use options::Options;

use generator::{Load, Sample};
use machine::Machine;
use options::{Proxy, Scenario};
use process::Daemon;
use proxies::Binaries;
use report::Row;
use workdir::Workdir;

/// Whether what was measured is as it should be.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Everything was answered, and within the ratio where one was asked for.
    Good,
    /// Not so, and why.
    Bad(String),
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CostError {
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
    /// The options do not fit together.
    #[error("{0}")]
    Usage(&'static str),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl CostError {
    /// Says what was wanted when `source` happened.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Measures, prints the tables to stdout and says whether all is well.
///
/// # Errors
///
/// Returns why nothing could be measured.
pub(crate) fn run(options: &Options) -> Result<Verdict, CostError> {
    options.check()?;
    let machine = Machine::read()?;
    let binaries = Binaries::find(options)?;
    // Before the runtime starts, so that it makes as many threads as it has cores.
    machine.leave_proxy_core()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(CostError::io("starting the runtime"))?;
    runtime.block_on(async {
        // Whatever is dropped on the way out takes its processes and files along.
        tokio::select! {
            verdict = measure(options, &machine, &binaries) => verdict,
            () = interrupted() => Err(CostError::Interrupted),
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

async fn measure(options: &Options, machine: &Machine, binaries: &Binaries) -> Result<Verdict, CostError> {
    let workdir = Workdir::create()?;
    let mut tables = Vec::new();
    for case in Case::all(options) {
        let rows = rounds(&Bench { options, machine, binaries, workdir: &workdir, case }).await?;
        print(&report::table(case, options, machine, &rows))?;
        tables.push((case, rows));
    }
    if let Some(path) = &options.json {
        let text = report::json(options, machine, &tables);
        std::fs::write(path, text).map_err(CostError::io(format!("writing {}", path.display())))?;
    }
    let bad = tables.iter().find_map(|(case, rows)| report::complaint(*case, rows, options.check_ratio));
    Ok(bad.map_or(Verdict::Good, Verdict::Bad))
}

/// One kind of answer that is measured; each gets a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// One JSON document, at once.
    Whole,
    /// Events, all at once.
    Burst,
    /// Events, with a pause before each.
    Paced(Duration),
}

impl Case {
    fn all(options: &Options) -> Vec<Self> {
        match options.scenario {
            Scenario::Whole => vec![Self::Whole],
            Scenario::Stream => vec![Self::Burst, Self::Paced(EVENT_GAP)],
        }
    }

    /// What it is called in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Burst => "burst",
            Self::Paced(_) => "paced",
        }
    }

    /// Whether the answer is a stream of events.
    pub(crate) const fn streams(self) -> bool {
        matches!(self, Self::Burst | Self::Paced(_))
    }
}

/// What one table is measured with.
struct Bench<'a> {
    options: &'a Options,
    machine: &'a Machine,
    binaries: &'a Binaries,
    workdir: &'a Workdir,
    case: Case,
}

async fn rounds(bench: &Bench<'_>) -> Result<Vec<Row>, CostError> {
    let upstream = bench.binaries.upstream(bench.machine, bench.workdir, bench.case).await?;
    let mut rows: Vec<Row> = bench.binaries.present().map(Row::new).collect();
    for round in 1..=bench.options.rounds {
        for row in &mut rows {
            let (case, of, name) = (bench.case.name(), bench.options.rounds, row.proxy.name());
            progress(&format!("{case}: round {round} of {of}: {name}"))?;
            let sample = one(bench, row.proxy, upstream.address).await?;
            row.samples.push(sample);
        }
    }
    Ok(rows)
}

/// Starts one proxy, loads it, and lets it go.
async fn one(bench: &Bench<'_>, proxy: Proxy, upstream: SocketAddr) -> Result<Sample, CostError> {
    let started = bench.binaries.proxy(proxy, bench.machine, bench.workdir, upstream).await?;
    let address = started.as_ref().map_or(upstream, |daemon| daemon.address);
    let load = Load {
        address,
        request: request::render(address, bench.options.body_bytes, bench.case.streams()),
        connections: bench.options.connections,
        window: Duration::from_secs(bench.options.seconds),
        streams: bench.case.streams(),
    };
    generator::drive(&load, || reading(bench.machine, started.as_ref())).await
}

/// The clocks that a sample is the difference of.
fn reading(machine: &Machine, proxy: Option<&Daemon>) -> Result<generator::Reading, CostError> {
    let cpu = proxy.map_or(Ok(Duration::ZERO), Daemon::cpu_time)?;
    Ok(generator::Reading { cpu, core_busy: machine.proxy_core_busy()? })
}

fn print(text: &str) -> Result<(), CostError> {
    writeln!(io::stdout(), "{text}").map_err(CostError::io("writing to stdout"))
}

fn progress(text: &str) -> Result<(), CostError> {
    writeln!(io::stderr(), "{text}").map_err(CostError::io("writing to stderr"))
}

/// The pause between events of a paced stream: a hundred tokens a second, a brisk model.
const EVENT_GAP: Duration = Duration::from_millis(10);
