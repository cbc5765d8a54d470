//! The load: a fixed number of keep-alive connections, each with one request at a time, sent again as soon as it
//! is answered, or when it is due where there is a rate. It speaks HTTP by hand, because what it costs is taken from
//! the upstream's cores.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::rig::{Answer, RigError, Wire};

/// What to send, where and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// Head and body.
    pub(crate) request: Vec<u8>,
    pub(crate) connections: usize,
    /// Requests a second, over all connections; as many as will go without it.
    pub(crate) rate_per_sec: Option<u32>,
    /// Length of the measurement, after the warm-up.
    pub(crate) window: Duration,
    /// Whether the answer must be a stream of events.
    pub(crate) streams: bool,
}

/// Clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// CPU time of the proxy.
    pub(crate) cpu: Duration,
    /// Busy time of its core, whoever used it.
    pub(crate) core_busy: Duration,
}

/// What one measurement saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) tally: Tally,
    pub(crate) elapsed: Duration,
    /// CPU time that the proxy used.
    pub(crate) cpu: Duration,
    /// CPU time that others used on the proxy's core.
    pub(crate) disturbed: Duration,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Good answers that ended in the window.
    pub(crate) answers: u64,
    /// Events that came in the window.
    pub(crate) events: u64,
    /// Answers that were not 200 or not whole, at any time.
    pub(crate) failures: u64,
    /// What was wrong with the first of them.
    pub(crate) failure: Option<String>,
    /// To the whole answer, or to the first event of a stream. Sorted at the end.
    pub(crate) latency_us: Vec<u32>,
}

impl Tally {
    fn fail(&mut self, why: String) {
        self.failures += 1;
        self.failure.get_or_insert(why);
    }

    fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.events += other.events;
        self.failures += other.failures;
        self.failure = self.failure.take().or(other.failure);
        self.latency_us.extend(other.latency_us);
    }
}

/// Loads the address, reading the clocks at both ends of the window.
///
/// # Errors
///
/// Only what `read` returns; what goes wrong with answers is counted.
pub(crate) async fn drive(
    load: &Load,
    read: impl Fn() -> Result<Reading, RigError>,
) -> Result<Sample, RigError> {
    let load = Arc::new(load.clone());
    let phase = Arc::new(AtomicU8::new(WARM_UP));
    let mut connections = JoinSet::new();
    for at in 0..load.connections {
        connections.spawn(connection(Arc::clone(&load), Arc::clone(&phase), Pace::new(&load, at)));
        tokio::time::sleep(BETWEEN_STARTS).await;
    }
    tokio::time::sleep(WARM_UP_TIME).await;
    let before = read()?;
    let started = Instant::now();
    phase.store(WINDOW, Ordering::Relaxed);
    tokio::time::sleep(load.window).await;
    phase.store(OVER, Ordering::Relaxed);
    let elapsed = started.elapsed();
    let after = read()?;

    let mut tally = Tally::default();
    let ended = tokio::time::timeout(LAST_ANSWERS, async {
        while let Some(one) = connections.join_next().await {
            match one {
                Ok(one) => tally.add(one),
                Err(error) => tally.fail(error.to_string()),
            }
        }
    });
    if ended.await.is_err() {
        tally.fail(format!("{} connections wait for an answer that never came", connections.len()));
    }
    tally.latency_us.sort_unstable();
    let cpu = after.cpu.saturating_sub(before.cpu);
    let disturbed = after.core_busy.saturating_sub(before.core_busy).saturating_sub(cpu);
    Ok(Sample { tally, elapsed, cpu, disturbed })
}

async fn connection(load: Arc<Load>, phase: Arc<AtomicU8>, mut pace: Pace) -> Tally {
    let mut tally = Tally::default();
    while phase.load(Ordering::Relaxed) != OVER {
        if let Err(error) = exchanges(&load, &phase, &mut pace, &mut tally).await {
            tally.fail(error.to_string());
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
    tally
}

/// One connection's life: until the window is over or something breaks.
async fn exchanges(load: &Load, phase: &AtomicU8, pace: &mut Pace, tally: &mut Tally) -> io::Result<()> {
    let mut wire = Wire::connect(load.address, BUFFER_BYTES).await?;
    while phase.load(Ordering::Relaxed) != OVER {
        let started = pace.next().await;
        if phase.load(Ordering::Relaxed) == OVER {
            break;
        }
        wire.stream.write_all(&load.request).await?;
        let mut answer = Answer::new();
        let mut latency = None;
        while !answer.is_done() {
            let events = answer.events();
            wire.feed(&mut answer).await?;
            if phase.load(Ordering::Relaxed) == WINDOW {
                tally.events += answer.events() - events;
            }
            if latency.is_none() && (answer.is_done() || answer.events() > 0) {
                latency = Some(started.elapsed());
            }
        }
        let whole = if load.streams { answer.is_whole_stream() } else { answer.is_whole_object() };
        if answer.status() != 200 {
            tally.fail(format!("status {}", answer.status()));
        } else if !whole {
            tally.fail("the answer's body is not whole".to_owned());
        } else if phase.load(Ordering::Relaxed) == WINDOW {
            tally.answers += 1;
            let latency_us = latency.unwrap_or_default().as_micros();
            tally.latency_us.push(u32::try_from(latency_us).unwrap_or(u32::MAX));
        }
    }
    Ok(())
}

/// When a connection sends.
#[derive(Debug)]
struct Pace {
    /// Between two requests; nothing to send as soon as there is an answer.
    every: Option<Duration>,
    due: Instant,
}

impl Pace {
    /// The connections of a load take turns.
    fn new(load: &Load, at: usize) -> Self {
        let connections = u32::try_from(load.connections).unwrap_or(u32::MAX);
        let every = load.rate_per_sec.map(|rate| Duration::from_secs(1) * connections / rate.max(1));
        let first =
            every.map_or(Duration::ZERO, |every| every / connections * u32::try_from(at).unwrap_or(0));
        Self { every, due: Instant::now() + first }
    }

    /// Waits until the next request is due and says since when it waits for its answer. A request that could not be
    /// sent in time, because the one before had no answer yet, has waited since it was due; the timer's own delay of up
    /// to a millisecond is nobody's.
    async fn next(&mut self) -> Instant {
        let now = Instant::now();
        let Some(every) = self.every else { return now };
        let due = self.due;
        self.due += every;
        if due <= now {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        Instant::now()
    }
}

const WARM_UP: u8 = 0;
const WINDOW: u8 = 1;
const OVER: u8 = 2;
/// Paced streams that start together stay together, and a proxy then wakes once for all of them.
const BETWEEN_STARTS: Duration = Duration::from_millis(1);
/// Connections are open, pools filled and branch predictors trained well before this.
const WARM_UP_TIME: Duration = Duration::from_secs(1);
/// A paced stream takes two seconds; more than that is a hang.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// A proxy that is gone must not be asked in a tight loop.
const AFTER_FAILURE: Duration = Duration::from_millis(10);
/// Many times the size of an answer's head, and of a burst of events.
const BUFFER_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
