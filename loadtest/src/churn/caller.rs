//! A careful HTTP/1.1 caller: keeps its connection, looks whether it is still there before it uses it, goes elsewhere
//! at a refused connect, and never sends a request twice.
//!
//! POST is not idempotent (RFC 9110 9.2.2), so once a byte of a request was taken by the kernel the request counts,
//! and an end without an answer is a loss, on a kept connection as on a new one. Only where nothing was sent does the
//! caller open another connection: the connect was refused, or the kept connection was already closed when it wanted
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::rig::{self, Answer, Wire};

/// What callers counted.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answers: u64,
    pub(crate) streams: u64,
    /// Connects that were refused, after which the caller went to the other address.
    pub(crate) refused: u64,
    /// Kept connections that were closed before they were used again.
    pub(crate) closed_idle: u64,
    /// Answers after which the server wanted the connection closed.
    pub(crate) asked_to_close: u64,
    /// Requests without a whole answer, by reason.
    pub(crate) lost: BTreeMap<String, u64>,
    /// Streams that began and did not end with `[DONE]` and the last chunk, by reason.
    pub(crate) cut: BTreeMap<String, u64>,
    /// What `x-weir-target` said.
    pub(crate) targets: BTreeSet<String>,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.streams += other.streams;
        self.refused += other.refused;
        self.closed_idle += other.closed_idle;
        self.asked_to_close += other.asked_to_close;
        for (why, count) in other.lost {
            *self.lost.entry(why).or_default() += count;
        }
        for (why, count) in other.cut {
            *self.cut.entry(why).or_default() += count;
        }
        self.targets.extend(other.targets);
    }
}

/// One caller at work.
#[derive(Debug)]
pub(crate) struct Caller {
    addresses: Vec<SocketAddr>,
    /// Which address the next connection goes to.
    turn: usize,
    kept: Option<Wire>,
    /// Answers on the kept connection so far.
    answered: u32,
    seen: Seen,
}

/// How a request failed: before its answer began to stream, or after.
enum Failure {
    Lost(String),
    Cut(String),
}

impl Caller {
    pub(crate) fn new(addresses: Vec<SocketAddr>, turn: usize) -> Self {
        Self { addresses, turn, kept: None, answered: 0, seen: Seen::default() }
    }

    /// Asks, for a stream and for a whole answer in turn, until it is over.
    pub(crate) async fn run(mut self, over: Arc<AtomicBool>) -> Seen {
        let mut streams = self.turn.is_multiple_of(2);
        while !over.load(Ordering::Relaxed) {
            let asked = tokio::time::timeout(ANSWER_MAX, self.ask(streams)).await;
            match asked.unwrap_or_else(|_| Err(Failure::Lost("no end within 30 s".to_owned()))) {
                Ok(()) if streams => self.seen.streams += 1,
                Ok(()) => self.seen.answers += 1,
                Err(Failure::Lost(why)) => *self.seen.lost.entry(why).or_default() += 1,
                Err(Failure::Cut(why)) => *self.seen.cut.entry(why).or_default() += 1,
            }
            streams = !streams;
            tokio::time::sleep(PAUSE).await;
        }
        self.seen
    }

    async fn ask(&mut self, streams: bool) -> Result<(), Failure> {
        let mut wire = self.send(streams).await?;
        let mut answer = Answer::new();
        while !answer.is_done() {
            if let Err(error) = wire.feed(&mut answer).await {
                return Err(match answer.status() {
                    // The status is known once the first line is here, and until then nothing is.
                    0 => Failure::Lost(format!("no answer: {error}")),
                    200 if streams => Failure::Cut(error.to_string()),
                    status => Failure::Lost(format!("status {status}, then {error}")),
                });
            }
        }
        if answer.status() != 200 {
            return Err(Failure::Lost(format!("status {}", answer.status())));
        }
        if streams && !answer.is_whole_stream() {
            return Err(Failure::Cut("the stream ended without [DONE]".to_owned()));
        }
        if !streams && !answer.is_whole_object() {
            return Err(Failure::Lost("the answer's body is not whole".to_owned()));
        }
        self.seen.targets.extend(answer.target().map(ToOwned::to_owned));
        self.answered += 1;
        if answer.closes() {
            self.seen.asked_to_close += 1;
        } else if self.answered < ANSWERS_PER_CONNECTION {
            self.kept = Some(wire);
        }
        Ok(())
    }

    /// Sends the request on a connection that takes it.
    async fn send(&mut self, streams: bool) -> Result<Wire, Failure> {
        loop {
            let mut wire = match self.kept.take() {
                Some(wire) if wire.is_closed() => {
                    self.seen.closed_idle += 1;
                    continue;
                }
                Some(wire) => wire,
                None => self.connect().await?,
            };
            let request = rig::render(self.addresses[0], REQUEST_BYTES, streams);
            match wire.stream.write(&request).await {
                Ok(sent) => {
                    let rest = wire.stream.write_all(&request[sent..]).await;
                    rest.map_err(|error| Failure::Lost(format!("while sending: {error}")))?;
                    return Ok(wire);
                }
                // The kernel took nothing: it was closed between the look and the write.
                Err(_) => self.seen.closed_idle += 1,
            }
        }
    }

    /// To the next address, or, where that refuses, to the one after it. One of them always listens.
    async fn connect(&mut self) -> Result<Wire, Failure> {
        for _ in 0..self.addresses.len() * 2 {
            let address = self.addresses[self.turn % self.addresses.len()];
            self.turn += 1;
            match Wire::connect(address, BUFFER_BYTES).await {
                Ok(wire) => {
                    self.answered = 0;
                    return Ok(wire);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => self.seen.refused += 1,
                Err(error) => return Err(Failure::Lost(format!("connecting: {error}"))),
            }
        }
        Err(Failure::Lost("refused everywhere".to_owned()))
    }
}

/// Then the caller opens another connection, as a pool does now and then; or it would never meet a closed door.
const ANSWERS_PER_CONNECTION: u32 = 4;
const REQUEST_BYTES: usize = 1024;
const BUFFER_BYTES: usize = 16 * 1024;
/// Between two requests of a caller: connections are kept idle now and then, as they are by people.
const PAUSE: Duration = Duration::from_millis(10);
const ANSWER_MAX: Duration = Duration::from_secs(30);
