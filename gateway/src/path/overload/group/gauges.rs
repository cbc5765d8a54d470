//! What servers tell of their own queues, on its way to the dispatcher of their pool.

use std::sync::Arc;

use router_core::overload::gauges::Gauges;

use super::{Group, State, tell};
use crate::snapshot::Endpoint;

impl Group {
    /// A server tells of its own queue: told to the dispatcher if it is in a pool of this group.
    pub(in crate::path::overload) fn hear(self: &Arc<Self>, endpoint: &Arc<Endpoint>, gauges: Gauges) {
        let told = {
            let mut state = self.lock();
            let Some(place) = state.place(endpoint) else { return };
            let mut decisions = std::mem::take(&mut state.decisions);
            state.dispatcher.hear(self.clock.now(), place, gauges, &mut decisions);
            self.settle(&mut state, decisions)
        };
        tell(told);
    }
}

impl State {
    /// The dispatcher's numbers of an endpoint's pool and of the endpoint there.
    fn place(&self, endpoint: &Arc<Endpoint>) -> Option<(usize, usize)> {
        let pools = self.members.pools.iter().filter_map(|pool| self.snapshot.pools.get(*pool));
        let same = |known: &Arc<Endpoint>| Arc::ptr_eq(known, endpoint);
        pools.enumerate().find_map(|(pool, known)| Some((pool, known.endpoints.iter().position(same)?)))
    }
}
