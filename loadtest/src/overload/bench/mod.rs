//! More calls than the model servers can take, over sockets: how many of the answers that could have come inside their
//! objective do so, and whose?
//!
//! A simulated model server of 27.8 answers a second with a queue of its own that has no bound, a gateway, and callers
//! of three segments that come whether or not others were served. What is attainable the simulation says, for the very
//! same callers. Everything is started anew for every point.

mod caller;
mod drive;
mod envoy;
mod gateway;
mod llama;
mod options;
mod plot;
mod points;
mod report;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Instant;

pub(crate) use options::Options;

use crate::rig::{self, Binaries, Proxy, RigError, Verdict, Wanted, Workdir, raise_descriptors};
use caller::Wishes;
use drive::{Drive, Target, drive};
use options::{Against, Front};
use points::{Point, REPLICAS};
use report::Row;

/// Measures, prints the tables to stdout and says whether Weir's own limiter is within its bars.
///
/// # Errors
///
/// Returns why nothing could be measured.
pub(crate) fn run(options: &Options) -> Result<Verdict, RigError> {
    let options = &options.shortened();
    options.check()?;
    raise_descriptors(DESCRIPTORS, "the callers that wait at the highest load,")?;
    if options.llama.is_some() {
        return llama::run(options);
    }
    let fronts = options.fronts();
    let binaries = find(options, &fronts)?;
    rig::progress("searching what can be attained")?;
    let points = Point::all(options)?;
    rig::run(async {
        let stage = Stage { binaries, workdir: Workdir::create()? };
        let mut rows = Vec::new();
        for point in &points {
            for &front in &fronts {
                rows.push(stage.simulated_server(front, point).await?);
            }
            if options.check && point.scenario.outage.is_none() {
                for ratio in CHECKED {
                    let gate = Front::Gate(scaled(point.attainable.0, ratio));
                    rows.push(stage.simulated_server(gate, point).await?);
                }
            }
        }
        finish(options, &rows)
    })
}

fn find(options: &Options, fronts: &[Front]) -> Result<Binaries, RigError> {
    let mut proxies = vec![];
    if fronts.iter().any(|front| matches!(front, Front::Weir(_))) || options.check || options.llama.is_some()
    {
        proxies.push(Proxy::Weir);
    }
    let envoy = fronts.contains(&Front::Against(Against::Envoy));
    if envoy {
        proxies.push(Proxy::Envoy);
    }
    let wanted = Wanted { proxies: &proxies, weir: options.weir.as_deref(), envoy: options.envoy.as_deref() };
    let binaries = Binaries::find(&wanted)?;
    if envoy && !binaries.present().any(|proxy| proxy == Proxy::Envoy) {
        return Err(RigError::Missing("there is no Envoy to measure".to_owned()));
    }
    Ok(binaries)
}

fn finish(options: &Options, rows: &[Row]) -> Result<Verdict, RigError> {
    rig::print(&report::tables(rows))?;
    if let Some(file) = &options.svg {
        std::fs::write(file, plot::svg(rows)).map_err(RigError::io(format!("writing {}", file.display())))?;
    }
    Ok(rows.iter().find_map(Row::complaint).map_or(Verdict::Good, Verdict::Bad))
}

/// What every point stands on.
struct Stage {
    binaries: Binaries,
    workdir: Workdir,
}

impl Stage {
    /// Measures a front with a model server of its own.
    async fn simulated_server(&self, front: Front, point: &Point) -> Result<Row, RigError> {
        let server = self.binaries.model_server(&self.workdir, REPLICAS).await?;
        let (drive, cpu) = self.measure(front, point, server.address, Wishes::Header).await?;
        let row = Row::new(front, point, &drive, cpu);
        rig::progress(&row.line())?;
        Ok(row)
    }

    /// Starts a front and makes the calls; also says what part of a core the front used.
    async fn measure(
        &self,
        front: Front,
        point: &Point,
        server: SocketAddr,
        wishes: Wishes,
    ) -> Result<(Drive, Option<f64>), RigError> {
        let gateway = gateway::start(front, point, server, &self.binaries, &self.workdir).await?;
        let address = gateway.as_ref().map_or(server, |gateway| gateway.address);
        let started = Instant::now();
        let drive = drive(Target { gateway: address, server, wishes }, &point.scenario, &point.calls).await?;
        let used = gateway.as_ref().map(rig::Daemon::cpu_time).transpose()?;
        Ok((drive, used.map(|used| used.div_duration_f64(started.elapsed()))))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a limit of some hundreds")]
fn scaled(limit: u32, ratio: f64) -> u32 {
    (f64::from(limit) * ratio).round() as u32
}

/// What a call's segment is named, and its share of a full pool. Of the calls they have 20, 30 and 50 %.
const SEGMENTS: [(&str, f64); 3] = [("enterprise", 5.0), ("b2b", 3.0), ("b2c", 2.0)];

/// The attainable level is believed if these multiples of its limit reach no more.
const CHECKED: [f64; 3] = [0.85, 1.0, 1.15];

/// Ten seconds of callers at a high load, on two connections each in the gateway.
const DESCRIPTORS: u64 = 4096;
