//! The tasks of an HTTP/2 connection's streams. hyper runs each call and its answer as a future of its own on an
//! executor; this one can end a stream whose caller does not take the answer, without its connection.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, Sleep, sleep_until};

use super::patience::Taking;
use crate::path::telemetry::{Limit, Shared};

/// The streams of one connection.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Common>);

#[derive(Debug)]
struct Common {
    client_stall: Duration,
    telemetry: Shared,
    /// Where the call that hyper has just made left its note for the task that hyper starts for it next.
    next: Mutex<Option<Taking>>,
    /// Wakes every stream: Weir does not wait for all of them any more.
    ending: Notify,
    /// How often that was.
    told: AtomicU32,
    /// Lets the doors wait for the streams too.
    _guard: mpsc::Sender<()>,
}

impl Streams {
    pub(super) fn new(client_stall: Duration, telemetry: Shared, guard: mpsc::Sender<()>) -> Self {
        let (next, ending) = (Mutex::default(), Notify::new());
        Self(Arc::new(Common {
            client_stall,
            telemetry,
            next,
            ending,
            told: AtomicU32::new(0),
            _guard: guard,
        }))
    }

    /// The note of the call that is being made.
    pub(super) fn begin(&self) -> Taking {
        let taking = Taking::default();
        *self.0.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(taking.clone());
        taking
    }

    /// Has every stream look at its state once more.
    pub(super) fn wake_all(&self) {
        self.0.told.fetch_add(1, Ordering::SeqCst);
        self.0.ending.notify_waiters();
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let taking = self.0.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        tokio::spawn(run(stream, taking.unwrap_or_default(), self.0.clone()));
    }
}

/// Runs a stream to its end, or until its caller has left a piece of the answer for too long.
async fn run<F: Future<Output = ()>>(stream: F, taking: Taking, common: Arc<Common>) {
    let mut watched = Watched { stream: pin!(stream), taking, stall: None, common: &common };
    let mut ending = pin!(common.ending.notified());
    // Once for each time is enough: a task is woken in the same way for all its life.
    let mut asked = None;
    std::future::poll_fn(|context| {
        let polled = watched.poll(context);
        let told = common.told.load(Ordering::SeqCst);
        if polled.is_pending() && asked != Some(told) {
            asked = Some(told);
            ending.set(common.ending.notified());
            // Told meanwhile, the stream was polled too early.
            if ending.as_mut().poll(context).is_ready() || common.told.load(Ordering::SeqCst) != told {
                context.waker().wake_by_ref();
            }
        }
        polled
    })
    .await;
}

/// A stream and the clock of its caller. The clock runs only while a piece of the answer waits for the caller, so
/// that ordinary calls set no timer.
struct Watched<'a, F> {
    stream: Pin<&'a mut F>,
    taking: Taking,
    stall: Option<Stall>,
    common: &'a Common,
}

struct Stall {
    piece: u32,
    since: Instant,
    /// Fires when the time of this piece or of an earlier one is over.
    timer: Pin<Box<Sleep>>,
}

impl<F: Future<Output = ()>> Watched<'_, F> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let Some(piece) = self.taking.waiting() else {
            self.stall = None;
            return Poll::Pending;
        };
        let limit = self.common.client_stall;
        let now = Instant::now();
        let stall = self.stall.get_or_insert_with(|| Stall {
            piece,
            since: now,
            timer: Box::pin(sleep_until(now + limit)),
        });
        if stall.piece != piece {
            (stall.piece, stall.since) = (piece, now);
        }
        while stall.timer.as_mut().poll(context).is_ready() {
            let over = stall.since + limit;
            if over <= now {
                self.common.telemetry.metrics.hit(Limit::ClientStall);
                self.taking.give_up();
                // Dropped, the stream is reset.
                return Poll::Ready(());
            }
            stall.timer.as_mut().reset(over);
        }
        Poll::Pending
    }
}
