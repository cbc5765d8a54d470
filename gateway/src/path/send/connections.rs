//! The connections to one endpoint: kept alive, handed out newest first, given back when a body has ended.
//!
//! Our own in place of hyper-util's pool, because an attempt must know its connection: that nothing was sent
//! on it yet (then another one may be tried without asking), and that it dies with the attempt.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use router_core::dialect::Reason;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::{Clocks, RopeBody};
use crate::path::Failure;
use crate::snapshot::Endpoint;

/// How long a connection is kept without use. Many servers close theirs earlier, and are then heard; those that
/// do not mostly would at 60 s, when a request could meet a connection that is just going away.
const IDLE: Duration = Duration::from_secs(50);
/// How long a connection may take to get ready for another attempt after an answer has ended: it does at once,
/// unless the upstream answered without reading the request and will never read it.
const SETTLE: Duration = Duration::from_secs(1);
/// Unused connections that are kept for one endpoint.
const IDLE_MAX: usize = 1024;
/// What may be read ahead of a slow caller on one connection, and the largest answer head.
const BUFFER_BYTES: usize = 16 * 1024;

/// How to reach one endpoint, and the connections to it that nobody uses now.
pub(crate) struct Connections {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connect: Duration,
    /// The one used last is at the back.
    idle: Mutex<VecDeque<Idle>>,
}

/// A connection and the task that drives it. They end together: a task that is left alone with a request that
/// its upstream does not read would keep that request for good.
struct Wire {
    sender: SendRequest<RopeBody>,
    driver: AbortHandle,
}

struct Idle {
    wire: Wire,
    since: Instant,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A connection in use. It goes back only when told that the answer has ended; else it is closed, which is
/// what tells the upstream to stop.
pub(crate) struct Lease {
    wire: Wire,
    endpoint: Arc<Endpoint>,
}

impl Connections {
    pub(crate) fn new(
        endpoint: &router_core::config::Endpoint,
        tls: Option<Arc<rustls::ClientConfig>>,
        connect: Duration,
    ) -> Option<Self> {
        let tls = match tls {
            Some(tls) => Some((TlsConnector::from(tls), ServerName::try_from(endpoint.host.clone()).ok()?)),
            None => None,
        };
        let idle = Mutex::default();
        Some(Self { host: endpoint.host.clone(), port: endpoint.port, tls, connect, idle })
    }

    /// Sends `request` to `endpoint` and waits for the head of the answer. A kept connection that turns out
    /// to be closed before anything was sent on it is passed over.
    pub(crate) async fn exchange(
        endpoint: &Arc<Endpoint>,
        mut request: Request<RopeBody>,
        clocks: &mut Clocks,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let pool = &endpoint.connections;
        loop {
            let kept = pool.take();
            let fresh = kept.is_none();
            let mut wire = match kept {
                Some(wire) => wire,
                None => pool.open().await?,
            };
            clocks.start();
            let answered = wire.sender.try_send_request(request);
            let Ok(answered) = tokio::time::timeout_at(clocks.head_by().into(), answered).await else {
                return Err(clocks.overdue());
            };
            match answered {
                Ok(response) => return Ok((response, Lease { wire, endpoint: endpoint.clone() })),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err(Failure::caused(Reason::BadResponse, error.error())),
                },
            }
        }
    }

    /// The connection used last, if it still stands.
    fn take(&self) -> Option<Wire> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(entry) = idle.pop_back() {
            if entry.wire.sender.is_ready() && entry.since.elapsed() < IDLE {
                return Some(entry.wire);
            }
        }
        None
    }

    fn put(&self, wire: Wire) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest are at the front: those that have been idle for too long go as others come back.
        while idle.front().is_some_and(|oldest| oldest.since.elapsed() >= IDLE) || idle.len() >= IDLE_MAX {
            idle.pop_front();
        }
        idle.push_back(Idle { wire, since: Instant::now() });
    }

    /// Connects, within the connect timeout as a whole.
    async fn open(&self) -> Result<Wire, Failure> {
        match tokio::time::timeout(self.connect, self.dial()).await {
            Ok(Ok(wire)) => Ok(wire),
            Ok(Err(error)) => Err(Failure::caused(Reason::ConnectFailed, &error)),
            Err(_) => Err(Failure::new(
                Reason::ConnectTimeout,
                format!("no connection to {}:{} within {:?}", self.host, self.port, self.connect),
            )),
        }
    }

    async fn dial(&self) -> io::Result<Wire> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Without this a small write waits 40 ms for the other side's acknowledgement.
        stream.set_nodelay(true)?;
        match &self.tls {
            Some((connector, name)) => start(connector.connect(name.clone(), stream).await?).await,
            None => start(stream).await,
        }
    }
}

/// Speaks HTTP/1.1 on a stream.
async fn start<T>(stream: T) -> io::Result<Wire>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = Builder::new();
    builder.max_buf_size(BUFFER_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Its errors reach the attempt that uses it; without one there is nobody to tell.
    let driver = tokio::spawn(async move { connection.await.unwrap_or_default() }).abort_handle();
    let mut wire = Wire { sender, driver };
    wire.sender.ready().await.map_err(io::Error::other)?;
    Ok(wire)
}

impl Lease {
    /// The answer has come whole: the connection may serve another attempt.
    pub(crate) fn give_back(self) {
        let Self { wire, endpoint } = self;
        if wire.sender.is_ready() {
            endpoint.connections.put(wire);
        } else if !wire.sender.is_closed() {
            tokio::spawn(settle(wire, endpoint));
        }
    }
}

/// Gives a connection back once it is ready, if it gets so in time.
async fn settle(mut wire: Wire, endpoint: Arc<Endpoint>) {
    if let Ok(Ok(())) = tokio::time::timeout(SETTLE, wire.sender.ready()).await {
        endpoint.connections.put(wire);
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
