//! The caller's socket as hyper sees it: it tells HTTP/2 from HTTP/1 by the first bytes, and notes what the
//! connection's clocks and its budget have to know.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::budget::Frames;
use super::patience::Patience;
use super::socket::Socket;

/// How HTTP/2 begins. No method of HTTP/1 does.
const PREFACE: &[u8] = b"PRI ";
/// Enough for what tells the protocols apart, and little to copy.
const FIRST_BYTES: usize = 16;

/// GOAWAY with `ENHANCE_YOUR_CALM`; no stream is named, since the caller asked for nothing that would matter.
const CALM: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0x0b];

/// What a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A caller's socket.
#[derive(Debug)]
pub(super) struct Heard {
    socket: Socket,
    patience: Arc<Patience>,
    /// What was read to tell the protocol, until hyper has had it.
    first: [u8; FIRST_BYTES],
    from: usize,
    to: usize,
    /// For HTTP/2.
    frames: Option<Frames>,
    /// Whether everything that was written has been handed to the system.
    flushed: bool,
}

impl Heard {
    pub(super) fn new(socket: Socket, patience: Arc<Patience>) -> Self {
        Self { socket, patience, first: [0; FIRST_BYTES], from: 0, to: 0, frames: None, flushed: true }
    }

    /// Reads until it is clear what the caller speaks; an error if it leaves before, or speaks something else than it
    /// promised.
    pub(super) fn poll_protocol(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Protocol>> {
        loop {
            let heard = self.first.get(..self.to).unwrap_or_default();
            let preface = PREFACE.get(..heard.len().min(PREFACE.len())).unwrap_or_default();
            if !heard.starts_with(preface) {
                if self.socket.promises_http2() {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                return Poll::Ready(Ok(Protocol::Http1));
            }
            if heard.len() >= PREFACE.len() {
                self.frames = Some(Frames::new());
                return Poll::Ready(Ok(Protocol::Http2));
            }
            let mut buffer = ReadBuf::new(self.first.get_mut(self.to..).unwrap_or_default());
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer))?;
            let length = buffer.filled().len();
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.to += length;
        }
    }

    /// Whether the caller has said anything yet.
    pub(super) fn has_heard(&self) -> bool {
        self.to > 0
    }

    /// Whether everything that was written has been handed to the system.
    pub(super) fn is_flushed(&self) -> bool {
        self.flushed
    }

    /// Gives hyper what was read to tell the protocol.
    fn replay(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let first = self.first.get(self.from..self.to).unwrap_or_default();
        let first = first.get(..first.len().min(buffer.remaining())).unwrap_or_default();
        buffer.put_slice(first);
        self.from += first.len();
        !first.is_empty()
    }

    fn wrote(&mut self, polled: &Poll<io::Result<usize>>) {
        match polled {
            _ if self.socket.notes_itself() => {}
            Poll::Ready(_) => self.patience.unblock(),
            Poll::Pending => self.patience.block(),
        }
        self.flushed = false;
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let replayed = self.from < self.to && self.replay(buffer);
        let mut polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        if replayed {
            // Whatever the socket said is said again when it is asked again.
            polled = Poll::Ready(Ok(()));
        }
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            let this = &mut *self;
            let Some(frames) = &mut this.frames else {
                this.patience.heard();
                return polled;
            };
            if !frames.pass(new, &this.patience.budget) {
                // Only between two frames, and only if there is room: nothing is owed to a flood.
                if this.flushed {
                    let said = Pin::new(&mut this.socket).poll_write(context, CALM);
                    this.flushed = said.is_pending();
                }
                return Poll::Ready(Err(io::Error::other("the caller floods its connection")));
            }
        }
        polled
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.wrote(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes at every turn of a connection, also while it waits for an answer.
        if self.patience.looks() && self.socket.is_left(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let polled = Pin::new(&mut self.socket).poll_flush(context);
        self.flushed = polled.is_ready();
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        if self.patience.given_up.load(Ordering::Relaxed) {
            self.socket.forget_unread();
        }
    }
}
