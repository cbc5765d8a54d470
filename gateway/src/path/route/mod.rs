//! Asks `router_core::route` whether a canary rule binds the call to a target. Where the others go is decided by
//! weight in the moment in which they start: see `overload`.

use router_core::route::canary;

use super::identify::Call;

/// Index of the target that a canary rule chooses, if one does and it speaks the caller's API.
pub(crate) fn canary_target(call: &Call) -> Option<usize> {
    let route = &call.route;
    let can_serve = |index: usize| route.targets[index].pool.dialects.contains(call.intent.dialect);
    let header = |name: &str| call.head.headers.get(name).map(http::HeaderValue::as_bytes);
    canary(&route.canary, header).filter(|&target| can_serve(target))
}
