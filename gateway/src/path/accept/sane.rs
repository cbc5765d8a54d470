//! Is this head sane? What hyper lets pass and a server behind could read in another way (RFC 9110, 7.2 and
//! 10.1.1; RFC 9112, 3.2, 6.1). What hyper hides cannot be judged here: of two framings it keeps one, and so does
//! the head that goes on.

use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Version};
use router_core::dialect::Reason;

/// Refuses a head that two servers could read differently.
pub(super) fn sane(head: &Parts) -> Result<(), Reason> {
    one_host(head)?;
    target(head)?;
    if !is_chunked_at_most(&head.headers) {
        return Err(Reason::BadHead { fault: "transfer-encoding must be `chunked`" });
    }
    let met = |expectation: &http::HeaderValue| expectation.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if head.headers.get_all(EXPECT).iter().all(met) { Ok(()) } else { Err(Reason::ExpectationFailed) }
}

/// Whether the message is framed by chunks alone, or without `transfer-encoding`.
pub(crate) fn is_chunked_at_most(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    chunked && codings.next().is_none()
}

fn one_host(head: &Parts) -> Result<(), Reason> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else {
        // Only HTTP/1.1 demands one.
        let optional = head.version < Version::HTTP_11;
        return if optional { Ok(()) } else { Err(Reason::BadHead { fault: "there is no Host header" }) };
    };
    if hosts.next().is_some() {
        return Err(Reason::BadHead { fault: "there is more than one Host header" });
    }
    let valid = host.to_str().is_ok_and(is_host);
    if valid { Ok(()) } else { Err(Reason::BadHead { fault: "the Host header is malformed" }) }
}

/// `host` or `host:port`, without user information.
fn is_host(text: &str) -> bool {
    text.parse::<Authority>().is_ok_and(|authority| !authority.host().is_empty() && !text.contains('@'))
}

/// A target is a path; its absolute form names a scheme that is spoken here.
fn target(head: &Parts) -> Result<(), Reason> {
    let scheme = head.uri.scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https"));
    let authority = head.uri.authority().is_none_or(|authority| is_host(authority.as_str()));
    if scheme && authority {
        Ok(())
    } else {
        Err(Reason::BadHead { fault: "the request target is malformed" })
    }
}
