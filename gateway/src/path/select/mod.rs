//! Asks `router_core::select` which endpoint of a pool answers what takes no place in line, such as a list of models.
//! Endpoints of calls are chosen in the moment in which they start: see `overload`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use router_core::config::Balance;
use router_core::select::{least_request, round_robin};

use crate::snapshot::{Endpoint, Pool};

/// The endpoint whose turn it is.
pub(crate) fn pick(pool: &Pool) -> Option<&Arc<Endpoint>> {
    let count = pool.endpoints.len();
    let inflight = |index: usize| pool.endpoints[index].inflight.load(Ordering::Relaxed);
    let index = match pool.balance {
        _ if count == 1 => Some(0),
        Balance::LeastRequest => least_request(count, inflight, rand::random()),
        Balance::RoundRobin => round_robin(count, pool.turn.fetch_add(1, Ordering::Relaxed)),
    };
    pool.endpoints.get(index?)
}
