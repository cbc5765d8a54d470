//! A pool as the dispatcher sees it: which endpoint takes an attempt, and what holds attempts back.

use std::time::Duration;

use super::call::Priority;
use super::clock::{Class, Clock};
use super::plan::{self, Batch, Bulkhead, Counts};
use super::predict::{Estimate, FirstToken, Pace};
use crate::config::Balance;
use crate::overload::limiter::{Attempt, End, Limiter, Place, Reading};
use crate::select::{least_request, round_robin};

/// A pool's state.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) endpoints: Vec<Endpoint>,
    /// Those that do not rest.
    ready: Vec<u32>,
    /// When the first of the others comes back.
    pub(super) rests_until: Option<Duration>,
    balance: Balance,
    turn: usize,
    pub(super) batch: Batch,
    pub(super) bulkhead: Bulkhead,
    pub(super) counts: Counts,
    /// Every limiter refused since anything changed: not asked again until something does.
    pub(super) full: bool,
    pub(super) inflight: u32,
    pub(super) inflight_batch: u32,
    /// Calls that wait and could start here, and the realtime ones of them.
    pub(super) queued: u32,
    pub(super) queued_realtime: u32,
    /// The same in tokens, by segment and priority.
    pub(super) queued_tokens: Vec<[u64; 2]>,
    /// Lanes with such calls.
    pub(super) lanes: Vec<u32>,
    pub(super) clock: Clock,
    pub(super) pace: Pace,
    pub(super) first_token: FirstToken,
    /// By segment.
    pub(super) used: Vec<Used>,
    /// Streams without a first token; attempts that do not stream.
    pub(super) awaiting: u32,
    pub(super) whole: u32,
    /// As of the last tick.
    pub(super) sum: Sum,
    /// Of which part of the attempts that do not stream the limiters think that they wait for a first token.
    pub(super) whole_awaiting: f64,
}

/// One server of a pool.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) identity: String,
    pub(super) limiter: Box<dyn Limiter>,
    pub(super) inflight: u32,
    pub(super) rests_until: Option<Duration>,
    /// It is in no plan any more: what is under way there ends.
    pub(super) retired: bool,
}

/// What a segment holds at a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) inflight: u32,
    pub(super) awaiting: u32,
    pub(super) whole: u32,
}

/// What a pool's limiters think together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) inflight: u32,
    pub(super) awaiting: u32,
    pub(super) free: u32,
    /// `None` if any endpoint has no such cap.
    pub(super) decode_cap: Option<u32>,
    /// Mean base time to the first token (`s0`), seconds.
    pub(super) base: f64,
    /// Mean time to the first token of late where the base time is known, seconds.
    pub(super) first_token: Option<f64>,
}

impl Sum {
    /// How much would be under way with every free place taken.
    pub(super) fn limit(&self) -> u32 {
        let limit = self.inflight.saturating_add(self.free);
        self.decode_cap.map_or(limit, |cap| limit.min(cap.max(self.inflight)))
    }

    /// The used part of what the limiters count, 0..1.
    pub(super) fn used(&self, counts: Counts) -> f64 {
        used(counts, self.inflight, self.awaiting, self.free, self.decode_cap)
    }
}

fn used(counts: Counts, inflight: u32, awaiting: u32, free: u32, cap: Option<u32>) -> f64 {
    let part = |taken: u32, of: u32| if of == 0 { 1.0 } else { f64::from(taken) / f64::from(of) };
    match counts {
        Counts::Inflight => part(inflight, inflight.saturating_add(free)),
        Counts::FirstToken => part(awaiting, awaiting.saturating_add(free))
            .max(cap.map_or(0.0, |cap| part(inflight, cap).min(1.0))),
    }
}

/// What an attempt is, as far as a pool cares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) segment: usize,
    pub(super) class: Class,
    pub(super) attempt: Attempt,
    pub(super) tokens: u32,
    pub(super) random: u64,
    pub(super) ratio: Option<f64>,
    pub(super) share: f64,
}

impl Pool {
    pub(super) fn new(now: Duration, plan: plan::Pool, segments: usize) -> Self {
        let endpoints = plan.endpoints.into_iter().map(|endpoint| Endpoint {
            identity: endpoint.identity,
            limiter: endpoint.limiter,
            inflight: 0,
            rests_until: None,
            retired: false,
        });
        let mut pool = Self {
            name: plan.name,
            endpoints: endpoints.collect(),
            ready: Vec::new(),
            rests_until: None,
            balance: plan.balance,
            turn: 0,
            batch: plan.batch,
            bulkhead: plan.bulkhead,
            counts: plan.counts,
            full: false,
            inflight: 0,
            inflight_batch: 0,
            queued: 0,
            queued_realtime: 0,
            queued_tokens: vec![[0; 2]; segments],
            lanes: Vec::new(),
            clock: Clock::new(segments),
            pace: Pace::new(),
            first_token: FirstToken::new(),
            used: vec![Used::default(); segments],
            awaiting: 0,
            whole: 0,
            sum: Sum::default(),
            whole_awaiting: 0.0,
        };
        pool.roll_call(now);
        pool.sum = pool.read(now);
        pool
    }

