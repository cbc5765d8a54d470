//! The doors: listening sockets, the connections behind them, and their end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use router_core::config::Address;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::interval_at;

use super::Arrival;
use super::patience::{Heard, Patience, TICK};
use crate::gateway::Gateway;
use crate::path;
use crate::path::telemetry::Level;

/// Largest request head, and what is held of an answer for a caller that reads slowly. Together with what
/// the upstream's connection has read ahead, at most 64 KiB for each stream.
const BUFFER_BYTES: usize = 32 * 1024;
/// How long a connection may take to send what its answer still has to say when Weir stops.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Pause after the system could not give a connection (mostly: no descriptors), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The open doors of a running gateway.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) addresses: Vec<SocketAddr>,
    stage: watch::Sender<Stage>,
    /// Ends when the last connection has.
    alive: mpsc::Receiver<()>,
}

/// How far the doors are from their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    /// Nothing new comes in; what is in flight is finished.
    Closing,
    /// What is in flight is broken off.
    Ending,
}

/// Opens a door at each address and serves what comes in.
pub(crate) async fn listen(gateway: &Arc<Gateway>, addresses: &[Address]) -> Result<Doors, String> {
    let (stage, _) = watch::channel(Stage::Open);
    let (guard, alive) = mpsc::channel(1);
    let mut bound = Vec::new();
    for address in addresses {
        let fault = |error: std::io::Error| format!("cannot listen on {address}: {error}");
        let Address::Tcp(address) = address else {
            return Err(format!(
                "cannot listen on {address}: Unix sockets are not supported by this version"
            ));
        };
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        bound.push((listener.local_addr().map_err(fault)?, listener));
    }
    let mut addresses = Vec::new();
    for (address, listener) in bound {
        addresses.push(address);
        tokio::spawn(accept(listener, gateway.clone(), stage.subscribe(), guard.clone()));
    }
    Ok(Doors { addresses, stage, alive })
}

impl Doors {
    /// Closes the doors, lets the connections finish what is in flight, and waits for that at most `patience`.
    /// Whether all finished.
    pub(crate) async fn close(&mut self, patience: Duration) -> bool {
        self.stage.send_replace(Stage::Closing);
        tokio::time::timeout(patience, self.alive.recv()).await.is_ok()
    }

    /// Breaks off what is in flight. Telemetry must have been told first: that is how answers learn of it.
    pub(crate) async fn end(mut self) {
        self.stage.send_replace(Stage::Ending);
        self.alive.recv().await;
    }
}

async fn accept(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    mut stage: watch::Receiver<Stage>,
    guard: mpsc::Sender<()>,
) {
    let path = path::build(&gateway);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stage.wait_for(|stage| *stage > Stage::Open) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                gateway.telemetry.event(Level::Warn, format!("cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (path, stage, guard) = (path.clone(), stage.clone(), guard.clone());
        tokio::spawn(async move {
            serve(stream, peer, path, stage).await;
            drop(guard);
        });
    }
}

/// Serves one connection until it ends, until the doors close and its last answer has left, or until Weir stops.
async fn serve<P>(stream: TcpStream, peer: SocketAddr, path: P, mut stage: watch::Receiver<Stage>)
where
    P: tower::Service<
            Arrival,
            Response = http::Response<path::stream::AnswerBody>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    // Without this a token waits up to 40 ms for the caller's acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(peer) = HeaderValue::try_from(peer.ip().to_canonical().to_string()) else { return };
    let patience = Patience::new(Instant::now());
    let waits = patience.clone();
    let service = service_fn(move |request| {
        let busy = waits.serve(Instant::now());
        let answer = path.clone().call(Arrival { request, peer: peer.clone() });
        async move {
            let mut answer = answer.await?;
            answer.body_mut().keep_busy(busy);
            Ok::<_, Infallible>(answer)
        }
    });
    let io = TokioIo::new(Heard { io: stream, patience: patience.clone() });
    let connection = http1::Builder::new().max_buf_size(BUFFER_BYTES).serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut tick = interval_at(tokio::time::Instant::now() + TICK, TICK);
    loop {
        // In this order, since nearly always it is the connection that has something to do.
        tokio::select! {
            biased;
            // How a connection ended concerns its calls, and their accounts have noted it.
            ended = connection.as_mut() => return ended.unwrap_or_default(),
            _ = tick.tick() => {
                if patience.is_over(Instant::now()) {
                    return;
                }
                patience.look_for_caller();
            }
            changed = stage.changed() => {
                connection.as_mut().graceful_shutdown();
                if changed.is_err() || *stage.borrow() == Stage::Ending {
                    break;
                }
            }
        }
    }
    // Polled again, streams find out that Weir stops, and say so.
    if let Ok(ended) = tokio::time::timeout(LAST_WORDS, connection).await {
        ended.unwrap_or_default();
    }
}
