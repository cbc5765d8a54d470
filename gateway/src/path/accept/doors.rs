//! All doors of a process: opened at the start, opened and closed by reloads, closed at the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use router_core::config::Address;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

use super::descriptors;
use super::door::{Entrance, accept};
use super::listener::{self, SocketFile};
use super::room::Room;
use super::socket::Listener;
use crate::gateway::Gateway;
use crate::path;

/// The doors of a running gateway.
#[derive(Debug)]
pub(crate) struct Doors {
    doors: Mutex<Vec<Door>>,
    room: Room,
    /// Cloned into every connection; without this one left, the last connection's end is the end of all.
    guard: Mutex<Option<mpsc::Sender<()>>>,
    alive: AsyncMutex<mpsc::Receiver<()>>,
}

/// One door, or what is left of it: its connections.
#[derive(Debug)]
struct Door {
    /// As in the file, where a port may be 0.
    configured: Address,
    bound: Address,
    stage: watch::Sender<Stage>,
}

/// How far a door is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Open,
    /// Everything is served, and everybody is asked to go elsewhere for more.
    Leaving,
    /// Nothing new comes in; what is in flight is finished.
    Closing,
    /// The time for answers that come whole is over; streams are finished.
    Hurrying,
    /// What is in flight is broken off.
    Ending,
}

/// Doors that are to be open from now on, those that were not open before bound already.
pub(crate) struct Opened {
    new: Vec<Bound>,
    wanted: Vec<Address>,
}

/// A listener that nobody is served at yet.
struct Bound {
    configured: Address,
    address: Address,
    listener: Listener,
    file: Option<SocketFile>,
}

impl Doors {
    pub(crate) fn new() -> Arc<Self> {
        let (guard, alive) = mpsc::channel(1);
        Arc::new(Self {
            doors: Mutex::default(),
            room: Room::new(),
            guard: Mutex::new(Some(guard)),
            alive: AsyncMutex::new(alive),
        })
    }

    /// Binds every wanted address that is not open yet. Nothing is served there, nor closed elsewhere, before
    /// [`Doors::settle`].
    pub(crate) async fn open(&self, wanted: &[Address]) -> Result<Opened, String> {
        let mut open: Vec<Address> = self.listening();
        let mut new = Vec::new();
        for address in wanted {
            if let Some(known) = open.iter().position(|open| open == address) {
                open.swap_remove(known);
                continue;
            }
            let opened = listener::open(address).await;
            let (bound, listener, file) = opened.map_err(|error| {
                let own = self.listening().into_iter().find(|open| open.meets(address));
                let own =
                    own.map(|own| format!("; Weir itself still listens on {own}, so this needs a restart"));
                format!("cannot listen on {address}: {error}{}", own.unwrap_or_default())
            })?;
            new.push(Bound { configured: address.clone(), address: bound, listener, file });
        }
        Ok(Opened { new, wanted: wanted.to_vec() })
    }

    /// Serves what was opened, and closes the doors that are not wanted any more: their connections finish what
    /// is in flight. What an operator should know, if anything.
    pub(crate) fn settle(&self, gateway: &Arc<Gateway>, opened: Opened) -> Option<String> {
        let Opened { new, mut wanted } = opened;
        // Before the guard is looked at: a door is opened either before all are closed, or not at all.
        let mut doors = self.lock();
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Of doors that were closed before, those without a connection are history.
        doors.retain(|door| !door.stage.is_closed());
        for door in doors.iter().filter(|door| *door.stage.borrow() == Stage::Open) {
            match wanted.iter().position(|wanted| *wanted == door.configured) {
                Some(kept) => {
                    wanted.swap_remove(kept);
                }
                None => {
                    door.stage.send_replace(Stage::Closing);
                }
            }
        }
        let warning = self.resize(gateway);
        for Bound { configured, address, listener, file } in new {
            let (stage, stages) = watch::channel(Stage::Open);
            if let Some(guard) = guard.clone() {
                let (room, path) = (self.room.clone(), path::build(gateway));
                let address = Arc::new(configured.clone());
                let gateway = gateway.clone();
                let entrance = Entrance { gateway, address, room, stage: stages, guard, rules: None };
                tokio::spawn(accept(listener, file, entrance, path));
            }
            doors.push(Door { configured, bound: address, stage });
        }
        warning
    }

    /// Makes room for as many connections as are configured, as far as the system has descriptors for them.
    /// Connections beyond a smaller room stay; none is added until there is room again.
    fn resize(&self, gateway: &Gateway) -> Option<String> {
        let wanted = gateway.snapshot().config.limits.connections;
        let possible = descriptors::room().unwrap_or(u64::MAX - descriptors::RESERVED);
        // What is reserved for others is no loss worth a word.
        let warning = (possible + descriptors::RESERVED < wanted).then(|| {
            format!(
                "limits.connections: {possible} in place of {wanted}, since the process may have no more descriptors (ulimit -n)"
            )
        });
        let room = wanted.min(possible);
        tokio::task::spawn_blocking(move || descriptors::prepare(room));
        self.room.resize(usize::try_from(room).unwrap_or(usize::MAX));
        warning
    }

    /// Where clients are listened for: as in the file, and with the port that it got.
    pub(crate) fn addresses(&self) -> Vec<(Address, Address)> {
        self.lock()
            .iter()
            .filter(|door| *door.stage.borrow() == Stage::Open)
            .map(|door| (door.configured.clone(), door.bound.clone()))
            .collect()
    }

    /// Asks everybody to go elsewhere for more.
    pub(crate) fn leave(&self) {
        self.proceed(Stage::Leaving);
    }

    /// Closes the doors, lets the connections finish what is in flight, and waits for that: at most `requests`
    /// for answers that come whole, `streams` for streams. Whether all finished.
    pub(crate) async fn close(&self, gateway: &Gateway, requests: Duration, streams: Duration) -> bool {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.proceed(Stage::Closing);
        let mut alive = self.alive.lock().await;
        if tokio::time::timeout(requests, alive.recv()).await.is_ok() {
            return true;
        }
        let Some(rest) = streams.checked_sub(requests).filter(|rest| !rest.is_zero()) else { return false };
        gateway.telemetry.hurry();
        self.proceed(Stage::Hurrying);
        tokio::time::timeout(rest, alive.recv()).await.is_ok()
    }

    /// Breaks off what is in flight. Telemetry must have been told first: that is how answers learn of it.
    pub(crate) async fn end(&self) {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.proceed(Stage::Ending);
        self.alive.lock().await.recv().await;
    }

    fn listening(&self) -> Vec<Address> {
        let doors = self.lock();
        let open = doors.iter().filter(|door| *door.stage.borrow() == Stage::Open);
        open.map(|door| door.configured.clone()).collect()
    }

    fn proceed(&self, to: Stage) {
        for door in self.lock().iter() {
            door.stage.send_if_modified(|stage| {
                let later = *stage < to;
                *stage = to.max(*stage);
                later
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
