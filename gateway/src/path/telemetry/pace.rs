//! How often something is logged that whoever can connect can bring about.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time from one line to the next.
const INTERVAL: Duration = Duration::from_secs(10);

/// When the last line was written, and what was not since then.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<(Option<Instant>, u64)>);

impl Pace {
    /// Whether there is to be a line, and how many there were not since the last one.
    pub(crate) fn take(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, passed_over) = &mut *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            *passed_over += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(passed_over))
    }

    /// The same as the end of a line.
    pub(crate) fn others(&self, now: Instant) -> Option<String> {
        Some(match self.take(now)? {
            0 => String::new(),
            count => format!("; {count} others were since the last such line"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_line_now_and_then_and_none_is_forgotten() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.take(start), Some(0));
        for _ in 0..100 {
            assert_eq!(pace.take(start + INTERVAL / 2), None);
        }
        assert_eq!(pace.take(start + INTERVAL), Some(100));
        assert_eq!(pace.others(start + INTERVAL * 2).as_deref(), Some(""));
    }
}
