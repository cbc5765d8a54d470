//! What happened, at what cost? Every call has one [`Account`], opened at the door and closed when the last
//! byte of its answer has left or nobody waits for it any more; then, and only then, it becomes metrics and
//! one log line. Never holds a prompt, a completion or a credential.

mod account;
mod admissions;
mod handshakes;
mod jwt;
mod limited;
mod line;
mod log;
mod metrics;
mod pace;
pub(crate) mod panics;
pub(crate) mod pressure;
mod recent;
mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

use http::HeaderValue;

pub(crate) use account::{Account, Ending, Facts, Open};
pub(crate) use admissions::AdmissionMetrics;
pub(crate) use handshakes::Refusal;
pub(crate) use limited::LimitMetrics;
use log::Event;
pub(crate) use log::{Level, LogSink, Style as LogStyle};
pub(crate) use metrics::{Limit, Metrics, TargetMetrics};
use pace::Pace;
pub(crate) use recent::{Recent, Turns, WINDOW_SECS};
pub(crate) use record::Record;

/// Where accounts go when they are closed.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    pub(crate) log: LogSink,
    /// Whether each call gets a line.
    access: AtomicBool,
    /// Which calls the process does not wait for any more: a [`Stopping`].
    stopping: AtomicU8,
    refused_operators: Pace,
}

impl Telemetry {
    pub(crate) fn new(metrics: Metrics, log: LogSink, logged: &router_core::config::Log) -> Self {
        let access = AtomicBool::new(logged.access);
        let stopping = AtomicU8::new(Stopping::Nothing as u8);
        Self { metrics, log, access, stopping, refused_operators: Pace::default() }
    }

    /// Logs as told from now on.
    pub(crate) fn configure(&self, logged: &router_core::config::Log) {
        self.access.store(logged.access, Ordering::Relaxed);
        self.log.set_style(LogStyle::of(logged.format));
    }

    /// So many keys are known from now on: the file of keys, if there is one, could be read.
    pub(crate) fn keys_in_force(&self, keys: usize) {
        self.metrics.keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
        self.metrics.keys_succeeded.set(1);
    }

    /// From now on answers that come whole are broken off.
    pub(crate) fn hurry(&self) {
        self.stopping.store(Stopping::Whole as u8, Ordering::Relaxed);
    }

    /// From now on what is in flight is broken off.
    pub(crate) fn stop(&self) {
        self.stopping.store(Stopping::All as u8, Ordering::Relaxed);
    }

    /// Whether the process ends now and does not wait for such a call.
    pub(crate) fn is_stopped(&self, stream: impl FnOnce() -> bool) -> bool {
        let stopping = self.stopping.load(Ordering::Relaxed);
        stopping == Stopping::All as u8 || stopping == Stopping::Whole as u8 && !stream()
    }

    /// Takes in an account that was closed `at`.
    fn settle(&self, record: Box<Record>, at: Instant) {
        self.metrics.settle(&record, at);
        if self.access.load(Ordering::Relaxed) {
            self.log.call(record);
        }
    }

    /// Takes in that a TLS handshake came to nothing.
    pub(crate) fn refuse_handshake(&self, peer: &HeaderValue, refusal: Refusal, cause: &str) {
        let Some(others) = self.metrics.handshakes.refuse(refusal, Instant::now()) else { return };
        let (peer, name) = (peer.to_str().unwrap_or_default(), refusal.name());
        self.event(Level::Info, format!("a TLS handshake of {peer} was refused ({name}): {cause}{others}"));
    }

    /// Takes in that an operator was not let in.
    pub(crate) fn refuse_operator(&self, peer: &HeaderValue, why: &str) {
        let Some(others) = self.refused_operators.others(Instant::now()) else { return };
        let peer = peer.to_str().unwrap_or_default();
        self.event(Level::Warn, format!("an operator from {peer} was refused: {why}{others}"));
    }

    /// Writes a process event to the log.
    pub(crate) fn event(&self, level: Level, message: impl Into<String>) {
        self.log.event(Event { level, message: message.into() });
    }
}

/// Which calls a process that ends does not wait for any more.
#[derive(Clone, Copy, Debug)]
enum Stopping {
    Nothing,
    /// Those whose answer comes whole.
    Whole,
    All,
}

/// A shared telemetry.
pub(crate) type Shared = Arc<Telemetry>;
