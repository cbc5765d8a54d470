//! How one endpoint is reached, and the connections to it.
//!
//! Our own in place of hyper-util's pool, because an attempt must know its connection: that nothing was sent
//! on it yet (then another one may be tried without asking), and that it dies with the attempt.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use router_core::dialect::Reason;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::http1::Wire;
use super::http2::{Lines, Opened, Stream, is_unprocessed};
use super::idle::Idle;
use super::probe::Probed;
use super::{Clocks, RopeBody};
use crate::path::Failure;
use crate::snapshot::Endpoint;

/// How long a connection may take to get ready for another attempt after an answer has ended: it does at once,
/// unless the upstream answered without reading the request and will never read it.
const SETTLE: Duration = Duration::from_secs(1);
/// What both sides agree on by ALPN where HTTP/2 is spoken over TLS.
const ALPN_HTTP2: &[u8] = b"h2";

/// How to reach one endpoint, and the connections to it.
pub(crate) struct Connections {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connect: Duration,
    /// The connections in HTTP/1.1 that nobody uses now.
    idle: Arc<Idle>,
    /// All connections in HTTP/2, where that is spoken.
    http2: Option<Lines>,
}

/// A connection in use, or a place on one. A connection in HTTP/1.1 goes back only when told that the answer has
/// ended; else it is closed, which is what tells the upstream to stop.
pub(crate) struct Lease {
    held: Held,
}

enum Held {
    Http1 { wire: Wire, idle: Arc<Idle> },
    Http2 { _stream: Stream },
}

/// An answer's body that takes its connection along.
pub(crate) struct Driven<'a> {
    lease: &'a mut Lease,
    body: Incoming,
}

/// A request that is to be sent, handed on by reference: it is large, and every future that took it would have to be
/// as large. Gone once it is sent.
pub(crate) type Outgoing = Option<Request<RopeBody>>;

impl Connections {
    /// For an endpoint whose `host` header is `authority`.
    pub(crate) fn new(
        endpoint: &router_core::config::Endpoint,
        authority: &str,
        tls: Option<Arc<rustls::ClientConfig>>,
        pool: &router_core::config::Pool,
    ) -> Option<Self> {
        let http2 = if pool.http2 { Some(Lines::new(tls.is_some(), authority)?) } else { None };
        let tls = match tls {
            Some(tls) => Some((TlsConnector::from(tls), ServerName::try_from(endpoint.host.clone()).ok()?)),
            None => None,
        };
        let connect = pool.timeouts.connect;
        Some(Self {
            host: endpoint.host.clone(),
            port: endpoint.port,
            tls,
            connect,
            idle: Idle::new(),
            http2,
        })
    }

    /// Sends `request` to `endpoint` and waits for the head of the answer.
    pub(crate) async fn exchange(
        endpoint: &Arc<Endpoint>,
        request: &mut Outgoing,
        clocks: &mut Clocks,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let connections = &endpoint.connections;
        match &connections.http2 {
            None => connections.exchange_http1(request, clocks).await,
            // What is rare is kept apart, so that every call's future stays small.
            Some(lines) => Box::pin(connections.exchange_http2(lines, request, clocks)).await,
        }
    }

    /// A kept connection that turns out to be closed before anything was sent on it is passed over.
    async fn exchange_http1(
        &self,
        request: &mut Outgoing,
        clocks: &mut Clocks,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let (wire, response) = loop {
            let mut new = false;
            let mut wire = if let Some(wire) = self.idle.take() {
                wire
            } else {
                new = true;
                Box::pin(self.within_connect_timeout(self.dial_http1())).await?
            };
            match send_http1(&mut wire, request, clocks).await {
                Ok(response) => break (wire, response),
                Err(_) if request.is_some() && !new => {}
                Err(failure) => return Err(failure),
            }
        };
        Ok((response, Lease { held: Held::Http1 { wire, idle: self.idle.clone() } }))
    }

