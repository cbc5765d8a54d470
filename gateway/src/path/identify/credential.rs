//! The credential that a caller sends, found in its head: a key, if it is one. It is looked at here and nowhere else,
//! and never kept.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use router_core::dialect::{Reason, Unidentified};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The only scheme of `authorization` that carries a key (RFC 6750).
const BEARER: &[u8] = b"bearer";

/// The credential of a head: none, one, or what is wrong with it. `authorization: Bearer` and `x-api-key` may both be
/// there if they carry the same; who gets two different ones believes whichever it likes, so they are refused.
pub(crate) fn of(headers: &HeaderMap) -> Result<Option<&[u8]>, Reason> {
    let bearer = match single(headers, &AUTHORIZATION)? {
        Some(value) => bearer(value)?,
        None => None,
    };
    let plain = single(headers, &X_API_KEY)?.map(HeaderValue::as_bytes).filter(|key| !key.is_empty());
    match (bearer, plain) {
        (Some(bearer), Some(plain)) if bearer != plain => Err(unidentified(Unidentified::TwoKeys)),
        (bearer, plain) => Ok(bearer.or(plain)),
    }
}

/// The only value of a header.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, Reason> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(unidentified(Unidentified::TwoKeys));
    }
    Ok(first)
}

/// The key of an `authorization` header. SDKs that were given an empty key send the scheme alone.
fn bearer(value: &HeaderValue) -> Result<Option<&[u8]>, Reason> {
    let value = value.as_bytes().trim_ascii();
    let scheme = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, key) = value.split_at(scheme);
    if !scheme.eq_ignore_ascii_case(BEARER) {
        let nothing = value.is_empty();
        return if nothing { Ok(None) } else { Err(unidentified(Unidentified::OtherScheme)) };
    }
    Ok(Some(key.trim_ascii()).filter(|key| !key.is_empty()))
}

pub(super) fn unidentified(why: Unidentified) -> Reason {
    Reason::InvalidKey { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_key_comes_in_one_of_two_headers() {
        let found = [
            (&[][..], None),
            (&[("authorization", "Bearer k")], Some("k")),
            (&[("authorization", "bEARER   k ")], Some("k")),
            (&[("authorization", "Bearer")], None),
            (&[("authorization", "Bearer ")], None),
            (&[("authorization", "")], None),
            (&[("x-api-key", "k")], Some("k")),
            (&[("x-api-key", "")], None),
            (&[("authorization", "Bearer"), ("x-api-key", "k")], Some("k")),
            (&[("authorization", "Bearer k"), ("x-api-key", "k")], Some("k")),
            // Azure's header is no place for a key of Weir's.
            (&[("api-key", "k")], None),
        ];
        for (pairs, key) in found {
            assert_eq!(of(&head(pairs)), Ok(key.map(str::as_bytes)), "{pairs:?}");
        }
        let refused = [
            (&[("authorization", "Bearer k"), ("x-api-key", "l")][..], Unidentified::TwoKeys),
            (&[("authorization", "Bearer k"), ("authorization", "Bearer k")], Unidentified::TwoKeys),
            (&[("x-api-key", "k"), ("x-api-key", "l")], Unidentified::TwoKeys),
            (&[("authorization", "Basic dTpw")], Unidentified::OtherScheme),
            (&[("authorization", "weir-1")], Unidentified::OtherScheme),
            (&[("authorization", "Basic dTpw"), ("x-api-key", "k")], Unidentified::OtherScheme),
        ];
        for (pairs, why) in refused {
            assert_eq!(of(&head(pairs)), Err(unidentified(why)), "{pairs:?}");
        }
    }
}
