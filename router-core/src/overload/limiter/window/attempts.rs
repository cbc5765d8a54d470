//! What an attempt is to the window from its start to its end: it waits, has its first token or ends without
//! one, and its wait may be a sample of the base time.

use super::super::places;
use super::super::samples::Sample;
use super::FirstTokenWindow;
use super::answers::{Form, Hidden, Measure};
use super::probe::Probe;

/// Samples of an idle server that a slow start takes without asking whether anything was held back.
const BASE_SAMPLES_FIRST: u32 = 16;

/// Of the attempts that start before anything has answered, so many meet an idle server …
const IDLE_FIRST: u32 = 2;

/// … and those up to here may have met the others. Later ones were paced.
const BURST: u32 = 8;

/// Share of the window up to which an attempt meets an idle server.
const IDLE_RATIO: f64 = 0.5;

/// An attempt under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Underway {
    pub(super) started: f64,
    pub(super) prompt_tokens: u32,
    pub(super) form: Form,
    pub(super) awaiting: bool,
    pub(super) decoding: bool,
    /// Until when its tokens were told of.
    pub(super) told: f64,
    pub(super) role: Role,
}

/// What an attempt's wait says of the base time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Nothing,
    /// One of the first: nothing is known of the queue that it met, if any, but there is nothing else to go
    /// by.
    First,
    /// It started in one burst with others when nothing was known. A sample only if nothing else has told.
    Burst,
    /// It met an idle server.
    Idle,
    Probe,
}

impl FirstTokenWindow {
    /// Something is to be heard from now on.
    pub(super) fn expect(&mut self, now: f64) {
        if self.awaiting == 0 {
            self.samples.expect(now);
            self.heard = now;
            if self.base.samples() == 0 {
                self.probe = Probe::new(now);
            }
        }
    }

    /// What the attempt that starts now will say of the base time.
    pub(super) fn role(&mut self, now: f64) -> Role {
        if self.probe.window().is_some() {
            self.probe.sent();
            return Role::Probe;
        }
        let slow_start = self.growth.slow_start();
        if slow_start && self.base.samples() < BASE_SAMPLES_FIRST {
            let burst = self.base.samples() == 0 && (IDLE_FIRST + 1..=BURST).contains(&self.awaiting);
            return if burst { Role::Burst } else { Role::First };
        }
        let met_idle = f64::from(self.awaiting) <= (IDLE_RATIO * self.growth.window()).max(1.0);
        let was_idle = slow_start || now - self.sight.blocked > self.sight.quiet;
        if met_idle && was_idle { Role::Idle } else { Role::Nothing }
    }

    /// An attempt has its first token, or its end: it waits no longer.
    fn settle(&mut self, now: f64, underway: Underway, sample: Sample) {
        self.awaiting -= 1;
        self.samples.add(now, sample);
        let (waited, tokens) = (sample.waited, f64::from(sample.tokens));
        match underway.role {
            Role::Probe if !sample.measured => self.probe.lost(),
            _ if !sample.measured => {}
            role => self.learn(role, waited, tokens, sample.weight),
        }
        if underway.role == Role::Idle && sample.measured {
            self.probe.idle_seen(now);
        }
    }

    /// What a measured wait says of the base time.
    fn learn(&mut self, role: Role, waited: f64, tokens: f64, weight: f64) {
        let whole = self.answers.measure() == Measure::WholeAnswer;
        let usual = if self.sight.tokens > 0.0 { self.sight.tokens } else { tokens };
        if whole {
            self.base.pace(waited, tokens);
        }
        let met_idle = match role {
            Role::First | Role::Idle => true,
            Role::Burst => self.base.samples() == 0,
            Role::Nothing | Role::Probe => false,
        };
        match (met_idle, whole) {
            (true, true) => self.base.remainder(waited, tokens),
            (true, false) => self.base.sample(waited, tokens, usual),
            (false, _) => {}
        }
        if role == Role::Probe {
            if !whole {
                self.base.fit(waited, tokens, usual);
            }
            self.probe.answered(waited, tokens, weight, &self.base);
        }
    }

