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

pub(crate) use account::{Account, Ending, Facts, Open};
use log::Event;
pub(crate) use log::{Level, LogSink, Style as LogStyle};
pub(crate) use metrics::{Metrics, TargetMetrics};
pub(crate) use record::Record;

/// Where accounts go when they are closed.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    pub(crate) log: LogSink,
    /// Whether each call gets a line.
    pub(crate) access: bool,
    /// Request headers that go into a call's line, in lower case.
    pub(crate) logged_headers: Vec<String>,
}

impl Telemetry {
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
