//! The simulator as a server: many fit in one process, and one that has nothing to do costs nothing.

mod answer;
mod connection;
mod feed;
mod generate;

use super::desk::{Desk, Stats};
use super::fault::Fault;
use super::port::Port;
use super::settings::Settings;
use connection::converse;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves on `listener` until the handle is dropped. Call it inside a tokio runtime.
///
/// # Errors
///
/// Refuses settings that no server can have, and a listener without an address.
pub fn serve(listener: TcpListener, settings: Settings) -> io::Result<Handle> {
    settings.check().map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, problem))?;
    let desk = Arc::new(Desk::new(&settings));
    let fault = RwLock::new(settings.fault.clone());
    let server = Arc::new(Server { settings, desk: Arc::clone(&desk), fault });
    let mut tasks = JoinSet::new();
    tasks.spawn(desk.run());
    let host = Arc::clone(&server);
    let port = Port::open(listener, tasks, move |stream| converse(stream, Arc::clone(&host)))?;
    Ok(Handle { port, server })
}

/// A running server; dropped, it closes the port and every connection.
#[derive(Debug)]
pub struct Handle {
    port: Port,
    server: Arc<Server>,
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `http://ADDRESS`.
    pub fn url(&self) -> String {
        self.port.url()
    }

    /// What `GET /sim/stats` tells.
    pub fn stats(&self) -> Stats {
        self.server.desk.stats()
    }

    /// From now on every request that names no fault of its own meets this one, or none.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.server.set_fault(fault);
    }

    /// Closes the port and every connection, and returns when that is done.
    pub async fn stop(self) {
        self.port.stop().await;
    }
}

/// What all connections share.
#[derive(Debug)]
struct Server {
    settings: Settings,
    desk: Arc<Desk>,
    fault: RwLock<Option<Fault>>,
}

impl Server {
    fn fault(&self) -> Option<Fault> {
        self.fault.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_fault(&self, fault: Option<Fault>) {
        *self.fault.write().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}
