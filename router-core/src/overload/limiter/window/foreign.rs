//! Others' requests in the server's queue, as the server's own gauges tell: what the window cannot count.
//!
//! Who shares a server with other gateways or users sees their queue only in its own first tokens, late, and with
//! nothing under way not at all; after a restart, neither. So where the server tells how many requests wait there,
//! those that cannot be ours take places of the window:
//!
//! ```text
//! others     waiting at the server − most of ours that had no first token yet, over the last 3 reports
//! admit iff  awaiting + others < floor(max(p_min, P))  and  inflight < floor(D)
//! ```
//!
//! It may only hold back, and what the window sees itself rules: where first tokens of late came without an excess
//! wait, the others' queue is one that the server clears at once, and nothing is held. A report that is older than
//! 3 s counts for nothing. And it never closes: one attempt at a time goes past any queue, 10 s after the last, so
//! that there are first tokens to judge by, and a server that only others use is not given up.
//!
//! Simulated (`eight_slots.yaml`, `server_a.yaml` in `loadtest/scenarios`): gateways that share one slow server, where
//! each one's least attempt makes a queue of seconds together, reach 0.8 to 1.0 of what is attainable at 1.5 and 3
//! times its capacity in place of 0.0 to 0.9; at a fast server nothing changes. With a pause of 1 s or 3 s in place of
//! 10 s the sixteen of them still fill the queue between two reports.
//!
//! Limits: reports are a second apart and may be older than they look, so a queue that comes and goes faster is not
//! seen. Behind an address that leads to several servers each report is of one of them.

use super::super::places;
use super::FirstTokenWindow;
use super::growth::ROOM_MIN;
use crate::overload::gauges::Gauges;

/// How old a report may be: three missed ones in a row are a server that tells nothing.
const FRESH_SECONDS: f64 = 3.0;

/// For so many reports ours count that had no first token yet: servers under load are seconds late with their gauges.
const REPORTS: usize = 3;

/// Time between two attempts that go past a queue of others.
const PAUSE_SECONDS: f64 = 10.0;

/// Share of the allowed excess wait below which first tokens show that there is no queue; the one from which the
/// window takes it for real.
const EXCESS_REAL: f64 = 0.5;

/// What the server told last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Foreign {
    /// Others' requests that wait there.
    waiting: u32,
    heard: f64,
    /// Most of ours without a first token: since the last report, before that, and so on.
    ours: [u32; REPORTS],
    /// When an attempt was last let in.
    admitted: f64,
}

impl Foreign {
    pub(super) fn new() -> Self {
        let long_ago = f64::NEG_INFINITY;
        Self { waiting: 0, heard: long_ago, ours: [0; REPORTS], admitted: long_ago }
    }

    /// An attempt is let in; `ours` have no first token then.
    pub(super) fn admitted(&mut self, now: f64, ours: u32) {
        self.admitted = now;
        let [latest, ..] = &mut self.ours;
        *latest = ours.max(*latest);
    }

    /// The server tells that so many wait there.
    fn hear(&mut self, now: f64, waiting: u32, ours: u32) {
        let most = self.ours.iter().copied().max().unwrap_or_default();
        self.waiting = waiting.saturating_sub(most);
        self.heard = now;
        self.ours.rotate_right(1);
        let [latest, ..] = &mut self.ours;
        *latest = ours;
    }

    fn waiting(&self, now: f64) -> u32 {
        if self.is_heard(now) { self.waiting } else { 0 }
    }

    pub(super) fn is_heard(&self, now: f64) -> bool {
        now - self.heard <= FRESH_SECONDS
    }
}

impl FirstTokenWindow {
    /// Attempts whose first token was not seen, of calls that do not stream until they end: any of them may wait.
    pub(super) fn unseen(&self) -> u32 {
        self.slots.used().saturating_sub(self.decode_cap.decoding())
    }

    pub(super) fn told(&mut self, now: f64, gauges: Gauges) {
        let ours = self.unseen();
        self.foreign.hear(now, gauges.waiting, ours);
    }

    /// How many more attempts the window takes.
    pub(super) fn room(&self, now: f64) -> u32 {
        if let Some(room) = self.room_of_part(now) {
            return room;
        }
        let others = self.foreign.waiting(now);
        let free = self.places(now).saturating_sub(self.awaiting);
        if free == 0 || others == 0 || self.sees_no_queue() {
            return free;
        }
        let passes = self.awaiting == 0 && now - self.foreign.admitted >= PAUSE_SECONDS;
        free.saturating_sub(others).max(u32::from(passes))
    }

    /// The window's places. That two may always come together is a guess, and with many gateways it makes the queue:
    /// a server that tells of its queue needs no guess.
    fn places(&self, now: f64) -> u32 {
        let guess = self.foreign.is_heard(now) && self.window_places <= places(ROOM_MIN);
        if guess { self.window_places.min(places(self.window_min)) } else { self.window_places }
    }

