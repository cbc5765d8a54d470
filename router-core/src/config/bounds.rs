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
