//! Where the clock meets the engine: requests get tickets, one task runs the engine's steps.
//!
//! The task sleeps until the next step ends and forever while nothing runs. Progress reaches a request as a count
//! of tokens in a `watch` cell, so a slow reader holds one number, not a queue.

use super::cluster::{Cluster, Refused};
use super::engine::{Counters, Event, Job, JobId};
use super::metrics::Latency;
use super::reply::Finish;
use super::settings::Settings;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// One server's engine, its clock and its books.
#[derive(Debug)]
pub(super) struct Desk {
    books: Mutex<Books>,
    wake: Notify,
    start: Instant,
    speed: f64,
}

/// What is known of the requests; behind the desk's lock.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) cluster: Cluster,
    clients: HashMap<JobId, Client>,
    serial: u64,
    pub(super) totals: Totals,
    pub(super) latency: Latency,
}

/// Whom to tell of a job.
#[derive(Debug)]
struct Client {
    progress: watch::Sender<u32>,
    pace: Pace,
    submitted: Duration,
}

/// How closely a request follows its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Every token.
    Tokens,
    /// Only the last.
    Whole,
}

/// Requests since the start: accepted = finished + cancelled + faulted + those still here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) accepted: u64,
    pub(super) finished: u64,
    pub(super) cancelled: u64,
    pub(super) faulted: u64,
    pub(super) refused: u64,
    pub(super) prompt_tokens: u64,
    pub(super) stop: u64,
    pub(super) length: u64,
    pub(super) tool_calls: u64,
    last_cancelled_unix_ms: Option<u64>,
}

/// What `GET /sim/stats` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Sequences in the batches.
    pub running: usize,
    /// Jobs in the queues.
    pub waiting: usize,
    /// Tokens in the KV caches.
    pub kv_tokens_used: u64,
    /// Requests taken in: well-formed, for a known model, below the caps.
    pub accepted: u64,
    /// Of those, answered completely.
    pub finished: u64,
    /// Of those, abandoned by the client.
    pub cancelled: u64,
    /// Of those, ended by a fault or a loss that was asked for.
    pub faulted: u64,
    /// Requests refused because of a cap.
    pub refused: u64,
    /// Sequences that lost their cache.
    pub preemptions: u64,
    /// Tokens that the engine produced.
    pub output_tokens: u64,
    /// When a client last abandoned a request, in milliseconds of Unix time.
    pub last_cancelled_unix_ms: Option<u64>,
    /// Now, on the same scale.
    pub now_unix_ms: u64,
}

impl Desk {
    pub(super) fn new(settings: &Settings) -> Self {
        let books = Books {
            cluster: Cluster::new(settings.engine, settings.replicas, settings.caps),
            clients: HashMap::new(),
            serial: 0,
            totals: Totals::default(),
            latency: Latency::default(),
        };
        Self { books: Mutex::new(books), wake: Notify::new(), start: Instant::now(), speed: settings.speed }
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request in. It is counted as cancelled unless the ticket is told otherwise.
    pub(super) fn accept(self: &Arc<Self>) -> Ticket {
        let mut books = self.books();
        books.serial += 1;
        books.totals.accepted += 1;
        Ticket { desk: Arc::clone(self), id: books.serial, end: End::Cancelled }
    }

    /// Engine time in wall time.
    pub(super) fn wall(&self, engine: Duration) -> Duration {
        engine.div_f64(self.speed)
    }

    /// Takes replicas away with whatever they work on, or brings all back that were away; one always stays.
    pub(super) fn lose(&self, replicas: usize) {
        let now = self.now();
        let mut books = self.books();
        books.cluster.restore();
        for id in books.cluster.lose(now, replicas) {
            // Whoever waits for its progress hears that there will be none.
            books.clients.remove(&id);
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let books = self.books();
        let Counters { preemptions, output_tokens, .. } = books.cluster.counters();
        let totals = books.totals;
        Stats {
            running: books.cluster.running(),
            waiting: books.cluster.waiting(),
            kv_tokens_used: books.cluster.kv_used(),
            accepted: totals.accepted,
            finished: totals.finished,
            cancelled: totals.cancelled,
            faulted: totals.faulted,
            refused: totals.refused,
            preemptions,
            output_tokens,
            last_cancelled_unix_ms: totals.last_cancelled_unix_ms,
            now_unix_ms: unix_ms(),
        }
    }

    /// Runs the engine until the server is gone.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let next = {
                let now = self.now();
                let mut books = self.books();
                books.advance(now, self.speed);
                books.cluster.next_event()
            };
            match next {
                None => self.wake.notified().await,
                Some(at) => {
                    let at = self.start + self.wall(at);
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.wake.notified() => {}
                    }
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed().mul_f64(self.speed)
    }
}

impl Books {
    fn advance(&mut self, now: Duration, speed: f64) {
        let seconds = |span: Duration| span.as_secs_f64() / speed;
        for event in self.cluster.advance(now) {
            let Some(client) = self.clients.get(&event.id()) else { continue };
            match event {
                Event::Token { index, first, at, .. } => {
                    if first {
                        self.latency.first_token.observe(seconds(at.saturating_sub(client.submitted)));
                    }
                    if client.pace == Pace::Tokens {
                        client.progress.send_replace(index + 1);
                    }
                }
                Event::Finished { id, at } => {
                    self.latency.whole.observe(seconds(at.saturating_sub(client.submitted)));
                    client.progress.send_replace(ALL);
                    self.clients.remove(&id);
                }
                Event::Preempted { .. } => {}
            }
        }
    }
}

/// An accepted request. Dropped, it frees what the request holds in the engine.
#[derive(Debug)]
pub(super) struct Ticket {
    desk: Arc<Desk>,
    id: JobId,
    end: End,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Finished(Finish),
    Cancelled,
    Faulted,
    Refused,
}

impl Ticket {
    /// A number that no other request of this server has.
    pub(super) fn serial(&self) -> u64 {
        self.id
    }

