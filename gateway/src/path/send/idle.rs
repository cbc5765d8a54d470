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
/// From how long without use on the system itself is asked whether a connection still stands. Servers close what has
/// been idle for a second and more; asking costs a fifth of a small request, which under load nobody should pay.
const PROBE_AFTER: Duration = Duration::from_millis(100);
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
            let unused = entry.since.elapsed();
            if unused >= PROBE_AFTER {
                entry.wire.poll_now(&mut Context::from_waker(&self.waker));
            }
            if unused < IDLE && self.stands(&mut entry.wire) {
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio::net::TcpStream;

    use super::super::probe::Probed;
    use super::*;

    /// A kept connection, and its upstream's side.
    async fn kept() -> (Arc<Idle>, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, probe) = Probed::new(stream);
        let idle = Idle::new();
        idle.put(Wire::start(stream, probe).await.unwrap());
        tokio::time::sleep(2 * PROBE_AFTER).await;
        (idle, listener.accept().unwrap().0)
    }

    // One thread, and nothing is awaited behind the end: the runtime cannot have told of it.
    #[tokio::test]
    async fn a_connection_that_its_upstream_has_just_closed_is_not_handed_out() {
        let (idle, upstream) = kept().await;
        drop(upstream);
        assert!(idle.take().is_none());
    }

    #[tokio::test]
    async fn nor_is_one_on_which_something_came_unasked() {
        let (idle, mut upstream) = kept().await;
        upstream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        assert!(idle.take().is_none());
    }

    #[tokio::test]
    async fn one_that_stands_is_and_its_end_is_heard_later() {
        let (idle, upstream) = kept().await;
        let wire = idle.take().unwrap();
        idle.put(wire);
        drop(upstream);
        while !idle.kept().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
