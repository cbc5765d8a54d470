//! How long an attempt may take: the pool's and the route's timeouts, and never longer than the caller waits.
//!
//! What callers say, as far as their headers say it (`router_core::overload::ask`):
//!
//! | header | bounds of an answer | bounds of a stream |
//! |---|---|---|
//! | `x-weir-deadline-ms` | its end | the head and the first token |
//! | `x-stainless-timeout` (s) | its end | the head |
//! | `x-stainless-read-timeout` (s) | its end | the head and every pause |
//!
//! That is how the official SDKs count: the ones for Python wait that long for each read, the ones for Node stop
//! their clock when the head is there. All three count from the arrival of the call. An answer that comes as a stream
//! and is put together has the bounds of both: its caller waits for the end, the upstream is watched as a stream.

use std::time::{Duration, Instant};

use router_core::config::Timeouts;
use router_core::dialect::Reason;
use router_core::overload::ask::Ask;

use crate::path::Failure;

/// The clocks of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    head: Bound,
    /// The first token of a stream, the end of any other answer.
    goal: Bound,
    /// The end of a stream that is put together.
    end: Option<Bound>,
    stream: bool,
    /// Longest pause of a stream.
    idle: Duration,
    /// When the request was handed to its connection.
    sent: Instant,
}

/// How an answer comes from the upstream, and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// In one piece.
    Whole,
    /// As a stream.
    Streamed,
    /// It comes as a stream and goes on in one piece.
    Assembled,
}

/// A time after sending, or an earlier moment.
#[derive(Clone, Copy, Debug)]
struct Bound {
    wait: Duration,
    by: Option<Instant>,
}

/// What bounds an answer whose head has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Term {
    /// Its first token must come by then, and no pause may be longer than this.
    Stream { first_token: Instant, idle: Duration },
    /// Its end must come by then.
    Whole { end: Instant },
    /// All of that.
    Assembled { first_token: Instant, end: Instant, idle: Duration },
}

impl Clocks {
    /// The clocks of a call that arrived at `arrived` and asks for this.
    pub(crate) fn new(timeouts: &Timeouts, delivery: Delivery, ask: &Ask, arrived: Instant) -> Self {
        let Ask { deadline, sdk_timeout: timeout, sdk_read_timeout: read, .. } = *ask;
        let least = [deadline, timeout, read].into_iter().flatten().min();
        let by = |after: Option<Duration>| after.map(|after| arrived + after);
        let answer = Bound { wait: timeouts.answer, by: by(least) };
        let head = Bound { wait: timeouts.headers, by: by(least) };
        let first_token = |by| Bound { wait: timeouts.first_token, by };
        let (head, goal, end) = match delivery {
            Delivery::Whole => (answer, answer, None),
            Delivery::Streamed => (head, first_token(by(deadline)), None),
            Delivery::Assembled => (head, first_token(by(least)), Some(answer)),
        };
        // Of a stream that is put together its caller sees no pauses.
        let pause = read.filter(|_| delivery != Delivery::Assembled);
        let idle = pause.map_or(timeouts.idle, |pause| pause.min(timeouts.idle));
        Self { head, goal, end, stream: delivery != Delivery::Whole, idle, sent: arrived }
    }

    /// The clocks of a small answer that must have come whole within `wait` of being asked for.
    pub(crate) fn whole(wait: Duration) -> Self {
        let bound = Bound { wait, by: None };
        Self { head: bound, goal: bound, end: None, stream: false, idle: wait, sent: Instant::now() }
    }

    /// The request goes out: its clocks start, again if it goes out again.
    pub(super) fn start(&mut self) {
        self.sent = Instant::now();
    }

    /// When the answer's head must have come.
    pub(super) fn head_by(&self) -> Instant {
        let begun = self.head.at(self.sent).min(self.goal.at(self.sent));
        self.end.map_or(begun, |end| begun.min(end.at(self.sent)))
    }

    /// What it is that the head did not come by [`Self::head_by`].
    pub(super) fn overdue(&self) -> Failure {
        let ended = self.end.is_some_and(|end| end.at(self.sent) <= self.head_by());
        let reason = if !self.stream || ended {
            Reason::AnswerTimeout
        } else if self.goal.at(self.sent) < self.head.at(self.sent) {
            Reason::FirstTokenTimeout
        } else {
            Reason::HeadersTimeout
        };
        Failure::new(reason, format!("no answer within {:?}", self.sent.elapsed()))
    }

