//! The checked configuration: what the rest of Weir sees. Nothing here is optional that must be there,
//! every reference is an index, every weight is an integer.
//!
//! [`load`] turns the text of a file into it, or into the list of every [`Problem`] of the file;
//! [`from_upstreams`] makes it without any file. Where the text comes from is the gateway's business.

mod address;
mod audit;
mod bounds;
mod callers;
mod check;
mod defaults;
mod doors;
mod expand;
mod jwt;
mod overload;
mod problem;
mod quota;
mod reference;
mod render;
mod scalar;
mod suggest;
#[cfg(test)]
mod tests;
mod timeouts;
mod timestamp;
mod tree;
mod upstreams;
mod url;
pub(crate) mod weights;

use std::path::PathBuf;
use std::time::Duration;

pub use address::Address;
pub use audit::Audit;
pub use callers::{FileKey, Identity, Key};
pub use check::{load, load_keys, load_with_files, quota};
pub use defaults::{ADMIN_DEFAULT, LISTEN_DEFAULT, SEGMENT_DEFAULT};
pub use doors::{Admin, AdminKey, Listen, MetricsListener, Role, Tls};
pub use jwt::{Claims, JwksSource, Jwt};
pub use overload::{
    Aimd, Batch, Bulkhead, Concurrency, FirstTokenWindow, GaugesSource, Gradient, Gradient2, MinRtt,
    MinRttSource, NonStreaming, Objective, Order, Priority, Queue, Segment, Span, WhenFull,
};
pub use problem::{FileUse, Loaded, Problem};
pub use quota::{Quota, RequestRate};
pub use reference::{markdown, schema};
pub use render::{quota_to_json, to_json};
pub use timeouts::{RouteTimeouts, Timeouts};
pub use timestamp::render_timestamp;
pub use tree::{ITEMS_BYTES_MAX, TEXT_BYTES_MAX};
pub use upstreams::{UpstreamArgument, from_upstreams};
pub use weights::{parse_weight, render_weight};

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
    /// The end of a process that was told to stop.
    pub drain: Drain,
    /// What is logged.
    pub log: Log,
    /// Where changes that operators make are kept, if anywhere.
    pub audit: Option<Audit>,
    /// Groups of endpoints that serve the same thing, in the file's order; at least one.
    pub pools: Vec<Pool>,
    /// Model names that clients ask for, in the file's order; at least one, unless there is a passthrough.
    pub routes: Vec<Route>,
    /// Paths that go to a pool as they are, in the file's order.
    pub passthrough: Vec<Passthrough>,
    /// Classes of callers, in the file's order; at least one.
    pub segments: Vec<Segment>,
    /// Index into [`Config::segments`] of the one that callers belong to who are of no other; `None` where those are
    /// refused.
    pub anonymous: Option<usize>,
    /// Where callers are known from, besides the keys of the segments.
    pub identity: Identity,
}

/// Bounds on what a client may send, and on how long it may keep Weir waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request head; a larger one is answered 431.
    pub head_bytes: u64,
    /// Longest request target; a longer one is answered 414.
    pub uri_bytes: u64,
    /// Largest request body in bytes; a larger one is answered 413.
    pub body_bytes: u64,
    /// What all request bodies in flight may hold together; a call for which there is no room is answered 503.
    pub body_memory_bytes: u64,
    /// Connections of clients at a time; further ones wait in the system's queue.
    pub connections: u64,
    /// How long a request's head may take; a slower one is answered 408.
    pub header_read: Duration,
    /// How long a request's body may pause; a longer pause is answered 408.
    pub body_read: Duration,
    /// Slowest that a request's body may come, on average, after its first seconds, in bytes per second.
    pub body_rate_bytes: u64,
    /// How long a connection is kept for another request.
    pub idle: Duration,
    /// How long a client may leave an answer unread before it is given up.
    pub client_stall: Duration,
    /// How much of an answer the system may hold for a client that does not take it, in bytes.
    pub send_buffer_bytes: u64,
}

/// The end of a process that was told to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Normal service, for load balancers to notice that it is not ready any more.
    pub grace: Duration,
    /// How long whole answers in flight may take to finish after that.
    pub requests: Duration,
    /// The same for streams.
    pub streams: Duration,
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
#[derive(Clone, Debug, PartialEq)]
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
    /// How long its endpoints may keep Weir waiting.
    pub timeouts: Timeouts,
    /// Whether its endpoints are spoken to in HTTP/2.
    pub http2: bool,
    /// Whether streams are asked for their token counts where the caller did not ask.
    pub usage: Usage,
    /// How many attempts each endpoint gets at a time; `None` where only `bulkhead` limits, which is a pool that only
    /// `passthrough` uses.
    pub concurrency: Option<Concurrency>,
    /// How calls that do not stream are counted.
    pub non_streaming: NonStreaming,
    /// Caps on what it takes.
    pub bulkhead: Bulkhead,
    /// What batch calls may have of it.
    pub batch: Batch,
    /// Whether its servers are asked for their own queues, and where.
    pub gauges: Option<GaugesSource>,
}

/// Whether a stream is asked for its token counts (`stream_options.include_usage`) where the caller did not ask;
/// the event that brings them is then kept from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Where something depends on them: a token quota.
    Auto,
    /// For every stream.
    Always,
    /// For none.
    Never,
}

/// A prefix of paths whose requests go to a pool as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passthrough {
    /// Begins with a slash and does not end with one: `/chain` takes `/chain` and `/chain/…`.
    pub prefix: String,
    /// Index into [`Config::pools`].
    pub pool: usize,
    /// In place of the pool's `answer` timeout, and for streams of `headers` and `first_token`.
    pub timeout: Option<Duration>,
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
    /// In place of its pools' own.
    pub timeouts: RouteTimeouts,
    /// What becomes of a call while the target whose turn it is takes no more.
    pub when_full: WhenFull,
    /// How much may wait for it, and how long.
    pub queue: Queue,
    /// Indices into [`Config::segments`] of those whose callers may use it; all if `None`.
    pub allow: Option<Vec<usize>>,
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

impl Usage {
    /// Every way, the default first.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Always, Self::Never];

    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
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
