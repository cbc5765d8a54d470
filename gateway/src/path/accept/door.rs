//! A door: a listening socket, the connections behind it, and their end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::interval_at;

use super::Arrival;
use super::doors::Stage;
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

/// Serves what comes in at one door, until it closes.
pub(super) async fn accept(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    mut stage: watch::Receiver<Stage>,
    guard: mpsc::Sender<()>,
) {
    let path = path::build(&gateway);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stage.wait_for(|stage| *stage >= Stage::Closing) => return,
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
                let stage = *stage.borrow_and_update();
                if changed.is_err() || stage == Stage::Ending {
                    connection.as_mut().graceful_shutdown();
                    break;
                }
                if stage >= Stage::Closing {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
    // Polled again, streams find out that Weir stops, and say so.
    if let Ok(ended) = tokio::time::timeout(LAST_WORDS, connection).await {
        ended.unwrap_or_default();
    }
}
