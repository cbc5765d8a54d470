//! The first-token window: limits not the attempts under way but those *that have no first token yet*.
//!
//! How long an answer takes is how long it is; when its first token comes is how busy the server is. By
//! Little's law attempts that wait for their first token number `r · T`, with `r` first tokens a second of
//! mean wait `T`. So a window of `r · (s0 + te)` holds the server's own queue at about `te`, whatever its
//! slots, model, prompts or lengths of answer:
//!
//! ```text
//! admit iff  awaiting < floor(max(p_min, P))  and  inflight < floor(D)
//! r, T       first tokens per second and their mean wait, over the last 2 s                  (samples)
//! s0         wait at an idle server: a + b · prompt tokens                                   (base, probe)
//! te         max(tau, 0.25 · s0), tau = 0.15 · first-token objective
//! A          age that a quarter of the streams that still wait have passed                   (ages)
//! P          r · (te + s0) when T − s0 or A − s0 is above te / 2, else it grows while somebody is held back (growth)
//! D          falls when tokens come late or the server refuses                               (decode_cap)
//! ```
//!
//! Where the server tells of its own queue, what others have in it takes places of the window too (`foreign`);
//! gateways that share a slow server which does not tell pause between attempts (`fraction`).
//!
//! Worked example: 30 first tokens a second, 0.1 s at an idle server, an objective of 2 s: `te` is 0.3 s,
//! twelve attempts may wait, and a call that is let in has its first token after about 0.4 s.
//!
//! Limits: many gateways in front of one slow pool still disturb each other; prompts of very mixed length on a
//! small server make `r` swing; where a server shows first tokens that it did not compute the window sees no
//! queue, and only `D` remains. With mostly non-streaming answers the whole answer takes the first token's
//! place (`answers`): a queue shows when the short ones among those that met it end.

mod ages;
mod answers;
mod attempts;
mod base;
mod decode_cap;
mod foreign;
mod fraction;
mod growth;
mod probe;
mod settings;
mod sight;

use std::time::Duration;

pub use self::settings::FirstTokenWindowSettings;

use self::ages::Ages;
use self::answers::{Answers, Form, Hidden, Measure};
use self::attempts::{Role, Underway};
use self::base::Base;
use self::decode_cap::DecodeCap;
use self::foreign::Foreign;
use self::fraction::Fraction;
use self::growth::Growth;
use self::probe::Probe;
use self::sight::Sight;
use super::samples::{Samples, Summary};
use super::slots::Slots;
use super::{Attempt, End, Limiter, Place, Reading, Seen, duration, places};
use crate::overload::gauges::Gauges;

/// Excess wait that is allowed as a share of the base time: a slow server's jitter is not a queue.
const SLACK_FIRST_TOKEN: f64 = 0.25;

/// The same for whole answers of unknown length: their base time is all of it, a quarter of it would be a long queue.
const SLACK_WHOLE_ANSWER: f64 = 0.10;

/// The same for whole answers whose tokens are known: what beside them goes by is known as well as a first token.
const SLACK_TOKENS_KNOWN: f64 = 0.0;

/// How far samples look back. A burst fills a server within a second or two; what was seen before it says that all is
/// well.
const REACH_FIRST_TOKEN: f64 = 2.0;

/// The same for whole answers, whose lengths differ: shorter, and their rate swings. And where many first
/// tokens are not seen: shorter, and the mean of those that are swings.
const REACH_LONG: f64 = 5.0;

/// An endpoint counts as not busy when nobody has been refused a place for so long.
const QUIET_SECONDS: f64 = 5.0;

/// Correction of the window by the wait of answers that do not stream, relative to those that do.
const HIDDEN_RATIO: (f64, f64) = (0.3, 1.5);

/// An endpoint that nothing is heard of for so long while attempts wait is a new endpoint …
const SILENCE_SECONDS: f64 = 30.0;

/// … or for so many of its own usual waits, if that is longer.
const SILENCE_WAITS: f64 = 3.0;

/// Hidden attempts that have ended are swept out when there are this many more than attempts.
const HIDDEN_SLACK: usize = 64;

/// The limiter.
#[derive(Debug)]
pub struct FirstTokenWindow {
    tau: f64,
    base_max: f64,
    window_min: f64,
    /// Whether other gateways send to the endpoint too.
    shared: bool,
    slots: Slots<Underway>,
    awaiting: u32,
    ages: Ages,
    answers: Answers,
    samples: Samples,
    base: Base,
    growth: Growth,
    probe: Probe,
    decode_cap: DecodeCap,
    foreign: Foreign,
    /// Where other gateways send to the endpoint too.
    fraction: Option<Fraction>,
    sight: Sight,
    /// When anything was last heard, or waiting began.
    heard: f64,
    /// Whole places of window and cap.
    window_places: u32,
    cap_places: u32,
}

