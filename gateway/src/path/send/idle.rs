//! The HTTP/1.1 connections to one endpoint that nobody uses now: handed out newest first, dropped when they have
//! been idle for long or their upstream closes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::http1::Wire;

/// How long a connection is kept without use. Many servers close theirs earlier, and are then heard; those that
/// do not mostly would at 60 s, when a request could meet a connection that is just going away.
const IDLE: Duration = Duration::from_secs(50);
/// Unused connections that are kept for one endpoint.
const IDLE_MAX: usize = 1024;

/// The unused connections.
pub(super) struct Idle {
    /// The one used last is at the back.
    kept: Mutex<VecDeque<Kept>>,
    stirred: Arc<Stirred>,
    waker: Waker,
    swept: AtomicBool,
}

struct Kept {
    wire: Wire,
    since: Instant,
}

/// Woken when something comes on an unused connection, which mostly is its end.
#[derive(Debug, Default)]
struct Stirred(Notify);

impl Wake for Stirred {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Idle {
    pub(super) fn new() -> Arc<Self> {
        let stirred = Arc::new(Stirred::default());
        let waker = Waker::from(stirred.clone());
        Arc::new(Self { kept: Mutex::default(), stirred, waker, swept: AtomicBool::new(false) })
    }

    /// The connection used last, if it still stands.
    pub(super) fn take(&self) -> Option<Wire> {
        loop {
            // One at a time: what is no good any more is dropped without the lock.
            let mut entry = self.kept().pop_back()?;
            if entry.since.elapsed() < IDLE && self.stands(&mut entry.wire) {
                return Some(entry.wire);
            }
        }
    }

    /// Keeps a connection that can take a request.
    pub(super) fn put(self: &Arc<Self>, mut wire: Wire) {
        if !self.stands(&mut wire) {
            return;
        }
        if !self.swept.swap(true, Ordering::Relaxed) {
            tokio::spawn(sweep(Arc::downgrade(self), self.stirred.clone()));
        }
        let mut kept = self.kept();
        // The oldest are at the front: those that have been idle for too long go as others come back.
        while kept.front().is_some_and(|oldest| oldest.since.elapsed() >= IDLE) || kept.len() >= IDLE_MAX {
            kept.pop_front();
        }
        kept.push_back(Kept { wire, since: Instant::now() });
    }

    /// Whether an unused connection can take a request. From now on its end is heard.
    fn stands(&self, wire: &mut Wire) -> bool {
        wire.poll(&mut Context::from_waker(&self.waker));
        wire.is_ready()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // Ends the sweeper.
        self.stirred.0.notify_one();
    }
}

/// Drops connections as their upstream closes them, for as long as the endpoint exists.
async fn sweep(idle: Weak<Idle>, stirred: Arc<Stirred>) {
    loop {
        stirred.0.notified().await;
        let Some(idle) = idle.upgrade() else { return };
        idle.kept().retain_mut(|entry| idle.stands(&mut entry.wire));
    }
}
