//! Where callers and operators come in, and how Weir proves there who it is.

use std::path::PathBuf;

use super::{Address, Secret, address};
use crate::identify::Digest;

/// One address for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// An address and a port, or a Unix-domain socket.
    pub address: Address,
    /// Whether `x-weir-segment` is believed there.
    pub trust_headers: bool,
    /// TLS is spoken there; never on a Unix-domain socket.
    pub tls: Option<Tls>,
}

/// The operators' listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Loopback or a Unix-domain socket, unless there are `keys`.
    pub address: Address,
    /// By which operators are known; where there are none, whoever can connect may do everything.
    pub keys: Vec<AdminKey>,
    /// TLS is spoken there.
    pub tls: Option<Tls>,
    /// Where `/metrics` alone is served too, for a scraper on another machine.
    pub metrics: Option<MetricsListener>,
}

/// A key by which an operator is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminKey {
    /// The operator's name in logs. Several keys may have the same, so that one can follow the other.
    pub id: String,
    /// What is known of the key.
    pub sha256: Digest,
    /// What it may be used for.
    pub role: Role,
    /// When it ends, in seconds of Unix time; `None` for never.
    pub expires: Option<u64>,
}

/// What an operator may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See everything.
    Reader,
    /// Change what is changed while Weir runs: weights, quotas.
    Writer,
    /// Change the configuration.
    Admin,
}

/// A listener that serves `/metrics` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsListener {
    /// Anywhere.
    pub address: Address,
    /// TLS is spoken there.
    pub tls: Option<Tls>,
}

/// By what a listener proves who it is, and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, and what stands between it and its authority (PEM, the certificate first).
    pub certificate: PathBuf,
    /// The certificate's private key (PEM).
    pub key: Secret,
    /// Authorities (PEM) of whose certificates every client has to show one; `None` asks for none.
    pub client_ca: Option<PathBuf>,
}

impl Listen {
    /// Reads `host:port` or `unix:/path` by the rules of the file, for a command line.
    ///
    /// # Errors
    ///
    /// One line that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        address::anywhere(text)
            .map(|address| Self { address, trust_headers: false, tls: None })
            .map_err(|complaint| complaint.to_string())
    }
}

impl Admin {
    /// Reads `host:port` or `unix:/path` by the rules of the file, for a command line: on loopback, unless there are
    /// keys.
    ///
    /// # Errors
    ///
    /// One line that says what would be right.
    pub fn parse_address(&self, text: &str) -> Result<Address, String> {
        let parsed = if self.keys.is_empty() { address::local(text) } else { address::anywhere(text) };
        parsed.map_err(|complaint| complaint.to_string())
    }
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Writer, Self::Admin];

    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Admin => "admin",
        }
    }
}
