//! Real parts for the tests: the `weir` binary as a process, an upstream that records what it got, byte for
//! byte, and a client that speaks plain bytes. Each test file uses some of them.

#![expect(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should fail"
)]

pub mod client;
pub mod config;
pub mod events;
pub mod held;
pub mod http2;
pub mod http2_upstream;
pub mod issuer;
pub mod metrics;
pub mod outcome;
pub mod refusal;
pub mod secure;
pub mod secured;
pub mod socket;
pub mod upstream;
pub mod weir;

use std::time::{Duration, Instant};

/// Waits until `check` gives something: what a test waits for must come, but on a busy machine it may take a
/// while.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "never came: {what}");
        pause(Duration::from_millis(5));
    }
}

/// Lets time pass on a test's own thread.
#[expect(clippy::disallowed_methods, reason = "tests run on threads of their own")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
