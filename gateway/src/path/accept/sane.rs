//! Is this head sane? What hyper lets pass and a server behind could read in another way (RFC 9110, 7.2 and
//! 10.1.1; RFC 9112, 3.2, 6.1). What hyper hides cannot be judged here: of two framings it keeps one, and so does
//! the head that goes on.

use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use router_core::dialect::Reason;

use super::Bounds;

/// As many fields as hyper takes in HTTP/1.
const FIELDS_MAX: usize = 100;
/// What stands around a field: a colon, a space and the end of the line.
const FIELD_BYTES: usize = 4;

/// Refuses a head that is larger than configured, as it would stand in HTTP/1.1.
pub(super) fn small(head: &Parts, bounds: Bounds) -> Result<(), Reason> {
    let Bounds { head_bytes: limit_bytes, uri_bytes } = bounds;
    let part = |text: Option<&str>| text.map_or(0, str::len);
    let path = head.uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    // The path first: nothing else is long in an honest target.
    let target = part(path) + part(head.uri.authority().map(Authority::as_str));
    if target as u64 > uri_bytes {
        return Err(Reason::UriTooLong { limit_bytes: uri_bytes });
    }
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + FIELD_BYTES;
    let bytes = target + head.headers.iter().map(field).sum::<usize>();
    if bytes as u64 > limit_bytes || head.headers.len() > FIELDS_MAX {
        return Err(Reason::HeadTooLarge { limit_bytes });
    }
    Ok(())
}

/// Refuses a head that two servers could read differently.
pub(super) fn sane(head: &Parts) -> Result<(), Reason> {
    method(head)?;
    one_host(head)?;
    target(head)?;
    path(head.uri.path())?;
    if !is_chunked_at_most(&head.headers) {
        return Err(Reason::BadHead { fault: "transfer-encoding must be `chunked`" });
    }
    let met = |expectation: &HeaderValue| expectation.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if head.headers.get_all(EXPECT).iter().all(met) { Ok(()) } else { Err(Reason::ExpectationFailed) }
}

/// Who asks for `http://a/` asks for `a`, whatever the `host` of HTTP/1.1 says beside it (RFC 9112, 3.2.2).
pub(super) fn take_authority(head: &mut Parts) {
    let Some(authority) = head.uri.authority() else { return };
    if head.headers.get(HOST).is_some_and(|host| host.as_bytes() != authority.as_str().as_bytes())
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        head.headers.insert(HOST, host);
    }
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
    if is_plain_host(text) {
        return true;
    }
    let Ok(authority) = text.parse::<Authority>() else { return false };
    // A port that is none would be left out by one server and taken for a part of the name by another.
    let port = || authority.port_u16().is_some() || text.len() <= authority.host().len() + 1;
    !authority.host().is_empty() && !text.contains('@') && port()
}

/// Whether it is a name or an IPv4 address, as nearly all are: those need no parser.
fn is_plain_host(text: &str) -> bool {
    let (name, port) = text.rsplit_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    !name.is_empty() && name.bytes().all(plain) && port.is_none_or(digits)
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

/// A server must not be asked to repeat a request, credentials included, nor to become a tunnel.
fn method(head: &Parts) -> Result<(), Reason> {
    match head.method {
        Method::TRACE | Method::CONNECT => Err(Reason::MethodNotAllowed { allow: "GET, POST" }),
        _ => Ok(()),
    }
}

/// Refuses a path that a server behind could take for another one: segments that lead upwards, encoded or not, and
/// characters that are encoded for no honest reason. The id of a model may have slashes in it; what else it may
/// have is judged where it is read.
fn path(path: &str) -> Result<(), Reason> {
    let fault = Err(Reason::BadHead { fault: "the request's path can be read in more than one way" });
    if path.starts_with(MODELS) || is_plain_path(path) {
        return Ok(());
    }
    let encoded = |at: usize| path.as_bytes().get(at + 1..at + 3).unwrap_or_default();
    let escapes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'%');
    for (at, _) in escapes {
        // Nothing, NUL, a dot, a slash, a percent sign, a backslash.
        if matches!(
            encoded(at),
            [] | [_] | b"00" | [b'2', b'5' | b'e' | b'E' | b'f' | b'F'] | [b'5', b'c' | b'C']
        ) {
            return fault;
        }
    }
    // Java's servers take what follows a semicolon off before they walk up: `..;x` is `..` to them.
    let leads_up = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    if path.contains('\\') || path.split('/').any(leads_up) {
        return fault;
    }
    Ok(())
}

/// Whether nothing in a path needs a second look: no escape, no backslash, and no segment that begins with a dot.
fn is_plain_path(path: &str) -> bool {
    let mut begins = true;
    let odd = path.bytes().any(|byte| {
        let odd = matches!(byte, b'%' | b'\\') || (begins && byte == b'.');
        begins = byte == b'/';
        odd
    });
    !odd
}

/// Where ids of models stand in the path.
const MODELS: &str = "/v1/models/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_parser_is_what_a_parser_takes() {
        for plain in ["a", "A-1.example", "127.0.0.1:8080", "h:0", "h:65535"] {
            assert!(is_plain_host(plain) && plain.parse::<Authority>().is_ok(), "{plain}");
        }
        for other in ["", ":80", "h:65536", "h:+8", "h:8a", "a:1:2", "u@h", "a b", "a/b", "[::1]:80", "h_1"] {
            assert!(!is_plain_host(other), "{other}");
        }
        assert!(is_host("[::1]:80") && is_host("h:") && !is_host("h:65536") && !is_host("a:1:2"));
    }

    #[test]
    fn a_path_with_anything_odd_gets_a_second_look() {
        for plain in ["/v1/chat/completions", "/", "/a.b/c..d", "*"] {
            assert!(is_plain_path(plain) && path(plain).is_ok(), "{plain}");
        }
        for odd in ["/..", "..", "/a/./b", "/a/..;x/b", "/a\\..\\b", "/%2e%2e", "/.well-known"] {
            assert!(!is_plain_path(odd), "{odd}");
        }
        assert!(path("/.well-known").is_ok() && path("/..").is_err());
    }
}