impl FirstTokenWindow {
    /// A window that has seen nothing yet.
    #[must_use]
    pub fn new(settings: FirstTokenWindowSettings) -> Self {
        let (tau, window_min) = (settings.tau(), settings.window_min());
        let inter_token = settings.inter_token_objective.map(|objective| objective.as_secs_f64());
        let growth = Growth::new(window_min);
        Self {
            tau,
            base_max: settings.base_max(),
            window_min,
            shared: settings.gateways > 1,
            slots: Slots::default(),
            awaiting: 0,
            ages: Ages::new(),
            answers: Answers::new(),
            samples: Samples::new(),
            base: Base::default(),
            growth,
            probe: Probe::new(f64::NEG_INFINITY),
            decode_cap: DecodeCap::new(inter_token, window_min),
            foreign: Foreign::new(),
            fraction: settings.fraction(),
            sight: Sight::nothing(tau, QUIET_SECONDS),
            heard: 0.0,
            window_places: places(growth.window()),
            cap_places: u32::MAX,
        }
    }

    /// Streams have become too few, or enough again: what was learned is of another measure.
    fn change_measure(&mut self, now: f64) {
        let whole = self.answers.measure() == Measure::WholeAnswer;
        self.awaiting = 0;
        for underway in self.slots.values_mut() {
            underway.awaiting = !underway.decoding;
            underway.role = if underway.awaiting { Role::First } else { Role::Nothing };
            self.awaiting += u32::from(underway.awaiting);
        }
        // Nothing speaks against the window of before, and whoever comes is not to pay for what callers chose to ask.
        let kept = if whole && self.sight.excess < self.sight.allowed { self.growth.window() } else { 0.0 };
        self.forget(now);
        self.growth.restart(f64::from(self.awaiting).max(kept));
        self.publish();
    }

    /// Starts anew, as with an endpoint that was never seen; the cap stays.
    fn forget(&mut self, now: f64) {
        self.samples.reset(now);
        self.base = Base::default();
        self.growth.restart(0.0);
        self.probe = Probe::new(now);
        self.heard = now;
        self.sight = Sight {
            now: self.sight.now,
            blocked: self.sight.blocked,
            ..Sight::nothing(self.tau, self.sight.quiet)
        };
    }

    fn look(&mut self, now: f64) {
        let old = self.sight;
        let whole = self.answers.measure() == Measure::WholeAnswer;
        let long = self.answers.many_hidden() || whole;
        let summary = self.samples.summary(now, if long { REACH_LONG } else { REACH_FIRST_TOKEN });
        let tokens = summary.tokens.unwrap_or(old.tokens);
        let waited = summary.waited.unwrap_or(old.waited);
        let base = match self.answers.measure() {
            Measure::FirstToken => self.base.seconds(tokens).min(self.base_max),
            Measure::WholeAnswer => self.base.whole_seconds(tokens),
        };
        let slack = match self.answers.measure() {
            Measure::FirstToken => SLACK_FIRST_TOKEN,
            Measure::WholeAnswer if self.base.has_slope() => SLACK_TOKENS_KNOWN,
            Measure::WholeAnswer => SLACK_WHOLE_ANSWER,
        };
        let allowed = self.tau.max(slack * base);
        let age = match self.answers.measure() {
            Measure::FirstToken if !self.shared => self.ages.upper_quarter(now, base + allowed),
            Measure::FirstToken | Measure::WholeAnswer => None,
        };
        let excess = match (self.base.beside_tokens(), summary.weighed) {
            (Some(idle), Some((waited, tokens))) if whole => self.base.beside(waited, tokens) - idle,
            _ => waited - base,
        };
        self.sight = Sight {
            now,
            dt: (now - old.now).max(0.0),
            count: summary.count,
            waited,
            tokens,
            rate: summary.rate,
            base,
            base_known: self.base.samples() > 0,
            allowed,
            excess,
            excess_waiting: age.map_or(0.0, |age| age - base),
            target: self.probe.pace(now, summary.rate) * (allowed + base) * hidden_ratio(&summary),
            awaiting: self.awaiting,
            measure: self.answers.measure(),
            ..old
        };
    }

    fn sweep(&mut self, now: f64) {
        // A probe's attempts meet no queue. They may be one at a time: nobody overtakes them, and while they wait in
        // vain the server runs empty.
        let most = if self.probe.window().is_some() { self.sight.base } else { f64::INFINITY };
        while let Some((hidden, waited)) = self.answers.overdue(now, most) {
            self.reveal(now, hidden, waited);
        }
        if self.answers.hidden() > self.slots.used() as usize + HIDDEN_SLACK {
            self.answers.retain(|hidden| self.slots.get_mut(hidden.number).is_some());
        }
    }

