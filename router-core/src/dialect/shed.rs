//! The words for calls that are refused because there is not enough for everybody, and when they may come back.

use std::time::Duration;

/// Why overload control refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shed {
    /// On arrival: its first token would come later than its caller waits.
    WouldMiss,
    /// While it waited: its first token can no longer come in time.
    Expired,
    /// It waited as long as any call may.
    QueueWait,
    /// On arrival: as many calls or tokens wait for its route as may.
    QueueFull,
    /// While it waited: the queue was full and a call came that counts for more.
    Displaced,
    /// On arrival: as many calls wait for its pools as may.
    Bulkhead,
    /// No endpoint can take it, or will within the time that it may wait.
    NoEndpoint,
}

/// What a caller is told to wait before it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryHint {
    /// Value of `retry-after`: whole seconds, 1 to 30.
    pub seconds: u64,
    /// Value of `retry-after-ms`, which wins where it is read.
    pub ms: u64,
}

impl Shed {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::WouldMiss,
        Self::Expired,
        Self::QueueWait,
        Self::QueueFull,
        Self::Displaced,
        Self::Bulkhead,
        Self::NoEndpoint,
    ];

    /// The word for it in metrics and logs, which tell all of them apart.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WouldMiss => "would_miss",
            Self::Expired => "expired",
            Self::QueueWait => "queue_wait",
            Self::QueueFull => "queue_full",
            Self::Displaced => "displaced",
            Self::Bulkhead => "bulkhead",
            Self::NoEndpoint => "no_endpoint",
        }
    }

    /// The word for it in errors: callers are told whether it is time or room that is missing.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::WouldMiss | Self::Expired | Self::QueueWait => "deadline_unmeetable",
            Self::QueueFull | Self::Bulkhead => "queue_full",
            Self::Displaced => "displaced",
            Self::NoEndpoint => "no_endpoint",
        }
    }

    /// The word for it in `x-weir-reason`.
    pub(super) const fn weir_reason(self) -> &'static str {
        match self {
            Self::WouldMiss | Self::Expired | Self::QueueWait => "deadline",
            Self::QueueFull | Self::Bulkhead => "queue-full",
            Self::Displaced => "displaced",
            Self::NoEndpoint => "no-endpoint",
        }
    }

    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::WouldMiss => "The model servers are busy: the answer would not begin in time.",
            Self::Expired => "The model servers are busy: the answer can no longer begin in time.",
            Self::QueueWait => "The model servers are busy: the call has waited for as long as it may.",
            Self::QueueFull => "The model servers are busy, and as many calls wait as may.",
            Self::Displaced => {
                "The model servers are busy, and a call that counts for more took this one's place."
            }
            Self::Bulkhead => "The model servers are busy, and as many calls wait for them as may.",
            Self::NoEndpoint => "No endpoint can serve this model through this API now.",
        }
    }
}

/// The hint for a wait: ±20 % by `draw`, any random number, so that those who are refused together do not come back
/// together. Never above 30 s: several SDKs sleep a longer one out blindly, or give up.
#[must_use]
pub fn retry_hint(wait: Duration, draw: u64) -> RetryHint {
    let wait = wait.clamp(RETRY_MIN, RETRY_MAX);
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let jittered = wait_ms * 4 / 5 + draw % (wait_ms * 2 / 5 + 1);
    let ms = jittered.min(u64::try_from(RETRY_MAX.as_millis()).unwrap_or(u64::MAX));
    RetryHint { seconds: ms.div_ceil(1000).max(1), ms }
}

/// Sooner a caller would only find the same queue.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longer is not waited for, or waited for in vain.
const RETRY_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Shed::ALL.into_iter().map(Shed::name).collect();
        assert_eq!(names.len(), Shed::ALL.len());
    }

    #[test]
    fn hints_are_whole_seconds_and_jittered_milliseconds() {
        let hint = |wait_ms, draw| {
            let hint = retry_hint(Duration::from_millis(wait_ms), draw);
            (hint.seconds, hint.ms)
        };
        assert_eq!(hint(1900, 0), (2, 1520));
        assert_eq!(hint(1900, 380), (2, 1900));
        assert_eq!(hint(1900, 760), (3, 2280));
        assert_eq!(hint(1900, 761), (2, 1520));
        assert_eq!(hint(0, 20), (1, 100), "never at once");
        for draw in [0, 1, 12_000, u64::MAX] {
            let (seconds, ms) = hint(u64::MAX, draw);
            assert!((24_000..=30_000).contains(&ms) && (24..=30).contains(&seconds), "{seconds} {ms}");
        }
    }
}
