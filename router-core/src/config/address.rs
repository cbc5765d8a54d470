//! Where a listener is: an address and a port, or a Unix-domain socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// Address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix-domain socket in the file system.
    Unix(PathBuf),
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
