//! What does a caller ask for in its headers, and how long does it wait? A caller can make its call less urgent and
//! its patience shorter, never the other way round.
//!
//! | header | value | else |
//! |---|---|---|
//! | `x-weir-priority` | `realtime` or `batch`; may only lower what the segment has | 400 |
//! | `x-weir-deadline-ms` | a positive whole number, counted from arrival | 400 |
//! | `x-weir-segment` | name of a segment; only where the listener trusts it | 400 |
//! | `x-stainless-timeout`, `x-stainless-read-timeout` | seconds, set by SDKs on their own account | ignored |
//! | `x-stainless-retry-count` | a number, `0` for the first time | taken for a repetition |

use std::time::Duration;

use crate::config::{Priority, Segment};
use crate::dialect::Reason;

/// How urgent the call is.
pub const PRIORITY: &str = "x-weir-priority";
/// When its answer is of no use any more.
pub const DEADLINE_MS: &str = "x-weir-deadline-ms";
/// Which segment its caller is of.
pub const SEGMENT: &str = "x-weir-segment";
/// What the official SDKs give a call, without its pauses: see [`SDK_READ_TIMEOUT`].
pub const SDK_TIMEOUT: &str = "x-stainless-timeout";
/// What they give each read of it.
pub const SDK_READ_TIMEOUT: &str = "x-stainless-read-timeout";

/// How often an SDK has asked for the same before.
pub const RETRY_COUNT: &str = "x-stainless-retry-count";

/// All of them.
pub const HEADERS: [&str; 6] = [PRIORITY, DEADLINE_MS, SEGMENT, SDK_TIMEOUT, SDK_READ_TIMEOUT, RETRY_COUNT];

/// Longest time that a caller's word is taken for; what is longer bounds nothing.
const WORD_MAX: Duration = Duration::from_secs(24 * 3600);

/// What a caller asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// How urgent it says that its call is.
    pub priority: Option<Priority>,
    /// Its own deadline.
    pub deadline: Option<Duration>,
    /// What its SDK gives the call.
    pub sdk_timeout: Option<Duration>,
    /// What its SDK gives each read.
    pub sdk_read_timeout: Option<Duration>,
    /// Whether its SDK asks again for what was refused before.
    pub repeated: bool,
}

/// How long a caller waits, counted from the arrival of its call. `None` is for as long as it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// For the first token.
    pub first_token: Option<Duration>,
    /// For the whole answer, which is all that a call without a stream can wait for.
    pub answer: Option<Duration>,
}

impl Ask {
    /// Reads a call's headers; `header` looks one up by its name.
    ///
    /// # Errors
    ///
    /// [`Reason::InvalidHeader`] that names a header of Weir's which is not as it should be.
    pub fn read<'h>(header: impl Fn(&'static str) -> Option<&'h [u8]>) -> Result<Self, Reason> {
        Ok(Self {
            priority: header(PRIORITY).map(priority).transpose()?,
            deadline: header(DEADLINE_MS).map(deadline).transpose()?.flatten(),
            sdk_timeout: header(SDK_TIMEOUT).and_then(seconds),
            sdk_read_timeout: header(SDK_READ_TIMEOUT).and_then(seconds),
            repeated: header(RETRY_COUNT).is_some_and(|count| count != b"0"),
        })
    }

    /// How urgent the call is, of a segment that is so urgent.
    #[must_use]
    pub fn lowered(&self, segment: Priority) -> Priority {
        self.priority.map_or(segment, |asked| asked.max(segment))
    }

    /// How long the caller of a segment with this first-token objective waits.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use router_core::overload::ask::Ask;
    ///
    /// let ask = Ask { deadline: Some(Duration::from_secs(30)), ..Ask::default() };
    /// let objective = Some(Duration::from_secs(2));
    /// assert_eq!(ask.patience(objective, true).first_token, objective);
    /// assert_eq!(ask.patience(None, true).first_token, ask.deadline);
    /// assert_eq!(ask.patience(None, false).answer, ask.deadline);
    /// ```
    #[must_use]
    pub fn patience(&self, objective: Option<Duration>, stream: bool) -> Patience {
        let said = [self.deadline, self.sdk_timeout, self.sdk_read_timeout].into_iter().flatten().min();
        if stream {
            Patience { first_token: said.into_iter().chain(objective).min(), answer: None }
        } else {
            Patience { first_token: objective, answer: said }
        }
    }
}

/// The place of the segment that a trusted header names.
///
/// # Errors
///
/// [`Reason::InvalidHeader`] if there is none of that name: a proxy that knows its callers and names a segment that
/// is not there is set up wrongly, and nobody would notice if its best callers were taken for anybody.
pub fn segment(named: &[u8], segments: &[Segment]) -> Result<usize, Reason> {
    let found = segments.iter().position(|segment| segment.name.as_bytes() == named);
    found.ok_or(Reason::InvalidHeader { header: SEGMENT, wanted: "the name of a segment of this gateway" })
}

fn priority(value: &[u8]) -> Result<Priority, Reason> {
    let found = Priority::ALL.into_iter().find(|priority| priority.name().as_bytes() == value);
    found.ok_or(Reason::InvalidHeader { header: PRIORITY, wanted: "`realtime` or `batch`" })
}

