//! Loads an issuer's keys again and again, off the path of requests. Keys that are in force stay until others have been
//! loaded whole; what goes wrong is said once and counted, and tried again, at first after a second.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::sleep;

use super::source::{Source, Unloaded, fetched, read};
use super::{Issuer, Keys};
use crate::path::telemetry::{Level, Shared};
use crate::snapshot::Place;
use crate::watch::{LOOK, Version};

/// How long after a first failure it is tried again; twice as long after each further one.
const AGAIN_LEAST: Duration = Duration::from_secs(1);
/// How long at most.
const AGAIN_MOST: Duration = Duration::from_secs(60);

/// Whoever loads the keys now. Dropping it ends that.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    task: Mutex<Option<Task>>,
    /// Whether the gateway has said that it is ready, before which the log says nothing.
    announced: watch::Sender<bool>,
}

#[derive(Debug)]
struct Task {
    issuer: Arc<Issuer>,
    task: AbortHandle,
}

/// Loads the keys of one issuer.
struct Loader {
    issuer: Arc<Issuer>,
    telemetry: Shared,
    announced: watch::Receiver<bool>,
    /// How often it could not be done since it last could.
    failures: u32,
}

impl Keeper {
    /// Keeps the keys of these tokens from now on, and those of others no more.
    pub(crate) fn follow(&self, issuer: Option<&Arc<Issuer>>, telemetry: &Shared) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(task), Some(issuer)) = (&*task, issuer)
            && Arc::ptr_eq(&task.issuer, issuer)
            && !task.task.is_finished()
        {
            return;
        }
        *task = issuer.map(|issuer| {
            let (telemetry, announced) = (telemetry.clone(), self.announced.subscribe());
            let loader = Loader { issuer: issuer.clone(), telemetry, announced, failures: 0 };
            let keys = issuer.keys.load();
            loader.telemetry.metrics.jwt.keys(keys.as_ref().map_or(0, |keys| keys.jwks.keys.len()));
            Task { issuer: issuer.clone(), task: tokio::spawn(loader.run()).abort_handle() }
        });
        if task.is_none() {
            telemetry.metrics.jwt.keys(0);
        }
    }

    /// From now on the log hears of the keys.
    pub(crate) fn announced(&self) {
        self.announced.send_replace(true);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Loader {
    async fn run(mut self) {
        let issuer = self.issuer.clone();
        match &issuer.source {
            Source::File(path) => self.watch(path).await,
            Source::Url(place) => self.fetch(place).await,
        }
    }

    /// Reads the file whenever it has changed and then stood still for a moment.
    async fn watch(&mut self, path: &Path) {
        let version = async || {
            let path = path.to_owned();
            spawn_blocking(move || Version::of(&path)).await.ok().flatten()
        };
        self.issuer.loading.store(false, Ordering::Release);
        // Not known to be what was read before this began.
        let (mut known, mut last) = (None, None);
        loop {
            let now = version().await;
            if now.is_some() && now != known && now == last {
                let path = path.to_owned();
                if let Ok(loaded) = spawn_blocking(move || read(&path)).await {
                    // What could not be read at all may be readable at the next look, just as it is.
                    let was_read = !matches!(loaded, Err(Unloaded::File { .. }));
                    known = now.clone().filter(|_| was_read);
                    self.take_in(loaded.map(Arc::new));
                }
            }
            last = now;
            sleep(LOOK).await;
        }
    }

    /// Fetches the keys now, when they may be kept no longer, and when they are wanted.
    async fn fetch(&mut self, place: &Place) {
        loop {
            self.issuer.loading.store(true, Ordering::Release);
            let (loaded, wait) = match fetched(place).await {
                Ok((keys, kept_for)) => (Ok(keys), kept_for),
                Err(problem) => (Err(problem), self.again()),
            };
            self.take_in(loaded);
            self.issuer.loading.store(false, Ordering::Release);
            self.issuer.rounds.send_modify(|rounds| *rounds += 1);
            // Not all Weirs at the same moment.
            let wait = wait.mul_f64(0.9 + 0.1 * rand::random::<f64>());
            tokio::select! {
                () = sleep(wait) => {}
                () = self.issuer.wanted.notified() => {}
            }
        }
    }

    /// When to try again after a failure that is not counted yet.
    fn again(&self) -> Duration {
        AGAIN_LEAST.saturating_mul(2_u32.saturating_pow(self.failures)).min(AGAIN_MOST)
    }

    fn take_in(&mut self, loaded: Result<Arc<Keys>, Unloaded>) {
        match loaded {
            Ok(keys) => self.succeeded(keys),
            Err(problem) => self.failed(&problem),
        }
    }

    fn succeeded(&mut self, keys: Arc<Keys>) {
        let failed = std::mem::take(&mut self.failures) > 0;
        let known = self.issuer.keys.load();
        let same = known.as_ref().is_some_and(|known| known.jwks == keys.jwks);
        let count = keys.jwks.keys.len();
        if !same {
            self.telemetry.metrics.jwt.keys(count);
            // A token that was checked while the old keys were in force is known by their number, and by that no more.
            self.issuer.keys.store(Some(keys));
            self.issuer.cache.clear();
        }
        if failed || !same {
            let message = format!("the issuer's keys for bearer tokens are loaded, usable: {count}");
            self.say(Level::Info, message);
        }
    }

    fn failed(&mut self, problem: &Unloaded) {
        self.telemetry.metrics.jwt.unloaded(problem.name());
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            let meanwhile = match &*self.issuer.keys.load() {
                Some(_) => "those in force stay",
                None => "until they are loaded every token is refused",
            };
            let message =
                format!("the issuer's keys for bearer tokens could not be loaded, {meanwhile}: {problem}");
            self.say(Level::Warn, message);
        }
    }

    /// Logs an event, once the log may say something.
    fn say(&self, level: Level, message: String) {
        let (telemetry, mut announced) = (self.telemetry.clone(), self.announced.clone());
        tokio::spawn(async move {
            if announced.wait_for(|announced| *announced).await.is_ok() {
                telemetry.event(level, message);
            }
        });
    }
}
