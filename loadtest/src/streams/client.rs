//! The callers: each opens one stream and reads it to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::http2;
use crate::rig::{self, Wire};

/// What to open.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    pub(crate) address: SocketAddr,
    pub(crate) count: usize,
    pub(crate) http2: bool,
}

/// How one stream went.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// When its first event was here.
    pub(crate) opened: Option<Instant>,
    /// When it ended, well or not.
    pub(crate) ended: Option<Instant>,
    /// Why it is not whole, if it is not.
    pub(crate) flaw: Option<String>,
}

/// The streams while they run.
#[derive(Debug)]
pub(crate) struct Running {
    tasks: JoinSet<Stream>,
    count: usize,
    /// Streams of which the first event is here, or that will never have one.
    settled: Arc<AtomicUsize>,
}

/// What every caller has in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) address: SocketAddr,
    pub(super) request: Vec<u8>,
    /// Opening is one thing and holding another: all at once would overflow the listener's queue.
    pub(super) opening: Semaphore,
    pub(super) settled: Arc<AtomicUsize>,
}

impl Running {
    /// Starts to open the streams.
    pub(crate) fn start(crowd: &Crowd) -> Self {
        let settled = Arc::new(AtomicUsize::new(0));
        let shared = Arc::new(Shared {
            address: crowd.address,
            request: rig::render(crowd.address, REQUEST_BYTES, true),
            opening: Semaphore::new(OPENING_AT_ONCE),
            settled: Arc::clone(&settled),
        });
        let mut tasks = JoinSet::new();
        if crowd.http2 {
            http2::spawn(&mut tasks, &shared, crowd.count);
        } else {
            for _ in 0..crowd.count {
                tasks.spawn(one(Arc::clone(&shared)));
            }
        }
        Self { tasks, count: crowd.count, settled }
    }

    /// Whether every stream is open, or failed to be.
    pub(crate) fn all_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed) >= self.count
    }

    /// Whether every stream has ended.
    pub(crate) fn next_ended(&mut self) -> Option<Stream> {
        let ended = self.tasks.try_join_next()?;
        Some(ended.unwrap_or_else(|error| Stream { flaw: Some(error.to_string()), ..Stream::default() }))
    }

    /// How many have not ended.
    pub(crate) fn left(&self) -> usize {
        self.tasks.len()
    }
}

async fn one(shared: Arc<Shared>) -> Stream {
    let mut stream = Stream::default();
    stream.flaw = read(&shared, &mut stream).await.err();
    stream.ended = Some(Instant::now());
    if stream.opened.is_none() {
        shared.settled.fetch_add(1, Ordering::Relaxed);
    }
    stream
}

async fn read(shared: &Shared, stream: &mut Stream) -> Result<(), String> {
    let permit = shared.opening.acquire().await.map_err(|error| error.to_string())?;
    let wire = tokio::time::timeout(CONNECT_MAX, Wire::connect(shared.address, BUFFER_BYTES)).await;
    let wire = wire.map_err(|_| format!("no connection within {} s", CONNECT_MAX.as_secs()))?;
    let mut wire = wire.map_err(|error| format!("connecting: {error}"))?;
    wire.stream.write_all(&shared.request).await.map_err(|error| format!("asking: {error}"))?;
    let mut answer = rig::Answer::new();
    while answer.events() == 0 && !answer.is_done() {
        wire.feed(&mut answer).await.map_err(|error| format!("before the first event: {error}"))?;
    }
    drop(permit);
    if answer.status() != 200 {
        return Err(format!("status {}", answer.status()));
    }
    stream.opened = Some(Instant::now());
    shared.settled.fetch_add(1, Ordering::Relaxed);
    while !answer.is_done() {
        wire.feed(&mut answer).await.map_err(|error| format!("in the middle: {error}"))?;
    }
    if answer.is_whole_stream() { Ok(()) } else { Err("the stream ended without [DONE]".to_owned()) }
}

/// A short prompt: it is the held stream that is measured.
const REQUEST_BYTES: usize = 512;
/// Few enough that no connect on the way waits a second, which is when proxies give one up.
const OPENING_AT_ONCE: usize = 64;
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longer than any line of an answer's head, and small: there are thousands.
const BUFFER_BYTES: usize = 2048;