    /// Sets the places that are given out until the next tick.
    fn publish(&mut self) {
        let window = match self.probe.window() {
            Some(probing) => probing.min(self.growth.window()),
            None => self.growth.window().max(self.window_min),
        };
        self.window_places = places(window);
        self.cap_places = places(self.decode_cap.cap());
    }
}

impl Limiter for FirstTokenWindow {
    fn admit(&mut self, now: Duration, attempt: Attempt) -> Option<Place> {
        let now = now.as_secs_f64();
        if self.room(now) == 0 || self.slots.used() >= self.cap_places {
            if now - self.sight.blocked > self.sight.quiet {
                self.sight.blocked_since = now;
            }
            self.sight.blocked = now;
            return None;
        }
        let form = self.answers.expected(attempt.stream);
        if self.answers.count(form == Form::Stream) {
            self.change_measure(now);
        }
        self.expect(now);
        self.awaiting += 1;
        let role = self.role(now);
        let place = self.slots.insert(Underway {
            started: now,
            prompt_tokens: attempt.prompt_tokens,
            form,
            awaiting: true,
            decoding: false,
            told: now,
            role,
        });
        self.foreign.admitted(now, self.unseen());
        if form == Form::Stream {
            self.ages.started(now);
        } else {
            self.answers.hide(Hidden { number: place.0, started: now });
        }
        Some(place)
    }

    fn observe(&mut self, now: Duration, place: &Place, seen: Seen) {
        match seen {
            Seen::FirstToken => self.first_token(now.as_secs_f64(), place.0),
            Seen::Whole => self.whole(now.as_secs_f64(), place.0),
            Seen::Tokens(count) => self.tokens(now.as_secs_f64(), place.0, count),
        }
    }

    fn release(&mut self, now: Duration, place: Place, end: End) {
        let now = now.as_secs_f64();
        let inflight = self.slots.used();
        let Some(underway) = self.slots.remove(&place) else { return };
        if underway.decoding {
            self.decode_cap.decoding_ended();
        } else if underway.form == Form::Stream {
            self.ages.left(underway.started);
        }
        match end {
            End::Whole { output_tokens } => self.answered(now, underway, output_tokens),
            End::Cancelled => self.unanswered(underway),
            End::Refused => {
                self.decode_cap.refused(now, inflight, self.sight.waited);
                self.unanswered(underway);
                self.cap_places = places(self.decode_cap.cap());
            }
        }
    }

    fn tick(&mut self, now: Duration) {
        let now = now.as_secs_f64();
        self.sweep(now);
        self.look(now);
        let usual = self.sight.base + self.sight.allowed;
        let silence = SILENCE_SECONDS.max(SILENCE_WAITS * usual);
        if self.sight.base_known && self.awaiting > 0 && now - self.heard > silence {
            self.forget(now);
            self.look(now);
        }
        if self.pauses(now) {
            self.growth.shrink();
        } else {
            self.growth.step(&self.sight);
        }
        self.probe.step(&self.sight, &mut self.base);
        self.decode_cap.step(now, self.slots.used());
        self.publish();
    }

    fn hear(&mut self, now: Duration, gauges: Gauges) {
        self.told(now.as_secs_f64(), gauges);
    }

    fn read(&self, now: Duration) -> Reading {
        let inflight = self.slots.used();
        let sight = &self.sight;
        // What whole answers take beside their tokens is what their first tokens take.
        let (base, first_token) = match self.base.beside_tokens() {
            Some(idle) if sight.measure == Measure::WholeAnswer => (idle, idle + sight.excess.max(0.0)),
            _ => (sight.base, sight.waited),
        };
        Reading {
            inflight,
            awaiting_first_token: self.awaiting,
            free: self.room(now.as_secs_f64()).min(self.cap_places.saturating_sub(inflight)),
            rate: sight.rate,
            first_token: (sight.count > 0).then(|| duration(first_token)).flatten(),
            base_first_token: sight.base_known.then(|| duration(base)).flatten(),
            decode_cap: (self.cap_places < u32::MAX).then_some(self.cap_places),
        }
    }
}

/// How long all wait relative to those whose wait is measured.
fn hidden_ratio(summary: &Summary) -> f64 {
    match (summary.waited_all, summary.waited) {
        (Some(all), Some(measured)) if measured > 0.0 => {
            (all / measured).clamp(HIDDEN_RATIO.0, HIDDEN_RATIO.1)
        }
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests;
