//! The dispatcher of one group behind its lock, and those who wait there. Everybody who waits is woken by the event
//! that lets it go on; nobody asks again.

mod gauges;
mod readings;
#[cfg(test)]
pub(super) mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use router_core::dialect::Shed;
use router_core::overload::dispatch::{
    Admission, Arrival, CallId, Decision, Dispatcher, Moved, PermitId, Plan, Refusal, Start, Targets,
};
use router_core::overload::limiter::{End, Seen};
use tokio::sync::{Notify, oneshot};

use super::plan::{self, Members};
use super::{Admitted, Permit};
use crate::path::identify::Call;
use crate::snapshot::{Route, Snapshot, Target};

/// Routes and pools that are linked, and the calls for them. The lock is held for about a hundred nanoseconds an event,
/// and is free again after a panic: that ends one call, and not those of a whole group.
#[derive(Debug)]
pub(super) struct Group {
    clock: Clock,
    state: Mutex<State>,
}

/// What all groups count time from, and the bell that they ring when there is something to do again.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    origin: Instant,
    awake: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    dispatcher: Dispatcher,
    /// What the dispatcher's numbers mean.
    snapshot: Arc<Snapshot>,
    members: Members,
    waiting: HashMap<CallId, Waiter>,
    /// Kept for its memory.
    decisions: Vec<Decision>,
    /// Whether the ticker has nothing to do here until it is rung.
    asleep: bool,
    /// The group that took over everything, if a reload linked the two, and what things are known by there.
    moved: Option<(Arc<Group>, Moved)>,
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
    group: Arc<Group>,
    /// Until it has heard.
    call: Option<CallId>,
    decided: oneshot::Receiver<Decided>,
}

/// Decisions with those whom they are about, to be told without the lock.
type Told = Vec<(oneshot::Sender<Decided>, Decided)>;

impl Clock {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), awake: Arc::default() }
    }

    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// When that is for everybody else.
    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.origin + at
    }

    /// Waits until there is something to do again.
    pub(super) async fn rung(&self) {
        self.awake.notified().await;
    }
}

impl Group {
    pub(super) fn new(clock: &Clock, snapshot: &Arc<Snapshot>, members: Members) -> Arc<Self> {
        let dispatcher = Dispatcher::new(clock.now(), plan::of(snapshot, &members));
        let state = State {
            dispatcher,
            snapshot: snapshot.clone(),
            members,
            waiting: HashMap::new(),
            decisions: Vec::new(),
            asleep: true,
            moved: None,
        };
        Arc::new(Self { clock: clock.clone(), state: Mutex::new(state) })
    }

    /// Whether calls of this topic can be under way here.
    pub(super) fn knows_topic(&self, name: &str) -> bool {
        self.lock().dispatcher.knows_topic(name)
    }

    /// Whether attempts at this pool can be.
    pub(super) fn knows_pool(&self, name: &str) -> bool {
        self.lock().dispatcher.knows_pool(name)
    }

    /// Lets time pass if that is due; when it will be next.
    pub(super) fn tick(self: &Arc<Self>) -> Option<Duration> {
        let (next, told) = {
            let mut state = self.lock();
            let now = self.clock.now();
            let mut told = Vec::new();
            if state.dispatcher.next_wakeup(now).is_some_and(|due| due <= now) {
                let mut decisions = std::mem::take(&mut state.decisions);
                state.dispatcher.tick(now, &mut decisions);
                told = self.settle(&mut state, decisions);
            }
            let next = state.dispatcher.next_wakeup(now);
            state.asleep = next.is_none();
            (next, told)
        };
        tell(told);
        next
    }

    /// Puts other tables into force, and takes over what other groups have which these link with this one. Calls that
    /// wait keep their place where theirs is still there.
    pub(super) fn reload(self: &Arc<Self>, snapshot: &Arc<Snapshot>, members: Members, others: &[Arc<Self>]) {
        let plan = plan::of(snapshot, &members);
        let told = {
            let mut state = self.lock();
            for other in others {
                state.absorb(self, &mut other.lock());
            }
            let mut decisions = std::mem::take(&mut state.decisions);
            state.dispatcher.reload(self.clock.now(), plan, &mut decisions);
            (state.snapshot, state.members) = (snapshot.clone(), members);
            self.settle(&mut state, decisions)
        };
        tell(told);
    }

