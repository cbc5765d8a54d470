//! Less than one attempt at a time. Gateways that share a slow server cannot each keep one attempt waiting there:
//! sixteen of them make a queue of sixteen, which at eight slots is six seconds. Nor does the queue show in the window,
//! which is as small as it can be. So where first tokens come late with a small window a gateway sends one attempt and
//! then pauses, for as long as makes its part of one attempt on the mean:
//!
//! ```text
//! part   on each first token of wait t: part · clamp((max(te, 0.3 · objective) + s0) / t, 0.7, 1.2), 2/N … 1
//! pause  after it, if part < 1: min(5 s, t · (1 − part) / part) · U(0.75, 1.25)
//! ```
//!
//! The rule is overload.md's 8.6.7 (fractional window) without its own growth: from one attempt on the window rules.
//! Where the server tells of its queue (`foreign`) there is nothing to guess, and this does nothing.
//!
//! Simulated, eight slots, 8 and 16 gateways without gauges: 0.77 to 0.89 and 0.50 to 0.88 of what is attainable at
//! 1.5 and 3 times the capacity, in place of 0.00 to 0.38. Halved at each late first token, and with pauses of up to
//! 30 s as there, sixteen gateways at a fast server pause for what is their own queue (0.90 in place of 0.98 at 3 times
//! its capacity); with a floor of 1/N they pause for too long.

use super::FirstTokenWindow;

/// First-token time at the server that is aimed at, as a part of the objective: the rest is for the queue in Weir.
const AIM_RATIO: f64 = 0.3;

/// A gateway's least part, as a multiple of its share of one attempt: all together two attempts wait, so that the
/// server's next is there when it is free.
const PART_MIN: f64 = 2.0;

/// The change at one first token, down and up: one that is late by chance is made up for by two that are not.
const STEP: (f64, f64) = (0.7, 1.2);

/// However long the queue, a gateway looks again after this: the queue of a pool is another one within seconds.
const PAUSE_SECONDS_MAX: f64 = 5.0;

/// Pauses differ by so much, or gateways would come together again.
const SPREAD: (f64, f64) = (0.75, 1.25);

/// From this window on there is enough under way for the window's own rules.
const WINDOW_SMALL: f64 = 3.0;

/// The shortest wait that is reckoned with.
const WAIT_SECONDS_MIN: f64 = 1e-3;

/// One gateway's part of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fraction {
    part: f64,
    part_min: f64,
    aim: f64,
    /// When the pause is over.
    resumes: f64,
}

impl Fraction {
    /// One of so many gateways, with an objective in seconds.
    pub(super) fn new(gateways: u32, objective: f64) -> Self {
        let part_min = (PART_MIN / f64::from(gateways)).min(1.0);
        Self { part: 1.0, part_min, aim: AIM_RATIO * objective, resumes: f64::NEG_INFINITY }
    }

    fn first_token(&mut self, now: f64, waited: f64, base: f64, allowed: f64) {
        let waited = waited.max(WAIT_SECONDS_MIN);
        let (down, up) = STEP;
        let change = ((self.aim.max(allowed) + base) / waited).clamp(down, up);
        self.part = (self.part * change).clamp(self.part_min, 1.0);
        if self.part < 1.0 {
            let pause = (waited * (1.0 - self.part) / self.part).min(PAUSE_SECONDS_MAX);
            let (least, most) = SPREAD;
            self.resumes = now + pause * (least + (most - least) * unit(now, waited));
        }
    }
}

impl FirstTokenWindow {
    /// A first token has come, of an attempt that waited so long.
    pub(super) fn learn_part(&mut self, now: f64, waited: f64) {
        if let Some(fraction) = &mut self.fraction
            && self.growth.window() < WINDOW_SMALL
        {
            fraction.first_token(now, waited, self.sight.base, self.sight.allowed);
        }
    }

    /// How many attempts may start, where it is a matter of less than one.
    pub(super) fn room_of_part(&self, now: f64) -> Option<u32> {
        let small = self.growth.window() < WINDOW_SMALL && !self.foreign.is_heard(now);
        let fraction = self.fraction.as_ref().filter(|fraction| small && fraction.part < 1.0)?;
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
        let (mut window, now) = after(&[6.0, 6.0, 6.0]);
        // A third of an attempt: two waits, but no more than 5 s, give or take a quarter.
        assert_eq!(window.read(now).free, 0);
        assert_eq!(free_after(&mut window, now, 3), 0);
        assert_eq!(free_after(&mut window, now, 7), 1);
        let quick = [&[6.0, 6.0, 6.0][..], &[0.1; 20]].concat();
        let (window, now) = after(&quick);
        assert!(window.read(now).free > 0);
    }

    #[test]
    fn who_is_alone_or_hears_of_the_queue_never_pauses() {
        let (mut window, now) = after(&[6.0, 6.0, 6.0]);
        window.hear(now, Gauges { waiting: 0, running: 8 });
        assert_eq!(window.read(now).free, 1);
        assert!(FirstTokenWindow::new(FirstTokenWindowSettings::default()).fraction.is_none());
    }

    #[test]
    fn gateways_do_not_come_back_together() {
        let units: Vec<f64> = (0..100).map(|at| unit(5e5 + f64::from(at) * 1e-6, 6.0)).collect();
        assert!(units.iter().all(|unit| (0.0..1.0).contains(unit)));
        let low = units.iter().filter(|unit| **unit < 0.5).count();
        assert!((30..70).contains(&low), "{low}");
    }
}
