//! How far the numbers of a file may go, and why not further. The reader refuses what is beyond, and the
//! reference and the schema say so in advance.

use std::time::Duration;

/// Both ends included.
pub(super) type Range<T> = (T, T);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const HOUR: Duration = Duration::from_secs(3600);

/// Less would refuse ordinary credentials and traces, more is an attack on memory: each connection may take it.
pub(super) const HEAD: Range<u64> = (4 * KIB, MIB);
/// From the shortest that holds an API's paths.
pub(super) const URI: Range<u64> = (256, 64 * KIB);
/// Smaller bodies hold no chat, larger ones no sensible one.
pub(super) const BODY: Range<u64> = (KIB, GIB);
/// Up to the memory of the largest machines.
pub(super) const BODY_MEMORY: Range<u64> = (KIB, 1024 * GIB);
/// Up to what one process has had descriptors for.
pub(super) const CONNECTIONS: Range<u64> = (1, 1_000_000);
/// 0 turns it off; more than 16 MiB a second is no minimum that callers can keep.
pub(super) const BODY_RATE: Range<u64> = (0, 16 * MIB);
/// From a few packets to what the fastest far link holds.
pub(super) const SEND_BUFFER: Range<u64> = (16 * KIB, 64 * MIB);
/// Clocks on callers: shorter than a round trip would refuse everybody.
pub(super) const CALLER_CLOCK: Range<Duration> = (Duration::from_millis(10), HOUR);
/// From "at once" to the longest that any orchestrator waits.
pub(super) const DRAIN: Range<Duration> = (Duration::ZERO, HOUR);
/// Clocks on endpoints, from a local socket's time.
pub(super) const ENDPOINT_CLOCK: Range<Duration> = (Duration::from_millis(1), HOUR);
/// A whole answer: long jobs run for hours.
pub(super) const ANSWER: Range<Duration> = (Duration::from_millis(1), Duration::from_secs(24 * 3600));
/// Each header is copied for each call.
pub(super) const LOG_HEADERS_MAX: usize = 16;
/// Above 0, since a share of nothing would never be served; a thousand to one in either direction is plenty.
pub(super) const SHARE: Range<f64> = (0.001, 1000.0);
/// A part of a pool: a thousandth is a place in a pool of a thousand.
pub(super) const INFLIGHT_RATIO: Range<f64> = (0.001, 1.0);
/// From one call in a quarter of an hour; more than a million a second is no limit.
pub(super) const REQUESTS_PER_SECOND: Range<f64> = (0.001, 1_000_000.0);
/// At least the one call that comes.
pub(super) const BURST: Range<u64> = (1, 1_000_000);
/// As many as fit 32 bits, about.
pub(super) const TOKENS_PER_MINUTE: Range<u64> = (1, 4_000_000_000);
/// Calls of a quota at a time: 0 would be a segment that is closed.
pub(super) const CONCURRENT: Range<u64> = (1, 1_000_000);
/// From nothing to all.
pub(super) const RESERVE: Range<f64> = (0.0, 1.0);
/// Promised first tokens: shorter than a round trip nobody can promise.
pub(super) const FIRST_TOKEN: Range<Duration> = (Duration::from_millis(10), HOUR);
/// Promised pace: from a thousand tokens a second to one a minute.
pub(super) const INTER_TOKEN: Range<Duration> = (Duration::from_millis(1), Duration::from_secs(60));
/// Gateways in front of one pool.
pub(super) const GATEWAYS: Range<u64> = (1, 1000);
/// First token of an idle endpoint: from a local socket's time to the longest thinking.
pub(super) const BASE_TIME: Range<Duration> = (Duration::from_millis(1), Duration::from_secs(600));
/// Attempts at an endpoint at a time: 1, so that something is always tried, up to what a process has descriptors for.
pub(super) const CONCURRENCY: Range<u64> = (1, 1_000_000);
/// A percentage that has to leave something.
pub(super) const PERCENTILE: Range<u64> = (1, 100);
/// Envoy takes any percentage; above a thousand it is no margin any more.
pub(super) const MARGIN_PERCENT: Range<u64> = (0, 1000);
/// Update intervals, from two of Weir's own ticks.
pub(super) const UPDATE_INTERVAL: Range<Duration> = (Duration::from_millis(100), Duration::from_secs(60));
/// Response times and the time between measurements of them.
pub(super) const RESPONSE_TIME: Range<Duration> = (Duration::from_millis(1), HOUR);
/// Samples that are kept or looked back over.
pub(super) const SAMPLES: Range<u64> = (1, 10_000);
/// Response times always vary by something, and a limit that bears ten times the usual one never falls.
pub(super) const RTT_TOLERANCE: Range<f64> = (1.0, 10.0);
/// A part of a new limit.
pub(super) const SMOOTHING: Range<f64> = (0.01, 1.0);
/// Netflix's own bounds.
pub(super) const BACKOFF_RATIO: Range<f64> = (0.5, 0.99);
/// As many as a call's way is chosen among in a few instructions.
pub(super) const TARGETS_MAX: usize = crate::overload::dispatch::Targets::MOST;
/// Calls that may wait, from none.
pub(super) const WAITING: Range<u64> = (0, 1_000_000);
/// Estimated tokens that may wait, up to what the largest memory for bodies holds.
pub(super) const WAITING_TOKENS: Range<u64> = (1, 1 << 40);
/// How far clocks may be off: more than some minutes is no clock, and every expired token would be good for so long.
pub(super) const SKEW: Range<Duration> = (Duration::ZERO, Duration::from_secs(600));
/// Each is compared with each token.
pub(super) const AUDIENCES_MAX: usize = 16;
/// From "never wait" to the longest that a caller stays.
pub(super) const WAIT: Range<Duration> = (Duration::ZERO, HOUR);
