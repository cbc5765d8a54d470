//! The dispatcher behind its lock, and those who wait in line. Everybody who waits is woken by the event that lets it
//! go on; nobody asks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use router_core::overload::dispatch::{
    Admission, Arrival, CallId, Decision, Dispatcher, PermitId, Reason, Refusal, Start, Targets,
};
use router_core::overload::gauges::Gauges;
use router_core::overload::lag::{PoolState, TopicState};
use router_core::overload::limiter::{End, Reading, Seen};
use tokio::sync::{Notify, oneshot};

use super::{Admitted, Permit, plan};
use crate::path::identify::Call;
use crate::snapshot::{Snapshot, Target};

/// Where calls wait for their turn. Shared by all calls; held for some hundred nanoseconds an event.
#[derive(Debug)]
pub(crate) struct Line {
    /// What the dispatcher's times are counted from.
    origin: Instant,
    state: Mutex<State>,
    /// Rung when there is something to do again.
    awake: Notify,
}

#[derive(Debug)]
struct State {
    dispatcher: Dispatcher,
    /// What the dispatcher's numbers mean.
    snapshot: Arc<Snapshot>,
    waiting: HashMap<CallId, Waiter>,
    /// Kept for its memory.
    decisions: Vec<Decision>,
    /// Whether the ticker has nothing to do until it is rung.
    asleep: bool,
}

/// Who is to be told, and of which route.
#[derive(Debug)]
struct Waiter {
    route: Arc<str>,
    tell: oneshot::Sender<Decided>,
}

type Decided = Result<Admitted, Refusal>;

/// What becomes of an arrival.
pub(super) enum Arrived {
    Started(Admitted),
    Queued(Waiting),
    Refused(Refusal),
}

/// A call in line. Dropping it gives up its place there.
pub(super) struct Waiting {
    line: Arc<Line>,
    call: CallId,
    decided: oneshot::Receiver<Decided>,
}

/// Decisions with those whom they are about, to be told without the lock.
type Told = Vec<(oneshot::Sender<Decided>, Decided)>;

impl Line {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Arc<Self> {
        let dispatcher = Dispatcher::new(Duration::ZERO, plan::of(&snapshot));
        let state =
            State { dispatcher, snapshot, waiting: HashMap::new(), decisions: Vec::new(), asleep: true };
        Arc::new(Self { origin: Instant::now(), state: Mutex::new(state), awake: Notify::new() })
    }

