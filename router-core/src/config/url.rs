//! Upstream URLs: where an endpoint is, and nothing else. A URL with more in it (a user, a query) is refused,
//! never cut; no message repeats one, since what is too much in it may be a secret.

use std::net::Ipv6Addr;

use super::Endpoint;
use super::problem::Complaint;

/// Reads `http://host[:port][/prefix]`. Weir appends `/v1/…` itself, so a `/v1` at the end, which the base
/// URLs of most client libraries have, is dropped.
pub(super) fn endpoint(url: &str) -> Result<Endpoint, Complaint> {
    let (place, path) = origin(url, "a provider's key is the pool's `key`")?;
    Ok(Endpoint { path_prefix: path_prefix(path)?, ..place })
}

/// Reads the URL of one page, whose whole path is kept.
pub(super) fn page(url: &str) -> Result<Endpoint, Complaint> {
    let (place, path) = origin(url, "what is public needs no key")?;
    Ok(Endpoint { path_prefix: sane_path(path)?.to_owned(), ..place })
}

/// Scheme, host and port, and the path behind them. `secret` says where a secret would belong.
fn origin<'u>(url: &'u str, secret: &str) -> Result<(Endpoint, &'u str), Complaint> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| Complaint::new(EXPECTED).help(EXAMPLE))?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(Complaint::new("only http and https URLs are spoken to").help(EXAMPLE)),
    };
    if url.contains('@') {
        return Err(Complaint::new("no user or password in a URL").help(secret));
    }
    if url.contains(['?', '#']) {
        return Err(Complaint::new("no query and no fragment in a URL")
            .help(format!("it ends before the `?`; {secret}")));
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (host, port) = host_and_port(authority)?;
    let port = port.map_or_else(|| Ok(default_port(tls)), parse_port)?;
    Ok((Endpoint { tls, host, port, path_prefix: String::new() }, path))
}

/// The URL that [`endpoint`] reads as `endpoint`.
pub(super) fn render(endpoint: &Endpoint) -> String {
    // A prefix that itself ends in `/v1` needs another one to lose.
    let suffix = if endpoint.path_prefix.ends_with("/v1") { "/v1" } else { "" };
    render_page(endpoint) + suffix
}

/// The URL that [`page`] reads as `endpoint`.
pub(super) fn render_page(endpoint: &Endpoint) -> String {
    let scheme = if endpoint.tls { "https" } else { "http" };
    let mut authority = endpoint.authority();
    if endpoint.port == default_port(endpoint.tls) {
        authority.truncate(authority.rfind(':').unwrap_or(authority.len()));
    }
    format!("{scheme}://{authority}{}", endpoint.path_prefix)
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn host_and_port(authority: &str) -> Result<(String, Option<&str>), Complaint> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, behind) = rest
            .split_once(']')
            .ok_or_else(|| Complaint::new("a `[` without its `]` in the URL's host").help(EXAMPLE_V6))?;
        let address: Ipv6Addr = address
            .parse()
            .map_err(|_| Complaint::new("no IPv6 address in the URL's brackets").help(EXAMPLE_V6))?;
        return match behind.strip_prefix(':') {
            Some(port) => Ok((address.to_string(), Some(port))),
            None if behind.is_empty() => Ok((address.to_string(), None)),
            None => Err(Complaint::new("only `:port` may follow the URL's `]`").help(EXAMPLE_V6)),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return Err(Complaint::new("an IPv6 address in a URL needs brackets").help(EXAMPLE_V6));
        }
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() || host.len() > HOST_BYTES_MAX {
        return Err(Complaint::new(EXPECTED).help(EXAMPLE));
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        return Err(Complaint::new("the URL's host is no host name and no IP address")
            .help("names are ASCII letters, digits, `-`, `.` and `_`"));
    }
    Ok((host.to_ascii_lowercase(), port))
}

fn parse_port(port: &str) -> Result<u16, Complaint> {
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(Complaint::new("the URL's port is no number from 1 to 65535")),
    }
}

