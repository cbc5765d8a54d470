//! What one class of callers has used, and what one call of it holds.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Cell, Kind, Rate, Terms};

/// What one class of callers, or one key, has used of its quota.
#[derive(Debug, Default)]
pub struct Meter {
    requests: Cell,
    tokens: Cell,
    concurrent: AtomicU32,
}

/// What one call has taken. It has to be settled, or given back, exactly once.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "a place that is not left stays taken"]
pub struct Hold {
    /// Whether it was counted as a request.
    request: bool,
    /// Whether it has a place among the calls at a time.
    place: bool,
    /// Tokens that are reserved for it.
    tokens: Option<u32>,
}

/// Why a call is beyond its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// What there is no more of.
    pub kind: Kind,
    /// When there is some again.
    pub wait: Duration,
}

impl Hold {
    /// Tokens that are reserved for the call, if tokens are counted.
    #[must_use]
    pub const fn tokens(&self) -> Option<u32> {
        self.tokens
    }
}

impl Meter {
    /// A call comes, of which only the head is known: takes one request and one place.
    ///
    /// # Errors
    ///
    /// What there is no more of. Nothing is taken then.
    pub fn enter(&self, terms: &Terms, now: Duration) -> Result<Hold, Spent> {
        let mut hold = Hold::default();
        if let Some(most) = terms.concurrent {
            let next = |taken: u32| (taken < most).then_some(taken + 1);
            let taken = self.concurrent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
            hold.place = taken.is_ok();
            if !hold.place {
                return Err(Spent { kind: Kind::Concurrency, wait: PLACE_WAIT });
            }
        }
        if let Some(rate) = &terms.requests {
            if let Err(wait) = self.requests.take(rate, 1, now) {
                self.leave(&mut hold);
                return Err(Spent { kind: Kind::Requests, wait });
            }
            hold.request = true;
        }
        Ok(hold)
    }

    /// The call's body has come: reserves its tokens.
    ///
    /// # Errors
    ///
    /// There are not as many. The rest of the hold stays as it is.
    pub fn reserve(&self, terms: &Terms, hold: &mut Hold, tokens: u32, now: Duration) -> Result<(), Spent> {
        let Some(rate) = &terms.tokens else { return Ok(()) };
        self.tokens.take(rate, tokens, now).map_err(|wait| Spent { kind: Kind::Tokens, wait })?;
        hold.tokens = Some(tokens);
        Ok(())
    }

    /// The call was answered, or tried, with so many tokens in all: what was reserved beyond that comes back, what is
    /// missing is charged to the time that follows.
    pub fn settle(&self, terms: &Terms, mut hold: Hold, tokens: u32, now: Duration) {
        if let (Some(rate), Some(reserved)) = (&terms.tokens, hold.tokens) {
            self.tokens.give_back(rate, reserved.saturating_sub(tokens));
            self.tokens.charge(rate, tokens.saturating_sub(reserved), now);
        }
        self.leave(&mut hold);
    }

    /// Nothing was made of the call: its tokens and its request come back.
    pub fn give_back(&self, terms: &Terms, mut hold: Hold) {
        if let (Some(rate), Some(reserved)) = (&terms.tokens, hold.tokens) {
            self.tokens.give_back(rate, reserved);
        }
        if let (Some(rate), true) = (&terms.requests, hold.request) {
            self.requests.give_back(rate, 1);
        }
        self.leave(&mut hold);
    }

    fn leave(&self, hold: &mut Hold) {
        if std::mem::take(&mut hold.place) {
            self.concurrent.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Keeps what has been used while the terms change. What was not counted until now begins with a full bucket: a
    /// cell that was left behind by an earlier quota knows the time that it needs, but not at which rate.
    pub fn convert(&self, before: &Terms, after: &Terms, now: Duration) {
        let convert = |cell: &Cell, before: Option<Rate>, after: Option<Rate>| match (before, after) {
            (Some(before), Some(after)) => cell.convert(&before, &after, now),
            (None, Some(_)) => cell.refill(),
            (_, None) => {}
        };
        convert(&self.requests, before.requests, after.requests);
        convert(&self.tokens, before.tokens, after.tokens);
    }

    /// The bucket of requests.
    #[must_use]
    pub const fn requests(&self) -> &Cell {
        &self.requests
    }

    /// The bucket of tokens.
    #[must_use]
    pub const fn tokens(&self) -> &Cell {
        &self.tokens
    }

    /// Calls that have a place.
    #[must_use]
    pub fn concurrent(&self) -> u32 {
        self.concurrent.load(Ordering::Relaxed)
    }
}

/// When a place may be free again is not known: about when a usual answer ends.
const PLACE_WAIT: Duration = Duration::from_secs(1);
