//! One connection: HTTP/1 by hyper, and the rude ways to leave that HTTP has no words for.

use super::Server;
use super::answer::{Reaction, react};
use super::feed::Rude;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Serves one connection to its end. Errors are the peer's affair: nobody is told.
pub(super) async fn converse(stream: TcpStream, server: Arc<Server>) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        let reaction: Pin<Box<dyn Future<Output = Reaction> + Send>> =
            Box::pin(async move { react(&server, request).await });
        reaction
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let end = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let rude = end.err().and_then(|error| error.source()?.downcast_ref::<Rude>().copied());
    let mut stream = connection.into_parts().io.into_inner();
    let last = match rude {
        None => stream.shutdown().await,
        Some(Rude::Reset) => stream.set_zero_linger(),
        Some(Rude::Cut) => Ok(()),
        Some(Rude::Garbage) => stream.write_all(GARBAGE).await,
    };
    // The peer may be gone already; closing is what is left to do either way.
    drop(last);
}

/// Neither HTTP nor any other protocol; a line end, so that a line reader is not left waiting.
const GARBAGE: &[u8] = b"\x16\x03\x01 4'/$ this is not the protocol you are looking for \xff\xfe\r\n\r\n";