fn path_prefix(path: &str) -> Result<String, Complaint> {
    let path = path.trim_end_matches('/');
    if OPERATIONS.iter().any(|operation| path.ends_with(operation)) {
        return Err(Complaint::new("the URL names an operation of the API")
            .help("it ends before `/v1/…`, which is appended for each call"));
    }
    let path = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/');
    Ok(sane_path(path)?.to_owned())
}

fn sane_path(path: &str) -> Result<&str, Complaint> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:%".contains(&b);
    if !path.bytes().all(allowed) {
        return Err(Complaint::new("the URL's path has characters that no path may have")
            .help("write them as `%` and two hexadecimal digits"));
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Complaint::new("no `.` or `..` in the URL's path"));
    }
    Ok(path)
}

const EXPECTED: &str = "expected a URL with a scheme and a host";
const EXAMPLE: &str = "as in http://127.0.0.1:9001 or https://api.example.com";
const EXAMPLE_V6: &str = "as in http://[::1]:9001";
/// What people copy from an API's reference in place of its base URL.
const OPERATIONS: [&str; 4] = ["/chat/completions", "/v1/completions", "/v1/messages", "/v1/models"];
/// Longest host name that DNS allows.
const HOST_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::{endpoint, render};

    #[test]
    fn the_parts_of_a_url() {
        let cases = [
            ("http://127.0.0.1:9001", (false, "127.0.0.1", 9001, "")),
            ("http://localhost", (false, "localhost", 80, "")),
            ("https://API.example.com/", (true, "api.example.com", 443, "")),
            ("HTTPS://api.example.com/v1", (true, "api.example.com", 443, "")),
            ("https://api.example.com:8443/v1/", (true, "api.example.com", 8443, "")),
            ("https://example.com/proxy/openai/v1", (true, "example.com", 443, "/proxy/openai")),
            ("https://example.com/v1/v1", (true, "example.com", 443, "/v1")),
            ("https://example.com/openai/v10", (true, "example.com", 443, "/openai/v10")),
            ("http://[::1]:9001/x", (false, "::1", 9001, "/x")),
            ("http://[2001:DB8::1]", (false, "2001:db8::1", 80, "")),
        ];
        for (url, expected) in cases {
            let endpoint = endpoint(url).unwrap();
            let found = (endpoint.tls, &*endpoint.host, endpoint.port, &*endpoint.path_prefix);
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn a_rendered_url_reads_as_the_same_endpoint() {
        for url in [
            "http://a",
            "http://a:443",
            "https://a:80/x/v1/v1",
            "https://[::1]/v1",
            "http://[::1]:80",
            "http://a/v1/v1/v1",
            "https://a:443/b/",
        ] {
            let first = endpoint(url).unwrap();
            assert_eq!(endpoint(&render(&first)), Ok(first), "{url}");
        }
        assert_eq!(render(&endpoint("https://api.example.com:443/v1").unwrap()), "https://api.example.com");
    }

    #[test]
    fn what_no_endpoint_can_be() {
        let cases = [
            ("127.0.0.1:9001", "a scheme and a host"),
            ("http://", "a scheme and a host"),
            ("http:///v1", "a scheme and a host"),
            ("ftp://a", "only http and https"),
            ("unix:///run/x", "only http and https"),
            ("http://user:secret@a", "no user"),
            ("http://a?api-key=secret", "no query"),
            ("http://a/#x", "no fragment"),
            ("http://a:0", "port"),
            ("http://a:65536", "port"),
            ("http://a:", "port"),
            ("http://a:+80", "port"),
            ("http://::1", "needs brackets"),
            ("http://[::1", "without its"),
            ("http://[localhost]", "no IPv6 address"),
            ("http://[::1]x", "may follow"),
            ("http://a b", "no host name"),
            ("http://bücher.example", "no host name"),
            ("http://a/b c", "no path may have"),
            ("http://a/../b", "no `.` or `..`"),
            ("https://api.example.com/v1/chat/completions", "names an operation"),
        ];
        for (url, expected) in cases {
            let complaint = endpoint(url).unwrap_err().to_string();
            assert!(complaint.contains(expected), "{url}: {complaint}");
            assert!(!complaint.contains("secret"), "{url}: {complaint}");
        }
    }
}
