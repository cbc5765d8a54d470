//! Asks `router_core::overload` whether there is room now: takes a place at an endpoint for a call, waits in line for
//! one, or tells its caller at once that it will not be served in time. Overload, route and select are one decision,
//! so what comes out is a target with an endpoint and the place there.

mod gauges;
mod group;
mod line;
mod permit;
mod plan;

use std::sync::Arc;
use std::time::Instant;

use router_core::config::NonStreaming;
use router_core::dialect::{Dialect, Reason};
use router_core::overload::dispatch::{self, Arrival, Demand, Refusal, Targets};

pub(crate) use gauges::Watch;
use group::Arrived;
pub(crate) use line::Line;
pub(crate) use permit::Permit;

use super::Failure;
use super::identify::Call;
use super::telemetry::AdmissionMetrics;
use crate::snapshot::{Route, Target};

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
pub(crate) async fn admit(line: &Line, call: &Call, bound: Option<usize>) -> Result<Admitted, Failure> {
    let metrics = &call.route.admissions[call.segment.index];
    let admission = match line.arrive(call, arrival(call, bound)) {
        Arrived::Started(admitted) => Ok(admitted),
        Arrived::Refused(refusal) => Err(refusal),
        Arrived::Queued(waiting) => {
            let arrived = Instant::now();
            let mut undecided = Undecided(Some(metrics));
            let admission = waiting.decided().await;
            undecided.0 = None;
            let waited = arrived.elapsed();
            call.account.facts().queued = waited;
            metrics.waited(waited);
            admission
        }
    };
    match admission {
        Ok(admitted) => {
            metrics.admitted();
            Ok(admitted)
        }
        Err(Refusal { reason: why, retry_after }) => {
            metrics.refused(why);
            Err(Reason::Shed { why, retry_after }.into())
        }
    }
}

/// Counts a call that waited until nobody waited for it any more.
struct Undecided<'m>(Option<&'m AdmissionMetrics>);

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        if let Some(metrics) = self.0 {
            metrics.abandoned();
        }
    }
}

fn arrival(call: &Call, bound: Option<usize>) -> Arrival {
    let stream = call.account.facts().stream;
    let speaks = |target: usize| call.route.targets[target].pool.dialects.contains(call.intent.dialect);
    let targets = (0..call.route.targets.len()).filter(|target| speaks(*target));
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
        dialect: call.intent.dialect,
        bound,
        prompt_tokens: call.prompt_tokens,
        tokens: call.prompt_tokens.saturating_add(call.route.answer_tokens()),
        // Of what goes through as it is nothing is looked into.
        stream: (stream || is_streamed(call)) && call.intent.dialect != Dialect::Passthrough,
        patience: patience.first_token,
        answer_within: patience.answer,
        demand: if call.ask.repeated { Demand::Repeated } else { Demand::New },
        random: rand::random(),
    }
}

/// Whether a call that waits for its whole answer is sent as a stream, wherever it goes, so that its first token is
/// seen.
fn is_streamed(call: &Call) -> bool {
    let streamed = |target: &Target| target.pool.non_streaming == NonStreaming::Stream;
    call.as_stream.is_some() && call.route.targets.iter().all(streamed)
}