/// `None` for one that is too far away to bound anything. What no integer holds was never meant as a time.
fn deadline(value: &[u8]) -> Result<Option<Duration>, Reason> {
    let digits = str::from_utf8(value).ok().filter(|value| value.bytes().all(|digit| digit.is_ascii_digit()));
    let ms = digits.and_then(|digits| digits.parse::<u64>().ok()).filter(|ms| *ms > 0);
    let ms = ms.ok_or(Reason::InvalidHeader {
        header: DEADLINE_MS,
        wanted: "a positive whole number of milliseconds",
    })?;
    Ok(Some(Duration::from_millis(ms)).filter(|deadline| *deadline <= WORD_MAX))
}

/// What an SDK set without its caller's doing is no reason to refuse a call: `None`, infinities and the like bound
/// nothing.
fn seconds(value: &[u8]) -> Option<Duration> {
    let number: f64 = str::from_utf8(value).ok()?.trim().parse().ok()?;
    let time = Duration::try_from_secs_f64(number).ok()?;
    (!time.is_zero() && time <= WORD_MAX).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn read(headers: &[(&str, &'static str)]) -> Result<Ask, Reason> {
        let find = |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1);
        Ask::read(|name| find(name).map(str::as_bytes))
    }

    #[test]
    fn a_call_without_headers_asks_for_nothing() {
        let ask = read(&[]).unwrap();
        assert_eq!(ask, Ask::default());
        assert_eq!(ask.patience(None, true), Patience::default());
        assert_eq!(ask.lowered(Priority::Batch), Priority::Batch);
        assert_eq!(ask.patience(Some(ms(5)), false), Patience { first_token: Some(ms(5)), answer: None });
    }

    #[test]
    fn a_wrong_header_of_weirs_is_named() {
        let cases = [
            (DEADLINE_MS, vec!["abc", "-1", "", "0", "000", "1.5", "1e3", "+5", " 5", "5ms", "٣"]),
            (DEADLINE_MS, vec!["18446744073709551616", "99999999999999999999999999"]),
            (PRIORITY, vec!["", "high", "Batch", "batch,realtime"]),
        ];
        for (header, values) in cases {
            for value in values {
                let Err(Reason::InvalidHeader { header: named, .. }) = read(&[(header, value)]) else {
                    panic!("{header}: {value} is taken")
                };
                assert_eq!(named, header);
            }
        }
    }

    #[test]
    fn a_deadline_is_a_number_of_milliseconds() {
        let deadline = |value| read(&[(DEADLINE_MS, value)]).unwrap().deadline;
        assert_eq!(deadline("1"), Some(ms(1)));
        assert_eq!(deadline("0086400000"), Some(WORD_MAX));
        assert_eq!(deadline("86400001"), None, "bounds nothing");
        assert_eq!(deadline("18446744073709551615"), None, "nor does the largest integer");
    }

    #[test]
    fn what_an_sdk_says_is_taken_or_left() {
        let timeout = |value| read(&[(SDK_TIMEOUT, value)]).unwrap().sdk_timeout;
        assert_eq!(timeout("2.5"), Some(ms(2500)));
        assert_eq!(timeout("600"), Some(ms(600_000)));
        for odd in ["", "0", "-1", "None", "inf", "NaN", "1e300", "99999999", "ten"] {
            assert_eq!(timeout(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_call_can_only_be_made_less_urgent() {
        let ask = |value| read(&[(PRIORITY, value)]).unwrap();
        assert_eq!(ask("batch").lowered(Priority::Realtime), Priority::Batch);
        assert_eq!(ask("realtime").lowered(Priority::Realtime), Priority::Realtime);
        assert_eq!(ask("realtime").lowered(Priority::Batch), Priority::Batch);
    }

    #[test]
    fn the_smallest_of_all_words_is_the_patience() {
        let ask = read(&[(DEADLINE_MS, "9000"), (SDK_TIMEOUT, "8"), (SDK_READ_TIMEOUT, "7.5")]).unwrap();
        assert_eq!(
            ask.patience(Some(ms(2000)), true),
            Patience { first_token: Some(ms(2000)), answer: None }
        );
        assert_eq!(ask.patience(None, true).first_token, Some(ms(7500)));
        assert_eq!(ask.patience(Some(ms(10_000)), true).first_token, Some(ms(7500)));
        let whole = Patience { first_token: Some(ms(2000)), answer: Some(ms(7500)) };
        assert_eq!(ask.patience(Some(ms(2000)), false), whole);
    }

    #[test]
    fn a_named_segment_is_there_or_the_call_refused() {
        let config = crate::config::load(
            "pools: {a: {endpoints: [{url: http://h}]}}\nroutes: {r: {targets: [{pool: a}]}}\n\
             segments: {gold: {}, free: {}}\nanonymous: free\n",
            &|_| None,
        )
        .unwrap()
        .config;
        assert_eq!(segment(b"free", &config.segments), Ok(1));
        for other in ["", "Gold", "gold ", "refuse"] {
            let refused = segment(other.as_bytes(), &config.segments);
            assert!(matches!(refused, Err(Reason::InvalidHeader { header: SEGMENT, .. })), "{other}");
        }
    }
}
