//! What became of calls that wanted to be served: the metrics of overload control that count. Those that tell how
//! things stand are in `pressure`. Children are resolved for each segment of each route when a configuration is
//! loaded.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Registry};
use router_core::config::Segment;
use router_core::dialect::Shed;

use super::metrics::{counters, histograms};

/// From a slot that is just about to be free to the longest wait that is allowed.
const QUEUE_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// The families.
#[derive(Debug)]
pub(super) struct Admissions {
    queue_wait: HistogramVec,
    outcomes: IntCounterVec,
    shed: IntCounterVec,
    gauges_failures: IntCounterVec,
}

/// The children of one segment of one route.
#[derive(Debug)]
pub(crate) struct AdmissionMetrics {
    queue_wait: Histogram,
    admitted: IntCounter,
    refused: IntCounter,
    abandoned: IntCounter,
    /// In the order of [`Shed::ALL`].
    shed: [IntCounter; Shed::ALL.len()],
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

    /// An endpoint did not tell of its own queue.
    pub(super) fn gauges_failed(&self, endpoint: &str, reason: &'static str) {
        self.gauges_failures.with_label_values(&[endpoint, reason]).inc();
    }

    /// The children of one route, by segment.
    pub(super) fn route(&self, route: &str, segments: &[Segment]) -> Vec<AdmissionMetrics> {
        let of = |segment: &Segment| {
            let segment = segment.name.as_str();
            let outcome = |word| self.outcomes.with_label_values(&[route, segment, word]);
            AdmissionMetrics {
                queue_wait: self.queue_wait.with_label_values(&[route, segment]),
                admitted: outcome("admitted"),
                refused: outcome("refused"),
                abandoned: outcome("abandoned"),
                shed: Shed::ALL.map(|why| self.shed.with_label_values(&[route, segment, why.name()])),
            }
        };
        segments.iter().map(of).collect()
    }
}

impl AdmissionMetrics {
    /// A call had to wait.
    pub(crate) fn waited(&self, waited: Duration) {
        self.queue_wait.observe(waited.as_secs_f64());
    }

    /// A call was let in.
    pub(crate) fn admitted(&self) {
        self.admitted.inc();
    }

    /// Nobody waits for a call any more that waited in line.
    pub(crate) fn abandoned(&self) {
        self.abandoned.inc();
    }

    /// A call was not.
    pub(crate) fn refused(&self, why: Shed) {
        self.refused.inc();
        // Declared in the order of `ALL`.
        self.shed[why as usize].inc();
    }
}
