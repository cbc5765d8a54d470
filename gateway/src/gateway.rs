//! What all calls of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::path::identify::{BodyMemory, Catalogue};
use crate::path::telemetry::{Shared, Telemetry};
use crate::snapshot::Snapshot;

/// The tables, the telemetry and the state of the process.
#[derive(Debug)]
pub(crate) struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    pub(crate) telemetry: Shared,
    pub(crate) catalogue: Catalogue,
    /// What the request bodies of all calls hold.
    pub(crate) body_memory: Arc<BodyMemory>,
    draining: AtomicBool,
}

impl Gateway {
    pub(crate) fn new(snapshot: Snapshot, telemetry: Telemetry) -> Arc<Self> {
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            telemetry: Arc::new(telemetry),
            catalogue: Catalogue::default(),
            body_memory: Arc::default(),
            draining: AtomicBool::new(false),
        })
    }

    /// The tables in force. Whoever holds them keeps them, whatever is reloaded meanwhile.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
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