    /// Lets time pass, for as long as the process lives.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.dispatcher.next_wakeup(self.now());
                state.asleep = next.is_none();
                next
            };
            match next {
                None => self.awake.notified().await,
                Some(at) => {
                    tokio::time::sleep_until((self.origin + at).into()).await;
                    self.change(|dispatcher, now, decisions| dispatcher.tick(now, decisions));
                }
            }
        }
    }

    /// Puts other tables into force. Calls that wait keep their place where theirs is still there.
    pub(crate) fn reload(self: &Arc<Self>, snapshot: Arc<Snapshot>) {
        let told = {
            let mut state = self.lock();
            let mut decisions = std::mem::take(&mut state.decisions);
            state.dispatcher.reload(self.now(), plan::of(&snapshot), &mut decisions);
            state.snapshot = snapshot;
            self.settle(&mut state, decisions)
        };
        tell(told);
    }

    /// A call wants to be served.
    pub(super) fn arrive(self: &Arc<Self>, call: &Call, arrival: &Arrival) -> Arrived {
        let (arrived, told) = {
            let mut state = self.lock();
            let now = self.now();
            let moved =
                (!Arc::ptr_eq(&state.snapshot, &call.snapshot)).then(|| state.found_again(call, arrival));
            let arrival = moved.as_ref().unwrap_or(arrival);
            let mut decisions = std::mem::take(&mut state.decisions);
            let admission = state.dispatcher.arrive(now, arrival, &mut decisions);
            let arrived = match admission {
                Admission::Started(start) => {
                    state.admitted(self, start, arrival.topic).map_or_else(Arrived::Refused, Arrived::Started)
                }
                Admission::Refused(refusal) => Arrived::Refused(refusal),
                Admission::Queued(id) => {
                    let (tell, decided) = oneshot::channel();
                    state.waiting.insert(id, Waiter { route: call.route.name.clone(), tell });
                    Arrived::Queued(Waiting { line: self.clone(), call: id, decided })
                }
            };
            (arrived, self.settle(&mut state, decisions))
        };
        tell(told);
        arrived
    }

    pub(super) fn observe(self: &Arc<Self>, permit: PermitId, seen: Seen) {
        self.change(|dispatcher, now, decisions| dispatcher.observe(now, permit, seen, decisions));
    }

    pub(super) fn finish(self: &Arc<Self>, permit: PermitId, end: End) {
        self.change(|dispatcher, now, decisions| {
            dispatcher.finish(now, permit, end, decisions);
        });
    }

    /// A server tells of its own queue, at this place in these tables; if others are in force by now, in vain.
    pub(super) fn hear(self: &Arc<Self>, snapshot: &Arc<Snapshot>, place: (usize, usize), gauges: Gauges) {
        let told = {
            let mut state = self.lock();
            if !Arc::ptr_eq(&state.snapshot, snapshot) {
                return;
            }
            let mut decisions = std::mem::take(&mut state.decisions);
            state.dispatcher.hear(self.now(), place, gauges, &mut decisions);
            self.settle(&mut state, decisions)
        };
        tell(told);
    }

    /// The endpoint takes nothing more for now.
    pub(super) fn refused(self: &Arc<Self>, permit: PermitId, rest: Duration) {
        self.change(|dispatcher, now, decisions| {
            dispatcher.rest(now, permit, now + rest);
            dispatcher.finish(now, permit, End::Refused, decisions);
        });
    }

    /// A caller that waits has left. One that was told to start at the same moment gives back what it got.
    fn leave(self: &Arc<Self>, call: CallId) {
        let told = {
            let mut state = self.lock();
            if state.waiting.remove(&call).is_none() {
                return;
            }
            let mut decisions = std::mem::take(&mut state.decisions);
            state.dispatcher.cancel(self.now(), call, &mut decisions);
            self.settle(&mut state, decisions)
        };
        tell(told);
    }

    /// How far behind each route is.
    pub(crate) fn topics(&self) -> Vec<TopicState> {
        let now = self.now();
        self.lock().dispatcher.topics(now)
    }

    /// The same for each pool.
    pub(crate) fn pools(&self) -> Vec<PoolState> {
        let now = self.now();
        self.lock().dispatcher.pools(now)
    }

    /// What the limiter of each endpoint thinks, by the endpoint's label.
    pub(crate) fn endpoints(&self) -> Vec<(Arc<str>, Reading)> {
        let now = self.now();
        let state = self.lock();
        let mut readings = Vec::new();
        for (pool, known) in state.snapshot.pools.iter().enumerate() {
            for (place, endpoint) in known.endpoints.iter().enumerate() {
                let reading = state.dispatcher.endpoint(now, pool, place);
                readings.extend(reading.map(|reading| (endpoint.label.clone(), reading)));
            }
        }
        readings
    }

    /// Tells the dispatcher something, and others what it decides.
    fn change(self: &Arc<Self>, tell_it: impl FnOnce(&mut Dispatcher, Duration, &mut Vec<Decision>)) {
        let told = {
            let mut state = self.lock();
            let mut decisions = std::mem::take(&mut state.decisions);
            tell_it(&mut state.dispatcher, self.now(), &mut decisions);
            self.settle(&mut state, decisions)
        };
        tell(told);
    }

    /// Finds those whom decisions are about, and rings the ticker if it sleeps while there is something to do.
    fn settle(self: &Arc<Self>, state: &mut State, mut decisions: Vec<Decision>) -> Told {
        let mut told = Vec::new();
        for decision in decisions.drain(..) {
            let (call, decided) = match decision {
                Decision::Start(start) => (start.call, Ok(start)),
                Decision::Drop { call, refusal } => (call, Err(refusal)),
            };
            let Some(waiter) = state.waiting.remove(&call) else { continue };
            let decided = decided.and_then(|start| {
                let topic = state.snapshot.topic(&waiter.route).unwrap_or(usize::MAX);
                state.admitted(self, start, topic)
            });
            told.push((waiter.tell, decided));
        }
        state.decisions = decisions;
        if state.asleep && state.dispatcher.next_wakeup(self.now()).is_some() {
            state.asleep = false;
            self.awake.notify_one();
        }
        told
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What a start means, in the tables that the dispatcher's plan was made of.
    fn admitted(&self, line: &Arc<Line>, start: Start, topic: usize) -> Decided {
        let found = || {
            let route = self.snapshot.topics().nth(topic)?;
            let target = route.targets.get(start.target)?;
            let endpoint = self.snapshot.pools.get(start.pool)?.endpoints.get(start.endpoint)?;
            Some((route.clone(), target.inflight.clone(), endpoint.clone()))
        };
        // The plan was made of these very tables.
        let (route, inflight, endpoint) = found().ok_or_else(lost)?;
        let permit = Permit::new(line.clone(), start.permit, endpoint, inflight);
        Ok(Admitted { permit, route, target: start.target })
    }

    /// An arrival of a call that was looked up in tables that are not in force any more.
    fn found_again(&self, call: &Call, arrival: &Arrival) -> Arrival {
        let nowhere = usize::MAX;
        let known = &self.snapshot;
        let topic = known.topic(&call.route.name);
        let route = topic.and_then(|topic| known.topics().nth(topic));
        let label = |target: usize| {
            route?.targets.iter().position(|one| one.label == call.route.targets[target].label)
        };
        let speaks = |target: &Target| target.pool.dialects.contains(call.intent.dialect);
        let targets = route.into_iter().flat_map(|route| &route.targets).enumerate();
        let targets = targets.filter(|(_, target)| speaks(target)).map(|(index, _)| index);
        Arrival {
            topic: topic.unwrap_or(nowhere),
            segment: known.segment(&call.segment.name).unwrap_or(known.config.anonymous),
            targets: targets.fold(Targets::NONE, Targets::with),
            bound: arrival.bound.and_then(label),
            ..arrival.clone()
        }
    }
}

/// What a call hears whose target a reload took away.
fn lost() -> Refusal {
    Refusal { reason: Reason::NoEndpoint, retry_after: Duration::from_secs(1) }
}

fn tell(told: Told) {
    for (waiter, decided) in told {
        // Whoever has just left gives back what it got by dropping it.
        drop(waiter.send(decided));
    }
}

impl Waiting {
    /// What becomes of the call.
    pub(super) async fn decided(mut self) -> Decided {
        // The sender is never dropped before it has told.
        (&mut self.decided).await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.line.leave(self.call);
    }
}