    /// An answer comes whole of which a stream was asked for: it has been one that does not stream all along.
    pub(super) fn whole(&mut self, now: f64, number: u64) {
        let Some(underway) =
            self.slots.get_mut(number).filter(|one| one.form != Form::Whole && !one.decoding)
        else {
            return;
        };
        self.answers.came(Form::Unstreamed);
        if std::mem::replace(&mut underway.form, Form::Unstreamed) != Form::Stream {
            return;
        }
        let hidden = Hidden { number, started: underway.started };
        self.ages.left(hidden.started);
        self.answers.hide(hidden);
        if self.answers.uncount() {
            self.change_measure(now);
        }
        // Those of its kind that started when it did are taken to have their first token by now.
        self.sweep(now);
    }

    pub(super) fn first_token(&mut self, now: f64, number: u64) {
        let Some(underway) =
            self.slots.get_mut(number).filter(|one| one.form != Form::Whole && !one.decoding)
        else {
            return;
        };
        self.answers.came(Form::Stream);
        if underway.form != Form::Stream {
            return;
        }
        underway.decoding = true;
        underway.told = now;
        underway.awaiting = false;
        self.ages.served(underway.started);
        self.decode_cap.decoding_began();
        let underway = *underway;
        self.heard = now;
        let waited = now - underway.started;
        if self.answers.measure() == Measure::WholeAnswer {
            // Among whole answers it is one of a single token.
            self.settle(now, underway, Sample::measured(waited, 1));
            return;
        }
        self.answers.first_token(waited);
        self.learn_part(now, waited);
        self.settle(now, underway, Sample::measured(waited, underway.prompt_tokens));
        while let Some(hidden) = self.answers.overtaken(underway.started) {
            self.reveal(now, hidden, now - hidden.started);
        }
    }

    pub(super) fn tokens(&mut self, now: f64, number: u64, count: u32) {
        if let Some(underway) = self.slots.get_mut(number).filter(|one| one.decoding) {
            self.decode_cap.tokens((now - underway.told).max(0.0), count);
            underway.told = now;
        }
    }

    /// An attempt whose answer does not stream is taken to have its first token.
    pub(super) fn reveal(&mut self, now: f64, hidden: Hidden, waited: f64) {
        let Some(underway) = self.slots.get_mut(hidden.number).filter(|one| one.awaiting) else { return };
        underway.awaiting = false;
        let underway = *underway;
        self.settle(now, underway, Sample::ended(waited, underway.prompt_tokens));
    }

    /// An attempt has ended with an answer. If it still waited, its end is what was seen of it: of a whole
    /// answer, or of a stream without a token.
    pub(super) fn answered(&mut self, now: f64, underway: Underway, output_tokens: Option<u32>) {
        self.heard = now;
        if underway.awaiting {
            let waited = now - underway.started;
            let sample = match self.answers.measure() {
                Measure::WholeAnswer => self.whole_sample(waited, output_tokens),
                Measure::FirstToken if underway.form == Form::Stream => {
                    Sample::measured(waited, underway.prompt_tokens)
                }
                Measure::FirstToken => Sample::ended(waited, underway.prompt_tokens),
            };
            self.settle(now, underway, sample);
        }
    }

    /// What a whole answer tells.
    fn whole_sample(&mut self, waited: f64, output_tokens: Option<u32>) -> Sample {
        match output_tokens {
            Some(tokens) => {
                let weight = self.base.weight(f64::from(tokens));
                if self.base.has_slope() {
                    self.decode_cap.tokens(self.base.token_seconds(f64::from(tokens)), tokens);
                }
                Sample { weight, ..Sample::measured(waited, tokens) }
            }
            None if self.base.has_slope() => Sample::ended(waited, places(self.sight.tokens)),
            None => Sample::measured(waited, 0),
        }
    }

    pub(super) fn unanswered(&mut self, underway: Underway) {
        if underway.awaiting {
            self.awaiting -= 1;
            if underway.role == Role::Probe {
                self.probe.lost();
            }
            if self.base.samples() == 0 {
                self.growth.unanswered();
            }
        }
    }
}
