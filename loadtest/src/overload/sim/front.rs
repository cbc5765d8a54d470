//! What stands between the callers and the server: it hears what happens to calls and decides which of them start.

use super::call::{Call, CallId};
use super::scenario::Outage;
use router_core::overload::gauges::Gauges;
use router_core::overload::limiter::{Attempt, End, Limiter, Place, Seen};
use std::collections::VecDeque;
use std::time::Duration;

/// What a front decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The call goes to the server.
    Start(CallId),
    /// The call is refused.
    Refuse(CallId),
}

/// A front's decisions, carried out in order.
pub type Decisions = VecDeque<Decision>;

/// Overload control as the simulation sees it. A call that it neither starts nor refuses waits.
pub trait Front: std::fmt::Debug {
    /// A call has arrived.
    fn arrive(&mut self, now: Duration, call: &Call, decisions: &mut Decisions);

    /// The first token of a stream has come.
    fn first_token(&mut self, now: Duration, call: &Call, decisions: &mut Decisions);

    /// Another token of a stream has come.
    fn token(&mut self, now: Duration, call: &Call);

    /// The server has ended a call.
    fn finish(&mut self, now: Duration, call: &Call, end: End, decisions: &mut Decisions);

    /// The caller has left, whether its call waits or has started.
    fn leave(&mut self, now: Duration, call: &Call, decisions: &mut Decisions);

    /// Time passes.
    fn tick(&mut self, now: Duration, decisions: &mut Decisions);

    /// The server tells of its own queue.
    fn gauges(&mut self, _now: Duration, _gauges: Gauges, _decisions: &mut Decisions) {}
}

/// A limiter alone: who finds no place is refused at once.
#[derive(Debug)]
pub struct Gate {
    limiter: Box<dyn Limiter>,
    /// By call.
    places: Vec<Option<Place>>,
}

impl Gate {
    /// In front of everything, nothing started.
    pub fn new(limiter: Box<dyn Limiter>) -> Self {
        Self { limiter, places: Vec::new() }
    }

    fn observe(&mut self, now: Duration, call: &Call, seen: Seen) {
        if let Some(Some(place)) = self.places.get(index(call.id)) {
            self.limiter.observe(now, place, seen);
        }
    }

    fn release(&mut self, now: Duration, call: &Call, end: End) {
        if let Some(place) = self.places.get_mut(index(call.id)).and_then(Option::take) {
            self.limiter.release(now, place, end);
        }
    }
}

impl Front for Gate {
    fn arrive(&mut self, now: Duration, call: &Call, decisions: &mut Decisions) {
        let attempt = Attempt { prompt_tokens: call.prompt_tokens, stream: call.stream };
        let place = self.limiter.admit(now, attempt);
        let started = place.is_some();
        self.places.resize_with(self.places.len().max(index(call.id) + 1), || None);
        if let Some(slot) = self.places.get_mut(index(call.id)) {
            *slot = place;
        }
        decisions.push_back(if started { Decision::Start(call.id) } else { Decision::Refuse(call.id) });
    }

    fn first_token(&mut self, now: Duration, call: &Call, _: &mut Decisions) {
        self.observe(now, call, Seen::FirstToken);
    }

    fn token(&mut self, now: Duration, call: &Call) {
        self.observe(now, call, Seen::Tokens(1));
    }

    fn finish(&mut self, now: Duration, call: &Call, end: End, _: &mut Decisions) {
        self.release(now, call, end);
    }

    fn leave(&mut self, now: Duration, call: &Call, _: &mut Decisions) {
        self.release(now, call, End::Cancelled);
    }

    fn tick(&mut self, now: Duration, _: &mut Decisions) {
        self.limiter.tick(now);
    }

    fn gauges(&mut self, now: Duration, gauges: Gauges, _: &mut Decisions) {
        self.limiter.hear(now, gauges);
    }
}

/// So many calls at a time: what the attainable level is searched with. It is told of an outage.
#[derive(Debug)]
pub struct Fixed {
    limit: u32,
    /// The outage, and the limit while it lasts.
    reduced: Option<(Outage, u32)>,
    inflight: u32,
}

impl Fixed {
    /// `limit` calls at a time, whatever happens.
    pub fn new(limit: u32) -> Self {
        Self { limit, reduced: None, inflight: 0 }
    }

    /// Reduces the limit in proportion while some of `replicas` are away.
    #[must_use]
    pub fn told_of(self, outage: Option<Outage>, replicas: usize) -> Self {
        let lower = |outage: Outage| {
            let left = replicas.saturating_sub(outage.replicas) as u64;
            let limit = u64::from(self.limit) * left / (replicas as u64).max(1);
            (outage, u32::try_from(limit).unwrap_or(u32::MAX).max(1))
        };
        Self { reduced: outage.map(lower), ..self }
    }

    fn limit(&self, now: Duration) -> u32 {
        let during = |outage: &Outage| (outage.at.0..outage.until.0).contains(&now);
        self.reduced.filter(|(outage, _)| during(outage)).map_or(self.limit, |(_, limit)| limit)
    }
}

impl Front for Fixed {
    fn arrive(&mut self, now: Duration, call: &Call, decisions: &mut Decisions) {
        if self.inflight < self.limit(now) {
            self.inflight += 1;
            decisions.push_back(Decision::Start(call.id));
        } else {
            decisions.push_back(Decision::Refuse(call.id));
        }
    }

    fn first_token(&mut self, _: Duration, _: &Call, _: &mut Decisions) {}

    fn token(&mut self, _: Duration, _: &Call) {}

    fn finish(&mut self, _: Duration, _: &Call, _: End, _: &mut Decisions) {
        self.inflight -= 1;
    }

    fn leave(&mut self, _: Duration, _: &Call, _: &mut Decisions) {
        self.inflight -= 1;
    }

    fn tick(&mut self, _: Duration, _: &mut Decisions) {}
}

fn index(id: CallId) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}