    /// Finds out again which endpoints rest.
    pub(super) fn roll_call(&mut self, now: Duration) {
        self.ready.clear();
        self.rests_until = None;
        for (index, endpoint) in (0_u32..).zip(&mut self.endpoints) {
            endpoint.rests_until = endpoint.rests_until.filter(|until| *until > now);
            match endpoint.rests_until {
                _ if endpoint.retired => {}
                None => self.ready.push(index),
                Some(until) => {
                    self.rests_until = Some(self.rests_until.map_or(until, |first| first.min(until)));
                }
            }
        }
    }

    /// Lets endpoints come back whose rest is over; whether any did.
    pub(super) fn wake(&mut self, now: Duration) -> bool {
        let over = self.rests_until.is_some_and(|until| until <= now);
        if over {
            self.roll_call(now);
            self.full = false;
        }
        over
    }

    /// Calls of a priority that wait and could start here.
    pub(super) const fn queued_of(&self, priority: Priority) -> u32 {
        match priority {
            Priority::Realtime => self.queued_realtime,
            Priority::Batch => self.queued - self.queued_realtime,
        }
    }

    pub(super) fn rests(&self) -> bool {
        self.ready.is_empty()
    }

    pub(super) fn endpoints_ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether a limiter is worth asking.
    pub(super) fn has_room(&self) -> bool {
        !self.full && !self.ready.is_empty() && self.bulkhead.inflight.is_none_or(|cap| self.inflight < cap)
    }

    /// Whether its segment and class let this attempt start, whatever room there is.
    pub(super) fn lets(&self, segment: usize, class: Class, ratio: Option<f64>) -> bool {
        let batch_may = class.priority() == Priority::Realtime
            || self.batch_is_due()
            || self.queued_realtime == 0 && !self.is_reserved();
        batch_may && ratio.is_none_or(|ratio| self.within(segment, ratio))
    }

    /// Whether what the bulkhead leaves is not for batch calls.
    fn is_reserved(&self) -> bool {
        let below = 1.0 - self.batch.reserve;
        self.bulkhead.inflight.is_some_and(|cap| f64::from(self.inflight) >= below * f64::from(cap))
    }

    /// Whether batch calls have less than what they get in any case.
    pub(super) fn batch_is_due(&self) -> bool {
        self.inflight_batch < self.batch.minimum
    }

    /// Whether one more attempt keeps the segment within its part of the places that the limiters count.
    fn within(&self, segment: usize, ratio: f64) -> bool {
        let Some(used) = self.used.get(segment) else { return true };
        let below = |used: f64, places: u32| used + 1.0 <= (ratio * f64::from(places)).max(1.0) + 1e-9;
        match self.counts {
            Counts::Inflight => {
                below(f64::from(used.inflight), self.sum.inflight.saturating_add(self.sum.free))
            }
            Counts::FirstToken => {
                let awaiting = f64::from(used.awaiting) + f64::from(used.whole) * self.whole_awaiting;
                below(awaiting, self.sum.awaiting.saturating_add(self.sum.free))
                    && self.sum.decode_cap.is_none_or(|cap| below(f64::from(used.inflight), cap))
            }
        }
    }

    /// Takes a place at the endpoint whose turn it is, or at the next that has one.
    pub(super) fn admit(&mut self, now: Duration, ask: &Ask) -> Option<(u32, Place)> {
        let count = self.ready.len();
        let inflight = |index: usize| self.endpoints[self.ready[index] as usize].inflight;
        let first = match self.balance {
            Balance::LeastRequest => least_request(count, inflight, ask.random),
            Balance::RoundRobin => round_robin(count, self.turn),
        }?;
        let batch = ask.class.priority() == Priority::Batch && !self.batch_is_due();
        let mut held = false;
        for step in 0..count {
            let index = self.ready[(first + step) % count];
            let endpoint = &mut self.endpoints[index as usize];
            if batch && endpoint.is_reserved(now, self.counts, self.batch.reserve) {
                held = true;
                continue;
            }
            if let Some(place) = endpoint.limiter.admit(now, ask.attempt) {
                self.turn = first + step + 1;
                return Some((index, place));
            }
        }
        self.full = !held;
        None
    }

