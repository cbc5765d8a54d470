//! The checked configuration: what the rest of Weir sees. Nothing here is optional that must be there,
//! every reference is an index, every weight is an integer.
//!
//! [`load`] turns the text of a file into it, or into the list of every [`Problem`] of the file;
//! [`from_upstreams`] makes it without any file. Where the text comes from is the gateway's business.

mod check;
mod defaults;
mod expand;
mod problem;
mod render;
mod scalar;
mod suggest;
#[cfg(test)]
mod tests;
mod tree;
mod upstreams;
mod url;
mod weights;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use check::{load, load_with_files};
pub use defaults::{ADMIN_DEFAULT, BODY_BYTES_DEFAULT, CONNECT_DEFAULT, DRAIN_DEFAULT, LISTEN_DEFAULT};
pub use problem::{FileUse, Loaded, Problem};
pub use render::to_json;
pub use upstreams::{UpstreamArgument, from_upstreams};

use crate::dialect::DialectSet;

/// The route that catches every model name that no other route has.
pub const WILDCARD_ROUTE: &str = "*";

/// A whole configuration, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses for clients; at least one.
    pub listen: Vec<Listen>,
    /// The operators' side.
    pub admin: Admin,
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// How long work in flight may take to finish once Weir was told to stop.
    pub drain: Duration,
    /// What is logged.
    pub log: Log,
    /// Groups of endpoints that serve the same thing, in the file's order; at least one.
    pub pools: Vec<Pool>,
    /// Model names that clients ask for, in the file's order; at least one.
    pub routes: Vec<Route>,
}

/// One address for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
}

/// The operators' listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Address and port, loopback only; port 0 takes a free one.
    pub address: SocketAddr,
}

/// Bounds on what a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body in bytes; a larger one is answered 413.
    pub body_bytes: u64,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// Whether each call gets a line.
    pub access: bool,
    /// Request headers that go into a call's line, in lower case; never one that carries a credential.
    pub headers: Vec<String>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For humans on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// Aligned text.
    Human,
}

/// Endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The name in the file.
    pub name: String,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Which APIs its endpoints speak.
    pub dialects: DialectSet,
    /// The provider's key, sent in place of the caller's credentials.
    pub key: Option<Secret>,
    /// Certificate authorities (PEM) to trust in place of the system's.
    pub ca: Option<PathBuf>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Time for a connection to an endpoint.
    pub connect: Duration,
}

/// One address of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What stands before `/v1/…` on that host, without a trailing slash; mostly empty.
    pub path_prefix: String,
}

/// Where a secret is found; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In this environment variable.
    Env(String),
    /// In this file, a trailing newline left out.
    File(PathBuf),
}

/// How an endpoint of a pool is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The less busy of two drawn at random.
    LeastRequest,
    /// Each in turn.
    RoundRobin,
}

/// A model name that clients ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The name, or [`WILDCARD_ROUTE`].
    pub name: String,
    /// Where its calls go. Targets that only a canary rule reaches come last and have weight 0.
    pub targets: Vec<Target>,
    /// Header rules that come before the weights, in the file's order.
    pub canary: Vec<Canary>,
}

/// One destination of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Index into [`Config::pools`].
    pub pool: usize,
    /// The model name that the pool knows; `None` keeps the caller's.
    pub model: Option<String>,
    /// Share in millionths. The weights of a route sum to [`WEIGHT_SUM`].
    pub weight: u32,
}

/// What the weights of a route sum to.
pub const WEIGHT_SUM: u32 = 1_000_000;

/// A rule that sends calls with a certain header to a certain target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Header name in lower case.
    pub header: String,
    /// The value it must have.
    pub equals: String,
    /// Index into [`Route::targets`].
    pub target: usize,
}

impl Config {
    /// The name under which metrics, headers and commands know a target: `pool/model`, or `pool` where the
    /// caller's model name is kept.
    #[must_use]
    pub fn target_label(&self, target: &Target) -> String {
        let pool = &self.pools[target.pool].name;
        target.model.as_ref().map_or_else(|| pool.clone(), |model| format!("{pool}/{model}"))
    }
}

impl Listen {
    /// Reads `host:port` by the rules of the file, for a command line.
    ///
    /// # Errors
    ///
    /// One line that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        scalar::address(text).map(|address| Self { address }).map_err(|complaint| complaint.to_string())
    }
}

impl Admin {
    /// Reads a loopback `host:port` by the rules of the file, for a command line.
    ///
    /// # Errors
    ///
    /// One line that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        scalar::loopback(text).map(|address| Self { address }).map_err(|complaint| complaint.to_string())
    }
}

impl LogFormat {
    /// Every format, the default first.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Json, Self::Human];

    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Human => "human",
        }
    }
}

impl Balance {
    /// Every way, the default first.
    pub const ALL: [Self; 2] = [Self::LeastRequest, Self::RoundRobin];

    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeastRequest => "least_request",
            Self::RoundRobin => "round_robin",
        }
    }
}

impl Endpoint {
    /// `host:port`, an IPv6 address in brackets: how it is connected to and labelled.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}
