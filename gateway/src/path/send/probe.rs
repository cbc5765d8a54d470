//! An upstream's socket that can be read past the runtime. The runtime tells what came on a socket when it has
//! looked at all of them, which on a busy core is milliseconds later. A kept connection that its upstream has closed
//! meanwhile would still be given a request, and that could not be sent again: whether it was acted on, nobody knows
//! (RFC 9110, 9.2.2). So the system itself is asked first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Enough for what comes unasked; more of it is read as usual.
const UNASKED_BYTES: usize = 128;

/// A socket that its [`Probe`] can have read past the runtime.
#[derive(Debug)]
pub(super) struct Probed {
    stream: TcpStream,
    asked: Arc<AtomicBool>,
}

/// Has the system asked at the next read.
#[derive(Debug)]
pub(super) struct Probe(Arc<AtomicBool>);

impl Probed {
    pub(super) fn new(stream: TcpStream) -> (Self, Probe) {
        let asked = Arc::<AtomicBool>::default();
        (Self { stream, asked: asked.clone() }, Probe(asked))
    }

    /// What the system has, if it has anything: nothing is an end.
    fn read_now(&self, buffer: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        let mut bytes = [0; UNASKED_BYTES];
        let room = buffer.remaining().min(bytes.len());
        match rustix::io::read(&self.stream, bytes.get_mut(..room)?) {
            Ok(count) => {
                buffer.put_slice(bytes.get(..count)?);
                Some(Ok(()))
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(error) => Some(Err(error.into())),
        }
    }
}

impl Probe {
    pub(super) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl AsyncRead for Probed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.asked.load(Ordering::Relaxed)
            && self.asked.swap(false, Ordering::Relaxed)
            && let Some(read) = self.read_now(buffer)
        {
            return Poll::Ready(read);
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Probed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