    /// An attempt starts.
    pub(super) fn begin(&mut self, endpoint: u32, ask: &Ask) {
        self.endpoints[endpoint as usize].inflight += 1;
        self.inflight += 1;
        self.inflight_batch += u32::from(ask.class.priority() == Priority::Batch);
        let used = &mut self.used[ask.segment];
        used.inflight += 1;
        if ask.attempt.stream {
            used.awaiting += 1;
            self.awaiting += 1;
        } else {
            used.whole += 1;
            self.whole += 1;
        }
        self.pace.started(ask.tokens);
        self.clock.charge(ask.segment, ask.class, f64::from(ask.tokens.max(1)) / ask.share);
    }

    /// A stream has its first token.
    pub(super) fn first_token(&mut self, now: Duration, segment: usize, took: Duration) {
        self.awaiting -= 1;
        self.used[segment].awaiting -= 1;
        self.first_token.sample(now, took);
    }

    /// What was asked for as a stream comes whole.
    pub(super) fn comes_whole(&mut self, segment: usize) {
        self.awaiting -= 1;
        self.whole += 1;
        let used = &mut self.used[segment];
        used.awaiting -= 1;
        used.whole += 1;
        self.full = false;
    }

    /// An attempt has ended.
    pub(super) fn end(&mut self, now: Duration, held: Held, end: End) {
        let endpoint = &mut self.endpoints[held.endpoint as usize];
        endpoint.limiter.release(now, held.place, end);
        endpoint.inflight -= 1;
        self.inflight -= 1;
        self.inflight_batch -= u32::from(held.class.priority() == Priority::Batch);
        let used = &mut self.used[held.segment as usize];
        used.inflight -= 1;
        if !held.stream {
            used.whole -= 1;
            self.whole -= 1;
        } else if !held.first_token {
            used.awaiting -= 1;
            self.awaiting -= 1;
        }
        self.full = false;
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Duration, elapsed: Duration) {
        self.wake(now);
        for endpoint in &mut self.endpoints {
            endpoint.limiter.tick(now);
        }
        if self.queued > 0 {
            self.pace.blocked(now);
        }
        self.pace.tick(now, elapsed);
        self.sum = self.read(now);
        let few_stream = 2 * self.whole > self.inflight;
        let estimate = self.sum.first_token.filter(|_| few_stream);
        let estimate = estimate.map(|mean| Estimate { mean, base: self.sum.base });
        if self.sum.free > 0 || estimate.is_some() {
            self.first_token.tick(now, elapsed, estimate);
        }
        let whole_awaiting = f64::from(self.sum.awaiting.saturating_sub(self.awaiting));
        self.whole_awaiting = (whole_awaiting / f64::from(self.whole.max(1))).min(1.0);
        self.full = false;
    }

    /// What its limiters think.
    pub(super) fn read(&self, now: Duration) -> Sum {
        let mut sum = Sum { decode_cap: Some(0), ..Sum::default() };
        let (mut based, mut timed, mut waited) = (0_u32, 0_u32, 0.0);
        for &index in &self.ready {
            let reading = self.endpoints[index as usize].limiter.read(now);
            sum.free = sum.free.saturating_add(reading.free);
            sum.awaiting += reading.awaiting_first_token;
            sum.decode_cap = sum.decode_cap.zip(reading.decode_cap).map(|(sum, cap)| sum.saturating_add(cap));
            if let Some(base) = reading.base_first_token {
                sum.base += base.as_secs_f64();
                based += 1;
                waited += reading.first_token.map_or(0.0, |time| time.as_secs_f64());
                timed += u32::from(reading.first_token.is_some());
            }
        }
        sum.inflight = self.inflight;
        sum.base /= f64::from(based.max(1));
        sum.first_token = (timed > 0).then(|| waited / f64::from(timed));
        if let Some(cap) = self.bulkhead.inflight {
            sum.free = sum.free.min(cap.saturating_sub(self.inflight));
        }
        sum
    }
}

impl Endpoint {
    /// Whether what is left of its window is not for batch calls.
    fn is_reserved(&self, now: Duration, counts: Counts, reserve: f64) -> bool {
        let Reading { inflight, awaiting_first_token, free, decode_cap, .. } = self.limiter.read(now);
        used(counts, inflight, awaiting_first_token, free, decode_cap) >= 1.0 - reserve
    }
}

/// A place that an attempt holds.
#[derive(Debug)]
pub(super) struct Held {
    /// Index of its call.
    pub(super) call: u32,
    pub(super) segment: u32,
    pub(super) class: Class,
    pub(super) pool: u32,
    pub(super) endpoint: u32,
    pub(super) place: Place,
    pub(super) stream: bool,
    pub(super) first_token: bool,
    pub(super) started: Duration,
}
