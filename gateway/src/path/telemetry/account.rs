//! The facts of one call, noted by the rooms that it walks through.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use router_core::dialect::{Intent, Source};
use router_core::stream::Summary;

use super::{Limit, Record, Shared};
use crate::path::accept::Origin;
use crate::snapshot::{Caller, Route, Segment};

/// One call, from its head to the last byte of its answer.
#[derive(Debug)]
pub(crate) struct Account {
    telemetry: Shared,
    pub(crate) started: Instant,
    pub(crate) origin: Origin,
    facts: Mutex<Facts>,
}

/// What is known of a call. The rooms fill it in; what a call did not reach stays empty.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) intent: Option<Intent>,
    /// Method and path, for calls that no API knows.
    pub(crate) unknown: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    /// The caller's segment.
    pub(crate) segment: Option<Segment>,
    /// Who calls, if it is known.
    pub(crate) caller: Option<Arc<Caller>>,
    pub(crate) route: Option<Arc<Route>>,
    /// Index into the route's targets.
    pub(crate) target: Option<usize>,
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) stream: bool,
    pub(crate) status: u16,
    pub(crate) attempts: u8,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Time spent waiting for the caller's body.
    pub(crate) body_wait: Duration,
    /// Time spent waiting for a place.
    pub(crate) queued: Duration,
    /// When the attempt went to its endpoint.
    pub(crate) dispatched: Option<Instant>,
    /// From dispatch to the answer's head.
    pub(crate) upstream: Option<Duration>,
    /// Weir's own share: from arrival to the answer's head, waiting for others left out.
    pub(crate) overhead: Option<Duration>,
    /// From arrival to the first token.
    pub(crate) first_token: Option<Duration>,
    pub(crate) summary: Summary,
    pub(crate) ending: Option<Ending>,
    /// Our code for what went wrong.
    pub(crate) reason: Option<&'static str>,
    /// Whose doing that was.
    pub(crate) source: Option<Source>,
    /// What went wrong, for operators only.
    pub(crate) cause: Option<String>,
}

impl Facts {
    /// The upstream's time ends: the head of its answer has come, or all of it where that is waited for.
    pub(crate) fn answered(&mut self) {
        self.upstream = self.dispatched.map(|dispatched| dispatched.elapsed());
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The whole answer left.
    Complete,
    /// Weir answered with an error.
    Refused,
    /// The caller went away.
    ClientGone,
    /// The upstream broke off after the first byte.
    UpstreamCut,
    /// Weir was stopped, and the time to finish was over.
    Stopped,
}

impl Ending {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::ClientGone => "client_gone",
            Self::UpstreamCut => "upstream_cut",
            Self::Stopped => "stopped",
        }
    }
}

impl Account {
    /// Opens the account of a call that arrived at `started`.
    pub(crate) fn open(telemetry: Shared, origin: Origin, started: Instant) -> Open {
        let account = Arc::new(Self { telemetry, started, origin, facts: Mutex::default() });
        Open { account, closed: false }
    }

    /// The facts, to read or add to. The lock is the call's own: it is never contended.
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts that the call ran into a bound.
    pub(crate) fn hit(&self, limit: Limit) {
        self.telemetry.metrics.hit(limit);
    }

    /// Whether the process ends now, and does not wait for this call.
    pub(crate) fn is_stopped(&self) -> bool {
        self.telemetry.is_stopped(|| self.facts().stream)
    }

    fn settle(&self, ending: Ending) {
        let mut facts = std::mem::take(&mut *self.facts());
        let ending = *facts.ending.get_or_insert(ending);
        let total = self.started.elapsed();
        let request_id = self.origin.request_id.clone();
        self.telemetry.settle(Box::new(Record { request_id, total, ending, facts }));
    }
}

/// An account that is still open. It closes once: when told that all has been sent, or, as "client gone" or
/// "stopped", when it is dropped before.
#[derive(Debug)]
pub(crate) struct Open {
    account: Arc<Account>,
    closed: bool,
}

impl Open {
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The answer is over. A room that knows better has noted another ending.
    pub(crate) fn close(&mut self) {
        self.settle(Ending::Complete);
    }

    fn settle(&mut self, ending: Ending) {
        if !std::mem::replace(&mut self.closed, true) {
            self.account.settle(ending);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let stopped = self.account.is_stopped();
        self.settle(if stopped { Ending::Stopped } else { Ending::ClientGone });
    }
}
