//! The clocks on endpoints: a pool's `timeouts`, and what a route sets in their place.

use super::reader::{Fields, Reader};
use crate::config::bounds::{ANSWER, ENDPOINT_CLOCK};
use crate::config::{RouteTimeouts, Timeouts, reference};

/// Puts a pool's own times in place of the defaults.
pub(super) fn of_pool(reader: &mut Reader<'_>, pool: &Fields<'_>, timeouts: &mut Timeouts) {
    let Some(fields) = pool.get("timeouts").and_then(|at| reader.fields(at, &reference::POOL_TIMEOUTS))
    else {
        return;
    };
    if let Some(connect) = reader.duration(&fields, "connect", ENDPOINT_CLOCK) {
        timeouts.connect = connect;
    }
    *timeouts = common(reader, &fields).over(timeouts);
}

/// A route's times.
pub(super) fn of_route(reader: &mut Reader<'_>, route: &Fields<'_>) -> RouteTimeouts {
    let fields = route.get("timeouts").and_then(|at| reader.fields(at, &reference::ROUTE_TIMEOUTS));
    fields.map(|fields| common(reader, &fields)).unwrap_or_default()
}

/// The keys that pools and routes have in common.
fn common(reader: &mut Reader<'_>, fields: &Fields<'_>) -> RouteTimeouts {
    RouteTimeouts {
        headers: reader.duration(fields, "headers", ENDPOINT_CLOCK),
        first_token: reader.duration(fields, "first_token", ENDPOINT_CLOCK),
        idle: reader.duration(fields, "idle", ENDPOINT_CLOCK),
        answer: reader.duration(fields, "answer", ANSWER),
    }
}
