//! Less than one attempt at a time. Gateways that share a slow server cannot each keep one attempt waiting there:
//! sixteen of them make a queue of sixteen, which at eight slots is six seconds. Nor does the queue show in the window,
//! which is as small as it can be. So where first tokens come late although a gateway sends so little, it sends one
//! attempt at a time and pauses after it, for as long as makes its part of one waiting attempt in the mean:
//!
//! ```text
//! aim     max(te, 0.25 · objective) + s0: what an attempt is to wait at the server
//! part    on each first token of wait t: part · clamp(aim / t, 0.7, 1.15), max(1/N, 0.7 · r · aim) … 1
//! pause   after it, if part < 1: aim · (1 − part) / part · U(0.75, 1.25)
//! ```
//!
//! While there are pauses the window stays at its least: that calls are held back then does not say that it is too
//! small. From one attempt on the window rules. Where the server tells of its queue (`foreign`) there is nothing to
//! guess, and this does nothing.
//!
//! Worked example: 16 gateways, a server with 2.6 answers a second, an objective of 2 s. The aim is 0.6 s, by Little's
//! law a gateway's part is 2.6 / 16 · 0.6 = 0.1 of an attempt, and after each it pauses for 5.5 s.
//!
//! Simulated, eight slots, 8 and 16 gateways without gauges: 0.82 to 0.91 of what is attainable at 1.5 and 3 times the
//! capacity, with queues 0.75 to 0.90. The pause is not in proportion to the last wait, as in overload.md's 8.6.7: the
//! shorter that was by chance, the more would follow at once. And where the window grew in the pauses up to ten calls
//! went when they were over: sixteen gateways reached 0.67 at 3 times the capacity, with queues 0.50.
//!
//! Limits: all gateways together send at least one attempt in the time that is aimed at. A server that answers less
//! often has a queue all the same.

use super::FirstTokenWindow;
use super::sight::Sight;

/// First-token time at the server that is aimed at, as a part of the objective: the rest is for the queue in Weir.
const AIM_RATIO: f64 = 0.25;

/// The change at one first token, down and up: one that is late by chance is made up for by three that are not.
const STEP: (f64, f64) = (0.7, 1.15);

/// Pauses differ by so much, or gateways would come together again.
const SPREAD: (f64, f64) = (0.75, 1.25);

/// The shortest wait that is reckoned with.
const WAIT_SECONDS_MIN: f64 = 1e-3;

/// One gateway's part of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fraction {
    /// One is an attempt at a time, or any number.
    part: f64,
    /// Its equal share of one attempt, and its least part.
    share: f64,
    aim: f64,
    /// When the pause is over.
    resumes: f64,
}

impl Fraction {
    /// One of so many gateways, with an objective in seconds.
    pub(super) fn new(gateways: u32, objective: f64) -> Self {
        Self {
            part: 1.0,
            share: 1.0 / f64::from(gateways),
            aim: AIM_RATIO * objective,
            resumes: f64::NEG_INFINITY,
        }
    }

    fn first_token(&mut self, now: f64, waited: f64, sight: &Sight) {
        let waited = waited.max(WAIT_SECONDS_MIN);
        let aim = self.aim.max(sight.allowed) + sight.base;
        let (down, up) = STEP;
        // No run of late ones holds back much more than what goes: after a burst the server is as fast as before.
        let least = self.share.max(down * sight.rate * aim).min(1.0);
        self.part = (self.part * (aim / waited).clamp(down, up)).clamp(least, 1.0);
        let pause = aim * (1.0 / self.part - 1.0);
        // A call that came only some time after the last pause does not put off the next one by so much.
        let idle = (now - waited - self.resumes).clamp(0.0, pause);
        let (least, most) = SPREAD;
        self.resumes = now - idle + pause * (least + (most - least) * unit(now, waited));
    }
}

impl FirstTokenWindow {
    /// A first token has come, of an attempt that waited so long.
    pub(super) fn learn_part(&mut self, now: f64, waited: f64) {
        if let Some(fraction) = &mut self.fraction {
            fraction.first_token(now, waited, &self.sight);
        }
    }

    /// Whether attempts go one at a time, with pauses.
    pub(super) fn pauses(&self, now: f64) -> bool {
        !self.foreign.is_heard(now) && self.fraction.is_some_and(|fraction| fraction.part < 1.0)
    }

