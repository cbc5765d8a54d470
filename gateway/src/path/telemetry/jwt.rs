//! The metrics of bearer tokens and of the keys that they are checked with.

use prometheus::{IntCounterVec, IntGauge, Registry};
use router_core::identify::jwt::Bad;

use super::metrics::counters;

/// The families.
#[derive(Debug)]
pub(crate) struct JwtMetrics {
    refused: IntCounterVec,
    failures: IntCounterVec,
    keys: IntGauge,
}

impl JwtMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let keys = IntGauge::new("jwks_keys", "Keys of the issuer that bearer tokens are checked with.")?;
        registry.register(Box::new(keys.clone()))?;
        Ok(Self {
            refused: counters(
                registry,
                "jwt_refused_total",
                "Calls refused because their bearer token was not good, by reason.",
                &["reason"],
            )?,
            failures: counters(
                registry,
                "jwks_failures_total",
                "Times that the issuer's keys could not be loaded, by reason.",
                &["reason"],
            )?,
            keys,
        })
    }

    /// A token was refused.
    pub(crate) fn refused(&self, bad: &Bad) {
        self.refused.with_label_values(&[bad.name()]).inc();
    }

    /// The issuer's keys could not be loaded.
    pub(crate) fn unloaded(&self, reason: &'static str) {
        self.failures.with_label_values(&[reason]).inc();
    }

    /// So many keys are in force.
    pub(crate) fn keys(&self, count: usize) {
        self.keys.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
