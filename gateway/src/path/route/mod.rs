//! Asks `router_core::route` which target takes the call, among those that speak the caller's API.

use std::sync::PoisonError;

use router_core::dialect::Reason;
use router_core::route::canary;

use super::Failure;
use super::identify::Call;

/// Index of the target that takes the call.
pub(crate) fn choose(call: &Call) -> Result<usize, Failure> {
    let route = &call.route;
    let can_serve = |index: usize| route.targets[index].pool.dialects.contains(call.intent.dialect);
    let header = |name: &str| call.head.headers.get(name).map(http::HeaderValue::as_bytes);
    if let Some(target) = canary(&route.canary, header).filter(|&target| can_serve(target)) {
        return Ok(target);
    }
    let rotation = &route.rotation[call.intent.dialect.index()];
    let mut rotation = rotation.lock().unwrap_or_else(PoisonError::into_inner);
    rotation.pick(can_serve).ok_or_else(|| Reason::NoEndpoint.into())
}
