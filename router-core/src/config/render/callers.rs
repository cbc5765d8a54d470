//! How callers are known, as it would be written.

use serde_json::{Map, Value};

use super::jwt::jwt;
use crate::config::Identity;

pub(super) fn identity(identity: &Identity) -> Value {
    let mut out = Map::new();
    if let Some(known) = &identity.jwt {
        out.insert("jwt".to_owned(), jwt(known));
    }
    out.into()
}
