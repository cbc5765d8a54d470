//! One caller's connection, from its first byte to its end, in HTTP/1.1 or in HTTP/2 with prior knowledge.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::{HeaderValue, Response};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};

use super::doors::Stage;
use super::heard::{Heard, Protocol};
use super::patience::{Busy, Clocks, Patience};
use super::socket::Socket;
use super::streams::Streams;
use super::tls::{self, Refused};
use super::{Arrival, Bounds, Scheme};
use crate::gateway::Gateway;
use crate::path::stream::AnswerBody;
use crate::path::telemetry::{Limit, Refusal};

/// How long a connection may take to send what its answer still has to say when Weir stops.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// So much more of a head is read than allowed, so that one that is somewhat too large is refused in the caller's
/// dialect.
const HEAD_BYTES_MORE: u64 = 16 * 1024;
/// What is answered to who began a head and does not end it. There is no dialect to do it in.
const TIMED_OUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Calls of one HTTP/2 connection at a time.
const STREAMS_MAX: u32 = 100;
/// What a caller may send of one body before Weir has taken it, and of all bodies.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What of one answer waits for the caller to widen its window.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// Calls that were reset before Weir had looked at them.
const PENDING_RESETS_MAX: usize = 20;
/// Resets that a caller provoked by its mistakes, or by more calls than allowed.
const LOCAL_RESETS_MAX: usize = 256;
/// How often a connection is asked if its caller is still there, and how long that may take.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What serves a call.
pub(super) trait Path:
    tower::Service<Arrival, Response = Response<AnswerBody>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<P> Path for P where
    P: tower::Service<Arrival, Response = Response<AnswerBody>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + 'static
{
}

/// A connection that has come in.
pub(super) struct Visit {
    pub(super) socket: Socket,
    pub(super) peer: HeaderValue,
    /// Whether its listener believes what callers say of themselves.
    pub(super) trusted: bool,
    /// What its listener speaks TLS with, if it does.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) stage: watch::Receiver<Stage>,
    /// Dropped when all of the connection has ended.
    pub(super) guard: mpsc::Sender<()>,
}

/// A connection that is being served.
struct Session {
    peer: HeaderValue,
    trusted: bool,
    scheme: Scheme,
    gateway: Arc<Gateway>,
    stage: watch::Receiver<Stage>,
    guard: mpsc::Sender<()>,
    patience: Arc<Patience>,
    clocks: Clocks,
    bounds: Bounds,
    /// Looks at the clocks.
    tick: Interval,
}

/// What a connection has to attend to beside its calls.
enum Turn<T> {
    /// It ended by itself.
    Ended(T),
    /// The caller has kept Weir waiting for too long.
    Over(Limit),
    /// Further calls are to go elsewhere, where the protocol can say so.
    Leaving,
    /// No further call is to be taken.
    Closing,
    /// Weir stops.
    Ending,
}

/// Serves a connection until it ends, until the doors close and its last answer has left, or until Weir stops.
pub(super) async fn serve<P: Path>(visit: Visit, path: P) {
    let Visit { mut socket, peer, trusted, tls, gateway, stage, guard } = visit;
    let (clocks, bounds) = {
        let limits = &gateway.snapshot().config.limits;
        socket.hold_at_most(limits.send_buffer_bytes);
        (Clocks::of(limits), Bounds::of(limits))
    };
    let now = Instant::now();
    let patience = Patience::new(now, clocks);
    let mut tick = interval_at((now + clocks.tick()).into(), clocks.tick());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
    let mut session =
        Session { peer, trusted, scheme, gateway, stage, guard, patience, clocks, bounds, tick };
    if let Some(server) = tls {
        // Boxed, since it is large, and over before anything else begins.
        let Some(secure) = Box::pin(session.secure(socket, server)).await else { return };
        socket = secure;
    }
    let mut heard = Heard::new(socket, session.patience.clone());
    let spoken = loop {
        match session.turn(poll_fn(|context| heard.poll_protocol(context))).await {
            Turn::Leaving => {}
            spoken => break spoken,
        }
    };
    match spoken {
        Turn::Ended(Ok(Protocol::Http1)) => session.http1(heard, path).await,
        Turn::Ended(Ok(Protocol::Http2)) => session.http2(heard, path).await,
        Turn::Over(limit) => {
            session.hit(limit);
            if heard.has_heard() {
                say_timed_out(heard).await;
            }
        }
        // Left again, or has said too little to be served.
        Turn::Ended(Err(_)) | Turn::Leaving | Turn::Closing | Turn::Ending => {}
    }
}

