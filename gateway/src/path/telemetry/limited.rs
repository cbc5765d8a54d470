//! Who was beyond a quota: the metrics of the room `limit`. Children are resolved for each segment when a
//! configuration is loaded.

use prometheus::{IntCounter, IntCounterVec, Registry};
use router_core::limit::Kind;

use super::metrics::counters;

/// The families.
#[derive(Debug)]
pub(super) struct Limited {
    refused: IntCounterVec,
    shadow: IntCounterVec,
}

/// The children of one segment, in the order of [`Kind::ALL`].
#[derive(Debug)]
pub(crate) struct LimitMetrics {
    refused: [IntCounter; Kind::ALL.len()],
    shadow: [IntCounter; Kind::ALL.len()],
}

impl Limited {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let labels = ["segment", "kind"];
        Ok(Self {
            refused: counters(registry, "rate_limited_total", "Calls refused by a quota.", &labels)?,
            shadow: counters(
                registry,
                "rate_limited_shadow_total",
                "Calls that a quota would have refused if it were enforced.",
                &labels,
            )?,
        })
    }

    /// The children of one segment.
    pub(super) fn segment(&self, segment: &str) -> LimitMetrics {
        let of =
            |family: &IntCounterVec| Kind::ALL.map(|kind| family.with_label_values(&[segment, kind.name()]));
        LimitMetrics { refused: of(&self.refused), shadow: of(&self.shadow) }
    }
}

impl LimitMetrics {
    /// A call was beyond a quota, and refused if it is enforced.
    pub(crate) fn limited(&self, kind: Kind, enforced: bool) {
        let counters = if enforced { &self.refused } else { &self.shadow };
        // Declared in the order of `ALL`.
        counters[kind as usize].inc();
    }
}