    /// How many attempts may start, where it is a matter of less than one.
    pub(super) fn room_of_part(&self, now: f64) -> Option<u32> {
        let fraction = self.fraction.as_ref().filter(|_| self.pauses(now))?;
        Some(if now < fraction.resumes { 0 } else { 1_u32.saturating_sub(self.awaiting) })
    }
}

/// A number from 0 to 1 that two gateways hardly share: nanoseconds of their clocks, mixed (`SplitMix64`, Steele, Lea
/// and Flood 2014).
fn unit(now: f64, waited: f64) -> f64 {
    let mut bits = now.to_bits() ^ waited.to_bits().rotate_left(17);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::{Attempt, End, Limiter, Seen, TICK};
    use super::super::FirstTokenWindowSettings;
    use super::*;
    use crate::overload::gauges::Gauges;

    const STREAM: Attempt = Attempt { prompt_tokens: 100, stream: true };

    /// One of sixteen gateways, after first tokens that took so long each.
    fn after(waits: &[f64]) -> (FirstTokenWindow, Duration) {
        let settings = FirstTokenWindowSettings { gateways: 16, ..FirstTokenWindowSettings::default() };
        let (mut window, mut now) = (FirstTokenWindow::new(settings), Duration::from_secs(1_000_000));
        for wait in waits {
            let place = loop {
                now += TICK;
                window.tick(now);
                if let Some(place) = window.admit(now, STREAM) {
                    break place;
                }
            };
            now += Duration::from_secs_f64(*wait);
            window.observe(now, &place, Seen::FirstToken);
            window.release(now, place, End::Whole { output_tokens: Some(10) });
        }
        (window, now)
    }

    fn free_after(window: &mut FirstTokenWindow, now: Duration, seconds: u64) -> u32 {
        let now = now + Duration::from_secs(seconds);
        window.tick(now);
        window.read(now).free
    }

    #[test]
    fn late_first_tokens_make_a_pause_and_early_ones_end_it() {
        let (mut window, now) = after(&[6.0; 10]);
        // A sixteenth of an attempt: 9 s, give or take a quarter.
        assert_eq!(window.read(now).free, 0);
        assert_eq!(free_after(&mut window, now, 6), 0);
        assert_eq!(free_after(&mut window, now, 12), 1);
        let quick = [&[6.0; 10][..], &[0.1; 40]].concat();
        let (window, now) = after(&quick);
        assert!(window.read(now).free > 0);
    }

    #[test]
    fn one_short_wait_does_not_end_the_pauses() {
        let (mut window, now) = after(&[&[6.0; 10][..], &[0.05]].concat());
        assert_eq!(free_after(&mut window, now, 3), 0);
    }

    #[test]
    fn calls_held_back_in_a_pause_do_not_all_go_when_it_is_over() {
        let (mut window, mut now) = after(&[&[6.0; 10][..], &[0.05]].concat());
        let mut places = Vec::new();
        for _ in 0..400 {
            now += TICK;
            window.tick(now);
            places.extend(window.admit(now, STREAM));
        }
        assert_eq!(places.len(), 1);
    }

    #[test]
    fn one_late_first_token_of_many_is_no_reason_to_pause() {
        let (window, now) = after(&[&[0.05; 40][..], &[1.5]].concat());
        assert!(window.read(now).free > 0);
    }

    #[test]
    fn who_is_alone_or_hears_of_the_queue_never_pauses() {
        let (mut window, now) = after(&[6.0, 6.0, 6.0]);
        window.hear(now, Gauges { waiting: 0, running: 8 });
        assert_eq!(window.read(now).free, 1);
        let fraction = |gateways| {
            FirstTokenWindow::new(FirstTokenWindowSettings {
                gateways,
                ..FirstTokenWindowSettings::default()
            })
            .fraction
        };
        assert!(fraction(1).is_none());
        assert!(fraction(2).is_none(), "one each is what keeps the server busy");
        assert!(fraction(3).is_some());
    }

    #[test]
    fn gateways_do_not_come_back_together() {
        let units: Vec<f64> = (0..100).map(|at| unit(5e5 + f64::from(at) * 1e-6, 6.0)).collect();
        assert!(units.iter().all(|unit| (0.0..1.0).contains(unit)));
        let low = units.iter().filter(|unit| **unit < 0.5).count();
        assert!((30..70).contains(&low), "{low}");
    }
}
