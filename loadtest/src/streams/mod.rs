//! Many streams at the same moment: do they all come to their end, and what does the proxy hold for each?
//!
//! The model server sends an event every few seconds, so that a stream is cheap for it, and streams long enough for
//! all to be open together. Memory is the resident memory of the proxy's processes; what the kernel holds for the two
//! sockets of a stream is not in it, and is the same for every proxy.

mod client;
mod http2;
mod options;
mod report;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

pub(crate) use options::Options;

use crate::rig::{
    self, Answer, Binaries, Machine, RigError, Script, Verdict, Wanted, Wire, Workdir, raise_descriptors,
    rss_bytes,
};
use client::{Crowd, Running, Stream};
use report::{Memory, Outcome, Row};

/// Measures, prints the table to stdout and says whether every stream was whole.
///
/// # Errors
///
/// Returns why nothing could be measured.
pub(crate) fn run(options: &Options) -> Result<Verdict, RigError> {
    options.check()?;
    let machine = Machine::read()?;
    room(options)?;
    if options.url.is_none() {
        machine.leave_proxy_core()?;
    }
    rig::run(async {
        let rows = match options.url {
            Some(address) => vec![measure(options, "gateway", address, options.pid).await?],
            None => peers(options, &machine).await?,
        };
        rig::print(&report::table(&rows))?;
        Ok(rows.iter().find_map(Row::complaint).map_or(Verdict::Good, Verdict::Bad))
    })
}

/// Raises the descriptor limit to what the side with most sockets needs: the proxies inherit it. One that runs already
/// has a limit of its own.
fn room(options: &Options) -> Result<(), RigError> {
    let per_connection = if options.http2 { http2::STREAMS_PER_CONNECTION } else { 1 };
    let connections = options.count.div_ceil(per_connection);
    let (needed, what) = if options.url.is_some() {
        (connections, format!("{} streams, on this side,", options.count))
    } else {
        let hint = if options.http2 { "" } else { " (with --http2 about half, where it speaks that)" };
        (options.count + connections, format!("{} streams, in a proxy{hint},", options.count))
    };
    raise_descriptors((needed + DESCRIPTORS_BESIDES) as u64, &what)
}

/// Starts every proxy in turn, all in front of one model server.
async fn peers(options: &Options, machine: &Machine) -> Result<Vec<Row>, RigError> {
    let wanted =
        Wanted { proxies: &options.only, weir: options.weir.as_deref(), envoy: options.envoy.as_deref() };
    let binaries = Binaries::find(&wanted)?;
    let workdir = Workdir::create()?;
    let script = Script { events: options.events(), gap: Duration::from_millis(options.gap_ms) };
    let upstream = binaries.upstream(machine, &workdir, script).await?;
    let mut rows = Vec::new();
    for proxy in binaries.present() {
        let daemon = binaries.proxy(proxy, machine, &workdir, upstream.address).await?;
        let address = daemon.as_ref().map_or(upstream.address, |daemon| daemon.address);
        let pid = daemon.as_ref().map(rig::Daemon::pid);
        rows.push(measure(options, proxy.name(), address, pid).await?);
    }
    Ok(rows)
}

async fn measure(
    options: &Options,
    name: &str,
    address: SocketAddr,
    pid: Option<u32>,
) -> Result<Row, RigError> {
    rig::progress(&format!("{name}: opening {} streams", options.count))?;
    warm_up(address).await;
    let before = pid.map(rss_bytes).transpose()?;
    let started = Instant::now();
    let mut running = Running::start(&Crowd { address, count: options.count, http2: options.http2 });
    let (mut open, mut peak) = (None, before.unwrap_or_default());
    let mut streams = Vec::new();
    let patience = options.length() + PATIENCE;
    while running.left() > 0 && started.elapsed() < patience {
        tokio::time::sleep(SAMPLE_EVERY).await;
        let now = pid.map(rss_bytes).transpose()?.unwrap_or_default();
        peak = peak.max(now);
        if running.all_settled() && open.is_none() {
            open = Some(now);
            rig::progress(&format!("{name}: open after {:.1} s", started.elapsed().as_secs_f64()))?;
        }
        while let Some(stream) = running.next_ended() {
            streams.push(stream);
        }
    }
    for _ in 0..running.left() {
        streams.push(Stream { flaw: Some("it never ended".to_owned()), ..Stream::default() });
    }
    let memory = before.map(|before_bytes| Memory {
        before_bytes,
        open_bytes: open.unwrap_or(peak),
        peak_bytes: peak,
    });
    Ok(Row { name: name.to_owned(), wanted: options.count, outcome: Outcome::of(&streams), memory })
}

/// Whole answers, so that what the first requests ever cost is not charged to the streams. Should they fail, so will
/// the streams, and these say why.
async fn warm_up(address: SocketAddr) {
    let request = rig::render(address, WARM_UP_BYTES, false);
    for _ in 0..WARM_UP_REQUESTS {
        let answered = async {
            let mut wire = Wire::connect(address, WARM_UP_BUFFER_BYTES).await?;
            wire.stream.write_all(&request).await?;
            let mut answer = Answer::new();
            while !answer.is_done() {
                wire.feed(&mut answer).await?;
            }
            Ok::<(), std::io::Error>(())
        };
        drop(tokio::time::timeout(WARM_UP_MAX, answered).await);
    }
}

/// Listeners, logs, clocks and pooled connections beside the streams.
const DESCRIPTORS_BESIDES: usize = 128;
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// A stream that ends this much later than it should hangs.
const PATIENCE: Duration = Duration::from_secs(30);
const WARM_UP_REQUESTS: usize = 64;
const WARM_UP_BYTES: usize = 1024;
const WARM_UP_BUFFER_BYTES: usize = 8192;
const WARM_UP_MAX: Duration = Duration::from_secs(5);
