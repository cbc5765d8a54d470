//! Changes of quotas by operators. One at a time, and not beside a reload; each is in the audit log, if there is one,
//! before it counts.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use router_core::config::{Quota, quota_to_json};
use serde_json::Value;

use super::Reloader;
use crate::audit::{Action, By, Change, Problem};
use crate::path::limit::{Allowance, Origin};
use crate::path::telemetry::Level;

/// Why a quota stays as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuotaRefused {
    #[error("there is no segment of the name {0:?}")]
    UnknownSegment(String),
    #[error(
        "stale revision: this was asked of {given}, but {current} is current: somebody else has changed the quota since"
    )]
    Stale { given: String, current: String },
    #[error("the change is not made, since it cannot be written down: {0}")]
    Audit(#[from] Problem),
    #[error("Weir is about to stop")]
    Draining,
}

/// A quota that was changed.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) before: Option<Quota>,
    /// What this change made of it, whatever another has made of it since.
    pub(crate) after: (Option<Quota>, Origin),
}

impl Reloader {
    /// Puts a quota in place of the file's, or has the file's hold again, unless it is asked of another than holds now.
    pub(crate) async fn change_quota(
        &self,
        segment: &str,
        quota: Option<Quota>,
        expected: Option<&str>,
        by: By,
    ) -> Result<Changed, QuotaRefused> {
        let _turn = self.turn.lock().await;
        let gateway = &self.gateway;
        if gateway.is_draining() {
            return Err(QuotaRefused::Draining);
        }
        let allowance = gateway.snapshot().allowance(segment).cloned();
        let allowance = allowance.ok_or_else(|| QuotaRefused::UnknownSegment(segment.to_owned()))?;
        let (before, origin) = allowance.quota();
        let current = tag(before, origin);
        if let Some(given) = expected.filter(|given| *given != current) {
            return Err(QuotaRefused::Stale { given: given.to_owned(), current });
        }
        let (was, is) = (rendered(before), rendered(quota.or_else(|| allowance.of_file())));
        let told =
            format!("the quota of segment {segment} is {is}, was {was} (by {} from {})", by.actor, by.from);
        let target = format!("segments/{segment}/quota");
        gateway.audit.record(Change { by, action: Action::Quota, target, before: was, after: is }).await?;
        allowance.set(quota);
        gateway.telemetry.event(Level::Info, told);
        Ok(Changed { after: allowance.quota(), allowance, before })
    }
}

/// What a change is to be asked of (`If-Match`), so that it is refused if the quota, or whose word it is, is another.
pub(crate) fn tag(quota: Option<Quota>, origin: Origin) -> String {
    let mut hasher = DefaultHasher::new();
    (rendered(quota).to_string(), origin.name()).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// A quota as JSON; `null` for as much as there is.
pub(crate) fn rendered(quota: Option<Quota>) -> Value {
    quota.as_ref().map_or(Value::Null, quota_to_json)
}
