//! How long a connection may keep Weir waiting: for the head of a request, for another request, for an answer
//! to be taken.
//!
//! hyper's own timeout for heads sets a timer for every request, which wakes the runtime each time (a fifth
//! of the cost of a small request), and counts the quiet time of a kept connection as a slow head. Here a
//! connection notes what it waits for, and one slow tick looks at the note. The tick also finds the callers
//! whose leaving hyper does not see, because they had sent more than their request before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use router_core::config::Limits;

use super::budget::Budget;
use crate::path::telemetry::Limit;

/// How often a connection looks at its note where its clocks are long; they run over by that much at most.
const TICK_MAX: Duration = Duration::from_secs(5);
/// How often at most.
const TICK_MIN: Duration = Duration::from_millis(20);
/// What hyper may take of an answer while the caller's socket is full. With a piece of the upstream's that is
/// under way, at most 64 KiB for each stream.
const AHEAD_BYTES: usize = 32 * 1024;
/// A call that its caller gives up sooner, before any answer, was hardly asked in earnest.
const PREMATURE: Duration = Duration::from_secs(1);

/// The clocks of a connection, as they were configured when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    header_read: Duration,
    idle: Duration,
    pub(super) client_stall: Duration,
}

/// What a connection waits for, and since when.
#[derive(Debug)]
pub(crate) struct Patience {
    opened: Instant,
    clocks: Clocks,
    /// Milliseconds from `opened` to the last change, times 2, plus the [`Wait`].
    note: AtomicU64,
    /// Calls that are being served; while there are any, nothing is waited for that is bounded here.
    calls: AtomicU32,
    /// Milliseconds from `opened`, plus 1, to when the socket would take no more; 0 while it does.
    blocked: AtomicU64,
    /// Whether the socket is to be asked if the caller is still there.
    look: AtomicBool,
    /// What an HTTP/2 caller may still do that serves no call.
    pub(super) budget: Budget,
    /// Whether what the caller has not read may be forgotten as the socket is closed.
    pub(super) given_up: AtomicBool,
    /// Whether the caller is to be asked to make its next call elsewhere.
    pub(super) leave: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// For the first byte of a request.
    Request = 0,
    /// For the rest of its head.
    Head = 1,
}

impl Clocks {
    pub(super) fn of(limits: &Limits) -> Self {
        let Limits { header_read, idle, client_stall, .. } = *limits;
        Self { header_read, idle, client_stall }
    }

    /// How often to look at the note.
    pub(super) fn tick(&self) -> Duration {
        (self.header_read.min(self.idle).min(self.client_stall) / 2).clamp(TICK_MIN, TICK_MAX)
    }
}

impl Patience {
    pub(super) fn new(now: Instant, clocks: Clocks) -> Arc<Self> {
        Arc::new(Self {
            opened: now,
            clocks,
            // A new connection comes with a request: its caller gets no longer than for a head.
            note: AtomicU64::new(Wait::Head as u64),
            calls: AtomicU32::new(0),
            blocked: AtomicU64::new(0),
            look: AtomicBool::new(false),
            budget: Budget::new(now),
            given_up: AtomicBool::new(false),
            leave: AtomicBool::new(false),
        })
    }

    /// A head has come: the connection is busy until the guard is dropped.
    pub(super) fn serve(self: &Arc<Self>, now: Instant, taking: Option<Taking>) -> Busy {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Busy { patience: self.clone(), since: now, answered: false, ahead: 0, taking }
    }

    /// The clock of which the caller has kept Weir waiting for too long, if any.
    pub(super) fn over(&self, now: Instant) -> Option<Limit> {
        let waited = |ms| now.saturating_duration_since(self.opened + Duration::from_millis(ms));
        let blocked = self.blocked.load(Ordering::Relaxed);
        if blocked > 0 && waited(blocked - 1) >= self.clocks.client_stall {
            return Some(Limit::ClientStall);
        }
        if self.calls.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let note = self.note.load(Ordering::Relaxed);
        let (limit, clock) = if note & 1 == Wait::Request as u64 {
            (Limit::Idle, self.clocks.idle)
        } else {
            (Limit::HeaderRead, self.clocks.header_read)
        };
        (waited(note >> 1) >= clock).then_some(limit)
    }

    /// Has the socket asked, at its next turn, if the caller is still there.
    pub(super) fn look_for_caller(&self) {
        self.look.store(true, Ordering::Relaxed);
    }

    /// Whether the socket is to be asked now.
    pub(super) fn looks(&self) -> bool {
        self.look.load(Ordering::Relaxed) && self.look.swap(false, Ordering::Relaxed)
    }

    /// Bytes came that begin a request, if none had.
    pub(super) fn heard(&self) {
        if self.note.load(Ordering::Relaxed) & 1 == Wait::Request as u64
            && self.calls.load(Ordering::Relaxed) == 0
        {
            self.note(Wait::Head, Instant::now());
        }
    }

    /// The socket would take no more.
    pub(super) fn block(&self) {
        if self.blocked.load(Ordering::Relaxed) == 0 {
            self.blocked.store(self.ms(Instant::now()) + 1, Ordering::Relaxed);
        }
    }

    /// The socket took something.
    pub(super) fn unblock(&self) {
        if self.blocked.load(Ordering::Relaxed) > 0 {
            self.blocked.store(0, Ordering::Relaxed);
        }
    }

    fn note(&self, wait: Wait, now: Instant) {
        self.note.store(self.ms(now) << 1 | wait as u64, Ordering::Relaxed);
    }

