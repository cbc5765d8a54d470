//! Where a listener is: an address and a port, or a Unix-domain socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::problem::{Complaint, shown};

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// Address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix-domain socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Whether nobody can listen at both: the same socket, or the same port of overlapping addresses.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => {
                one.port() != 0 && one.port() == other.port() && overlap(one.ip(), other.ip())
            }
            (Self::Unix(one), Self::Unix(other)) => one == other,
            (Self::Tcp(_), Self::Unix(_)) | (Self::Unix(_), Self::Tcp(_)) => false,
        }
    }
}

/// Whether a listener at the one gets connections to the other. `0.0.0.0` is every address of IPv4; `::` is every
/// address there is, as long as the system does not say otherwise.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(_), IpAddr::V6(six)) | (IpAddr::V6(six), IpAddr::V4(_)) => six.is_unspecified(),
        (one, other) => one == other || one.is_unspecified() || other.is_unspecified(),
    }
}

impl fmt::Display for Address {
    /// As in the file: `127.0.0.1:8080` or `unix:/run/weir.sock`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// Reads `host:port`, where the host is an IP address or `localhost`, or `unix:/path`.
pub(super) fn anywhere(text: &str) -> Result<Address, Complaint> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let found = local.map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    found.or_else(|| text.parse().ok()).map(Address::Tcp).ok_or_else(|| {
        Complaint::new(format!("expected an IP address and a port, found {}", shown(text))).help(EXAMPLES)
    })
}

/// Reads an address that only this machine reaches.
pub(super) fn local(text: &str) -> Result<Address, Complaint> {
    let address = anywhere(text)?;
    match address {
        Address::Tcp(socket) if !socket.ip().is_loopback() => {
            Err(Complaint::new("without admin keys the admin listener binds to loopback only")
                .help("as in 127.0.0.1:9901 or unix:/run/weir/admin.sock"))
        }
        Address::Tcp(_) | Address::Unix(_) => Ok(address),
    }
}

fn unix(path: &str) -> Result<Address, Complaint> {
    let refused = |message: &str| Err(Complaint::new(message).help(EXAMPLE_UNIX));
    if !path.starts_with('/') || path.ends_with('/') || path.chars().any(char::is_control) {
        return refused("a Unix socket is `unix:` and the absolute path of a file");
    }
    if path.len() > UNIX_PATH_BYTES_MAX {
        return refused("the path of a Unix socket has at most 107 bytes");
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

const EXAMPLES: &str =
    "as in 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080, localhost:8080 or unix:/run/weir.sock";
const EXAMPLE_UNIX: &str = "as in unix:/run/weir.sock";
/// What `sun_path` holds on Linux beside its closing zero.
const UNIX_PATH_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::{anywhere, local};

    #[test]
    fn addresses_read_and_shown() {
        let longest = format!("unix:/{}", "x".repeat(106));
        for text in ["127.0.0.1:0", "0.0.0.0:80", "[::1]:8080", "unix:/run/weir.sock", "unix:/a b", &longest]
        {
            assert_eq!(anywhere(text).unwrap().to_string(), text);
        }
        assert_eq!(anywhere("localhost:80").unwrap().to_string(), "127.0.0.1:80");
        let too_long = format!("{longest}x");
        for text in
            ["unix:", "unix:run/weir.sock", "unix:/", "unix:/run/", "unix:/a\nb", "unix://", &too_long]
        {
            let complaint = anywhere(text).unwrap_err().to_string();
            assert!(complaint.contains("Unix socket") && !complaint.contains('\n'), "{text}: {complaint}");
        }
        for text in
            ["", "80", ":80", "localhost", "localhost:65536", "example.com:80", "UNIX:/x", "127.0.0.1"]
        {
            assert!(anywhere(text).unwrap_err().message.starts_with("expected an IP address"), "{text}");
        }
    }

    #[test]
    fn local_is_loopback_or_a_unix_socket() {
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/x"] {
            assert!(local(text).is_ok(), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
            assert!(local(text).unwrap_err().message.contains("loopback only"), "{text}");
        }
    }

    #[test]
    fn two_listeners_cannot_share_a_place() {
        let meets = |one: &str, other: &str| anywhere(one).unwrap().meets(&anywhere(other).unwrap());
        assert!(meets("127.0.0.1:1", "localhost:1") && meets("0.0.0.0:1", "127.0.0.1:1"));
        assert!(meets("[::1]:1", "[::]:1") && meets("unix:/x", "unix:/x"));
        assert!(!meets("127.0.0.1:1", "127.0.0.1:2") && !meets("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!meets("127.0.0.1:1", "127.0.0.2:1") && !meets("unix:/x", "unix:/y"));
        assert!(!meets("unix:/x", "0.0.0.0:1"));
        // The two families are apart, but for `::`.
        assert!(!meets("0.0.0.0:1", "[::1]:1") && !meets("[::1]:1", "127.0.0.1:1"));
        assert!(meets("[::]:1", "127.0.0.1:1") && meets("0.0.0.0:1", "[::]:1"));
        assert!(meets("[::ffff:127.0.0.1]:1", "0.0.0.0:1") && meets("[::ffff:127.0.0.1]:1", "127.0.0.1:1"));
    }
}
