//! A configuration that is read again: by SIGHUP, by `POST /admin/v1/reload`, or because the file has changed.
//! All of it comes into force at once, or nothing does. Calls that are under way keep what they started with.

mod keys;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use router_core::config::Config;
use tokio::signal::unix::Signal;
use tokio::sync::{Mutex, mpsc};

use crate::cli::Run;
use crate::command::{Stop, load};
use crate::gateway::Gateway;
use crate::path::accept::Doors;
use crate::path::telemetry::Level;
use crate::snapshot::Snapshot;

/// How often the file is looked at. By asking, not by a watch: that works on every file system, and for files
/// that are links which are pointed elsewhere, as Kubernetes does with a `ConfigMap`.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// Reads a configuration again and puts it into force.
#[derive(Debug)]
pub(crate) struct Reloader {
    /// None where there is no file.
    source: Option<Source>,
    gateway: Arc<Gateway>,
    doors: Arc<Doors>,
    /// One at a time.
    turn: Mutex<()>,
}

/// Where a configuration comes from.
#[derive(Debug)]
pub(crate) struct Source {
    /// The command line that named the file, and what gives way to it.
    arguments: Run,
    path: PathBuf,
    /// The file as it was before it was read first, so that no change after that goes unseen.
    version: Option<Version>,
}

/// Why the configuration in force stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is no configuration file: Weir was started without one")]
    NoFile,
    #[error("Weir is about to stop")]
    Draining,
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NeedsRestart(String),
}

/// Why a configuration is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Signal,
    Operator,
    FileChanged,
}

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Operator => "an operator asked",
            Self::FileChanged => "the file has changed",
        }
    }
}

/// What is in force after a reload.
#[derive(Debug)]
pub(crate) struct Reloaded {
    pub(crate) revision: i64,
    /// Whether it is another one than before: a file that was only touched changes nothing.
    changed: bool,
    /// Settings of the file that give way to the command line.
    pub(crate) passed_over: Vec<&'static str>,
}

/// What identifies a version of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Where links lead.
    place: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

impl Source {
    /// The file that this command line names, if it names one. To be made before the file is read.
    pub(crate) fn of(arguments: &Run) -> Option<Self> {
        let path = load::file(arguments)?.to_owned();
        Some(Self { arguments: arguments.clone(), version: Version::of(&path), path })
    }
}

impl Reloader {
    pub(crate) fn new(source: Option<Source>, gateway: Arc<Gateway>, doors: Arc<Doors>) -> Arc<Self> {
        Arc::new(Self { source, gateway, doors, turn: Mutex::default() })
    }

    /// Reads the file and puts it into force, if it can be. Metric and log say how it went, whoever asked.
    pub(crate) async fn reload(&self, cause: Cause) -> Result<Reloaded, Refused> {
        let _turn = self.turn.lock().await;
        let outcome = self.replace(cause).await;
        let (telemetry, name) = (&self.gateway.telemetry, cause.name());
        match &outcome {
            // Also after one that was refused: the file is as it was before that again.
            Ok(Reloaded { changed: false, .. }) => telemetry.metrics.reload_succeeded.set(1),
            Ok(Reloaded { revision, passed_over, .. }) => {
                telemetry.metrics.reload_succeeded.set(1);
                telemetry
                    .event(Level::Info, format!("configuration revision {revision} is in force ({name})"));
                for message in passed_over {
                    telemetry.event(Level::Warn, *message);
                }
            }
            Err(refused) => {
                if !matches!(refused, Refused::NoFile | Refused::Draining) {
                    telemetry.metrics.reload_succeeded.set(0);
                }
                let message = format!("the configuration was not reloaded ({name}): {refused}");
                telemetry.event(Level::Error, message);
            }
        }
        outcome
    }

