//! The operators' listeners as `axum` wants them.

use std::io;
use std::time::Duration;

use crate::path::accept::{Listener, Socket};
use crate::path::telemetry::{Level, Shared};

/// Pause after the system could not give a connection, so as not to spin.
const PAUSE: Duration = Duration::from_secs(1);

/// A listener whose faults are heard of.
pub(super) struct Entrance {
    pub(super) listener: Listener,
    pub(super) telemetry: Shared,
}

impl axum::serve::Listener for Entrance {
    type Io = Socket;
    type Addr = ();

    async fn accept(&mut self) -> (Socket, ()) {
        loop {
            match self.listener.accept().await {
                Ok((socket, _)) => return (socket, ()),
                Err(error) => {
                    let message = format!("cannot accept an operator's connection: {error}");
                    self.telemetry.event(Level::Warn, message);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}
