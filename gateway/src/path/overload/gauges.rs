//! Asks model servers for their own queues, once a second, where a pool has `gauges`, and tells the dispatcher. What
//! is told may only hold calls back (`router_core::overload::limiter`), so whatever goes wrong here is counted, and
//! costs no call anything. Over a reload a server that stays is asked as before, however often that happens.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use router_core::overload::gauges::{Gauges, Unreadable};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::Line;
use crate::path::send::{PageBounds, Unfetched, fetch};
use crate::path::telemetry::{Level, Shared};
use crate::snapshot::{Page, Snapshot};

/// How often a server is asked: as often as vLLM and SGLang look at their own queues, or less.
const EVERY: Duration = Duration::from_secs(1);
/// How long it may take to tell: later it would be too old to count. Largest page that is read: vLLM's have some tens
/// of KB, a few hundred with many engines.
const BOUNDS: PageBounds = PageBounds { patience: Duration::from_secs(2), bytes: 1024 * 1024 };
/// Without a page for so long, a server counts as one that tells nothing: what it told last is too old then.
const STALE: Duration = Duration::from_secs(3);

/// Everybody who asks. Dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// One for each endpoint of a pool with gauges.
    askers: Mutex<Askers>,
}

#[derive(Debug, Default)]
struct Askers {
    tasks: JoinSet<()>,
    /// Which page each of them asks for.
    pages: Vec<(Arc<Page>, AbortHandle)>,
}

/// Why a server's queue is not known.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Unfetched(#[from] Unfetched),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Asks one server.
struct Asker {
    line: Arc<Line>,
    telemetry: Shared,
    page: Arc<Page>,
    /// When it last told, at first when it was first asked.
    told: Instant,
    stale: bool,
}

impl Watch {
    /// Asks the servers of these tables from now on, and those of others no more.
    pub(crate) fn follow(&self, snapshot: &Arc<Snapshot>, line: &Arc<Line>, telemetry: &Shared) {
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut askers.pages);
        for page in snapshot.pools.iter().flat_map(|pool| &pool.gauges) {
            let asked = match known.iter().position(|(known, asker)| page.is(known) && !asker.is_finished()) {
                Some(same) => known.swap_remove(same),
                None => (page.clone(), askers.tasks.spawn(Asker::new(page, line, telemetry).run())),
            };
            askers.pages.push(asked);
        }
        known.iter().for_each(|(_, gone)| gone.abort());
        while askers.tasks.try_join_next().is_some() {}
    }
}

impl Asker {
    fn new(page: &Arc<Page>, line: &Arc<Line>, telemetry: &Shared) -> Self {
        let (line, telemetry) = (line.clone(), telemetry.clone());
        Self { line, telemetry, page: page.clone(), told: Instant::now(), stale: false }
    }

    async fn run(mut self) {
        // Each at a time of its own, so that they do not come in a crowd, from several Weirs either.
        tokio::time::sleep(EVERY.mul_f64(rand::random())).await;
        let mut next = tokio::time::interval(EVERY);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            next.tick().await;
            match ask(&self.page).await {
                Ok(gauges) => {
                    self.line.hear(&self.page.of, gauges);
                    self.succeeded();
                }
                Err(problem) => self.failed(&problem),
            }
        }
    }

    fn succeeded(&mut self) {
        self.told = Instant::now();
        if std::mem::take(&mut self.stale) {
            self.telemetry.event(Level::Info, format!("{} tells of its queue again", self.page.of.label));
        }
    }

    fn failed(&mut self, problem: &Problem) {
        let label = &self.page.of.label;
        self.telemetry.metrics.gauges_failed(label, problem.name());
        if !self.stale && self.told.elapsed() >= STALE {
            self.stale = true;
            let message = format!("{label} does not tell of its queue, which counts as none: {problem}");
            self.telemetry.event(Level::Warn, message);
        }
    }
}

impl Problem {
    /// The label of `weir_gauges_failures_total`.
    const fn name(&self) -> &'static str {
        match self {
            Self::Unfetched(problem) => problem.name(),
            Self::Unreadable(_) => "unreadable",
        }
    }
}

async fn ask(page: &Page) -> Result<Gauges, Problem> {
    let (_, text) = fetch(&page.at, page.path.clone(), page.headers.clone(), BOUNDS).await?;
    Ok(Gauges::read(&text)?)
}