    /// Whether first tokens of late came without a queue. Where none was ever seen, nothing is known of that.
    fn sees_no_queue(&self) -> bool {
        let known = self.sight.base_known && self.sight.count > 0;
        known && self.sight.excess < EXCESS_REAL * self.sight.allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::{Attempt, End, Limiter, Place, Seen, TICK};
    use super::super::FirstTokenWindowSettings;
    use super::*;

    const STREAM: Attempt = Attempt { prompt_tokens: 100, stream: true };

    /// A window, its clock, and a server that tells of its queue each second.
    struct Told {
        window: FirstTokenWindow,
        now: Duration,
        waiting: Option<u32>,
    }

    impl Told {
        fn new() -> Self {
            Self::one_of(1)
        }

        fn one_of(gateways: u32) -> Self {
            let settings = FirstTokenWindowSettings { gateways, ..FirstTokenWindowSettings::default() };
            let window = FirstTokenWindow::new(settings);
            Self { window, now: Duration::from_secs(1_000_000), waiting: None }
        }

        fn tells(&mut self, waiting: Option<u32>) {
            self.waiting = waiting;
            self.report();
        }

        fn report(&mut self) {
            if let Some(waiting) = self.waiting {
                self.window.hear(self.now, Gauges { waiting, running: 8 });
            }
        }

        fn pass(&mut self, seconds: u32) {
            for _ in 0..seconds {
                for _ in 0..20 {
                    self.now += TICK;
                    self.window.tick(self.now);
                }
                self.report();
            }
        }

        fn free(&self) -> u32 {
            self.window.read(self.now).free
        }

        fn admit(&mut self) -> Option<Place> {
            self.window.admit(self.now, STREAM)
        }

        fn answer(&mut self, place: Place) {
            self.window.observe(self.now, &place, Seen::FirstToken);
            self.window.release(self.now, place, End::Whole { output_tokens: Some(10) });
        }
    }

    #[test]
    fn what_others_have_in_the_queue_takes_places() {
        let mut told = Told::new();
        let all = told.free();
        told.tells(Some(1));
        assert_eq!(told.free(), all - 1);
        told.tells(Some(0));
        assert_eq!(told.free(), all);
        let _waits = told.admit().unwrap();
        told.tells(Some(1));
        assert_eq!(told.free(), all - 1, "it is ours");
        told.tells(Some(2));
        assert_eq!(told.free(), all.saturating_sub(2));
    }

    #[test]
    fn what_was_ours_a_moment_ago_is_not_others() {
        let mut told = Told::new();
        let waits = told.admit().unwrap();
        told.answer(waits);
        let all = told.free();
        for late in 0..REPORTS {
            told.tells(Some(1));
            assert_eq!(told.free(), all, "report {late} may be of before");
        }
        told.pass(11);
        assert_eq!(told.window.foreign.waiting(told.now.as_secs_f64()), 1);
    }

    #[test]
    fn an_old_report_counts_for_nothing() {
        let mut told = Told::new();
        let all = told.free();
        told.tells(Some(1));
        told.waiting = None;
        told.pass(3);
        assert_eq!(told.free(), all - 1);
        told.pass(1);
        assert_eq!(told.free(), all);
    }

    #[test]
    fn a_queue_that_was_there_before_lets_one_past_it_every_ten_seconds() {
        let mut told = Told::new();
        told.tells(Some(1_000));
        assert_eq!(told.free(), 1);
        let first = told.admit().unwrap();
        told.pass(20);
        assert!(told.admit().is_none(), "one at a time");
        told.answer(first);
        // Its wait of 20 s is the only one that is known: no sign of an idle server, and none of a queue.
        told.pass(11);
        let second = told.admit().unwrap();
        told.answer(second);
        told.tells(Some(0));
        assert!(told.free() > 0, "the queue is gone");
    }

    #[test]
    fn two_may_come_together_unless_the_server_tells_of_its_queue() {
        let mut told = Told::one_of(8);
        for _ in 0..5 {
            let place = told.admit().unwrap();
            told.now += TICK;
            told.window.tick(told.now);
            told.answer(place);
            told.pass(4);
        }
        assert_eq!(told.free(), 2);
        told.tells(Some(0));
        assert_eq!(told.free(), 1);
        told.waiting = None;
        told.pass(4);
        assert_eq!(told.free(), 2);
    }

    #[test]
    fn first_tokens_without_an_excess_rule() {
        let mut told = Told::new();
        for _ in 0..20 {
            let place = told.admit().unwrap();
            told.now += TICK;
            told.window.tick(told.now);
            told.answer(place);
        }
        told.now += TICK;
        told.window.tick(told.now);
        let all = told.free();
        told.tells(Some(1_000));
        assert_eq!(told.free(), all, "whoever waits there is served at once");
    }
}
