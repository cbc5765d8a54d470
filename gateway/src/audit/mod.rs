//! Who changed what while Weir ran: a log that is only ever appended to, a JSON object a line, each with the hash of
//! the one before, so that an edit, a gap or another order shows; signed, if there is a key, so that nobody without it
//! can write it anew. A change is on the disk before it is in force; while it cannot be written, it is refused.
//!
//! One thread writes. Whoever makes a change tells it here, and goes on when the line is on the disk.

mod chain;
mod file;
mod key;
mod verify;

use std::borrow::Cow;
use std::path::PathBuf;
use std::thread;
use std::time::SystemTime;

use router_core::config;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

pub(crate) use chain::fingerprint;
use file::LogFile;
pub(crate) use key::{PublicKey, SigningKey};
pub(crate) use verify::{Report, verify};

/// Changes that wait for the disk; more have to wait to be taken.
const WAITING_MOST: usize = 64;

/// The log of changes, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    writer: Option<mpsc::Sender<Asked>>,
}

/// A line to write, and who waits for it.
type Asked = (Change, oneshot::Sender<Result<(), Problem>>);

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) by: By,
    pub(crate) action: Action,
    /// What was changed: `routes/NAME`, `segments/NAME/quota`, `config`.
    pub(crate) target: String,
    pub(crate) before: Value,
    pub(crate) after: Value,
}

/// Who makes a change, and from where.
#[derive(Clone, Debug)]
pub(crate) struct By {
    pub(crate) actor: Cow<'static, str>,
    pub(crate) role: &'static str,
    /// The peer's address, `unix`, or `process`.
    pub(crate) from: String,
    pub(crate) request_id: Option<String>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The process has started: with the weights of its file, whatever was in force before.
    Start,
    /// A line that a crash left torn is marked.
    Recover,
    /// Weights are staged.
    Adjust,
    /// Staged weights are forgotten.
    Discard,
    Deploy,
    Rollback,
    /// What a segment may use.
    Quota,
    Reload,
}

/// Why a change could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the audit log {}: {error}", .path.display())]
    Io { path: PathBuf, error: std::io::Error },
    #[error("the audit log {}: {why}", .path.display())]
    Unfit { path: PathBuf, why: String },
    #[error("the audit log's writer has ended")]
    Ended,
}

impl Action {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Recover => "recover",
            Self::Adjust => "adjust",
            Self::Discard => "discard",
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Quota => "quota",
            Self::Reload => "reload",
        }
    }
}

impl By {
    /// What the process does by itself, or because something other than a request told it to.
    pub(crate) fn process(actor: &'static str) -> Self {
        Self { actor: actor.into(), role: "system", from: "process".into(), request_id: None }
    }
}

impl Audit {
    /// Opens the log and goes on with its chain; what an operator should know of it.
    pub(crate) fn open(
        settings: &config::Audit,
        key: Option<SigningKey>,
    ) -> Result<(Self, Option<String>), Problem> {
        let path = settings.path.clone();
        let file = LogFile::open(&path, file::Opening::First)?;
        let warning = file.warning();
        let (writer, asked) = mpsc::channel(WAITING_MOST);
        let name = thread::Builder::new().name("audit".into());
        let thread = name.spawn(move || write(file, key.as_ref(), asked));
        thread.map_err(|error| Problem::Io { path, error })?;
        Ok((Self { writer: Some(writer) }, warning))
    }

    /// Writes a change down, if there is a log: it is on the disk then.
    pub(crate) async fn record(&self, change: Change) -> Result<(), Problem> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let (done, written) = oneshot::channel();
        writer.send((change, done)).await.map_err(|_| Problem::Ended)?;
        written.await.map_err(|_| Problem::Ended)?
    }

    /// The same, on a thread that may wait.
    pub(crate) fn record_blocking(&self, change: Change) -> Result<(), Problem> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let (done, written) = oneshot::channel();
        writer.blocking_send((change, done)).map_err(|_| Problem::Ended)?;
        written.blocking_recv().map_err(|_| Problem::Ended)?
    }
}

/// Writes what is asked for, one after the other, until nobody can ask any more. After a line that could not be
/// written whole, the end of the file is read anew.
fn write(file: LogFile, key: Option<&SigningKey>, mut asked: mpsc::Receiver<Asked>) {
    let path = file.path().to_owned();
    let mut open = Some(file);
    while let Some((change, done)) = asked.blocking_recv() {
        let file = match open.take() {
            Some(file) => Ok(file),
            None => LogFile::open(&path, file::Opening::Again),
        };
        let written = file.and_then(|mut file| {
            let written = file.append(&change, SystemTime::now(), key);
            if !matches!(written, Err(Problem::Io { .. })) {
                open = Some(file);
            }
            written
        });
        // Whoever asked may have left, and the line stays.
        done.send(written).unwrap_or_default();
    }
}
