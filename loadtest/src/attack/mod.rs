//! Bad clients, one kind after the other, while an ordinary client goes on beside them: how the gateway ends them,
//! what its memory does, and what the ordinary client notices.

mod http2;
mod options;
mod ordinary;
mod report;
mod slow;
mod tally;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

pub(crate) use options::Options;

use crate::rig::{
    self, Binaries, Daemon, Machine, Proxy, RigError, Script, Verdict, Wanted, Workdir, raise_descriptors,
    rss_bytes,
};
use options::Attack;
use ordinary::Ordinary;
use report::Row;
use tally::Tally;

/// Attacks, prints the table to stdout and says whether the gateway held.
///
/// # Errors
///
/// Returns why nothing could be measured.
pub(crate) fn run(options: &Options) -> Result<Verdict, RigError> {
    options.check()?;
    raise_descriptors(DESCRIPTORS, "5,000 idle connections, on either side,")?;
    let machine = Machine::read()?;
    if options.url.is_none() {
        machine.leave_proxy_core()?;
    }
    rig::run(async {
        let rows = match (options.url, options.pid) {
            (Some(address), Some(pid)) => all(options, address, pid).await?,
            _ => against_weir(options, &machine).await?,
        };
        rig::print(&report::table(&rows))?;
        // Asked for by name, an attack that cannot be made is a failure; among all it is a line of the table.
        let missing = rows.iter().find(|row| row.counts.speaks_no_http2 && !options.only.is_empty());
        let missing =
            missing.map(|row| format!("{}: the gateway does not speak HTTP/2 here", row.attack.name()));
        let bad = rows.iter().find_map(Row::complaint).or(missing);
        Ok(bad.map_or(Verdict::Good, Verdict::Bad))
    })
}

async fn against_weir(options: &Options, machine: &Machine) -> Result<Vec<Row>, RigError> {
    let wanted = Wanted { proxies: &[Proxy::Weir], weir: options.weir.as_deref(), envoy: None };
    let binaries = Binaries::find(&wanted)?;
    let workdir = Workdir::create()?;
    let script = Script { events: LONG_STREAM_EVENTS, gap: Duration::ZERO };
    let upstream = binaries.upstream(machine, &workdir, script).await?;
    let weir = binaries.proxy(Proxy::Weir, machine, &workdir, upstream.address).await?;
    let address = weir.as_ref().map_or(upstream.address, |weir| weir.address);
    let pid = weir.as_ref().map_or_else(|| upstream.pid(), Daemon::pid);
    all(options, address, pid).await
}

async fn all(options: &Options, address: SocketAddr, pid: u32) -> Result<Vec<Row>, RigError> {
    Machine::runtime_last()?;
    let mut rows = Vec::new();
    for attack in options.attacks() {
        rig::progress(&attack.name())?;
        rows.push(one(options, attack, address, pid).await?);
    }
    Ok(rows)
}

async fn one(options: &Options, attack: Attack, address: SocketAddr, pid: u32) -> Result<Row, RigError> {
    let time = Duration::from_secs(options.seconds);
    let ordinary = Ordinary::start(address, options.rate)?;
    tokio::time::sleep(time.min(ALONE_MAX)).await;
    let alone = ordinary.stop().await;

    let rss_before = rss_bytes(pid)?;
    let mut rss_peak = rss_before;
    let ordinary = Ordinary::start(address, options.rate)?;
    let until = Instant::now() + time;
    let tally = Tally::default();
    let mut clients = JoinSet::new();
    for at in 0..attack.connections() {
        if attack.is_flood() {
            clients.spawn(http2::connections(attack, address, until, tally.clone()));
        } else {
            let first = slow::first(attack, at);
            let connections = slow::connections(attack, address, until, tally.clone());
            clients.spawn(async move {
                tokio::time::sleep(first).await;
                connections.await;
            });
        }
    }
    // Not until they leave all at once, which no attack does.
    while Instant::now() + 2 * SAMPLE_EVERY < until {
        tokio::time::sleep(SAMPLE_EVERY).await;
        rss_peak = rss_peak.max(rss_bytes(pid)?);
    }
    let beside = ordinary.stop().await;
    while !clients.is_empty() && Instant::now() < until + LAST_WORDS {
        tokio::time::sleep(SAMPLE_EVERY).await;
        rss_peak = rss_peak.max(rss_bytes(pid)?);
        while clients.try_join_next().is_some() {}
    }
    clients.shutdown().await;
    Ok(Row { attack, counts: tally.counts(), rss_before, rss_peak, alone, beside })
}

/// The idle connections and what is beside them.
const DESCRIPTORS: u64 = 5500;
/// Streams of 20 MB: three times what the sockets on the way can hold.
const LONG_STREAM_EVENTS: u64 = 80_000;
/// What the ordinary client's figures are compared with need not take as long as the attack.
const ALONE_MAX: Duration = Duration::from_secs(5);
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// A client that is still at it then waits for an answer that does not come.
const LAST_WORDS: Duration = Duration::from_secs(15);
