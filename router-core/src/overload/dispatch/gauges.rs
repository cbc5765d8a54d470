//! What servers tell of their own queues goes to their limiters.

use std::time::Duration;

use super::Dispatcher;
use super::call::Decision;
use crate::overload::gauges::Gauges;

impl Dispatcher {
    /// Hears what a server tells of its own queue. Of one that is in no plan it is ignored.
    pub fn hear(
        &mut self,
        now: Duration,
        (pool, endpoint): (usize, usize),
        gauges: Gauges,
        out: &mut Vec<Decision>,
    ) {
        if pool >= self.planned_pools {
            return;
        }
        let state = &mut self.pools[pool];
        let Some(endpoint) = state.endpoints.get_mut(endpoint) else { return };
        endpoint.limiter.hear(now, gauges);
        // It may tell of less than before.
        state.full = false;
        self.pump(now, pool, out);
        self.check_invariants();
    }
}
