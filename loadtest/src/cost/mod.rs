//! What a proxy costs: CPU time per request (or per streamed event) of Weir, of a bare hyper relay, of nginx and of
//! Envoy, in one run on one machine.
//!
//! One core belongs to the proxy under test, the others to the upstream and to the load. Each proxy is started
//! anew for each round, the rounds interleave (A B C, A B C), and a row is the median of its rounds: machines
//! drift, and figures of different minutes do not compare. CPU time is what the kernel charged to the proxy's
//! processes, so the proxy's share of the TCP work is in it.

mod generator;
mod options;
mod report;

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use options::Options;

use crate::rig::{self, Binaries, Daemon, Machine, Proxy, RigError, Script, Verdict, Wanted, Workdir};
use generator::{Load, Sample};
use options::Scenario;
use report::Row;

/// Measures, prints the tables to stdout and says whether all is well.
///
/// # Errors
///
/// Returns why nothing could be measured.
pub(crate) fn run(options: &Options) -> Result<Verdict, RigError> {
    options.check()?;
    let machine = Machine::read()?;
    let wanted =
        Wanted { proxies: &options.only, weir: options.weir.as_deref(), envoy: options.envoy.as_deref() };
    let binaries = Binaries::find(&wanted)?;
    // Before the runtime starts, so that it makes as many threads as it has cores.
    machine.leave_proxy_core()?;
    rig::run(measure(options, &machine, &binaries))
}

async fn measure(options: &Options, machine: &Machine, binaries: &Binaries) -> Result<Verdict, RigError> {
    let workdir = Workdir::create()?;
    let mut tables = Vec::new();
    for case in Case::all(options) {
        let rows = rounds(&Bench { options, machine, binaries, workdir: &workdir, case }).await?;
        rig::print(&report::table(case, options, machine, &rows))?;
        tables.push((case, rows));
    }
    if let Some(path) = &options.json {
        let text = report::json(options, machine, &tables);
        std::fs::write(path, text).map_err(RigError::io(format!("writing {}", path.display())))?;
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

    /// What the model server is told; an answer without events needs no more than any other.
    fn script(self) -> Script {
        let gap = if let Self::Paced(gap) = self { gap } else { Duration::ZERO };
        Script { events: EVENTS, gap }
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

async fn rounds(bench: &Bench<'_>) -> Result<Vec<Row>, RigError> {
    let upstream = bench.binaries.upstream(bench.machine, bench.workdir, bench.case.script()).await?;
    let mut rows: Vec<Row> = bench.binaries.present().map(Row::new).collect();
    for round in 1..=bench.options.rounds {
        for row in &mut rows {
            let (case, of, name) = (bench.case.name(), bench.options.rounds, row.proxy.name());
            rig::progress(&format!("{case}: round {round} of {of}: {name}"))?;
            let sample = one(bench, row.proxy, upstream.address).await?;
            row.samples.push(sample);
        }
    }
    Ok(rows)
}

/// Starts one proxy, loads it, and lets it go.
async fn one(bench: &Bench<'_>, proxy: Proxy, upstream: SocketAddr) -> Result<Sample, RigError> {
    let started = bench.binaries.proxy(proxy, bench.machine, bench.workdir, upstream).await?;
    let address = started.as_ref().map_or(upstream, |daemon| daemon.address);
    let load = Load {
        address,
        request: rig::render(address, bench.options.body_bytes, bench.case.streams()),
        connections: bench.options.connections,
        rate_per_sec: bench.options.rate,
        window: Duration::from_secs(bench.options.seconds),
        streams: bench.case.streams(),
    };
    generator::drive(&load, || reading(bench.machine, started.as_ref())).await
}

/// The clocks that a sample is the difference of.
fn reading(machine: &Machine, proxy: Option<&Daemon>) -> Result<generator::Reading, RigError> {
    let cpu = proxy.map_or(Ok(Duration::ZERO), Daemon::cpu_time)?;
    Ok(generator::Reading { cpu, core_busy: machine.proxy_core_busy()? })
}

/// The pause between events of a paced stream: a hundred tokens a second, a brisk model.
const EVENT_GAP: Duration = Duration::from_millis(10);
/// Events of a streamed answer: two seconds of a brisk model when they are paced.
const EVENTS: u64 = 200;