    /// Puts the request into the engine's queue.
    ///
    /// # Errors
    ///
    /// Refuses above the caps.
    pub(super) fn submit(&mut self, size: Size, pace: Pace) -> Result<Progress, Refused> {
        let submitted = self.desk.now();
        let mut guard = self.desk.books();
        let books = &mut *guard;
        let before = books.cluster.next_event();
        let job = Job { id: self.id, prompt_tokens: size.prompt_tokens, output_tokens: size.output_tokens };
        if let Err(refused) = books.cluster.submit(submitted, job) {
            self.end = End::Refused;
            return Err(refused);
        }
        let (progress, seen) = watch::channel(0);
        books.clients.insert(self.id, Client { progress, pace, submitted });
        books.totals.prompt_tokens += u64::from(size.prompt_tokens);
        let after = books.cluster.next_event();
        drop(guard);
        if before.is_none() || after < before {
            self.desk.wake.notify_one();
        }
        Ok(Progress(seen))
    }

    /// The answer is out, completely.
    pub(super) fn finished(&mut self, finish: Finish) {
        self.end = End::Finished(finish);
    }

    /// The answer ends here because a fault, or the loss of its replica, was asked for.
    pub(super) fn faulted(&mut self) {
        self.end = End::Faulted;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let now = self.desk.now();
        let mut books = self.desk.books();
        if books.clients.remove(&self.id).is_some() {
            books.cluster.cancel(now, self.id);
        }
        let totals = &mut books.totals;
        match self.end {
            End::Finished(finish) => {
                totals.finished += 1;
                *match finish {
                    Finish::Stop => &mut totals.stop,
                    Finish::Length => &mut totals.length,
                    Finish::Tool => &mut totals.tool_calls,
                } += 1;
            }
            End::Cancelled => {
                totals.cancelled += 1;
                totals.last_cancelled_unix_ms = Some(unix_ms());
            }
            End::Faulted => totals.faulted += 1,
            End::Refused => {
                totals.accepted -= 1;
                totals.refused += 1;
            }
        }
    }
}

/// What a job costs the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) prompt_tokens: u32,
    pub(super) output_tokens: u32,
}

/// How far a job is.
#[derive(Debug)]
pub(super) struct Progress(watch::Receiver<u32>);

impl Progress {
    /// Waits until the job has more than `count` tokens, or all of them. False if the replica or the whole server is
    /// gone.
    pub(super) async fn beyond(&mut self, count: u32) -> bool {
        self.0.wait_for(|&have| have > count).await.is_ok()
    }

    /// Waits for the last token. False if the replica or the whole server is gone.
    pub(super) async fn all(&mut self) -> bool {
        self.0.wait_for(|&have| have == ALL).await.is_ok()
    }
}

pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The count that means "finished".
const ALL: u32 = u32::MAX;
