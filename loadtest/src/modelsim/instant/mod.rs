//! The same bytes for everybody, at once: an upstream for measuring what a proxy in front of it costs.
//!
//! No engine, no JSON, no HTTP library: a request is read to its end, and a prepared buffer is written, in one system
//! call where possible. A request that says `"stream": true` gets events, any other a document of about 700 bytes.
//! It knows just enough HTTP/1.1 for well-behaved proxies and load generators: keep-alive, `content-length` and
//! chunked bodies, `expect: 100-continue`, `connection: close`.

mod answers;
mod request;
#[cfg(test)]
mod tests;

use super::port::Port;
use answers::Answers;
use request::{Asked, Reader};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::WriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What a streamed answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// Events with content, about 236 bytes each.
    pub events: usize,
    /// Time between two events; without any, the whole answer is one write. An event is always a chunk of its own.
    pub gap: Duration,
}

impl Default for Burst {
    fn default() -> Self {
        Self { events: 100, gap: Duration::ZERO }
    }
}

/// Serves prepared answers on `listener` until the port is dropped. Call it inside a tokio runtime.
///
/// # Errors
///
/// Refuses a listener without an address.
pub fn serve(listener: TcpListener, burst: Burst) -> io::Result<Port> {
    let answers = Arc::new(Answers::new(burst));
    Port::open(listener, JoinSet::new(), move |stream| {
        let answers = Arc::clone(&answers);
        // The peer has gone or speaks something else: either way the connection just ends.
        async move { converse(stream, &answers).await.unwrap_or_default() }
    })
}

async fn converse(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut reader = Reader::new(read);
    while let Some(head) = reader.head().await? {
        if head.expects_continue {
            write.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        match reader.body(&head).await? {
            Asked::Document => write.write_all(&answers.document).await?,
            Asked::Events if answers.gap.is_zero() => write.write_all(&answers.burst).await?,
            Asked::Events => drip(&mut write, answers).await?,
        }
        if head.close {
            break;
        }
    }
    write.shutdown().await
}

async fn drip(write: &mut WriteHalf<'_>, answers: &Answers) -> io::Result<()> {
    write.write_all(&answers.head).await?;
    let mut next = Instant::now();
    for _ in 0..answers.events {
        write.write_all(&answers.event).await?;
        next += answers.gap;
        sleep_until(next).await;
    }
    write.write_all(&answers.end).await
}
