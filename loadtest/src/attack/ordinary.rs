//! The ordinary caller beside an attack: whole answers at a fixed rate, over a few kept connections. It has a thread of
//! its own: in line behind the attackers' tasks it would measure what they cost their own program.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::rig::{self, Answer, RigError, Wire};

/// A caller at work.
#[derive(Debug)]
pub(crate) struct Ordinary {
    seen: oneshot::Receiver<Seen>,
    over: Arc<AtomicBool>,
}

/// What it saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) latencies: Vec<Duration>,
    /// Requests without a whole answer.
    pub(crate) failures: u64,
    pub(crate) failure: Option<String>,
}

impl Ordinary {
    /// Starts `rate_per_sec` requests a second.
    ///
    /// # Errors
    ///
    /// Says that there is no thread for it.
    pub(crate) fn start(address: SocketAddr, rate_per_sec: u64) -> Result<Self, RigError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(RigError::io("starting the ordinary caller"))?;
        let (answer, seen) = oneshot::channel();
        let over = Arc::new(AtomicBool::new(false));
        let lanes = lanes(address, rate_per_sec, Arc::clone(&over));
        let work = move || drop(answer.send(runtime.block_on(lanes)));
        std::thread::Builder::new()
            .name("ordinary".to_owned())
            .spawn(work)
            .map_err(RigError::io("a thread"))?;
        Ok(Self { seen, over })
    }

    /// Sends no more, waits for the last answers and says what came.
    pub(crate) async fn stop(self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        self.seen.await.unwrap_or_else(|_| {
            let mut none = Seen::default();
            none.fail("the ordinary caller is gone".to_owned());
            none
        })
    }
}

async fn lanes(address: SocketAddr, rate_per_sec: u64, over: Arc<AtomicBool>) -> Seen {
    let every = Duration::from_secs(1) * LANES / u32::try_from(rate_per_sec).unwrap_or(u32::MAX);
    let mut lanes: JoinSet<Seen> =
        (0..LANES).map(|at| lane(address, every / LANES * at, every, Arc::clone(&over))).collect();
    let mut all = Seen::default();
    while let Some(lane) = lanes.join_next().await {
        match lane {
            Ok(seen) => all.add(seen),
            Err(error) => all.fail(error.to_string()),
        }
    }
    all.latencies.sort_unstable();
    all
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failures += other.failures;
        self.failure = self.failure.take().or(other.failure);
    }

    fn fail(&mut self, why: String) {
        self.failures += 1;
        self.failure.get_or_insert(why);
    }

    /// Of the sorted latencies.
    pub(crate) fn p99(&self) -> Option<Duration> {
        let at = (self.latencies.len() * 99 / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied()
    }
}

/// One connection with one request at a time; a late answer does not move the ones after it.
async fn lane(address: SocketAddr, first: Duration, every: Duration, over: Arc<AtomicBool>) -> Seen {
    let request = rig::render(address, REQUEST_BYTES, false);
    let mut seen = Seen::default();
    let mut wire = None;
    // The first call opens the connection, here and at the gateway: it must be answered, its time is not counted.
    let mut opened = false;
    let mut due = tokio::time::Instant::now() + first;
    tokio::time::sleep_until(due).await;
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        let exchange = tokio::time::timeout(ANSWER_MAX, exchange(&mut wire, address, &request));
        match exchange.await.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_MAX.as_secs()))) {
            Ok(()) if opened => seen.latencies.push(started.elapsed()),
            Ok(()) => opened = true,
            Err(why) => {
                wire = None;
                seen.fail(why);
            }
        }
        due = (due + every).max(tokio::time::Instant::now());
        tokio::time::sleep_until(due).await;
    }
    seen
}

async fn exchange(wire: &mut Option<Wire>, address: SocketAddr, request: &[u8]) -> Result<(), String> {
    if wire.is_none() {
        *wire =
            Some(Wire::connect(address, BUFFER_BYTES).await.map_err(|error| format!("connecting: {error}"))?);
    }
    let Some(wire) = wire else { return Err("no connection".to_owned()) };
    wire.stream.write_all(request).await.map_err(|error| error.to_string())?;
    let mut answer = Answer::new();
    while !answer.is_done() {
        wire.feed(&mut answer).await.map_err(|error| error.to_string())?;
    }
    match answer.status() {
        200 if answer.is_whole_object() => Ok(()),
        200 => Err("the answer's body is not whole".to_owned()),
        status => Err(format!("status {status}")),
    }
}

const LANES: u32 = 4;
const REQUEST_BYTES: usize = 1024;
const BUFFER_BYTES: usize = 16 * 1024;
/// Whoever waits longer than this has gone.
const ANSWER_MAX: Duration = Duration::from_secs(10);
