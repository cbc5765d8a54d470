//! The kinds of sockets that callers come by, as one: TCP, with or without TLS, and Unix-domain.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use http::HeaderValue;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

use super::tls::Wire;

/// What an upstream is told of a caller that came by a Unix-domain socket: it has no address. nginx's word.
const UNIX_PEER: HeaderValue = HeaderValue::from_static("unix:");

/// A caller's connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Boxed, so that whoever comes without TLS is not larger by it.
    Tls(Box<TlsStream<Wire>>),
}

/// Where connections come from.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// The next connection, ready for use, and the caller's address as upstreams are told it.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, HeaderValue)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Without this a token waits up to 40 ms for the caller's acknowledgement of the one before.
                // It fails only for a caller that has left, which its reader will notice.
                stream.set_nodelay(true).unwrap_or_default();
                let peer = HeaderValue::try_from(peer.ip().to_canonical().to_string());
                Ok((Socket::Tcp(stream), peer.map_err(io::Error::other)?))
            }
            Self::Unix(listener) => Ok((Socket::Unix(listener.accept().await?.0), UNIX_PEER)),
        }
    }
}

impl Socket {
    /// Whether the caller has closed its side, whatever it sent before.
    pub(super) fn is_left(&self, context: &mut Context<'_>) -> bool {
        let ready = match self {
            Self::Tcp(stream) => pin!(stream.ready(Interest::READABLE)).poll(context),
            Self::Tls(stream) => pin!(stream.get_ref().0.stream.ready(Interest::READABLE)).poll(context),
            Self::Unix(stream) => pin!(stream.ready(Interest::READABLE)).poll(context),
        };
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Bounds what the system holds of answers that the caller does not take: left alone it is megabytes for each,
    /// taken from the endpoint as fast as it will give, beside which other calls wait.
    pub(super) fn hold_at_most(&self, send_buffer_bytes: u64) {
        let bytes = usize::try_from(send_buffer_bytes).unwrap_or(usize::MAX);
        let set = match self {
            Self::Tcp(stream) => set_socket_send_buffer_size(stream, bytes),
            Self::Tls(stream) => set_socket_send_buffer_size(&stream.get_ref().0.stream, bytes),
            Self::Unix(stream) => set_socket_send_buffer_size(stream, bytes),
        };
        // It fails only for a socket that is none, and what stands then is the system's own bound.
        set.unwrap_or_default();
    }

    /// Has the system forget, as the socket is closed, what the caller has not read: it may be megabytes.
    pub(super) fn forget_unread(&self) {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => &stream.get_ref().0.stream,
            Self::Unix(_) => return,
        };
        stream.set_zero_linger().unwrap_or_default();
    }

    /// Whether it notes by itself what the caller takes.
    pub(super) const fn notes_itself(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether the caller has chosen HTTP/2 before it said anything in it.
    pub(super) fn promises_http2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
