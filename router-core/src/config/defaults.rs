//! What holds where a configuration says nothing, and why.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use super::{
    Admin, Aimd, Balance, Batch, Bulkhead, Claims, Concurrency, Drain, FirstTokenWindow, Gradient, Gradient2,
    JwksSource, Jwt, Limits, Listen, Log, LogFormat, MinRtt, MinRttSource, NonStreaming, Objective, Order,
    Pool, Priority, Queue, Segment, Span, Timeouts, Usage,
};
use crate::dialect::DialectSet;

/// Where clients are listened for: loopback, so that a first try is no open door.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
/// Where operators are listened for: loopback, since it has no keys.
pub const ADMIN_DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9901));
/// The segment of every caller where a file names none.
pub const SEGMENT_DEFAULT: &str = "default";

impl Default for Listen {
    /// Headers are not trusted: anybody may write one.
    fn default() -> Self {
        Self { address: LISTEN_DEFAULT.into(), trust_headers: false, tls: None }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: ADMIN_DEFAULT.into(), keys: Vec::new(), tls: None, metrics: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Room for long credentials and traces; what other proxies take is 8 to 64 KiB.
            head_bytes: 64 * 1024,
            // RFC 9110 asks for 8000 octets at least.
            uri_bytes: 8 * 1024,
            // Big enough for prompts with images, small enough that one caller is no danger.
            body_bytes: 32 * 1024 * 1024,
            // Sixteen of the largest bodies.
            body_memory_bytes: 512 * 1024 * 1024,
            // An open stream each.
            connections: 10_000,
            // A caller that is slower is an attack or lost.
            header_read: Duration::from_secs(10),
            body_read: Duration::from_secs(30),
            body_rate_bytes: 1024,
            // Longer than callers keep theirs, so that it is they who close, and no request crosses a close.
            idle: Duration::from_secs(75),
            client_stall: Duration::from_secs(60),
            // A second of 2 MB a second at 60 ms of round trip; left alone, the system keeps 4 MB for a caller that
            // does not read, and fills them at once.
            send_buffer_bytes: 128 * 1024,
        }
    }
}

impl Jwt {
    /// What clocks that are set over a network are off at most, with some room.
    pub(super) const SKEW_DEFAULT: Duration = Duration::from_secs(30);

    /// One in which everything that has a default has it.
    pub(super) fn example() -> Self {
        Self {
            issuer: String::new(),
            audience: Vec::new(),
            jwks: JwksSource::File(PathBuf::new()),
            ca: None,
            skew: Self::SKEW_DEFAULT,
            claims: Claims::default(),
        }
    }
}

impl Default for Claims {
    fn default() -> Self {
        // The subject: the one claim that issuers agree on.
        Self { segment: None, caller: "sub".to_owned() }
    }
}

impl Default for Drain {
    fn default() -> Self {
        let requests = Duration::from_secs(30);
        // Load balancers look every few seconds.
        Self { grace: Duration::from_secs(5), requests, streams: requests }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // A connection is there in milliseconds or not at all.
            connect: Duration::from_secs(1),
            // Seconds of silence are normal for a model; a minute is not.
            headers: Duration::from_secs(60),
            first_token: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            // What the official SDKs wait for a whole answer.
            answer: Duration::from_secs(600),
        }
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
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            endpoints: Vec::new(),
            dialects: DialectSet::ALL,
            key: None,
            ca: None,
            balance: Balance::LeastRequest,
            timeouts: Timeouts::default(),
            http2: false,
            usage: Usage::Auto,
            concurrency: Some(Concurrency::default()),
            non_streaming: NonStreaming::Estimate,
            bulkhead: Bulkhead::default(),
            batch: Batch::default(),
            gauges: None,
        }
    }
}

impl Segment {
    /// A segment with the default of everything: its share is one of as many as there are, nothing is promised, and
    /// it may fill a pool that others leave empty.
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            share: 1.0,
            order: Order::Fair,
            priority: Priority::Realtime,
            objective: Objective::default(),
            max_inflight_ratio: 1.0,
            quota: None,
            keys: Vec::new(),
        }
    }
}

impl Default for Concurrency {
    /// The one that needs no number of its own.
    fn default() -> Self {
        Self::FirstTokenWindow(FirstTokenWindow::default())
    }
}

impl Default for FirstTokenWindow {
    fn default() -> Self {
        Self { gateways: 1, base_time: None }
    }
}

impl Default for Gradient {
    /// Envoy's; what it wants to be told has the values of its documentation's example.
    fn default() -> Self {
        Self {
            sample_aggregate_percentile: 50,
            max_concurrency_limit: 1000,
            concurrency_update_interval: Duration::from_millis(100),
            min_rtt: MinRtt { source: MinRttSource::default(), min_concurrency: 3, buffer_percent: 25 },
        }
    }
}

impl Default for MinRttSource {
    fn default() -> Self {
        Self::Measured { interval: Duration::from_secs(60), jitter_percent: 15, request_count: 50 }
    }
}

impl Default for Span {
    /// Netflix's.
    fn default() -> Self {
        Self { min: 20, max: 200, initial: 20 }
    }
}

impl Default for Gradient2 {
    /// Netflix's.
    fn default() -> Self {
        Self { span: Span::default(), rtt_tolerance: 1.5, smoothing: 0.2, queue_size: 4, long_window: 600 }
    }
}

impl Default for Aimd {
    /// Netflix's.
    fn default() -> Self {
        Self { span: Span::default(), timeout: Duration::from_secs(5), backoff_ratio: 0.9 }
    }
}

impl Bulkhead {
    /// That of a pool that only `passthrough` uses, where nothing else limits: the connection pool of the mesh that
    /// such pools mostly come from.
    pub(super) const PASSTHROUGH: Self =
        Self { connections: Some(100), pending: Some(50), streams: Some(100) };
}

impl Default for Batch {
    /// A fifth is left for realtime calls that come in while batch calls fill the rest: a batch call that has started
    /// cannot be taken back.
    fn default() -> Self {
        Self { reserve: 0.2, minimum: 0 }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            // What a stream's first token may take by default: nobody waits longer than for a server itself.
            wait: Duration::from_secs(60),
            // A call for each connection that clients may have by default.
            requests: 10_000,
            tokens: None,
        }
    }
}