    /// Whether nothing is under way here or waits.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        state.dispatcher.inflight() == 0 && state.dispatcher.queued() == 0
    }

    /// A call wants to be served; its topic has the number that it has here in the tables that it was looked up in.
    pub(super) fn arrive(self: &Arc<Self>, call: &Call, arrival: &Arrival) -> Arrived {
        let (arrived, found, told) = {
            let mut state = self.lock();
            if let Some((group, _)) = &state.moved {
                let group = group.clone();
                drop(state);
                return group.arrive(call, arrival);
            }
            let stale = !Arc::ptr_eq(&state.snapshot, &call.snapshot);
            let found = stale.then(|| state.found_again(call, arrival));
            let arrival = found.as_ref().map_or(arrival, |(arrival, _)| arrival);
            let mut decisions = std::mem::take(&mut state.decisions);
            let arrived = match state.dispatcher.arrive(self.clock.now(), arrival, &mut decisions) {
                Admission::Started(start) => Err(start),
                Admission::Refused(refusal) => Ok(Arrived::Refused(refusal)),
                Admission::Queued(id) => {
                    let (tell, decided) = oneshot::channel();
                    state.waiting.insert(id, Waiter { route: call.route.name.clone(), tell });
                    Ok(Arrived::Queued(Waiting { group: self.clone(), call: Some(id), decided }))
                }
            };
            (arrived, found, self.settle(&mut state, decisions))
        };
        tell(told);
        arrived.unwrap_or_else(|start| {
            let route = found.map_or_else(|| Some(call.route.clone()), |(_, route)| route);
            if let Some(admitted) = route.and_then(|route| self.admitted(route, start)) {
                return Arrived::Started(admitted);
            }
            self.finish(start.permit, 0, End::Cancelled);
            Arrived::Refused(lost())
        })
    }

    /// What a start means for a call of this route, as it is in the tables that the dispatcher's plan was made of.
    fn admitted(self: &Arc<Self>, route: Arc<Route>, start: Start) -> Option<Admitted> {
        let target = route.targets.get(start.target)?;
        let endpoint = target.pool.endpoints.get(start.endpoint)?.clone();
        let permit = Permit::new(self.clone(), start.permit, endpoint, target.inflight.clone());
        Some(Admitted { permit, route, target: start.target })
    }

    pub(super) fn observe(self: &Arc<Self>, permit: PermitId, seen: Seen) {
        self.change(permit, |dispatcher, now, permit, decisions| {
            dispatcher.observe(now, permit, seen, decisions);
        });
    }

    /// An attempt has ended, with so many tokens that had not been reported.
    pub(super) fn finish(self: &Arc<Self>, permit: PermitId, tokens: u32, end: End) {
        self.change(permit, |dispatcher, now, permit, decisions| {
            if tokens > 0 {
                dispatcher.observe(now, permit, Seen::Tokens(tokens), decisions);
            }
            dispatcher.finish(now, permit, end, decisions);
        });
    }

    /// The endpoint takes nothing more for now.
    pub(super) fn refused(self: &Arc<Self>, permit: PermitId, rest: Duration) {
        self.change(permit, |dispatcher, now, permit, decisions| {
            dispatcher.rest(now, permit, now + rest);
            dispatcher.finish(now, permit, End::Refused, decisions);
        });
    }

    /// A caller that waits has left. One that was told to start at the same moment gives back what it got.
    fn leave(self: &Arc<Self>, call: CallId) {
        let told = {
            let mut state = self.lock();
            if let Some((group, moved)) = &state.moved {
                let (group, call) = (group.clone(), moved.call(call));
                drop(state);
                return group.leave(call);
            }
            if state.waiting.remove(&call).is_none() {
                return;
            }
            let mut decisions = std::mem::take(&mut state.decisions);
            state.dispatcher.cancel(self.clock.now(), call, &mut decisions);
            self.settle(&mut state, decisions)
        };
        tell(told);
    }

    /// Tells the dispatcher something of an attempt, and others what it decides.
    fn change(
        self: &Arc<Self>,
        permit: PermitId,
        tell_it: impl FnOnce(&mut Dispatcher, Duration, PermitId, &mut Vec<Decision>),
    ) {
        let told = {
            let mut state = self.lock();
            if let Some((group, moved)) = &state.moved {
                let (group, permit) = (group.clone(), moved.permit(permit));
                drop(state);
                return group.change(permit, tell_it);
            }
            let mut decisions = std::mem::take(&mut state.decisions);
            tell_it(&mut state.dispatcher, self.clock.now(), permit, &mut decisions);
            self.settle(&mut state, decisions)
        };
        tell(told);
    }

    /// Finds those whom decisions are about, and rings the ticker if it sleeps while there is something to do. A start
    /// of a call that nobody waits for, or whose route is gone, gives its place back: none is ever lost.
    fn settle(self: &Arc<Self>, state: &mut State, mut decisions: Vec<Decision>) -> Told {
        let mut told = Vec::new();
        let mut next = 0;
        // Places that are given back here start others: there may be more to settle by the end than at the start.
        while let Some(decision) = decisions.get(next).copied() {
            next += 1;
            let (call, decided) = match decision {
                Decision::Start(start) => (start.call, Ok(start)),
                Decision::Drop { call, refusal } => (call, Err(refusal)),
            };
            let waiter = state.waiting.remove(&call);
            let decided = decided.and_then(|start| {
                let found = waiter.as_ref().and_then(|waiter| state.found(&waiter.route));
                let admitted = found.and_then(|(_, route)| self.admitted(route.clone(), start));
                admitted.ok_or_else(|| {
                    let now = self.clock.now();
                    state.dispatcher.finish(now, start.permit, End::Cancelled, &mut decisions);
                    lost()
                })
            });
            told.extend(waiter.map(|waiter| (waiter.tell, decided)));
        }
        decisions.clear();
        state.decisions = decisions;
        if state.asleep && state.dispatcher.next_wakeup(self.clock.now()).is_some() {
            state.asleep = false;
            self.clock.awake.notify_one();
        }
        told
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Takes over everything of another group, whose handles lead here from now on.
    fn absorb(&mut self, own: &Arc<Group>, other: &mut Self) {
        let nothing = Plan { topics: Vec::new(), segments: Vec::new(), pools: Vec::new() };
        let dispatcher = std::mem::replace(&mut other.dispatcher, Dispatcher::new(Duration::ZERO, nothing));
        let moved = self.dispatcher.absorb(dispatcher);
        self.waiting.extend(other.waiting.drain().map(|(call, waiter)| (moved.call(call), waiter)));
        other.members = Members::default();
        other.moved = Some((own.clone(), moved));
    }

    /// A topic by its name: the dispatcher's number of it, and its route.
    fn found(&self, name: &str) -> Option<(usize, &Arc<Route>)> {
        let topic = self.snapshot.topic(name)?;
        let local = self.members.topics.iter().position(|member| *member == topic)?;
        Some((local, self.snapshot.topics().nth(topic)?))
    }

    /// An arrival of a call that was looked up in tables that are not in force any more, and its route in those that
    /// are.
    fn found_again(&self, call: &Call, arrival: &Arrival) -> (Arrival, Option<Arc<Route>>) {
        let nowhere = usize::MAX;
        let known = &self.snapshot;
        let (topic, route) = self.found(&call.route.name).unzip();
        let label = |target: usize| {
            route?.targets.iter().position(|one| one.label == call.route.targets[target].label)
        };
        let speaks = |target: &Target| target.pool.dialects.contains(call.intent.dialect);
        let targets = route.into_iter().flat_map(|route| &route.targets).enumerate();
        let targets = targets.filter(|(_, target)| speaks(target)).map(|(index, _)| index);
        let arrival = Arrival {
            topic: topic.unwrap_or(nowhere),
            // One that was let in stays let in.
            segment: known.segment(&call.segment.name).or(known.config.anonymous).unwrap_or(0),
            targets: targets.fold(Targets::NONE, Targets::with),
            bound: arrival.bound.and_then(label),
            ..arrival.clone()
        };
        (arrival, route.cloned())
    }
}

/// What a call hears whose route or target a reload took away.
pub(super) fn lost() -> Refusal {
    Refusal { reason: Shed::NoEndpoint, retry_after: Duration::from_secs(1) }
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
        let decided = (&mut self.decided).await;
        self.call = None;
        // The sender is never dropped before it has told.
        decided.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.group.leave(call);
        }
    }
}
