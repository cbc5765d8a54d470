//! Who sends keys that are nobody's, again and again? Counted by address in fixed memory, however many addresses
//! there are: two sketches of 4 × 1024 counters, 64 KB in all, that can take an address for a busier one and never
//! for a quieter one.
//!
//! A good key passes however many bad ones came from its address: an office behind one address, or a proxy, is not
//! shut out by one of its people. To tell a good key from a bad one costs a digest and a look-up, 200 ns, no more
//! than to count; so every key is judged, and what the guard keeps down is what a failed one costs beyond that.
//! Callers are still answered 401: SDKs give up at once on 401 and come back three times and more on 429.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;
use pingora_limits::rate::Rate;

/// Failed identifications that one address may have in a second before it is told to stop. A fleet of clients with a
/// mistyped key behind one address stays below; whoever tries keys does not.
const PER_SECOND: isize = 20;

/// Counts failed identifications.
pub(crate) struct Guard {
    failures: Rate,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self { failures: Rate::new(Duration::from_secs(1)) }
    }

    /// Counts one from this address. Whether there were too many.
    pub(super) fn is_too_many(&self, peer: &HeaderValue) -> bool {
        self.failures.observe(&Neighbourhood::of(peer), 1) > PER_SECOND
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Guard")
    }
}

/// Whom an address stands for: in IPv6 everybody has a network of 2^64 of them (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Neighbourhood {
    V4([u8; 4]),
    V6([u16; 4]),
    /// All that come through sockets without an address.
    Local,
}

impl Neighbourhood {
    fn of(peer: &HeaderValue) -> Self {
        match peer.to_str().ok().and_then(|peer| peer.parse().ok()) {
            Some(IpAddr::V4(address)) => Self::V4(address.octets()),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
            None => Self::Local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &'static str) -> Neighbourhood {
        Neighbourhood::of(&HeaderValue::from_static(peer))
    }

    #[test]
    fn a_network_is_one_neighbourhood() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("unix"), of(""));
    }

    #[test]
    fn one_address_has_too_many_and_others_do_not() {
        let guard = Guard::new();
        let (busy, quiet) = (HeaderValue::from_static("192.0.2.1"), HeaderValue::from_static("192.0.2.2"));
        let told = (0..200).filter(|_| guard.is_too_many(&busy)).count();
        // A second may end in between.
        assert!((140..=180).contains(&told), "{told}");
        assert!(!guard.is_too_many(&quiet));
    }
}
