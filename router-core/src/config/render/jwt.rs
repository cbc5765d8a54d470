//! Whose bearer tokens are taken, as it would be written.

use serde_json::{Value, json};

use crate::config::expand::escape;
use crate::config::scalar::render_duration;
use crate::config::{JwksSource, Jwt, url};

pub(super) fn jwt(jwt: &Jwt) -> Value {
    let mut claims = json!({ "caller": escape(&jwt.claims.caller) });
    if let Some(segment) = &jwt.claims.segment {
        claims["segment"] = escape(segment).into();
    }
    let mut out = json!({
        "issuer": escape(&jwt.issuer),
        "audience": jwt.audience.iter().map(|one| escape(one)).collect::<Vec<_>>(),
        "jwks": match &jwt.jwks {
            JwksSource::File(path) => escape(&path.to_string_lossy()),
            JwksSource::Url(place) => escape(&url::render_page(place)),
        },
        "skew": render_duration(jwt.skew),
        "claims": claims,
    });
    if let Some(ca) = &jwt.ca {
        out["ca"] = escape(&ca.to_string_lossy()).into();
    }
    out
}
