//! A door: a listening socket that lets callers in until it closes. What happens on a connection is in `serve`.

use std::sync::Arc;
use std::time::Duration;

use router_core::config::Address;
use tokio::sync::{mpsc, watch};

use super::doors::Stage;
use super::listener::SocketFile;
use super::room::{Place, Room};
use super::serve::{Path, Visit, serve};
use super::socket::Listener;
use super::tls::Identity;
use crate::gateway::Gateway;
use crate::path::telemetry::{Level, Limit};

/// Pause after the system could not give a connection (mostly: no descriptors), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a door needs to let callers in.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) gateway: Arc<Gateway>,
    /// As in the file.
    pub(super) address: Arc<Address>,
    pub(super) room: Room,
    pub(super) stage: watch::Receiver<Stage>,
    pub(super) guard: mpsc::Sender<()>,
    /// As they were when they were looked up last.
    pub(super) rules: Option<Rules>,
}

/// What holds for those who come in at a door.
#[derive(Clone)]
pub(super) struct Rules {
    /// Whether callers are believed here what they say of themselves.
    trusted: bool,
    /// What is spoken TLS with.
    tls: Option<Arc<Identity>>,
}

/// Lets callers in until the doors close; `file` goes with the listener.
pub(super) async fn accept<P: Path>(
    listener: Listener,
    file: Option<SocketFile>,
    mut entrance: Entrance,
    path: P,
) {
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = entrance.stage.wait_for(|stage| *stage >= Stage::Closing) => break,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Said once: it lasts until somebody leaves.
                if !std::mem::replace(&mut failing, true) {
                    let message = format!("cannot accept a connection: {error}");
                    entrance.gateway.telemetry.event(Level::Warn, message);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        failing = false;
        let Some(place) = entrance.place().await else { break };
        let Some(Rules { trusted, tls }) = entrance.rules() else { continue };
        let tls = tls.map(|identity| identity.server());
        let Entrance { gateway, stage, guard, .. } = entrance.clone();
        let visit = Visit { socket, peer, trusted, tls, gateway, stage, guard };
        let path = path.clone();
        tokio::spawn(async move {
            serve(visit, path).await;
            drop(place);
        });
    }
    drop(file);
}

impl Entrance {
    /// What holds here now. A door that the configuration in force does not have any more, since it is about to be
    /// closed, keeps what it had: it never becomes a door without TLS.
    fn rules(&mut self) -> Option<Rules> {
        let snapshot = self.gateway.snapshot();
        let mut listeners = snapshot.config.listen.iter().zip(&snapshot.identities.listen);
        if let Some((listen, tls)) = listeners.find(|(listen, _)| listen.address == *self.address) {
            self.rules = Some(Rules { trusted: listen.trust_headers, tls: tls.clone() });
        }
        self.rules.clone()
    }

    /// Room for one more connection, as soon as there is; `None` if the doors close before. Further callers wait in
    /// the system's queue meanwhile.
    async fn place(&mut self) -> Option<Place> {
        if let Some(place) = self.room.try_enter() {
            return Some(place);
        }
        self.gateway.telemetry.metrics.hit(Limit::Connections);
        tokio::select! {
            place = self.room.enter() => place,
            _ = self.stage.wait_for(|stage| *stage >= Stage::Closing) => None,
        }
    }
}
