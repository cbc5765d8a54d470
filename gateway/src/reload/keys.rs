//! The file of keys, read again when it changes, without the rest: callers come and go more often than routes do. All
//! of it comes into force at once, or nothing does.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;

use serde_json::json;

use super::{Reloader, Version, pause};
use crate::audit::{Action, By, Change};
use crate::path::telemetry::Level;
use crate::snapshot::KeysError;

/// What became of a file of keys.
enum Outcome {
    InForce,
    /// It was read, and cannot be used until it is another one.
    Wrong,
    /// It could not be read, or the change not be written down, which may pass. Says why.
    Undone(String),
}

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
    /// stood still for a moment; that a file is gone is a change, too. What was read and cannot be used is not read
    /// again; what could not be done is tried until it can be, or a key that is revoked would stay good.
    fn look_at_keys(&self) {
        let mut tried: Option<Option<Version>> = None;
        let mut last = None;
        // Why it could not be done the last time.
        let mut told = None;
        loop {
            pause();
            let snapshot = Arc::clone(&self.gateway.snapshot());
            let Some(path) = &snapshot.config.identity.keys_file else {
                (tried, last, told) = (None, None, None);
                continue;
            };
            let now = Version::of(path);
            if now == snapshot.callers().version {
                // As it was read, perhaps with the rest.
                (tried, told) = (None, None);
            } else if Some(&now) == last.as_ref() && tried.as_ref() != Some(&now) {
                drop(snapshot);
                (tried, told) = match self.reload_keys(told.as_deref()) {
                    // Tables that were built meanwhile may not have the new ones yet.
                    Outcome::InForce => (None, None),
                    Outcome::Wrong => (Some(now.clone()), None),
                    Outcome::Undone(why) => (None, Some(why)),
                };
            }
            last = Some(now);
        }
    }

    /// Puts the file into force if it can be. What could not be done for the reason that was `told` is not told again.
    fn reload_keys(&self, told: Option<&str>) -> Outcome {
        // No other configuration comes into force meanwhile.
        let _turn = self.turn.blocking_lock();
        let snapshot = Arc::clone(&self.gateway.snapshot());
        let telemetry = &self.gateway.telemetry;
        let callers = snapshot.read_callers().map_err(|problem| match problem {
            KeysError::Wrong(_) => (Outcome::Wrong, problem.to_string()),
            // It was read, and is no text.
            KeysError::Unread { ref error, .. } if error.kind() == ErrorKind::InvalidData => {
                (Outcome::Wrong, problem.to_string())
            }
            KeysError::Unread { .. } => (Outcome::Undone(problem.to_string()), problem.to_string()),
        });
        let callers = callers.and_then(|callers| {
            let written = self.gateway.audit.record_blocking(change(snapshot.callers().len(), callers.len()));
            let undone = |why: String| (Outcome::Undone(why.clone()), why);
            written.map(|()| callers).map_err(|problem| undone(problem.to_string()))
        });
        match callers {
            Ok(callers) => {
                let keys = callers.len();
                snapshot.replace_callers(callers);
                telemetry.keys_in_force(keys);
                telemetry.event(Level::Info, format!("the file of keys has changed: {keys} keys are known"));
                Outcome::InForce
            }
            Err((outcome, problem)) => {
                telemetry.metrics.keys_succeeded.set(0);
                if told != Some(&*problem) {
                    let message = format!("the keys before it stay in force: {problem}");
                    telemetry.event(Level::Error, message);
                }
                outcome
            }
        }
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
