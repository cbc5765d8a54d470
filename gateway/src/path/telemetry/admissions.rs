//! What became of calls that wanted to be served: the metrics of overload control that count. Those that tell how
//! things stand are in `pressure`.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Registry};

use super::metrics::{counters, histograms};

/// From a slot that is just about to be free to the longest wait that is allowed.
const QUEUE_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// What the dispatcher said to an arrival in the end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Admitted,
    /// Why not: the label of `weir_shed_total`.
    Refused(&'static str),
}

/// Counters of admissions.
#[derive(Debug)]
pub(crate) struct Admissions {
    queue_wait: HistogramVec,
    outcomes: IntCounterVec,
    shed: IntCounterVec,
    gauges_failures: IntCounterVec,
}

impl Admissions {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let wait = HistogramOpts::new("queue_wait_seconds", "How long calls waited that had to wait.");
        Ok(Self {
            queue_wait: histograms(registry, wait.buckets(QUEUE_SECONDS.to_vec()), &["route", "segment"])?,
            outcomes: counters(
                registry,
                "admission_total",
                "What became of calls that wanted to be served.",
                &["route", "segment", "outcome"],
            )?,
            shed: counters(
                registry,
                "shed_total",
                "Calls refused because there was not enough for everybody, by reason.",
                &["route", "segment", "reason"],
            )?,
            gauges_failures: counters(
                registry,
                "gauges_failures_total",
                "Times that an endpoint was asked for its own queue and did not tell, by reason.",
                &["endpoint", "reason"],
            )?,
        })
    }

    /// A call had to wait.
    pub(crate) fn waited(&self, route: &str, segment: &str, waited: Duration) {
        self.queue_wait.with_label_values(&[route, segment]).observe(waited.as_secs_f64());
    }

    /// An endpoint did not tell of its own queue.
    pub(crate) fn gauges_failed(&self, endpoint: &str, reason: &'static str) {
        self.gauges_failures.with_label_values(&[endpoint, reason]).inc();
    }

    /// A call was let in, or not.
    pub(crate) fn ended(&self, route: &str, segment: &str, outcome: Outcome) {
        let word = match outcome {
            Outcome::Admitted => "admitted",
            Outcome::Refused(reason) => {
                self.shed.with_label_values(&[route, segment, reason]).inc();
                "refused"
            }
        };
        self.outcomes.with_label_values(&[route, segment, word]).inc();
    }
}
