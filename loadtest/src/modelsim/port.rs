//! An open port: a task that accepts connections and owns theirs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A port in use; dropped, it closes together with its connections.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Port {
    /// Gives every connection a task running `talk`. Those tasks, and the ones in `tasks`, end with the port.
    pub(super) fn open<F>(
        listener: TcpListener,
        tasks: JoinSet<()>,
        talk: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr()?;
        Ok(Self { address, task: tokio::spawn(accept(listener, tasks, talk)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes the port and every connection, and returns when that is done.
    pub async fn stop(mut self) {
        self.task.abort();
        // It ends as aborted: there is nothing else to learn.
        drop((&mut self.task).await);
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<F>(listener: TcpListener, mut tasks: JoinSet<()>, talk: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Tokens are small: waiting for a full segment would delay every one of them.
                    if stream.set_nodelay(true).is_ok() {
                        tasks.spawn(talk(stream));
                    }
                }
                // Out of descriptors, most likely: connections that end make room.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
