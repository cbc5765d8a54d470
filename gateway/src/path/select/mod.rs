//! Asks `router_core::select` which endpoint of the target's pool takes the attempt, and holds its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use router_core::config::Balance;
use router_core::dialect::Reason;
use router_core::select::{least_request, round_robin};

use super::Failure;
use crate::snapshot::{Endpoint, Pool, Target};

/// An attempt's place at an endpoint, from before dispatch until the answer's body has ended or the attempt
/// is given up.
#[derive(Debug)]
pub(crate) struct Permit {
    endpoint: Arc<Endpoint>,
    inflight: prometheus::IntGauge,
}

/// Takes a place at an endpoint of the target's pool.
pub(crate) fn choose(target: &Target) -> Result<Permit, Failure> {
    let endpoint = pick(&target.pool).ok_or(Reason::NoEndpoint)?;
    endpoint.inflight.fetch_add(1, Ordering::Relaxed);
    target.metrics.inflight.inc();
    Ok(Permit { endpoint: endpoint.clone(), inflight: target.metrics.inflight.clone() })
}

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

impl Permit {
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.endpoint.inflight.fetch_sub(1, Ordering::Relaxed);
        self.inflight.dec();
    }
}
