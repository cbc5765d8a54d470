//! A quota as it would be written.

use serde_json::{Value, json};

use super::overload::number;
use crate::config::Quota;

/// A quota as JSON, in the keys of the file.
#[must_use]
pub fn quota_to_json(quota: &Quota) -> Value {
    let mut out = json!({ "enforce": quota.enforce });
    if let Some(requests) = quota.requests {
        out["requests_per_second"] = number(requests.per_second);
        out["burst"] = requests.burst.into();
    }
    if let Some(tokens) = quota.tokens_per_minute {
        out["tokens_per_minute"] = tokens.into();
    }
    if let Some(concurrent) = quota.concurrent {
        out["concurrent"] = concurrent.into();
    }
    out
}
