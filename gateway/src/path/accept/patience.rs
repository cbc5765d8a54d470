//! How long a connection may keep Weir waiting, for the head of a request or for another request.
//!
//! hyper's own timeout for heads sets a timer for every request, which wakes the runtime each time (a fifth
//! of the cost of a small request), and counts the quiet time of a kept connection as a slow head. Here a
//! connection notes what it waits for, and one slow tick looks at the note. The tick also finds the callers
//! whose leaving hyper does not see, because they had sent more than their request before.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// How long the head of a request may take: a caller that is slower is an attack or lost.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection is kept for another request: longer than callers keep theirs, so that it is they
/// who close, and no request crosses a close.
const IDLE: Duration = Duration::from_secs(75);
/// How often a connection looks at its note; heads are cut that much later at most.
pub(super) const TICK: Duration = Duration::from_secs(5);

/// What a connection waits for, and since when.
#[derive(Debug)]
pub(super) struct Patience {
    opened: Instant,
    /// Milliseconds from `opened` to the last change, times 4, plus the [`Wait`].
    note: AtomicU64,
    /// Whether the socket is to be asked if the caller is still there.
    look: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// For the first byte of a request.
    Request = 0,
    /// For the rest of its head.
    Head = 1,
    /// For nothing from the caller that is bounded here: a call is being served.
    Nothing = 2,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Arc<Self> {
        let patience = Self { opened: now, note: AtomicU64::new(0), look: AtomicBool::new(false) };
        // A new connection comes with a request: its caller gets no longer than for a head.
        patience.note(Wait::Head, now);
        Arc::new(patience)
    }

    /// A head has come: the connection is busy until the guard is dropped.
    pub(super) fn serve(self: &Arc<Self>, now: Instant) -> Busy {
        self.note(Wait::Nothing, now);
        Busy(self.clone())
    }

    /// Whether the caller has kept Weir waiting for too long.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let note = self.note.load(Ordering::Relaxed);
        let since = self.opened + Duration::from_millis(note >> 2);
        let waited = now.saturating_duration_since(since);
        match note & 3 {
            0 => waited >= IDLE,
            1 => waited >= HEAD,
            _ => false,
        }
    }

    /// Has the socket asked, at its next turn, if the caller is still there.
    pub(super) fn look_for_caller(&self) {
        self.look.store(true, Ordering::Relaxed);
    }

    fn note(&self, wait: Wait, now: Instant) {
        let since = now.saturating_duration_since(self.opened).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX >> 2);
        self.note.store(since << 2 | wait as u64, Ordering::Relaxed);
    }

    /// Bytes came.
    fn heard(&self) {
        if self.note.load(Ordering::Relaxed) & 3 == Wait::Request as u64 {
            self.note(Wait::Head, Instant::now());
        }
    }
}

/// A call is being served; dropped with its answer.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Patience>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.note(Wait::Request, Instant::now());
    }
}

/// A socket that notes when bytes come.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) io: TcpStream,
    pub(super) patience: Arc<Patience>,
}

impl Heard {
    /// Whether the caller has closed its side, whatever it sent before.
    fn is_left(&self, context: &mut Context<'_>) -> bool {
        let ready = pin!(self.io.ready(Interest::READABLE));
        matches!(ready.poll(context), Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.patience.heard();
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
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes at every turn of a connection, also while it waits for an answer.
        if self.patience.look.load(Ordering::Relaxed) {
            self.patience.look.store(false, Ordering::Relaxed);
            if self.is_left(context) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_head_is_cut_and_a_quiet_connection_is_kept_longer() {
        let start = Instant::now();
        let patience = Patience::new(start);
        assert!(!patience.is_over(start + Duration::from_secs(9)));
        assert!(patience.is_over(start + HEAD));
        let busy = patience.serve(start);
        assert!(!patience.is_over(start + Duration::from_secs(10_000)), "a call takes as long as it takes");
        drop(busy);
        let quiet = Instant::now();
        assert!(!patience.is_over(quiet + IDLE - Duration::from_secs(1)));
        assert!(patience.is_over(quiet + IDLE + Duration::from_secs(1)));
        patience.heard();
        assert!(patience.is_over(Instant::now() + HEAD));
    }
}
