//! How many sockets the process may have. A stream takes two, one to the caller and one to the upstream.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are no caller's and no upstream's: listeners, the log, the runtime's own, operators.
pub(super) const RESERVED: u64 = 64;
/// Never fewer callers than this, whatever the system allows: a gateway that serves nobody helps nobody.
const LEAST: u64 = 16;

/// Raises the process's limit as far as it may be raised. The callers that it has room for, each with an upstream;
/// `None` if there is no limit.
pub(super) fn room() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.map(callers)
}

fn callers(descriptors: u64) -> u64 {
    (descriptors.saturating_sub(RESERVED) / 2).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_needs_two() {
        assert_eq!((callers(1024), callers(20_064), callers(10)), (480, 10_000, LEAST));
    }

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        room();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
