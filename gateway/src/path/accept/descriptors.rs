//! How many sockets the process may have. A stream takes two, one to the caller and one to the upstream.

use rustix::io::fcntl_dupfd_cloexec;
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

/// Has the system's table of descriptors made large enough for so many callers, each with an upstream. It would grow by
/// itself, doubling; but in a process with several threads Linux waits for each of them to let go of the old table
/// (`expand_fdtable`, `synchronize_rcu`), and all calls wait those 10 ms beside the one that needed the descriptor.
/// Takes as long itself: not for a thread that serves.
pub(super) fn prepare(callers: u64) {
    let last = callers.saturating_mul(2).saturating_add(RESERVED - 1);
    // Where that cannot be had the table grows as it is needed.
    drop(i32::try_from(last).map(|last| fcntl_dupfd_cloexec(std::io::stderr(), last)));
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
    fn a_prepared_table_has_room_for_every_caller() {
        let size = || -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
            size.trim().parse().unwrap()
        };
        let callers = room().map_or(3_000, |room| room.min(3_000));
        prepare(callers);
        assert!(size() >= 2 * callers, "{}", size());
    }

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        room();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
