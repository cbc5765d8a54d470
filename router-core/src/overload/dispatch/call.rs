//! What comes into a dispatcher and what it says: arrivals, decisions, refusals.

use std::time::Duration;

use super::slab::Key;
use crate::dialect::{Dialect, Shed};

/// A call that the dispatcher knows: it waits or is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(pub(super) Key);

/// A place at an endpoint, held by an attempt of a call from its start until its end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PermitId(pub(super) Key);

/// A set of a topic's targets, by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Targets(pub(super) u64);

impl Targets {
    /// As many targets can be told apart.
    pub const MOST: usize = 64;
    /// Every target.
    pub const ALL: Self = Self(u64::MAX);
    /// No target.
    pub const NONE: Self = Self(0);

    /// The set with this target too.
    #[must_use]
    pub const fn with(self, target: usize) -> Self {
        if target < Self::MOST { Self(self.0 | 1 << target) } else { self }
    }

    pub(super) const fn only(target: usize) -> Self {
        Self::NONE.with(target)
    }

    pub(super) const fn without(self, target: usize) -> Self {
        Self(self.0 & !Self::only(target).0)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn contains(self, target: usize) -> bool {
        target < Self::MOST && self.0 & 1 << target != 0
    }

    /// The only one, if there is just one.
    pub(super) const fn single(self) -> Option<usize> {
        if self.0.is_power_of_two() { Some(self.0.trailing_zeros() as usize) } else { None }
    }

    /// Their indices, lowest first.
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(self.0), |rest| Some(rest & rest.wrapping_sub(1)))
            .take_while(|rest| *rest != 0)
            .map(|rest| rest.trailing_zeros() as usize)
    }
}

/// How soon a call is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Somebody waits for it.
    Realtime,
    /// Whenever there is room.
    Batch,
}

/// Whether a call is new demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// It was not asked before.
    New,
    /// It was refused before and is asked again (`x-stainless-retry-count` over 0): another refusal is no further
    /// unmet demand.
    Repeated,
}

/// A call that wants to be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// Index into [`Plan::topics`](super::Plan::topics).
    pub topic: usize,
    /// Index into [`Plan::segments`](super::Plan::segments).
    pub segment: usize,
    /// How soon it is wanted.
    pub priority: Priority,
    /// Those of the topic's targets that could serve it (that speak its dialect).
    pub targets: Targets,
    /// Its dialect: while it waits, a reload may take away that one of those targets speaks it.
    pub dialect: Dialect,
    /// The one target that a canary rule binds it to; it takes no turn of the others then.
    pub bound: Option<usize>,
    /// Estimated length of its prompt.
    pub prompt_tokens: u32,
    /// Estimated length of prompt and answer.
    pub tokens: u32,
    /// Whether its answer will be seen as it is made.
    pub stream: bool,
    /// How long its caller will wait for the first token; `None` for a caller that did not say and was promised
    /// nothing, and whose call is never refused by prediction.
    pub patience: Option<Duration>,
    /// How long its caller will wait for the whole answer (deadline and timeout of a call that does not stream): less
    /// what answers of the topic take from the first token to the end, it is a patience too.
    pub answer_within: Option<Duration>,
    /// Whether it is asked for the first time.
    pub demand: Demand,
    /// Uniform over `u64`.
    pub random: u64,
}

/// What becomes of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It starts now.
    Started(Start),
    /// It waits; a [`Decision`] about it will come.
    Queued(CallId),
    /// It is not taken.
    Refused(Refusal),
}

/// What becomes of calls that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It starts now.
    Start(Start),
    /// It is given up.
    Drop {
        /// Which call.
        call: CallId,
        /// Why, and when to come again.
        refusal: Refusal,
    },
}

/// A call that starts, with all that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which call.
    pub call: CallId,
    /// Its place at the endpoint, to be given back by [`Dispatcher::finish`](super::Dispatcher::finish).
    pub permit: PermitId,
    /// Index into the topic's targets.
    pub target: usize,
    /// Index into [`Plan::pools`](super::Plan::pools).
    pub pool: usize,
    /// Index into the pool's endpoints.
    pub endpoint: usize,
}

/// Why a call is not served, and when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Shed,
    /// When there may be room, by the pace at which calls start now: 1 s to 30 s.
    pub retry_after: Duration,
}
