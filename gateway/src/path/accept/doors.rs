//! All doors of a process: opened at the start, opened and closed by reloads, closed at the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use router_core::config::Address;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

use super::door::accept;
use crate::gateway::Gateway;

/// The doors of a running gateway.
#[derive(Debug)]
pub(crate) struct Doors {
    doors: Mutex<Vec<Door>>,
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
    new: Vec<(Address, Address, TcpListener)>,
    wanted: Vec<Address>,
}

impl Doors {
    pub(crate) fn new() -> Arc<Self> {
        let (guard, alive) = mpsc::channel(1);
        Arc::new(Self {
            doors: Mutex::default(),
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
            let fault = |error: std::io::Error| format!("cannot listen on {address}: {error}");
            let Address::Tcp(socket) = address else {
                return Err(format!(
                    "cannot listen on {address}: Unix sockets are not supported by this version"
                ));
            };
            let listener = TcpListener::bind(socket).await.map_err(fault)?;
            let bound = listener.local_addr().map_err(fault)?.into();
            new.push((address.clone(), bound, listener));
        }
        Ok(Opened { new, wanted: wanted.to_vec() })
    }

    /// Serves what was opened, and closes the doors that are not wanted any more: their connections finish what
    /// is in flight.
    pub(crate) fn settle(&self, gateway: &Arc<Gateway>, opened: Opened) {
        let Opened { new, mut wanted } = opened;
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut doors = self.lock();
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
        for (configured, bound, listener) in new {
            let (stage, stages) = watch::channel(Stage::Open);
            if let Some(guard) = guard.clone() {
                tokio::spawn(accept(listener, gateway.clone(), stages, guard));
            }
            doors.push(Door { configured, bound, stage });
        }
    }

    /// Where clients are listened for.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.lock()
            .iter()
            .filter(|door| *door.stage.borrow() == Stage::Open)
            .map(|door| door.bound.clone())
            .collect()
    }

    /// Asks everybody to go elsewhere for more.
    pub(crate) fn leave(&self) {
        self.proceed(Stage::Leaving);
    }

    /// Closes the doors, lets the connections finish what is in flight, and waits for that: at most `requests`
    /// for answers that come whole, `streams` for streams. Whether all finished.
    pub(crate) async fn close(&self, gateway: &Gateway, requests: Duration, streams: Duration) -> bool {
        self.proceed(Stage::Closing);
        self.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
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
        self.proceed(Stage::Ending);
        self.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
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
