//! Where calls wait for their turn: one dispatcher for each group of routes and pools that are linked, so that calls
//! of different groups share no lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use router_core::overload::dispatch::Arrival;
use router_core::overload::gauges::Gauges;
use router_core::overload::lag::{PoolState, TopicState};
use router_core::overload::limiter::Reading;

use super::group::{Arrived, Clock, Group, lost};
use super::plan::{self, Members};
use crate::path::identify::Call;
use crate::snapshot::{Endpoint, Snapshot};

/// When a group whose time stopped is looked at again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Shared by all calls.
#[derive(Debug)]
pub(crate) struct Line {
    clock: Clock,
    table: ArcSwap<Table>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

/// Which group is whose.
#[derive(Debug)]
struct Table {
    snapshot: Arc<Snapshot>,
    /// Those of the tables, and those of earlier ones that have something under way.
    groups: Vec<Arc<Group>>,
    /// By topic, as [`Snapshot::topics`] are numbered.
    places: Vec<Place>,
}

/// A topic's group, as an index, and its number there.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    group: usize,
    topic: usize,
}

impl Line {
    pub(crate) fn new(snapshot: &Arc<Snapshot>) -> Arc<Self> {
        let clock = Clock::new();
        let table = Table::new(&clock, snapshot, &[]);
        Arc::new(Self { clock, table: ArcSwap::from_pointee(table), reloading: Mutex::default() })
    }

    /// Lets time pass, for as long as the process lives. One timer serves all groups.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let next = self.table.load().groups.iter().filter_map(|group| self.tick(group)).min();
            match next {
                None => self.clock.rung().await,
                Some(at) => tokio::time::sleep_until(self.clock.instant(at).into()).await,
            }
        }
    }

    /// A panic in one group must not stop the time of all, nor its own for good; the panic hook has told of it.
    fn tick(&self, group: &Arc<Group>) -> Option<Duration> {
        let ticked = catch_unwind(AssertUnwindSafe(|| group.tick()));
        ticked.unwrap_or_else(|_| Some(self.clock.now() + AFTER_PANIC))
    }

    /// Puts other tables into force. Groups that they link become one; those that they do not link any more stay one
    /// until the process ends, since calls of either may wait for both.
    pub(crate) fn reload(&self, snapshot: &Arc<Snapshot>) {
        let _turn = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.table.load_full();
        self.table.store(Arc::new(Table::new(&self.clock, snapshot, &before.groups)));
    }

    /// A call wants to be served.
    pub(super) fn arrive(&self, call: &Call, mut arrival: Arrival) -> Arrived {
        let table = self.table.load();
        let same = Arc::ptr_eq(&table.snapshot, &call.snapshot);
        let topic = if same { Some(arrival.topic) } else { table.snapshot.topic(&call.route.name) };
        let Some(place) = topic.and_then(|topic| table.places.get(topic)) else {
            return Arrived::Refused(lost());
        };
        arrival.topic = place.topic;
        table.groups[place.group].arrive(call, &arrival)
    }

    /// A server tells of its own queue; if it is in no pool by now, in vain.
    pub(super) fn hear(&self, endpoint: &Arc<Endpoint>, gauges: Gauges) {
        for group in &self.table.load().groups {
            group.hear(endpoint, gauges);
        }
    }

    /// How far behind each route is.
    pub(crate) fn topics(&self) -> Vec<TopicState> {
        in_order(self.table.load().groups.iter().flat_map(|group| group.topics()).collect())
    }

    /// The same for each pool.
    pub(crate) fn pools(&self) -> Vec<PoolState> {
        in_order(self.table.load().groups.iter().flat_map(|group| group.pools()).collect())
    }

    /// For each pool that several gateways share, by its name: the queue that they keep there at the least, as a part
    /// of the first-token objective.
    pub(crate) fn shared_queues(&self) -> Vec<(String, f64)> {
        in_order(self.table.load().groups.iter().flat_map(|group| group.shared_queues()).collect())
    }

    /// What the limiter of each endpoint thinks, by the endpoint's label.
    pub(crate) fn endpoints(&self) -> Vec<(Arc<str>, Reading)> {
        self.table.load().groups.iter().flat_map(|group| group.endpoints()).collect()
    }
}

impl Table {
    /// The groups of these tables, going on with what is known of them.
    fn new(clock: &Clock, snapshot: &Arc<Snapshot>, known: &[Arc<Group>]) -> Self {
        let mut places = vec![Place::default(); snapshot.topics().count()];
        let (mut groups, mut gone) = (Vec::new(), known.to_vec());
        for (members, linked) in plan::groups(snapshot, known) {
            for (topic, member) in members.topics.iter().enumerate() {
                places[*member] = Place { group: groups.len(), topic };
            }
            gone.retain(|group| !linked.iter().any(|linked| Arc::ptr_eq(linked, group)));
            groups.push(match linked.split_first() {
                None => Group::new(clock, snapshot, members),
                Some((first, others)) => {
                    first.reload(snapshot, members, others);
                    first.clone()
                }
            });
        }
        for group in gone {
            group.reload(snapshot, Members::default(), &[]);
            if !group.is_over() {
                groups.push(group);
            }
        }
        Self { snapshot: snapshot.clone(), groups, places }
    }
}

/// What groups said, in the order of the tables.
fn in_order<T>(mut told: Vec<(usize, T)>) -> Vec<T> {
    told.sort_by_key(|(place, _)| *place);
    told.into_iter().map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::group::tests::{snapshot, stumbling};
    use super::*;

    #[tokio::test]
    async fn a_mistake_in_one_groups_time_stops_neither_the_others_nor_its_own_for_good() {
        let clock = Clock::new();
        let ticks = [(); 2].map(|()| Arc::new(AtomicU32::new(0)));
        let groups = ticks.iter().map(|ticks| stumbling(&clock, ticks)).collect();
        let table = Table { snapshot: snapshot(), groups, places: Vec::new() };
        let line = Line { clock, table: ArcSwap::from_pointee(table), reloading: Mutex::default() };
        let mut running = std::pin::pin!(Arc::new(line).run());
        let go_on = async {
            while ticks.iter().any(|ticks| ticks.load(Ordering::SeqCst) < 3) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = &mut running => panic!("the clock has stopped"),
            () = go_on => {}
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("time goes on nowhere: {ticks:?}"),
        }
    }
}
