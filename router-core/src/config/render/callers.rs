//! How callers are known, as it would be written.

use serde_json::{Value, json};

use super::jwt::jwt;
use super::quota::quota_to_json;
use crate::config::expand::escape;
use crate::config::{AdminKey, Identity, Key, render_timestamp};

pub(super) fn key(key: &Key) -> Value {
    let mut out = json!({ "id": key.id, "sha256": key.sha256.to_string() });
    if let Some(expires) = key.expires {
        out["expires"] = render_timestamp(expires).into();
    }
    if let Some(routes) = &key.routes {
        out["routes"] = routes.iter().map(|route| escape(route)).collect();
    }
    if let Some(quota) = &key.quota {
        out["quota"] = quota_to_json(quota);
    }
    out
}

pub(super) fn operator(key: &AdminKey) -> Value {
    let mut out = json!({ "id": key.id, "sha256": key.sha256.to_string(), "role": key.role.name() });
    if let Some(expires) = key.expires {
        out["expires"] = render_timestamp(expires).into();
    }
    out
}

pub(super) fn identity(identity: &Identity) -> Value {
    let mut out = json!({});
    if let Some(path) = &identity.keys_file {
        out["keys_file"] = escape(&path.to_string_lossy()).into();
    }
    if let Some(known) = &identity.jwt {
        out["jwt"] = jwt(known);
    }
    out
}
