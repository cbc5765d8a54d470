//! Asks `router_core::overload` whether there is room now: takes a place at an endpoint for a call, waits in line for
//! one, or tells its caller at once that it will not be served in time. Overload, route and select are one decision,
//! so what comes out is a target with an endpoint and the place there.

mod gauges;
mod line;
mod permit;
mod plan;

use std::sync::Arc;
use std::time::Instant;

use router_core::dialect::{Dialect, Reason, Shed};
use router_core::overload::dispatch::{self, Arrival, Demand, Refusal, Targets};

pub(crate) use gauges::Watch;
pub(crate) use line::Line;
pub(crate) use permit::Permit;

use super::Failure;
use super::identify::Call;
use super::telemetry::Outcome;
use crate::snapshot::Route;

/// Tells that an SDK asks again what was refused before.
const RETRY_COUNT: &str = "x-stainless-retry-count";

/// A call that may start.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) permit: Permit,
    /// As it is now: a reload may have come while the call waited.
    pub(crate) route: Arc<Route>,
    /// Index into its targets.
    pub(crate) target: usize,
}

/// Waits until the call may start. Dropping this gives up its place in line. `bound` is the target that a canary rule
/// chose.
pub(crate) async fn admit(line: &Arc<Line>, call: &Call, bound: Option<usize>) -> Result<Admitted, Failure> {
    let arrival = arrival(call, bound);
    let metrics = &call.account.metrics().admissions;
    let arrived = Instant::now();
    let admission = match line.arrive(call, &arrival) {
        line::Arrived::Started(admitted) => Ok(admitted),
        line::Arrived::Refused(refusal) => Err(refusal),
        line::Arrived::Queued(waiting) => {
            let admission = waiting.decided().await;
            let waited = arrived.elapsed();
            call.account.facts().queued = waited;
            metrics.waited(&call.route.name, &call.segment.name, waited);
            admission
        }
    };
    let outcome = match &admission {
        Ok(_) => Outcome::Admitted,
        Err(refusal) => Outcome::Refused(refusal.reason.name()),
    };
    metrics.ended(&call.route.name, &call.segment.name, outcome);
    admission.map_err(|refusal| refused(refusal).into())
}

fn arrival(call: &Call, bound: Option<usize>) -> Arrival {
    let stream = call.account.facts().stream;
    let speaks = |target: usize| call.route.targets[target].pool.dialects.contains(call.intent.dialect);
    let targets = (0..call.route.targets.len()).filter(|target| speaks(*target));
    let repeated = call.head.headers.get(RETRY_COUNT).is_some_and(|count| count.as_bytes() != b"0");
    let segment = &call.snapshot.config.segments[call.segment.index];
    let patience = call.ask.patience(segment.objective.first_token, stream);
    Arrival {
        topic: call.route.topic,
        segment: call.segment.index,
        priority: match call.ask.lowered(segment.priority) {
            router_core::config::Priority::Realtime => dispatch::Priority::Realtime,
            router_core::config::Priority::Batch => dispatch::Priority::Batch,
        },
        targets: targets.fold(Targets::NONE, Targets::with),
        bound,
        prompt_tokens: call.prompt_tokens,
        tokens: call.prompt_tokens.saturating_add(call.route.answer_tokens()),
        // Of what goes through as it is nothing is looked into.
        stream: stream && call.intent.dialect != Dialect::Passthrough,
        patience: patience.first_token,
        answer_within: patience.answer,
        demand: if repeated { Demand::Repeated } else { Demand::New },
        random: rand::random(),
    }
}

fn refused(refusal: Refusal) -> Reason {
    let why = match refusal.reason {
        dispatch::Reason::NoEndpoint => return Reason::NoEndpoint,
        dispatch::Reason::WouldMiss => Shed::WouldMiss,
        dispatch::Reason::Expired => Shed::Expired,
        dispatch::Reason::QueueWait => Shed::QueueWait,
        dispatch::Reason::QueueFull => Shed::QueueFull,
        dispatch::Reason::Displaced => Shed::Displaced,
        dispatch::Reason::Bulkhead => Shed::Bulkhead,
    };
    Reason::Shed { why, retry_after: refusal.retry_after }
}
