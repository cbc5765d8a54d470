//! Lets operators in: few at a time and none for long, so that whoever reaches such a listener (the metrics may be
//! open to a network) cannot take the descriptors that callers need.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::guard::Peer;
use crate::gateway::Gateway;
use crate::path::accept::tls::{self, Identities, Identity, Refused};
use crate::path::accept::{Listener, Socket};
use crate::path::telemetry::{Level, Refusal};

/// Connections of one listener at a time; further ones wait. With those of the other one they are within what is
/// reserved beside callers.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may be without a whole head. Scrapers come every 15 to 60 s, and may keep theirs.
const HEAD_MAX: Duration = Duration::from_secs(75);
/// How long a connection may last, and what is in flight after that.
const CONNECTION_MAX: Duration = Duration::from_secs(300);
const LAST_ANSWER_MAX: Duration = Duration::from_secs(10);
/// Pause after the system could not give a connection, so as not to spin.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Which listener's certificate is meant.
pub(super) type IdentityOf = fn(&Identities) -> Option<&Arc<Identity>>;

/// Serves whoever comes, until the process ends.
pub(super) async fn serve(listener: Listener, router: Router, gateway: Arc<Gateway>, identity: IdentityOf) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Never closed, so there always is one in the end.
        let Ok(place) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, peer)) => {
                let router = router.clone().layer(Extension(Peer(peer.clone())));
                let gateway = gateway.clone();
                tokio::spawn(async move {
                    if let Some(socket) = secured(socket, &peer, &gateway, identity).await {
                        connection(socket, router).await;
                    }
                    drop(place);
                });
            }
            Err(error) => {
                gateway
                    .telemetry
                    .event(Level::Warn, format!("cannot accept an operator's connection: {error}"));
                sleep(PAUSE).await;
            }
        }
    }
}

/// The socket as it is, or speaking TLS where the listener does.
async fn secured(
    socket: Socket,
    peer: &HeaderValue,
    gateway: &Gateway,
    identity: IdentityOf,
) -> Option<Socket> {
    let server = identity(&gateway.snapshot().identities).map(|identity| identity.server());
    let Some(server) = server else { return Some(socket) };
    let late = || Err(Some(Refused { refusal: Refusal::Timeout, cause: "it took too long".to_owned() }));
    match timeout(HANDSHAKE_MAX, tls::accept(socket, server, None)).await.unwrap_or_else(|_| late()) {
        Ok(socket) => Some(socket),
        Err(refused) => {
            let Refused { refusal, cause } = refused?;
            gateway.telemetry.refuse_handshake(peer, refusal, &cause);
            None
        }
    }
}

async fn connection(socket: Socket, router: Router) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router)));
    tokio::select! {
        // How it ended concerns nobody else.
        _ = connection.as_mut() => return,
        () = sleep(CONNECTION_MAX) => connection.as_mut().graceful_shutdown(),
    }
    timeout(LAST_ANSWER_MAX, connection).await.unwrap_or(Ok(())).unwrap_or_default();
}
