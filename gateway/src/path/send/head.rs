//! Which headers go on. All end-to-end headers do, except what belongs to one connection, what Weir makes
//! anew, and credentials that must not leave.

use std::sync::Arc;

use http::Version;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use router_core::dialect::Dialect;

use crate::path::accept::Origin;
use crate::snapshot::{Endpoint, Pool};

const API_KEY: HeaderName = HeaderName::from_static("api-key");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What concerns one connection only, whether `connection` nominates it or not. To compare names with these costs
/// less than to look each of them up.
const HOP_BY_HOP: [HeaderName; 8] = [
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HTTP2_SETTINGS,
    TE,
    TRAILER,
    UPGRADE,
];

/// The headers that tell an upstream who calls.
pub(crate) const CREDENTIALS: [HeaderName; 4] = [AUTHORIZATION, X_API_KEY, API_KEY, COOKIE];

/// A caller's headers as the endpoint gets them.
pub(crate) fn to_upstream(
    mut headers: HeaderMap,
    origin: &Origin,
    pool: &Pool,
    endpoint: &Arc<Endpoint>,
    dialect: Dialect,
) -> HeaderMap {
    strip_hop_by_hop(&mut headers);
    strip_ours(&mut headers);
    headers.remove(EXPECT);
    headers.remove(CONTENT_LENGTH);
    if let Some(host) = headers.insert(HOST, endpoint.host.clone()) {
        headers.insert(FORWARDED_HOST, host);
    }
    headers.insert(FORWARDED_FOR, origin.peer.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(origin.scheme.name()));
    headers.insert(X_REQUEST_ID, origin.request_id.clone());
    if dialect != Dialect::Passthrough {
        // The answer is watched in passing, and can be only where it is not compressed.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if !pool.passes_credentials {
        for name in &CREDENTIALS {
            headers.remove(name);
        }
    }
    if let Some(credential) = &pool.credential {
        match dialect {
            Dialect::OpenAi | Dialect::Passthrough => {
                headers.insert(AUTHORIZATION, credential.bearer().clone())
            }
            Dialect::Anthropic => headers.insert(X_API_KEY, credential.plain().clone()),
        };
    }
    headers
}

/// Adds Weir to those through whose hands a message went (RFC 9110, 7.6.3), by the protocol in which it came.
pub(crate) fn add_via(headers: &mut HeaderMap, received: Version) {
    headers.append(
        VIA,
        HeaderValue::from_static(match received {
            Version::HTTP_2 => "2 weir",
            Version::HTTP_10 => "1.0 weir",
            _ => "1.1 weir",
        }),
    );
}

/// Removes what concerns one connection only, and what `connection` nominates (RFC 9110, 7.6.1).
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in nominated(headers) {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    // Chunks override an announced length, which must then go no further (RFC 9112, 6.3).
    if headers.remove(TRANSFER_ENCODING).is_some() {
        headers.remove(CONTENT_LENGTH);
    }
    if headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        for name in &HOP_BY_HOP {
            headers.remove(name);
        }
    }
}

fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    // By bytes: a name that cannot be one must not shield those beside it.
    let values =
        headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = values.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    // What frames the message is Weir's own to set: a nomination must not remove it.
    names.filter(|name| *name != CONTENT_LENGTH && *name != HOST).collect()
}

/// Removes what only Weir may say: callers ask with `x-weir-*`, and `x-forwarded-*` is made anew. Its other names,
/// `forwarded` (RFC 7239) and `x-real-ip`, would have a server behind believe a caller about where it is.
pub(crate) fn strip_ours(headers: &mut HeaderMap) {
    let ours = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("x-weir-")
            || name.starts_with("x-forwarded-")
            || matches!(name, "forwarded" | "x-real-ip")
    };
    if headers.keys().any(ours) {
        let names: Vec<_> = headers.keys().filter(|name| ours(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}
