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
        let Entrance { gateway, stage, guard, .. } = entrance.clone();
        let trusted = entrance.is_trusted();
        let visit = Visit { socket, peer, trusted, gateway, stage, guard };
        let path = path.clone();
        tokio::spawn(async move {
            serve(visit, path).await;
            drop(place);
        });
    }
    drop(file);
}

impl Entrance {
    /// Whether callers are believed here what they say of themselves.
    fn is_trusted(&self) -> bool {
        let snapshot = self.gateway.snapshot();
        let mut listeners = snapshot.config.listen.iter();
        listeners.any(|listen| listen.address == *self.address && listen.trust_headers)
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
