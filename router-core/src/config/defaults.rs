//! What holds where a configuration says nothing, and why.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use super::{Admin, Balance, Limits, Listen, Log, LogFormat, Pool};
use crate::dialect::DialectSet;

/// Where clients are listened for: loopback, so that a first try is no open door.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
/// Where operators are listened for: loopback, since it has no keys.
pub const ADMIN_DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9901));
/// Largest request body: big enough for prompts with images, small enough that one caller is no danger.
pub const BODY_BYTES_DEFAULT: u64 = 32 * 1024 * 1024;
/// Time for a TCP (and TLS) connection to an endpoint: one is there in milliseconds or not at all.
pub const CONNECT_DEFAULT: Duration = Duration::from_secs(1);
/// How long work in flight may take to finish once Weir was told to stop.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(30);

impl Default for Listen {
    fn default() -> Self {
        Self { address: LISTEN_DEFAULT }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: ADMIN_DEFAULT }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: BODY_BYTES_DEFAULT }
    }
}

impl Default for Log {
    /// A line for each call, since a gateway without one cannot be debugged; no header in it, since most
    /// tell about people.
    fn default() -> Self {
        Self { format: LogFormat::Auto, access: true, headers: Vec::new() }
    }
}

impl Pool {
    /// A pool without endpoints and with the default of everything else. The less busy of two endpoints is
    /// chosen, since answers differ in length by orders of magnitude.
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            endpoints: Vec::new(),
            dialects: DialectSet::ALL,
            key: None,
            ca: None,
            balance: Balance::LeastRequest,
            connect: CONNECT_DEFAULT,
        }
    }
}
