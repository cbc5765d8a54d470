//! Reads a request body whole: it must be judged before a byte of it goes on.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use router_core::dialect::Reason;

use crate::path::accept::{discard, discard_rest};

/// Memory that an announced length is taken on trust for; beyond it grows with what really comes.
const TRUSTED_BYTES: u64 = 1024 * 1024;

/// Whether the body cannot be judged as it is.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let encoded = |encoding: &http::HeaderValue| !encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get(CONTENT_ENCODING).is_some_and(encoded)
}

/// The body, if it is not larger than `limit_bytes` and whole.
pub(super) async fn read(mut body: Incoming, headers: &HeaderMap, limit_bytes: u64) -> Result<Bytes, Reason> {
    let announced = announced(headers);
    if announced.is_some_and(|bytes| bytes > limit_bytes) {
        discard(body, headers);
        return Err(Reason::BodyTooLarge { limit_bytes });
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Reason::BodyIncomplete)?.into_data() else { continue };
        let length = first.len() + whole.len() + data.len();
        if length as u64 > limit_bytes {
            discard_rest(body);
            return Err(Reason::BodyTooLarge { limit_bytes });
        }
        if first.is_empty() && whole.is_empty() {
            // Most bodies come in one piece and are never copied.
            first = data;
            if body.is_end_stream() {
                return Ok(first);
            }
            continue;
        }
        if !first.is_empty() {
            let expected = announced.unwrap_or(0).min(TRUSTED_BYTES);
            whole.reserve(usize::try_from(expected).unwrap_or(0).max(length));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
