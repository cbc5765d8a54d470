//! Who asks for a change, from where, and of which revision.

use std::borrow::Cow;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;

use crate::audit::By;
use crate::path::accept::request_id;

/// The peer of an operator's connection, as the listener knows it.
#[derive(Clone, Debug)]
pub(super) struct Peer(pub(super) HeaderValue);

/// A change that is asked for.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) by: By,
    /// The revision that it is asked of (`If-Match`), if that matters to whoever asks.
    pub(super) expected: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>().and_then(|peer| peer.0.to_str().ok()).unwrap_or_default();
        let (actor, role) = who(peer);
        let from = peer.trim_end_matches(':').to_owned();
        let id = request_id(&parts.headers);
        let by = By { actor, role, from, request_id: id.to_str().ok().map(str::to_owned) };
        Ok(Self { by, expected: parts.headers.get(IF_MATCH).and_then(expected) })
    }
}

/// Who an operator is, and what they may do. There are no keys for operators yet: whoever can connect may do all.
fn who(peer: &str) -> (Cow<'static, str>, &'static str) {
    let by_socket = peer.starts_with("unix");
    (if by_socket { "local" } else { "anonymous" }.into(), "admin")
}

/// The revision that `If-Match` names; what is no single tag is nobody's revision.
fn expected(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().unwrap_or("?").trim();
    if text == "*" {
        return None;
    }
    let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    Some(tag.unwrap_or(text).to_owned())
}
