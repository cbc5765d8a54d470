//! The HTTP/2 connections to one endpoint: a few, each shared by many calls. A new one is opened when those there
//! are have as many streams as their upstream allows. A call that is given up resets its own stream; its
//! connection serves on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version, header};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::RopeBody;

/// Connections to one endpoint. Calls beyond what they carry wait for a stream.
const LINES_MAX: usize = 64;
/// Connections that are opened at the same time.
const OPENING_MAX: usize = 8;
/// Streams on one connection, however many more the upstream allows: what a lost connection takes with it.
const STREAMS_MAX: usize = 128;
/// What may be read ahead of a slow caller.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// Room for every stream's window, so that callers who do not read hold back nobody else.
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const LINE_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS_MAX as u32;
/// The largest answer head.
const HEAD_BYTES: u32 = 16 * 1024;
/// A connection on which calls wait is asked for a sign of life after this much silence…
const PING_AFTER: Duration = Duration::from_secs(30);
/// …and given up without one in this time.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The connections to one endpoint.
pub(super) struct Lines {
    scheme: Scheme,
    authority: Authority,
    open: Mutex<Vec<Arc<Line>>>,
    /// Held while a connection is opened: as many calls as it will carry wait for it rather than open others; those
    /// that come after them open the next at the same time.
    opening: [tokio::sync::Mutex<()>; OPENING_MAX],
    /// Calls that have no place yet.
    waiting: AtomicUsize,
    /// Streams that the upstream allowed on its last connection.
    allowed: AtomicUsize,
}

/// A call that has no place yet.
struct Waiting<'a>(&'a AtomicUsize);

/// A connection. Its tasks end with the last call that uses it.
struct Line {
    sender: SendRequest<RopeBody>,
    driver: AbortHandle,
    streams: AtomicUsize,
    streams_max: Arc<AtomicUsize>,
}

/// A place on a connection, for as long as its call lasts.
pub(super) struct Stream {
    line: Arc<Line>,
}

impl Lines {
    /// `None` if `authority` is none.
    pub(super) fn new(tls: bool, authority: &str) -> Option<Self> {
        let scheme = if tls { Scheme::HTTPS } else { Scheme::HTTP };
        let authority = authority.parse().ok()?;
        Some(Self {
            scheme,
            authority,
            open: Mutex::default(),
            opening: Default::default(),
            waiting: AtomicUsize::new(0),
            allowed: AtomicUsize::new(STREAMS_MAX),
        })
    }

    /// A place on a connection that has room, or on a new one from `dial`.
    pub(super) async fn stream<E>(&self, dial: impl AsyncFnOnce() -> Result<Opened, E>) -> Result<Stream, E> {
        if let Some(stream) = self.with_room() {
            return Ok(stream);
        }
        let waiting = Waiting(&self.waiting);
        let before = waiting.0.fetch_add(1, Ordering::Relaxed);
        let connection = before / self.allowed.load(Ordering::Relaxed).max(1);
        let _opening = self.opening[connection.min(OPENING_MAX - 1)].lock().await;
        if let Some(stream) = self.with_room().or_else(|| self.beyond_room()) {
            return Ok(stream);
        }
        let Opened(line) = dial().await?;
        self.allowed.store(line.streams_max(), Ordering::Relaxed);
        let stream = line.take_place();
        self.open().push(line);
        Ok(stream)
    }

    /// The fullest connection that has room, so that others run empty when there is less to do.
    fn with_room(&self) -> Option<Stream> {
        let mut open = self.open();
        open.retain(|line| !line.sender.is_closed());
        let room = open.iter().filter(|line| line.streams() < line.streams_max());
        room.max_by_key(|line| line.streams()).map(Line::take_place)
    }

    /// The emptiest connection, if no other may be opened.
    fn beyond_room(&self) -> Option<Stream> {
        let open = self.open();
        let full = open.len() >= LINES_MAX;
        open.iter().filter(|_| full).min_by_key(|line| line.streams()).map(Line::take_place)
    }

    /// The request as HTTP/2 has it: the host is a part of the target, and nothing concerns the connection.
    pub(super) fn adapt(&self, request: &mut Request<RopeBody>) -> Result<(), http::Error> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        let path = request.uri().path_and_query().cloned();
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        *request.uri_mut() = Uri::from_parts(parts)?;
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().remove(header::HOST);
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Line>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose upstream has said how many streams it allows.
pub(super) struct Opened(Arc<Line>);

impl Opened {
    /// Speaks HTTP/2 on a stream.
    pub(super) async fn start<T>(stream: T) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let progress = Progress::default();
        let mut builder = Builder::new(progress.clone());
        builder
            .timer(TokioTimer::new())
            // None before the upstream has said how many.
            .initial_max_send_streams(0)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(LINE_WINDOW_BYTES)
            .max_header_list_size(HEAD_BYTES)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_TIMEOUT);
        let (sender, mut connection) = builder.handshake(TokioIo::new(stream)).await?;
        while connection.current_max_send_streams() == 0 {
            tokio::select! {
                ended = &mut connection => {
                    ended?;
                    break;
                }
                () = progress.0.notified() => {}
            }
        }
        let streams_max = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
        let known = streams_max.clone();
        let driver = tokio::spawn(async move {
            let mut connection = pin!(connection);
            poll_fn(|context| {
                let polled = connection.as_mut().poll(context);
                known.store(connection.current_max_send_streams(), Ordering::Relaxed);
                polled
            })
            .await
            // Its errors reach the calls that use it.
            .unwrap_or_default();
        });
        let line = Line { sender, driver: driver.abort_handle(), streams: AtomicUsize::new(0), streams_max };
        Ok(Self(Arc::new(line)))
    }
}

impl Line {
    fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    fn streams_max(&self) -> usize {
        self.streams_max.load(Ordering::Relaxed).min(STREAMS_MAX)
    }

    fn take_place(self: &Arc<Self>) -> Stream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Stream { line: self.clone() }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Stream {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        request: Request<RopeBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RopeBody>>> {
        self.line.sender.clone().try_send_request(request).await
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.line.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether the upstream says of a request that it has done nothing with it (RFC 9113, 8.7), so that it may be
/// sent once more.
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    let error = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (refused || error.is_go_away())
    })
}

/// Runs the tasks of a connection, and tells when one of them has gone on.
#[derive(Clone, Debug, Default)]
struct Progress(Arc<Notify>);

impl<F> Executor<F> for Progress
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let progress = self.0.clone();
        tokio::spawn(async move {
            let mut task = pin!(task);
            poll_fn(|context| {
                let polled = task.as_mut().poll(context);
                progress.notify_one();
                polled
            })
            .await;
        });
    }
}
