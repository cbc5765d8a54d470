//! What a group says of itself to those who ask how things stand.

use std::sync::Arc;

use router_core::config::Objective;
use router_core::overload::lag::{PoolState, TopicState};
use router_core::overload::limiter::Reading;
use router_core::overload::settings::shared_queue_ratio;

use super::Group;

impl Group {
    /// How far behind each route is, by its place in the tables.
    pub(in crate::path::overload) fn topics(&self) -> Vec<(usize, TopicState)> {
        let mut state = self.lock();
        let topics = state.dispatcher.topics(self.clock.now());
        state.members.topics.iter().copied().zip(topics).collect()
    }

    /// The same for each pool.
    pub(in crate::path::overload) fn pools(&self) -> Vec<(usize, PoolState)> {
        let state = self.lock();
        let pools = state.dispatcher.pools(self.clock.now());
        state.members.pools.iter().copied().zip(pools).collect()
    }

    /// What the limiter of each endpoint thinks, by the endpoint's label.
    pub(in crate::path::overload) fn endpoints(&self) -> Vec<(Arc<str>, Reading)> {
        let state = self.lock();
        let now = self.clock.now();
        let mut readings = Vec::new();
        for (local, pool) in state.members.pools.iter().enumerate() {
            let known = state.snapshot.pools.get(*pool).map_or(&[][..], |pool| &pool.endpoints);
            for (place, endpoint) in known.iter().enumerate() {
                let reading = state.dispatcher.endpoint(now, local, place);
                readings.extend(reading.map(|reading| (endpoint.label.clone(), reading)));
            }
        }
        readings
    }

    /// For each pool that several gateways share, the queue that they keep there at the least, as a part of the
    /// first-token objective; 0 while nobody is held back there.
    pub(in crate::path::overload) fn shared_queues(&self) -> Vec<(usize, (String, f64))> {
        let state = self.lock();
        let (config, now) = (&state.snapshot.config, self.clock.now());
        let promised = Objective::strictest(&config.segments);
        let mut queues = Vec::new();
        for (local, global) in state.members.pools.iter().copied().enumerate() {
            let Some(pool) = config.pools.get(global) else { continue };
            let Some(concurrency) = pool.concurrency.filter(|concurrency| concurrency.is_shared()) else {
                continue;
            };
            let ratio = |endpoint| {
                let reading = state.dispatcher.endpoint(now, local, endpoint)?;
                shared_queue_ratio(&concurrency, &promised, reading.rate)
            };
            let blocked = state.dispatcher.is_blocked(now, local);
            let endpoints = (0..pool.endpoints.len()).filter(|_| blocked);
            queues.push((global, (pool.name.clone(), endpoints.filter_map(ratio).fold(0.0, f64::max))));
        }
        queues
    }
}