    /// The answer turns out to be a stream, which nobody could know before: its first event takes the place of its
    /// end.
    pub(super) fn turn_to_stream(&mut self) {
        self.stream = true;
    }

    /// What bounds the rest.
    pub(crate) fn term(&self) -> Term {
        let (goal, idle) = (self.goal.at(self.sent), self.idle);
        match self.end {
            Some(end) => Term::Assembled { first_token: goal, end: end.at(self.sent), idle },
            None if self.stream => Term::Stream { first_token: goal, idle },
            None => Term::Whole { end: goal },
        }
    }
}

impl Bound {
    fn at(&self, sent: Instant) -> Instant {
        let at = sent + self.wait;
        self.by.map_or(at, |by| by.min(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clocks(delivery: Delivery, said: &[(&str, &'static str)]) -> (Clocks, Instant) {
        let value =
            |name: &str| said.iter().find(|header| header.0 == name).map(|header| header.1.as_bytes());
        let arrived = Instant::now();
        let mut clocks = Clocks::new(&Timeouts::default(), delivery, &Ask::read(value).unwrap(), arrived);
        clocks.sent = arrived + SECOND;
        (clocks, arrived)
    }

    #[test]
    fn the_smaller_of_the_settings_and_the_callers_word_counts() {
        let answer_by = |said: &[_]| {
            let (clocks, arrived) = clocks(Delivery::Whole, said);
            let Term::Whole { end } = clocks.term() else { unreachable!("not a stream") };
            assert_eq!(end, clocks.head_by());
            (end - arrived).as_millis()
        };
        assert_eq!(answer_by(&[]), 601_000, "from the sending");
        assert_eq!(answer_by(&[("x-weir-deadline-ms", "1500")]), 1500, "from the arrival");
        assert_eq!(answer_by(&[("x-stainless-timeout", "30")]), 30_000);
        assert_eq!(answer_by(&[("x-stainless-read-timeout", "2.5"), ("x-stainless-timeout", "30")]), 2500);
        assert_eq!(answer_by(&[("x-stainless-timeout", "700")]), 601_000);
        for odd in ["", "0", "-1", "None", "inf", "NaN", "1e300", "99999999"] {
            assert_eq!(answer_by(&[("x-stainless-timeout", odd)]), 601_000, "{odd}");
        }
    }

    #[test]
    fn a_stream_is_bounded_where_its_sdk_waits() {
        let by = |said: &[_]| {
            let (clocks, arrived) = clocks(Delivery::Streamed, said);
            let Term::Stream { first_token, idle } = clocks.term() else { unreachable!("a stream") };
            [clocks.head_by() - arrived, first_token - arrived, idle].map(|time| time.as_secs())
        };
        assert_eq!(by(&[]), [61, 61, 60]);
        assert_eq!(by(&[("x-stainless-timeout", "5")]), [5, 61, 60]);
        assert_eq!(by(&[("x-stainless-read-timeout", "5")]), [5, 61, 5]);
        assert_eq!(by(&[("x-weir-deadline-ms", "5000")]), [5, 5, 60]);
    }

    #[test]
    fn a_stream_that_is_put_together_is_bounded_as_both() {
        let by = |said: &[_]| {
            let (clocks, arrived) = clocks(Delivery::Assembled, said);
            let Term::Assembled { first_token, end, idle } = clocks.term() else { unreachable!("both") };
            let reason = clocks.overdue().reason;
            assert_eq!(reason == Reason::AnswerTimeout, !said.is_empty(), "{reason:?}");
            let times = [clocks.head_by() - arrived, first_token - arrived, end - arrived, idle];
            times.map(|time| time.as_secs())
        };
        assert_eq!(by(&[]), [61, 61, 601, 60]);
        assert_eq!(by(&[("x-stainless-read-timeout", "5")]), [5, 5, 5, 60]);
        assert_eq!(by(&[("x-weir-deadline-ms", "5000")]), [5, 5, 5, 60]);
    }
}
