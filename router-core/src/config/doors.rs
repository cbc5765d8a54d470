//! Where callers and operators come in, and how Weir proves there who it is.

use std::path::PathBuf;

use super::{Address, Secret, address};

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
    /// Loopback or a Unix-domain socket.
    pub address: Address,
    /// TLS is spoken there.
    pub tls: Option<Tls>,
    /// Where `/metrics` alone is served too, for a scraper on another machine.
    pub metrics: Option<MetricsListener>,
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
    /// Reads a loopback `host:port` or `unix:/path` by the rules of the file, for a command line.
    ///
    /// # Errors
    ///
    /// One line that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        address::local(text)
            .map(|address| Self { address, tls: None, metrics: None })
            .map_err(|complaint| complaint.to_string())
    }
}
