//! How long an upstream may be silent. Only its silence is counted: the clock of a pause starts when the relay is
//! asked for more and finds nothing, and the time that a slow caller takes moves the other bounds back.
//!
//! One timer for the whole answer, set when there is nothing to relay for the first time and set again only when
//! it fires too early: a stream touches the runtime's timers about once in each `idle`, not at every token.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

use super::breach::{ANSWER, Breach, FIRST_TOKEN, IDLE};
use crate::path::send::Term;

/// The clock of one answer.
pub(super) struct Clock {
    /// When the first token or the end must have come.
    goal: Option<(Instant, &'static Breach)>,
    /// When the end must have come, once the first token has.
    end: Option<(Instant, &'static Breach)>,
    idle: Option<Duration>,
    turn: Turn,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Whose turn it is, and since when.
enum Turn {
    /// The caller's, to take what was handed over; without a goal nobody asks since when.
    Caller(Option<Instant>),
    /// The upstream's, to send more.
    Upstream(Instant),
}

impl Clock {
    /// The clock of an answer whose head came at `now`. Only event streams have first tokens.
    pub(super) fn new(term: Term, is_events: bool, now: Instant) -> Self {
        let whole = |end| Some((end, &ANSWER));
        let (goal, end, idle) = match term {
            Term::Stream { first_token, idle } => {
                (is_events.then_some((first_token, &FIRST_TOKEN)), None, Some(idle))
            }
            Term::Assembled { first_token, end, idle } if is_events => {
                let goal = if first_token < end { Some((first_token, &FIRST_TOKEN)) } else { whole(end) };
                (goal, whole(end), Some(idle))
            }
            Term::Whole { end } | Term::Assembled { end, .. } => (whole(end), None, None),
        };
        Self { goal, end, idle, turn: Turn::Caller(Some(now)), timer: None }
    }

    /// Something came.
    pub(super) fn came(&mut self) {
        if let Turn::Upstream(_) = self.turn {
            self.turn = Turn::Caller(None);
        }
    }

    /// Something was handed to the caller.
    pub(super) fn handed(&mut self) {
        let Some((goal, _)) = &mut self.goal else {
            self.turn = Turn::Caller(None);
            return;
        };
        let now = Instant::now();
        // More was there as soon as the caller asked: all the time since the last piece was its own.
        if let Turn::Caller(Some(handed)) = self.turn {
            *goal += now - handed;
        }
        self.turn = Turn::Caller(Some(now));
    }

    /// The first token has come.
    pub(super) fn first_token(&mut self) {
        if self.idle.is_some() {
            self.goal = self.end;
        }
    }

    /// Nothing has come: whether that has lasted for too long.
    pub(super) fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<&'static Breach> {
        let (due, breach) = self.due();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
        if timer.deadline() > due.into() {
            timer.as_mut().reset(due.into());
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if Instant::now() >= due {
                return Poll::Ready(breach);
            }
            timer.as_mut().reset(due.into());
        }
    }

    /// When what is overdue.
    fn due(&mut self) -> (Instant, &'static Breach) {
        let since = match self.turn {
            Turn::Upstream(since) => since,
            Turn::Caller(handed) => {
                let now = Instant::now();
                if let (Some((goal, _)), Some(handed)) = (&mut self.goal, handed) {
                    *goal += now - handed;
                }
                self.turn = Turn::Upstream(now);
                now
            }
        };
        let pause = self.idle.map(|idle| (since + idle, &IDLE));
        match (self.goal, pause) {
            (Some(goal), Some(pause)) if pause.0 < goal.0 => pause,
            (Some(goal), _) => goal,
            (None, Some(pause)) => pause,
            // One of the two is always there; an answer without either would have no bound.
            (None, None) => (since, &ANSWER),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn due(clock: &mut Clock) -> (Instant, &'static str) {
        let (due, breach) = clock.due();
        (due, breach.code)
    }

    #[test]
    fn a_pause_begins_when_nothing_is_found() {
        let start = Instant::now();
        let term = Term::Stream { first_token: start + 90 * SECOND, idle: 60 * SECOND };
        let mut clock = Clock::new(term, true, start);
        clock.turn = Turn::Upstream(start);
        assert_eq!(due(&mut clock), (start + 60 * SECOND, "idle_timeout"));
        clock.turn = Turn::Upstream(start + 40 * SECOND);
        assert_eq!(due(&mut clock), (start + 90 * SECOND, "first_token_timeout"));
        clock.first_token();
        assert_eq!(due(&mut clock), (start + 100 * SECOND, "idle_timeout"));
        clock.handed();
        assert!(due(&mut clock).0 > start + 60 * SECOND);
    }

    #[test]
    fn a_stream_that_is_put_together_has_an_end_too() {
        let start = Instant::now();
        let until = |seconds: u32| start + seconds * SECOND;
        let term =
            |first, end| Term::Assembled { first_token: until(first), end: until(end), idle: 60 * SECOND };
        let mut clock = Clock::new(term(20, 90), true, start);
        clock.turn = Turn::Upstream(start);
        assert_eq!(due(&mut clock), (until(20), "first_token_timeout"));
        clock.first_token();
        assert_eq!(due(&mut clock), (until(60), "idle_timeout"));
        clock.turn = Turn::Upstream(until(40));
        assert_eq!(due(&mut clock), (until(90), "answer_timeout"));
        for mut clock in [Clock::new(term(20, 10), true, start), Clock::new(term(5, 10), false, start)] {
            clock.turn = Turn::Upstream(start);
            assert_eq!(due(&mut clock), (until(10), "answer_timeout"));
        }
    }

    #[test]
    fn a_slow_callers_time_is_not_the_upstreams() {
        let Some(earlier) = Instant::now().checked_sub(10 * SECOND) else { return };
        let mut clock = Clock::new(Term::Whole { end: earlier + SECOND }, false, earlier);
        // Handed over ten seconds ago, and only now asked for more.
        let (due, code) = due(&mut clock);
        assert!(due >= earlier + 11 * SECOND && code == "answer_timeout");
    }

    #[test]
    fn a_slow_callers_time_is_not_the_upstreams_where_more_was_always_there() {
        let Some(earlier) = Instant::now().checked_sub(10 * SECOND) else { return };
        let mut clock = Clock::new(Term::Whole { end: earlier + SECOND }, false, earlier);
        clock.came();
        clock.handed();
        assert!(due(&mut clock).0 >= earlier + 11 * SECOND, "asked for more ten seconds late, and got it");
    }

    #[tokio::test]
    async fn the_timer_stays_while_tokens_come_and_fires_in_the_end() {
        let start = Instant::now();
        let idle = Duration::from_millis(50);
        let mut clock = Clock::new(Term::Stream { first_token: start, idle }, false, start);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(clock.poll_overdue(context).is_pending());
        let first = clock.timer.as_ref().unwrap().deadline();
        clock.handed();
        clock.turn = Turn::Upstream(Instant::now() + SECOND);
        assert!(clock.poll_overdue(context).is_pending());
        assert_eq!(clock.timer.as_ref().unwrap().deadline(), first, "set again at a token");
        clock.turn = Turn::Upstream(start);
        let breach = std::future::poll_fn(|context| clock.poll_overdue(context)).await;
        assert_eq!(breach.code, "idle_timeout");
    }
}