async fn say_timed_out(mut heard: Heard) {
    let said = async {
        heard.write_all(TIMED_OUT).await?;
        heard.shutdown().await
    };
    // Whoever does not take it has had its chance.
    timeout(LAST_WORDS, said).await.unwrap_or(Ok(())).unwrap_or_default();
}

impl Session {
    /// Makes the handshake, within the time for a head.
    async fn secure(&mut self, socket: Socket, server: Arc<ServerConfig>) -> Option<Socket> {
        let mut handshake = pin!(tls::accept(socket, server, Some(self.patience.clone())));
        let refused = loop {
            match self.turn(handshake.as_mut()).await {
                Turn::Ended(Ok(socket)) => return Some(socket),
                Turn::Ended(Err(refused)) => break refused?,
                Turn::Over(limit) => {
                    self.hit(limit);
                    break Refused { refusal: Refusal::Timeout, cause: "it took too long".to_owned() };
                }
                Turn::Leaving => {}
                Turn::Closing | Turn::Ending => return None,
            }
        };
        self.gateway.telemetry.refuse_handshake(&self.peer, refused.refusal, &refused.cause);
        None
    }

    /// Attends to whatever comes first. `connection` does nearly always.
    async fn turn<F: Future>(&mut self, connection: F) -> Turn<F::Output> {
        let mut connection = pin!(connection);
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => return Turn::Ended(ended),
                _ = self.tick.tick() => {
                    if let Some(limit) = self.patience.over(Instant::now()) {
                        return Turn::Over(limit);
                    }
                    self.patience.look_for_caller();
                }
                changed = self.stage.changed() => {
                    let stage = changed.map_or(Stage::Ending, |()| *self.stage.borrow_and_update());
                    return match stage {
                        Stage::Open | Stage::Leaving => Turn::Leaving,
                        Stage::Closing | Stage::Hurrying => Turn::Closing,
                        Stage::Ending => Turn::Ending,
                    };
                }
            }
        }
    }

    fn hit(&self, limit: Limit) {
        self.gateway.telemetry.metrics.hit(limit);
        if matches!(limit, Limit::ClientStall) {
            self.patience.given_up.store(true, Ordering::Relaxed);
        }
    }

    async fn http1<P: Path>(mut self, heard: Heard, path: P) {
        let (waits, peer, bounds) = (self.patience.clone(), self.peer.clone(), self.bounds);
        let (trusted, scheme) = (self.trusted, self.scheme);
        let service = service_fn(move |request| {
            let busy = waits.serve(Instant::now(), None);
            answer(path.clone(), Arrival { request, peer: peer.clone(), bounds, trusted, scheme }, busy)
        });
        let buffer_bytes = usize::try_from(self.bounds.head_bytes + HEAD_BYTES_MORE).unwrap_or(usize::MAX);
        let connection =
            http1::Builder::new().max_buf_size(buffer_bytes).serve_connection(TokioIo::new(heard), service);
        let mut connection = connection;
        loop {
            match self.turn(Pin::new(&mut connection)).await {
                // How a connection ended concerns its calls, and their accounts have noted it; but what was too
                // large for a head made no call.
                Turn::Ended(ended) => {
                    if let Some(limit) = ended.err().as_ref().and_then(too_large) {
                        self.hit(limit);
                    }
                    return;
                }
                Turn::Over(limit) => {
                    self.hit(limit);
                    let heard = connection.into_parts().io.into_inner();
                    if matches!(limit, Limit::HeaderRead) && heard.is_flushed() {
                        say_timed_out(heard).await;
                    }
                    return;
                }
                // Its next answer says so.
                Turn::Leaving => {}
                Turn::Closing => Pin::new(&mut connection).graceful_shutdown(),
                Turn::Ending => {
                    Pin::new(&mut connection).graceful_shutdown();
                    // Polled again, streams find out that Weir stops, and say so.
                    timeout(LAST_WORDS, connection).await.unwrap_or(Ok(())).unwrap_or_default();
                    return;
                }
            }
        }
    }

    async fn http2<P: Path>(mut self, heard: Heard, path: P) {
        let telemetry = self.gateway.telemetry.clone();
        let streams = Streams::new(self.clocks.client_stall, telemetry, self.guard.clone());
        let (waits, peer, bounds) = (self.patience.clone(), self.peer.clone(), self.bounds);
        let (trusted, scheme) = (self.trusted, self.scheme);
        let (begins, gateway) = (streams.clone(), self.gateway.clone());
        let service = service_fn(move |request| {
            let busy = waits.serve(Instant::now(), Some(begins.begin()));
            if gateway.is_draining() {
                waits.leave.store(true, Ordering::Relaxed);
            }
            answer(path.clone(), Arrival { request, peer: peer.clone(), bounds, trusted, scheme }, busy)
        });
        let builder = self.http2_builder(streams.clone());
        let mut connection = pin!(builder.serve_connection(TokioIo::new(heard), service));
        let patience = self.patience.clone();
        loop {
            let polled = poll_fn(|context| {
                let polled = connection.as_mut().poll(context);
                // After its call was taken, a caller is asked to go elsewhere for the next.
                if polled.is_pending() && patience.leave.swap(false, Ordering::Relaxed) {
                    connection.as_mut().graceful_shutdown();
                    return connection.as_mut().poll(context);
                }
                polled
            });
            match self.turn(polled).await {
                Turn::Ended(ended) => {
                    if ended.is_err_and(|error| self.is_flood(&error)) {
                        self.hit(Limit::Flood);
                    }
                    return;
                }
                Turn::Over(limit) => {
                    self.hit(limit);
                    if !matches!(limit, Limit::ClientStall) {
                        connection.as_mut().graceful_shutdown();
                        timeout(LAST_WORDS, connection).await.unwrap_or(Ok(())).unwrap_or_default();
                    }
                    return;
                }
                // Its next call has it say so.
                Turn::Leaving => {}
                Turn::Closing => {
                    connection.as_mut().graceful_shutdown();
                    streams.wake_all();
                }
                Turn::Ending => {
                    connection.as_mut().graceful_shutdown();
                    streams.wake_all();
                    timeout(LAST_WORDS, connection).await.unwrap_or(Ok(())).unwrap_or_default();
                    return;
                }
            }
        }
    }

    fn http2_builder(&self, streams: Streams) -> http2::Builder<Streams> {
        let head_bytes = u32::try_from(self.bounds.head_bytes + HEAD_BYTES_MORE).unwrap_or(u32::MAX);
        let mut builder = http2::Builder::new(streams);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(head_bytes)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(LOCAL_RESETS_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        builder
    }

    /// Whether a connection ended because its caller did too much of what serves no call, by Weir's count or h2's.
    fn is_flood(&self, error: &hyper::Error) -> bool {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
        let calmed = source.is_some_and(|error| error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM));
        calmed || self.patience.budget.is_spent()
    }
}

/// One call's answer, which keeps the connection busy.
async fn answer<P: Path>(
    mut path: P,
    arrival: Arrival,
    mut busy: Busy,
) -> Result<Response<AnswerBody>, Infallible> {
    let mut answer = path.call(arrival).await?;
    busy.answered();
    answer.body_mut().keep_busy(busy);
    Ok(answer)
}

/// The bound that a head ran into which hyper refused itself.
fn too_large(error: &hyper::Error) -> Option<Limit> {
    // hyper tells the two apart only in words.
    let uri = || error.to_string().to_ascii_lowercase().contains("uri");
    error.is_parse_too_large().then(|| if uri() { Limit::Uri } else { Limit::Head })
}