    fn ms(&self, now: Instant) -> u64 {
        let ms = now.saturating_duration_since(self.opened).as_millis();
        u64::try_from(ms).unwrap_or(u64::MAX >> 2)
    }
}

/// Whether a piece of an answer waits for its caller: handed to hyper, which has not asked for another.
#[derive(Clone, Debug, Default)]
pub(super) struct Taking(
    /// Counts both, so it is odd while a piece waits.
    Arc<AtomicU32>,
);

/// In place of a count: the piece has waited for too long.
const GIVEN_UP: u32 = u32::MAX;

impl Taking {
    /// Nobody waits any longer for the piece to be taken.
    pub(super) fn give_up(&self) {
        self.0.store(GIVEN_UP, Ordering::Relaxed);
    }

    fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == GIVEN_UP
    }

    /// The number of the piece that waits.
    pub(super) fn waiting(&self) -> Option<u32> {
        let count = self.0.load(Ordering::Relaxed);
        (count & 1 == 1).then_some(count)
    }

    fn asked(&self) {
        if self.waiting().is_some() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn handed(&self) {
        if self.waiting().is_none() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A call is being served; dropped with its answer.
#[derive(Debug)]
pub(crate) struct Busy {
    patience: Arc<Patience>,
    since: Instant,
    answered: bool,
    /// Bytes handed to hyper since the socket would take no more.
    ahead: usize,
    /// `None` in HTTP/1, where the socket itself tells.
    taking: Option<Taking>,
}

impl Busy {
    /// The answer's head is there.
    pub(super) fn answered(&mut self) {
        self.answered = true;
        if self.taking.is_some() {
            self.patience.budget.refill_for_answer();
        }
    }

    /// hyper asks for more of the answer, so it has sent what it had, or has room. Whether it is to have it: as
    /// much as is on its way to a full socket already is enough. The socket wakes its connection, and with it
    /// whoever is told to wait here.
    pub(crate) fn wants_more(&mut self) -> bool {
        if let Some(taking) = &self.taking {
            taking.asked();
            return true;
        }
        if self.patience.blocked.load(Ordering::Relaxed) == 0 {
            self.ahead = 0;
        }
        self.ahead < AHEAD_BYTES
    }

    /// Whether the answer ends because its caller did not take it.
    pub(crate) fn is_given_up(&self) -> bool {
        self.patience.given_up.load(Ordering::Relaxed)
            || self.taking.as_ref().is_some_and(Taking::is_given_up)
    }

    /// hyper has got a piece of the answer.
    pub(crate) fn handed(&mut self, bytes: usize) {
        if let Some(taking) = &self.taking {
            taking.handed();
            self.patience.budget.refill_for_data(bytes);
        } else {
            self.ahead += bytes;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = Instant::now();
        if self.taking.is_some() && !self.answered && now - self.since < PREMATURE {
            self.patience.budget.spend_for_premature_end();
        }
        // In this order: whoever sees no call sees the note of when the last one ended.
        self.patience.note(Wait::Request, now);
        self.patience.calls.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks() -> Clocks {
        Clocks::of(&Limits::default())
    }

    #[test]
    fn a_slow_head_is_cut_and_a_quiet_connection_is_kept_longer() {
        let start = Instant::now();
        let patience = Patience::new(start, clocks());
        assert!(patience.over(start + Duration::from_secs(9)).is_none());
        assert!(matches!(patience.over(start + Duration::from_secs(10)), Some(Limit::HeaderRead)));
        let busy = patience.serve(start, None);
        assert!(
            patience.over(start + Duration::from_secs(10_000)).is_none(),
            "a call takes as long as it takes"
        );
        drop(busy);
        let quiet = Instant::now();
        assert!(patience.over(quiet + Duration::from_secs(74)).is_none());
        assert!(matches!(patience.over(quiet + Duration::from_secs(76)), Some(Limit::Idle)));
        patience.heard();
        assert!(matches!(patience.over(Instant::now() + Duration::from_secs(10)), Some(Limit::HeaderRead)));
    }

    #[test]
    fn a_socket_that_takes_nothing_is_given_up_whatever_else_is_waited_for() {
        let start = Instant::now();
        let patience = Patience::new(start, clocks());
        let busy = patience.serve(start, None);
        patience.block();
        assert!(patience.over(start + Duration::from_secs(59)).is_none());
        assert!(matches!(patience.over(Instant::now() + Duration::from_secs(61)), Some(Limit::ClientStall)));
        patience.unblock();
        assert!(patience.over(Instant::now() + Duration::from_secs(61)).is_none());
        drop(busy);
    }

    #[test]
    fn hyper_gets_little_ahead_of_a_full_socket() {
        let patience = Patience::new(Instant::now(), clocks());
        let mut busy = patience.serve(Instant::now(), None);
        busy.handed(10 * AHEAD_BYTES);
        assert!(busy.wants_more(), "a socket that takes everything is no reason to wait");
        patience.block();
        assert!(busy.wants_more());
        busy.handed(AHEAD_BYTES);
        assert!(!busy.wants_more());
        patience.unblock();
        assert!(busy.wants_more());
    }

    #[test]
    fn the_tick_follows_the_shortest_clock() {
        assert_eq!(clocks().tick(), Duration::from_secs(5));
        let short = Limits { idle: Duration::from_millis(300), ..Limits::default() };
        assert_eq!(Clocks::of(&short).tick(), Duration::from_millis(150));
    }
}
