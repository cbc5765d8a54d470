//! The doors: listening sockets, how many callers they let in, and their end. What happens on a connection is in
//! `serve`.

use std::sync::Arc;
use std::time::Duration;

use router_core::config::Address;
use tokio::sync::{Semaphore, mpsc, watch};

use super::descriptors;
use super::listener::{self, SocketFile};
use super::serve::{Path, Visit, serve};
use super::socket::Listener;
use crate::gateway::Gateway;
use crate::path;
use crate::path::telemetry::{Level, Limit};

/// Pause after the system could not give a connection (mostly: no descriptors), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The open doors of a running gateway.
#[derive(Debug)]
pub(crate) struct Doors {
    doors: Vec<Door>,
    /// What an operator should know once the gateway is ready.
    pub(crate) warning: Option<String>,
    /// Ends when the last connection has.
    alive: mpsc::Receiver<()>,
}

/// One listener, and the connections that came through it. They hold on to each other by the stage alone.
#[derive(Debug)]
struct Door {
    /// As it was asked for, with the port that was free.
    address: Address,
    stage: watch::Sender<Stage>,
}

/// How far a door is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Open,
    /// Nothing new comes in; what is in flight is finished.
    Closing,
    /// What is in flight is broken off.
    Ending,
}

/// What a door needs to let callers in.
#[derive(Clone)]
struct Entrance {
    gateway: Arc<Gateway>,
    /// One permit for each connection, whichever door it came through.
    room: Arc<Semaphore>,
    stage: watch::Receiver<Stage>,
    guard: mpsc::Sender<()>,
}

/// Opens a door at each address and serves what comes in.
pub(crate) async fn listen(gateway: &Arc<Gateway>, addresses: &[Address]) -> Result<Doors, String> {
    let (guard, alive) = mpsc::channel(1);
    let mut bound = Vec::new();
    for address in addresses {
        let opened = listener::open(address).await;
        bound.push(opened.map_err(|error| format!("cannot listen on {address}: {error}"))?);
    }
    let (room, warning) = room(gateway.snapshot().config.limits.connections, descriptors::room());
    let room = Arc::new(Semaphore::new(room));
    let path = path::build(gateway);
    let mut doors = Vec::new();
    for (address, listener, file) in bound {
        let (stage, entered) = watch::channel(Stage::Open);
        let entrance =
            Entrance { gateway: gateway.clone(), room: room.clone(), stage: entered, guard: guard.clone() };
        tokio::spawn(accept(listener, file, entrance, path.clone()));
        doors.push(Door { address, stage });
    }
    Ok(Doors { doors, warning, alive })
}

/// How many connections there may be: what is configured, as far as the system has descriptors for it; and what to
/// tell the operator of that.
fn room(wanted: u64, possible: Option<u64>) -> (usize, Option<String>) {
    let room = wanted.min(possible.unwrap_or(u64::MAX));
    // What is reserved for others is no loss worth a word.
    let warning = (room + descriptors::RESERVED < wanted).then(|| {
        format!("limits.connections: {room} in place of {wanted}, since the process may have no more descriptors (ulimit -n)")
    });
    (usize::try_from(room).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS), warning)
}

impl Doors {
    /// Where clients are listened for.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.doors.iter().map(|door| &door.address)
    }

    fn turn_to(&self, stage: Stage) {
        for door in &self.doors {
            door.stage.send_replace(stage);
        }
    }

    /// Closes the doors, lets the connections finish what is in flight, and waits for that at most `patience`.
    /// Whether all finished.
    pub(crate) async fn close(&mut self, patience: Duration) -> bool {
        self.turn_to(Stage::Closing);
        tokio::time::timeout(patience, self.alive.recv()).await.is_ok()
    }

    /// Breaks off what is in flight. Telemetry must have been told first: that is how answers learn of it.
    pub(crate) async fn end(mut self) {
        self.turn_to(Stage::Ending);
        self.alive.recv().await;
    }
}

/// Lets callers in until the doors close; `file` goes with the listener.
async fn accept<P: Path>(listener: Listener, file: Option<SocketFile>, mut entrance: Entrance, path: P) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = entrance.stage.wait_for(|stage| *stage > Stage::Open) => break,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                let telemetry = &entrance.gateway.telemetry;
                telemetry.event(Level::Warn, format!("cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(permit) = entrance.permit().await else { break };
        let Entrance { gateway, stage, guard, .. } = entrance.clone();
        let visit = Visit { socket, peer, gateway, stage, guard };
        let path = path.clone();
        tokio::spawn(async move {
            serve(visit, path).await;
            drop(permit);
        });
    }
    drop(file);
}

impl Entrance {
    /// Room for one more connection, as soon as there is; `None` if the doors close before. Further callers wait in
    /// the system's queue meanwhile.
    async fn permit(&mut self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        if let Ok(permit) = self.room.clone().try_acquire_owned() {
            return Some(permit);
        }
        self.gateway.telemetry.metrics.hit(Limit::Connections);
        tokio::select! {
            permit = self.room.clone().acquire_owned() => permit.ok(),
            _ = self.stage.wait_for(|stage| *stage > Stage::Open) => None,
        }
    }
}
