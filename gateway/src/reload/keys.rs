//! The file of keys, read again when it changes, without the rest: callers come and go more often than routes do. All
//! of it comes into force at once, or nothing does.

use std::sync::Arc;
use std::thread;

use serde_json::json;

use super::{Reloader, Version, pause};
use crate::audit::{Action, By, Change};
use crate::path::telemetry::Level;

impl Reloader {
    /// Reads the file of keys whenever it has changed, until the process ends. All on a thread of its own: memory that
    /// is given back by one reading is there for the next.
    pub(crate) fn watch_keys(self: &Arc<Self>) {
        let watching = self.clone();
        let watcher = thread::Builder::new().name("keys".into()).spawn(move || watching.look_at_keys());
        if let Err(error) = watcher {
            let message = format!("the file of keys is not watched: {error}");
            self.gateway.telemetry.event(Level::Warn, message);
        }
    }

    /// Looks again and again at the file of keys that the configuration in force names. A change counts once it has
    /// stood still for a moment, and each once, whether it can be used or not; that a file is gone is a change, too.
    fn look_at_keys(&self) {
        let mut tried: Option<Option<Version>> = None;
        let mut last = None;
        loop {
            pause();
            let snapshot = Arc::clone(&self.gateway.snapshot());
            let Some(path) = &snapshot.config.identity.keys_file else {
                (tried, last) = (None, None);
                continue;
            };
            let now = Version::of(path);
            if now == snapshot.callers().version {
                // As it was read, perhaps with the rest.
                tried = None;
            } else if Some(&now) == last.as_ref() && tried.as_ref() != Some(&now) {
                drop(snapshot);
                // Tables that were built meanwhile may not have the new ones yet.
                tried = (!self.reload_keys()).then(|| now.clone());
            }
            last = Some(now);
        }
    }

    /// Whether the file came into force.
    fn reload_keys(&self) -> bool {
        // No other configuration comes into force meanwhile.
        let _turn = self.turn.blocking_lock();
        let snapshot = Arc::clone(&self.gateway.snapshot());
        let telemetry = &self.gateway.telemetry;
        let read = snapshot.read_callers().map_err(|problem| problem.to_string()).and_then(|callers| {
            let written = self.gateway.audit.record_blocking(change(snapshot.callers().len(), callers.len()));
            written.map(|()| callers).map_err(|problem| problem.to_string())
        });
        let succeeded = read.is_ok();
        match read {
            Ok(callers) => {
                let keys = callers.len();
                snapshot.replace_callers(callers);
                telemetry.keys_in_force(keys);
                telemetry.event(Level::Info, format!("the file of keys has changed: {keys} keys are known"));
            }
            Err(problem) => {
                telemetry.metrics.keys_succeeded.set(0);
                let message = format!("the keys before it stay in force: {problem}");
                telemetry.event(Level::Error, message);
            }
        }
        succeeded
    }
}

/// As it is written down: which keys there are is in the file.
fn change(before: usize, after: usize) -> Change {
    Change {
        by: By::process("file"),
        action: Action::Reload,
        target: "identity/keys_file".into(),
        before: json!({ "keys": before }),
        after: json!({ "keys": after }),
    }
}
