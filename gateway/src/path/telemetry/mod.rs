//! What happened, at what cost? Every call has one [`Account`], opened at the door and closed when the last
//! byte of its answer has left or nobody waits for it any more; then, and only then, it becomes metrics and
//! one log line. Never holds a prompt, a completion or a credential.

mod account;
mod line;
mod log;
mod metrics;
pub(crate) mod panics;
mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use account::{Account, Ending, Facts, Open};
use log::Event;
pub(crate) use log::{Level, LogSink, Style as LogStyle};
pub(crate) use metrics::{Limit, Metrics, TargetMetrics};
pub(crate) use record::Record;

/// Where accounts go when they are closed.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    pub(crate) log: LogSink,
    /// Whether each call gets a line.
    access: bool,
    /// Request headers that go into a call's line, in lower case.
    pub(crate) logged_headers: Vec<String>,
    /// Whether the process ends now, so that calls which are not over end by its doing.
    stopping: AtomicBool,
}

impl Telemetry {
    pub(crate) fn new(metrics: Metrics, log: LogSink, logged: &router_core::config::Log) -> Self {
        let logged_headers = logged.headers.clone();
        Self { metrics, log, access: logged.access, logged_headers, stopping: AtomicBool::new(false) }
    }

    /// From now on what is in flight is broken off.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Takes in a closed account.
    fn settle(&self, record: Box<Record>) {
        self.metrics.settle(&record);
        if self.access {
            self.log.call(record);
        }
    }

    /// Writes a process event to the log.
    pub(crate) fn event(&self, level: Level, message: impl Into<String>) {
        self.log.event(Event { level, message: message.into() });
    }
}

/// A shared telemetry.
pub(crate) type Shared = Arc<Telemetry>;