    async fn replace(&self, cause: Cause) -> Result<Reloaded, Refused> {
        let source = self.source.as_ref().ok_or(Refused::NoFile)?;
        if self.gateway.is_draining() {
            return Err(Refused::Draining);
        }
        let (arguments, gateway) = (source.arguments.clone(), self.gateway.clone());
        // Files are read and certificates parsed off the threads that serve.
        let built = tokio::task::spawn_blocking(move || build(&arguments, &gateway)).await;
        let (snapshot, passed_over) = built.map_err(|error| Refused::Invalid(error.to_string()))??;
        if cause == Cause::FileChanged && snapshot.config == self.gateway.snapshot().config {
            let revision = self.gateway.telemetry.metrics.revision.get();
            return Ok(Reloaded { revision, changed: false, passed_over });
        }
        let listen: Vec<_> = snapshot.config.listen.iter().map(|listen| listen.address.clone()).collect();
        let opened = self.doors.open(&listen).await.map_err(Refused::Invalid)?;
        // The file may have taken a while.
        if self.gateway.is_draining() {
            return Err(Refused::Draining);
        }
        let revision = self.gateway.replace(snapshot);
        if let Some(warning) = self.doors.settle(&self.gateway, opened) {
            self.gateway.telemetry.event(Level::Warn, warning);
        }
        Ok(Reloaded { revision, changed: true, passed_over })
    }

    /// Reloads at every SIGHUP, also while Weir drains, to say that it does not. Signals that come during a reload
    /// are one, since the next one reads what all of them are about.
    pub(crate) async fn obey(self: Arc<Self>, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            // Metric and log hear of how it went.
            self.reload(Cause::Signal).await.map(drop).unwrap_or_default();
        }
    }

    /// Reloads whenever the file has changed, until the process ends.
    pub(crate) async fn watch(self: Arc<Self>) {
        let Some(source) = &self.source else { return };
        let (changed, mut changes) = mpsc::channel(1);
        let (path, version) = (source.path.clone(), source.version.clone());
        let watcher =
            thread::Builder::new().name("config".into()).spawn(move || look(&path, version, &changed));
        if let Err(error) = watcher {
            let message = format!("the configuration file is not watched: {error}");
            return self.gateway.telemetry.event(Level::Warn, message);
        }
        while changes.recv().await.is_some() {
            // Metric and log hear of how it went.
            self.reload(Cause::FileChanged).await.map(drop).unwrap_or_default();
        }
    }
}

/// Looks at the file again and again. A change counts once it has stood still for a moment, since many editors
/// write a file in several steps.
fn look(path: &Path, mut known: Option<Version>, changed: &mpsc::Sender<()>) {
    let mut last = known.clone();
    loop {
        pause();
        let now = Version::of(path);
        if now.is_some() && now != known && now == last {
            known.clone_from(&now);
            if changed.blocking_send(()).is_err() {
                return;
            }
        }
        last = now;
    }
}

#[expect(clippy::disallowed_methods, reason = "on the watcher's own thread")]
fn pause() {
    thread::sleep(LOOK);
}

impl Version {
    /// The version of the file that is there now.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let place = path.canonicalize().ok()?;
        let metadata = place.metadata().ok()?;
        Some(Self { place, bytes: metadata.len(), modified: metadata.modified().ok()? })
    }
}

/// The tables of the file as it is now.
fn build(arguments: &Run, gateway: &Gateway) -> Result<(Snapshot, Vec<&'static str>), Refused> {
    let invalid = |stop: Stop| Refused::Invalid(stop.to_string());
    let (config, passed_over) = load::of_run(arguments).map_err(invalid)?;
    let previous = gateway.snapshot();
    stays(&previous.config, &config)?;
    let snapshot = Snapshot::build(config, &gateway.telemetry.metrics, Some(&previous));
    Ok((snapshot.map_err(|error| Refused::Invalid(error.to_string()))?, passed_over))
}

/// What cannot change while operators are connected to it.
fn stays(before: &Config, after: &Config) -> Result<(), Refused> {
    if before.admin.address != after.admin.address {
        return Err(Refused::NeedsRestart(format!(
            "admin.address: a change from {} to {} needs a restart",
            before.admin.address, after.admin.address
        )));
    }
    if before.admin.metrics != after.admin.metrics {
        return Err(Refused::NeedsRestart("admin.metrics.address: a change needs a restart".into()));
    }
    Ok(())
}
