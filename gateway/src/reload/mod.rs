//! A configuration that is read again: by SIGHUP, by `POST /admin/v1/reload`, or because the file has changed.
//! All of it comes into force at once, or nothing does. Calls that are under way keep what they started with.
//!
//! Weights that operators deployed stay, except on routes whose targets or weights the file changed.

mod quotas;
mod weights;

mod keys;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use router_core::config::{Config, to_json};
use router_core::route::staging::{Staging, Voided};
use serde_json::json;
use tokio::signal::unix::Signal;
use tokio::sync::{Mutex, mpsc};

pub(crate) use quotas::{QuotaRefused, rendered, tag};
pub(crate) use weights::{Asked, WeightsRefused};

use crate::audit::{Action, By, Change, fingerprint};
use crate::cli::Run;
use crate::command::{Stop, load};
use crate::gateway::Gateway;
use crate::path::accept::Doors;
use crate::path::telemetry::Level;
use crate::snapshot::Snapshot;
use crate::watch::{LOOK, Version};

/// Reads a configuration again and puts it into force.
#[derive(Debug)]
pub(crate) struct Reloader {
    /// None where there is no file.
    source: Option<Source>,
    gateway: Arc<Gateway>,
    doors: Arc<Doors>,
    /// One change of what is in force at a time.
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
    #[error("the change is not made, since it cannot be written down: {0}")]
    Audit(#[from] crate::audit::Problem),
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
    passed_over: Vec<&'static str>,
    /// What became of weights that operators had set.
    voided: Voided,
}

impl Reloaded {
    /// What operators should know of it.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let passed_over = self.passed_over.iter().map(|message| (*message).to_owned());
        passed_over.chain(told(&self.voided)).collect()
    }
}

