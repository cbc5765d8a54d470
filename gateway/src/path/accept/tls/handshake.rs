//! The handshake: from a socket to one that speaks TLS, or to the reason why not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{Error, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Wire;
use crate::path::accept::patience::Patience;
use crate::path::accept::socket::Socket;
use crate::path::telemetry::Refusal;

/// How TLS begins: a handshake record.
const HANDSHAKE: u8 = 22;
/// What of an answer TLS may hold that the socket does not take.
const BUFFER_BYTES: usize = 32 * 1024;
/// What is answered to who speaks HTTP without TLS.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 25\r\n\r\nHTTPS is spoken here only";
/// How much of what it sent is read after that, so that the answer is not lost, and for how long.
const UNREAD_BYTES_MAX: u64 = 64 * 1024;
const UNREAD_TIME_MAX: Duration = Duration::from_millis(500);

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) cause: String,
}

/// Speaks TLS on a socket. The error is `None` for who left without a word, as the probes of load balancers do. Bounded
/// in memory, but not in time: that is the caller's concern.
pub(crate) async fn accept(
    socket: Socket,
    server: Arc<ServerConfig>,
    patience: Option<Arc<Patience>>,
) -> Result<Socket, Option<Refused>> {
    // No other listener has a certificate; never in the clear, should one have.
    let Socket::Tcp(mut stream) = socket else { return Err(None) };
    let mut first = [0];
    // Nothing is kept for who says nothing, and nothing is said in TLS to who speaks something else.
    match stream.peek(&mut first).await {
        Ok(1..) if first[0] == HANDSHAKE => {}
        Ok(1..) => {
            if first[0].is_ascii_uppercase() {
                timeout(UNREAD_TIME_MAX, say_plain(&mut stream)).await.unwrap_or(Ok(())).unwrap_or_default();
            }
            return Err(Some(Refused { refusal: Refusal::NotTls, cause: "no TLS".to_owned() }));
        }
        Ok(_) | Err(_) => return Err(None),
    }
    let wire = Wire { stream, patience };
    let bound = |session: &mut rustls::ServerConnection| session.set_buffer_limit(Some(BUFFER_BYTES));
    match TlsAcceptor::from(server).accept_with(wire, bound).await {
        Ok(stream) => Ok(Socket::Tls(Box::new(stream))),
        Err(error) => Err(Some(Refused { refusal: refusal(&error), cause: error.to_string() })),
    }
}

async fn say_plain(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(UNREAD_BYTES_MAX), &mut tokio::io::sink()).await.map(drop)
}

fn refusal(error: &io::Error) -> Refusal {
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => Refusal::ClientCertificate,
        Some(Error::AlertReceived(_)) => Refusal::Alert,
        Some(_) => Refusal::Protocol,
        None => Refusal::Left,
    }
}
