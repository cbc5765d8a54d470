//! What all calls of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use router_core::route::staging::Staging;

use crate::audit::Audit;
use crate::path::identify::{BodyMemory, Catalogue, Guard as KeyGuard, Keeper};
use crate::path::overload::{Line, Watch};
use crate::path::telemetry::{Shared, Telemetry};
use crate::snapshot::Snapshot;

/// The tables, the telemetry and the state of the process.
#[derive(Debug)]
pub(crate) struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// The weights in force, staged and earlier, for operators; changed one at a time by the reloader.
    pub(crate) weights: ArcSwap<Staging>,
    /// Where changes are written down.
    pub(crate) audit: Audit,
    pub(crate) telemetry: Shared,
    pub(crate) catalogue: Catalogue,
    /// What the request bodies of all calls hold.
    pub(crate) body_memory: Arc<BodyMemory>,
    /// Counts keys that are nobody's.
    pub(crate) guard: KeyGuard,
    /// Where calls wait for their turn.
    pub(crate) line: Arc<Line>,
    /// Asks servers for their own queues.
    pub(crate) watch: Watch,
    /// Loads the keys that bearer tokens are checked with.
    pub(crate) keeper: Keeper,
    /// When the process started, in milliseconds of Unix time: a reader of its counters sees that they began anew.
    pub(crate) epoch_ms: u64,
    draining: AtomicBool,
}

impl Gateway {
    pub(crate) fn new(snapshot: Snapshot, telemetry: Telemetry, audit: Audit) -> Arc<Self> {
        telemetry.keys_in_force(snapshot.callers().len());
        let snapshot = Arc::new(snapshot);
        let weights = Staging::new(&snapshot.config, revision_of(&telemetry));
        let line = Line::new(&snapshot);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self {
            line,
            snapshot: ArcSwap::new(snapshot),
            weights: ArcSwap::from_pointee(weights),
            audit,
            telemetry: Arc::new(telemetry),
            catalogue: Catalogue::default(),
            body_memory: Arc::default(),
            guard: KeyGuard::new(),
            watch: Watch::default(),
            keeper: Keeper::default(),
            epoch_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            draining: AtomicBool::new(false),
        })
    }

    /// The tables in force, for a moment's look; whoever needs them for longer clones the `Arc`. They stay as
    /// they are, whatever is reloaded meanwhile.
    pub(crate) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Puts other tables into force, for calls that come from now on, with the weights that they have. Their revision.
    pub(crate) fn replace(&self, snapshot: Snapshot, weights: Staging) -> i64 {
        self.telemetry.configure(&snapshot.config.log);
        self.telemetry.metrics.handshakes.forget();
        snapshot.identities.show(&self.telemetry.metrics);
        if !Arc::ptr_eq(&snapshot.callers(), &self.snapshot().callers()) {
            self.telemetry.keys_in_force(snapshot.callers().len());
        }
        let snapshot = Arc::new(snapshot);
        snapshot.apply_quotas();
        self.line.reload(&snapshot);
        self.watch.follow(&snapshot, &self.line, &self.telemetry);
        self.keeper.follow(snapshot.issuer.as_ref(), &self.telemetry);
        self.snapshot.store(snapshot);
        self.weights.store(Arc::new(weights));
        self.catalogue.forget();
        let revision = &self.telemetry.metrics.revision;
        revision.inc();
        debug_assert_eq!(revision_of(&self.telemetry), self.weights.load().revision(), "one count");
        revision.get()
    }

    /// Keeps weights that are to come into force later.
    pub(crate) fn stage(&self, weights: Staging) {
        self.weights.store(Arc::new(weights));
    }

    /// From now on not ready, and every answer asks its caller to go elsewhere for the next.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process was told to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

fn revision_of(telemetry: &Telemetry) -> u64 {
    u64::try_from(telemetry.metrics.revision.get()).unwrap_or_default()
}
