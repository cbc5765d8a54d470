//! Turns a head of HTTP/2 into what HTTP/1.1 would have had, so that no room behind has to tell them apart
//! (RFC 9113, 8.2.3 and 8.3.1).

use http::header::{COOKIE, HOST, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use router_core::dialect::Reason;

/// Gives the head its `host` and one `cookie` at most.
pub(super) fn as_http1(head: &mut Parts) -> Result<(), Reason> {
    join_cookies(&mut head.headers);
    let Some(authority) = head.uri.authority() else { return Ok(()) };
    let same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
    if !head.headers.get_all(HOST).iter().all(same) {
        return Err(Reason::BadHead { fault: "the Host header and the request's authority differ" });
    }
    let host = host(authority).ok_or(Reason::BadHead { fault: "the request's authority is malformed" })?;
    head.headers.insert(HOST, host);
    Ok(())
}

fn host(authority: &Authority) -> Option<HeaderValue> {
    HeaderValue::from_str(authority.as_str()).ok()
}

/// Callers may cut cookies up for better compression; in HTTP/1.1 there is one field.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else { return };
    let mut joined = [first.as_bytes(), second.as_bytes()].join(&b"; "[..]);
    for more in cookies {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(more.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("http://a.example:8080/v1/models");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_authority_becomes_the_host() {
        let mut plain = head(&[]);
        as_http1(&mut plain).unwrap();
        assert_eq!(plain.headers[HOST], "a.example:8080");
        let mut both = head(&[("host", "A.example:8080")]);
        as_http1(&mut both).unwrap();
        assert_eq!(both.headers.get_all(HOST).iter().count(), 1);
        for other in [&[("host", "b.example")][..], &[("host", "a.example:8080"), ("host", "b.example")]] {
            assert!(as_http1(&mut head(other)).is_err());
        }
    }

    #[test]
    fn cookies_are_joined_in_their_order() {
        let mut three = head(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]);
        as_http1(&mut three).unwrap();
        assert_eq!(three.headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
        let mut one = head(&[("cookie", "a=1")]);
        as_http1(&mut one).unwrap();
        assert_eq!(one.headers[COOKIE], "a=1");
    }
}
