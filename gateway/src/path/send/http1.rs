//! One HTTP/1.1 connection, driven by whoever uses it: the task of a call polls the connection itself, in place of
//! a task of the connection's own that would have to be woken for every request and for every frame, and would
//! hand over one frame at a time. What has come in one read is so taken in one go.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::RopeBody;
use super::probe::Probe;

/// What may be read ahead of a slow caller on one connection, and the largest answer head.
const BUFFER_BYTES: usize = 16 * 1024;
/// How often a connection that woke itself is polled again at once. What still has something to do then lets
/// others go first.
const TURNS_MAX: usize = 8;

/// The head of an answer, or what came of the request.
type Answered = Result<Response<Incoming>, TrySendError<Request<RopeBody>>>;

/// A connection. Dropping it closes it.
pub(super) struct Wire {
    sender: SendRequest<RopeBody>,
    /// `None` when the connection has ended.
    driver: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    bell: Arc<Bell>,
    /// The bell as what the connection rings.
    waker: Waker,
    probe: Probe,
}

/// Wakes whoever drives the connection now. While it is being driven, the wake-ups that it causes itself (its
/// halves pass messages to each other) only have it polled again.
#[derive(Debug, Default)]
struct Bell {
    driver: AtomicWaker,
    state: AtomicU8,
}

/// Nobody is driving.
const RESTING: u8 = 0;
/// The connection is being driven.
const DRIVING: u8 = 1;
/// It is being driven, and has woken itself.
const RUNG: u8 = 2;

impl Wire {
    /// Speaks HTTP/1.1 on a stream, whose socket hears of `probe`.
    pub(super) async fn start<T>(stream: T, probe: Probe) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = Builder::new();
        builder.max_buf_size(BUFFER_BYTES);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        Ok(Self { sender, driver: Some(Box::pin(connection)), bell, waker, probe })
    }

    /// Hands a request over; its answer comes as [`Self::poll_head`] is asked for it, which must be at once.
    pub(super) fn begin(&mut self, request: Request<RopeBody>) -> impl Future<Output = Answered> + use<> {
        // What it rings already now is heard by the first poll.
        self.bell.silence();
        self.sender.try_send_request(request)
    }

    /// The head of the answer that was begun.
    pub(super) fn poll_head(
        &mut self,
        mut answer: Pin<&mut impl Future<Output = Answered>>,
        context: &mut Context<'_>,
    ) -> Poll<Answered> {
        let driver = &mut self.driver;
        self.bell.attended(context, &self.waker, |context| {
            drive(driver, context);
            answer.as_mut().poll(context)
        })
    }

    /// The next frame of an answer's body.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let driver = &mut self.driver;
        self.bell.attended(context, &self.waker, |context| {
            let mut body = Pin::new(&mut *body);
            if let ready @ Poll::Ready(_) = body.as_mut().poll_frame(context) {
                return ready;
            }
            drive(driver, context);
            body.poll_frame(context)
        })
    }

    /// Lets the connection go on with what it has to do, and hear from `context` when there is more.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) {
        let driver = &mut self.driver;
        let polled: Poll<()> = self.bell.attended(context, &self.waker, |context| {
            drive(driver, context);
            Poll::Pending
        });
        debug_assert!(polled.is_pending(), "a connection's end is in its state");
    }

    /// The same, with what the runtime has not told yet.
    pub(super) fn poll_now(&mut self, context: &mut Context<'_>) {
        self.probe.ask();
        self.poll(context);
    }

    /// Whether it can take a request.
    pub(super) fn is_ready(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Whether it never will again.
    pub(super) fn is_closed(&self) -> bool {
        self.driver.is_none() || self.sender.is_closed()
    }
}

/// Polls the connection. Its errors reach the attempt that uses it; without one there is nobody to tell.
fn drive(
    driver: &mut Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    context: &mut Context<'_>,
) {
    if let Some(connection) = driver
        && connection.as_mut().poll(context).is_ready()
    {
        *driver = None;
    }
}

impl Bell {
    /// Until the next poll, ringing wakes nobody.
    fn silence(&self) {
        self.state.store(DRIVING, Ordering::Release);
    }

    /// Polls until there is nothing more to do now.
    fn attended<T>(
        &self,
        context: &mut Context<'_>,
        waker: &Waker,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.driver.register(context.waker());
        for _ in 0..TURNS_MAX {
            self.state.store(DRIVING, Ordering::Release);
            let polled = poll(&mut Context::from_waker(waker));
            if polled.is_ready() || self.rests() {
                // Whoever got something asks again, and by that polls all that has rung.
                self.state.store(RESTING, Ordering::Release);
                return polled;
            }
        }
        self.state.store(RESTING, Ordering::Release);
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends the driving if nothing has rung meanwhile.
    fn rests(&self) -> bool {
        self.state.compare_exchange(DRIVING, RESTING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let rung = self.state.compare_exchange(DRIVING, RUNG, Ordering::AcqRel, Ordering::Acquire);
        if rung == Err(RESTING) {
            self.driver.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn attend(bell: &Arc<Bell>, outer: &Waker, mut poll: impl FnMut(&Waker) -> Poll<()>) -> Poll<()> {
        let waker = Waker::from(bell.clone());
        bell.attended(&mut Context::from_waker(outer), &waker, |context| poll(context.waker()))
    }

    #[test]
    fn what_a_connection_rings_itself_wakes_nobody() {
        let (bell, count) = (Arc::new(Bell::default()), Arc::new(Count::default()));
        let outer = Waker::from(count.clone());
        let mut turns = 0;
        let polled = attend(&bell, &outer, |waker| {
            turns += 1;
            if turns < 3 {
                waker.wake_by_ref();
            }
            Poll::Pending
        });
        assert!(polled.is_pending() && turns == 3, "polled again for each ring: {turns}");
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        Waker::from(bell).wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "a ring from outside is heard");
    }

    #[test]
    fn one_that_rings_for_ever_lets_others_go_first() {
        let (bell, count) = (Arc::new(Bell::default()), Arc::new(Count::default()));
        let outer = Waker::from(count.clone());
        let polled = attend(&bell, &outer, |waker| {
            waker.wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