    /// A request with which the upstream says that it has done nothing is sent once more; so is one that was not
    /// sent, because its connection was just going away.
    async fn exchange_http2(
        &self,
        lines: &Lines,
        request: &mut Outgoing,
        clocks: &mut Clocks,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut request = request.take().ok_or(Reason::Internal)?;
        lines.adapt(&mut request).map_err(|error| Failure::caused(Reason::Internal, &error))?;
        let mut again = true;
        loop {
            // Waiting for a connection that another call opens is a part of connecting.
            let stream = lines.stream(async || self.dial_http2().await);
            let stream = Box::pin(self.within_connect_timeout(stream)).await?;
            let copy = again.then(|| request.clone());
            clocks.start();
            let Ok(answered) = tokio::time::timeout_at(clocks.head_by().into(), stream.send(request)).await
            else {
                return Err(clocks.overdue());
            };
            let mut error = match answered {
                Ok(response) => return Ok((response, Lease { held: Held::Http2 { _stream: stream } })),
                Err(error) => error,
            };
            let unsent = error.take_message();
            match copy {
                Some(copy) if unsent.is_some() || is_unprocessed(error.error()) => request = copy,
                _ => return Err(Failure::caused(Reason::BadResponse, error.error())),
            }
            again = false;
        }
    }

    /// Connects, within the connect timeout as a whole.
    async fn within_connect_timeout<T>(
        &self,
        dial: impl Future<Output = io::Result<T>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.connect, dial).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Failure::caused(Reason::ConnectFailed, &error)),
            Err(_) => Err(Failure::new(
                Reason::ConnectTimeout,
                format!("no connection to {}:{} within {:?}", self.host, self.port, self.connect),
            )),
        }
    }

    async fn dial_http1(&self) -> io::Result<Wire> {
        let (stream, probe) = Probed::new(self.dial().await?);
        match &self.tls {
            Some((connector, name)) => {
                Wire::start(connector.connect(name.clone(), stream).await?, probe).await
            }
            None => Wire::start(stream, probe).await,
        }
        .map_err(io::Error::other)
    }

    async fn dial_http2(&self) -> io::Result<Opened> {
        let stream = self.dial().await?;
        let Some((connector, name)) = &self.tls else {
            return Opened::start(stream).await.map_err(io::Error::other);
        };
        let stream = connector.connect(name.clone(), stream).await?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN_HTTP2) {
            return Err(io::Error::other("the upstream does not speak HTTP/2 over TLS"));
        }
        Opened::start(stream).await.map_err(io::Error::other)
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Without this a small write waits 40 ms for the other side's acknowledgement.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Sends a request on this connection and waits for the head of its answer.
async fn send_http1(
    wire: &mut Wire,
    request: &mut Outgoing,
    clocks: &mut Clocks,
) -> Result<Response<Incoming>, Failure> {
    let taken = request.take().ok_or(Reason::Internal)?;
    clocks.start();
    let mut answer = pin!(wire.begin(taken));
    let head = poll_fn(|context| wire.poll_head(answer.as_mut(), context));
    match tokio::time::timeout_at(clocks.head_by().into(), head).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut error)) => {
            *request = error.take_message();
            Err(Failure::caused(Reason::BadResponse, error.error()))
        }
        Err(_) => Err(clocks.overdue()),
    }
}

impl Lease {
    /// The next frame of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.held {
            Held::Http1 { wire, .. } => wire.poll_frame(body, context),
            Held::Http2 { .. } => Pin::new(body).poll_frame(context),
        }
    }

    /// Whether a body has come to an end that its upstream did not set: hyper takes a stream that was reset with
    /// `NO_ERROR` for one that has ended.
    pub(crate) fn is_cut(&self, body: &Incoming) -> bool {
        matches!(self.held, Held::Http2 { .. }) && !body.is_end_stream()
    }

    /// The answer's body for those who read it to its end.
    pub(crate) fn driving(&mut self, body: Incoming) -> Driven<'_> {
        Driven { lease: self, body }
    }

    /// The answer has come whole: the connection may serve another attempt.
    pub(crate) fn give_back(self) {
        let Held::Http1 { wire, idle } = self.held else { return };
        if wire.is_ready() {
            idle.put(wire);
        } else if !wire.is_closed() {
            tokio::spawn(settle(wire, idle));
        }
    }
}

/// Gives a connection back once it is ready, if it gets so in time.
async fn settle(mut wire: Wire, idle: Arc<Idle>) {
    let ready = poll_fn(|context| {
        wire.poll(context);
        if wire.is_ready() || wire.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    });
    if tokio::time::timeout(SETTLE, ready).await.is_ok() && wire.is_ready() {
        idle.put(wire);
    }
}

impl Body for Driven<'_> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { lease, body } = &mut *self;
        lease.poll_frame(body, context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connections")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