/// What a file comes to.
struct Built {
    snapshot: Snapshot,
    passed_over: Vec<&'static str>,
    /// The weights with it in force.
    weights: Staging,
    voided: Voided,
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
    pub(crate) async fn reload(&self, cause: Cause, by: By) -> Result<Reloaded, Refused> {
        let _turn = self.turn.lock().await;
        let outcome = self.replace(cause, by).await;
        let (telemetry, name) = (&self.gateway.telemetry, cause.name());
        match &outcome {
            // Also after one that was refused: the file is as it was before that again.
            Ok(Reloaded { changed: false, .. }) => telemetry.metrics.reload_succeeded.set(1),
            Ok(reloaded) => {
                let revision = reloaded.revision;
                telemetry.metrics.reload_succeeded.set(1);
                telemetry
                    .event(Level::Info, format!("configuration revision {revision} is in force ({name})"));
                for message in reloaded.warnings() {
                    telemetry.event(Level::Warn, message);
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

    async fn replace(&self, cause: Cause, by: By) -> Result<Reloaded, Refused> {
        let source = self.source.as_ref().ok_or(Refused::NoFile)?;
        if self.gateway.is_draining() {
            return Err(Refused::Draining);
        }
        let (arguments, gateway) = (source.arguments.clone(), self.gateway.clone());
        // Files are read and certificates parsed off the threads that serve.
        let built = tokio::task::spawn_blocking(move || build(&arguments, &gateway)).await;
        let built = built.map_err(|error| Refused::Invalid(error.to_string()))??;
        let Built { snapshot, passed_over, weights, voided } = built;
        let before = self.gateway.weights.load_full();
        let same = snapshot.config == self.gateway.snapshot().config && weights.has_file_of(&before);
        if cause == Cause::FileChanged && same {
            let revision = self.gateway.telemetry.metrics.revision.get();
            return Ok(Reloaded { revision, changed: false, passed_over, voided });
        }
        let listen: Vec<_> = snapshot.config.listen.iter().map(|listen| listen.address.clone()).collect();
        let opened = self.doors.open(&listen).await.map_err(Refused::Invalid)?;
        self.gateway.audit.record(change(by, &before, &weights, &snapshot.config)).await?;
        // The file may have taken a while.
        if self.gateway.is_draining() {
            return Err(Refused::Draining);
        }
        let revision = self.gateway.replace(snapshot, weights);
        if let Some(warning) = self.doors.settle(&self.gateway, opened) {
            self.gateway.telemetry.event(Level::Warn, warning);
        }
        Ok(Reloaded { revision, changed: true, passed_over, voided })
    }

    /// Reloads at every SIGHUP, also while Weir drains, to say that it does not. Signals that come during a reload
    /// are one, since the next one reads what all of them are about.
    pub(crate) async fn obey(self: Arc<Self>, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            // Metric and log hear of how it went.
            self.reload(Cause::Signal, By::process("signal")).await.map(drop).unwrap_or_default();
        }
    }

    /// Reloads whenever the file has changed, until the process ends.
    pub(crate) async fn watch(self: Arc<Self>) {
        let Some(source) = &self.source else { return };
        let (changed, mut changes) = mpsc::channel(1);
        let (path, version, gateway) = (source.path.clone(), source.version.clone(), self.gateway.clone());
        let watcher = thread::Builder::new()
            .name("config".into())
            .spawn(move || look(&path, version, &gateway, &changed));
        if let Err(error) = watcher {
            let message = format!("the configuration file is not watched: {error}");
            return self.gateway.telemetry.event(Level::Warn, message);
        }
        while changes.recv().await.is_some() {
            // Metric and log hear of how it went.
            self.reload(Cause::FileChanged, By::process("file")).await.map(drop).unwrap_or_default();
        }
    }
}

/// Looks at the file, and at those that it names for TLS, again and again. A change counts once it has stood
/// still for a moment, since many editors write a file in several steps.
fn look(path: &Path, mut known: Option<Version>, gateway: &Gateway, changed: &mpsc::Sender<()>) {
    let mut last = known.clone();
    loop {
        pause();
        renew(gateway);
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

/// Puts certificates into force that have changed. Connections that are there stay as they are.
fn renew(gateway: &Gateway) {
    // Not kept: a reload may bring others, and these are to go then.
    let snapshot = gateway.snapshot().clone();
    for identity in snapshot.identities.iter() {
        let Some(renewed) = identity.renew() else { continue };
        let (telemetry, place) = (&gateway.telemetry, &identity.place);
        telemetry.metrics.handshakes.renewed.set(i64::from(renewed.is_ok()));
        match renewed {
            Ok(()) => {
                let message = format!("{place}: the certificate in force is the one that the files hold now");
                telemetry.event(Level::Info, message);
                for advice in identity.advice() {
                    telemetry.event(Level::Warn, advice);
                }
            }
            Err(problem) => {
                let message = format!(
                    "{place}: the files have changed and cannot serve, the certificate stays: {problem}"
                );
                telemetry.event(Level::Error, message);
            }
        }
        snapshot.identities.show(&telemetry.metrics);
    }
}

/// The tables of the file as it is now, with the weights that operators deployed and it did not change.
fn build(arguments: &Run, gateway: &Gateway) -> Result<Built, Refused> {
    let invalid = |stop: Stop| Refused::Invalid(stop.to_string());
    let (mut config, passed_over) = load::of_run(arguments).map_err(invalid)?;
    let previous = gateway.snapshot();
    stays(&previous.config, &config)?;
    let mut weights = Staging::clone(&gateway.weights.load());
    let voided = weights.reload(&config);
    weights.overlay(&mut config);
    let snapshot = Snapshot::build(config, &gateway.telemetry.metrics, Some(&previous))
        .map_err(|error| Refused::Invalid(error.to_string()))?;
    Ok(Built { snapshot, passed_over, weights, voided })
}

/// A reload, as it is written down: which configuration came into force shows by its hash.
fn change(by: By, before: &Staging, after: &Staging, config: &Config) -> Change {
    Change {
        by,
        action: Action::Reload,
        target: "config".into(),
        before: json!({ "revision": before.revision() }),
        after: json!({
            "revision": after.revision(),
            "config_sha256": fingerprint(to_json(config).to_string().as_bytes()),
        }),
    }
}

/// What operators should know of weights that they had set.
fn told(voided: &Voided) -> impl Iterator<Item = String> {
    let deployed = voided.deployed.iter().map(|route| {
        format!("routes.{route}: the file has changed its targets or weights, so those deployed at run time are gone")
    });
    deployed.chain(voided.staged.iter().map(|route| {
        format!("routes.{route}: the file has changed its targets or weights, so those staged are gone")
    }))
}

/// What cannot change while operators are connected to it.
fn stays(before: &Config, after: &Config) -> Result<(), Refused> {
    if before.admin.address != after.admin.address {
        return Err(Refused::NeedsRestart(format!(
            "admin.address: a change from {} to {} needs a restart",
            before.admin.address, after.admin.address
        )));
    }
    let address = |config: &Config| config.admin.metrics.as_ref().map(|metrics| metrics.address.clone());
    if address(before) != address(after) {
        return Err(Refused::NeedsRestart("admin.metrics.address: a change needs a restart".into()));
    }
    // A log that a reload could switch off would not show who did.
    if before.audit != after.audit {
        return Err(Refused::NeedsRestart("audit: a change needs a restart".into()));
    }
    Ok(())
}
