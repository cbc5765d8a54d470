//! Answers that do not stream hide their first token. While a good third of the attempts stream, those that
//! do tell for the others: servers take attempts in turn, so when a stream has its first token, what was sent
//! before it has its own as well (the overtaking rule). Below that the whole answer takes the first token's
//! place:
//!
//! ```text
//! time  = wait + slope · tokens               least squares over the last hundred or so answers
//! e     = wait − wait at an idle server       of the answers of late, too
//! s0    = wait at an idle server + slope · mean tokens
//! P     = r · (te + s0)                       of all that are under way and hide their first token
//! ```
//!
//! An answer weighs the less in all this the longer its tokens take: how long differs from answer to answer, and at
//! 20 s by more than any wait. What has few tokens tells exactly, and soon; a stream's first token is an answer of one
//! token. What a token takes is held to the objective for the time between tokens as that of streams is.
//!
//! Some servers stream nothing, whatever they are asked for. The head of an answer tells, which comes with its end: so
//! an endpoint that sends most answers whole is expected to go on so.

use std::collections::VecDeque;

/// The share is a mean over about so many attempts.
const SHARE_ATTEMPTS: f64 = 200.0;

/// So many are taken to have streamed before the first attempt. Where every second one streams, one of seven starts has
/// no more than two among its first eight: to take the share at its word then costs a change and, on a server that is
/// full by the time of the change back, a queue that is taken for base time.
const STREAMS_ASSUMED: f64 = 4.0;

/// Below this share of streams the whole answer counts, above [`STREAMS_ENOUGH`] the first token. Where half of the
/// answers stream their first tokens tell more; where a third do, the whole answers. Far enough apart for the share's
/// own noise (0.03), because each change throws away what was learned.
const STREAMS_TOO_FEW: f64 = 0.35;
const STREAMS_ENOUGH: f64 = 0.5;

/// Above this share of streams the others hardly matter.
const STREAMS_NEARLY_ALL: f64 = 0.85;

/// What comes where streams are asked for is a mean over about so many answers: those of a server that has learned to
/// stream are streams to the window within a dozen.
const CAME_ANSWERS: f64 = 16.0;

/// Above this share of them that come whole, streams are not expected.
const WHOLE_EXPECTED: f64 = 0.5;

/// First-token time until a stream has shown one.
const USUAL_SECONDS: f64 = 0.3;

/// Gain of the mean first-token time.
const USUAL_GAIN: f64 = 0.1;

/// The least that it is taken for.
const USUAL_SECONDS_MIN: f64 = 0.05;

/// An attempt that no stream overtakes leaves after so many usual first-token times.
const OVERDUE_RATIO: f64 = 2.0;

/// What the time of an attempt is taken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// The first token.
    FirstToken,
    /// The end of the answer.
    WholeAnswer,
}

/// How an answer comes, or is expected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As a stream.
    Stream,
    /// In one piece.
    Whole,
    /// In one piece, though a stream was asked for.
    Unstreamed,
}

/// An attempt whose answer does not stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden {
    /// Of its place.
    pub(super) number: u64,
    pub(super) started: f64,
}

/// Attempts by whether their answers stream.
#[derive(Debug)]
pub(super) struct Answers {
    measure: Measure,
    attempts: u32,
    streams: f64,
    /// Of those that were asked for, and the part of them that came whole.
    came: u32,
    whole: f64,
    /// In the order in which they started. Some may have ended.
    hidden: VecDeque<Hidden>,
    usual: f64,
}

impl Answers {
    pub(super) fn new() -> Self {
        let hidden = VecDeque::new();
        Self {
            measure: Measure::FirstToken,
            attempts: 0,
            streams: 1.0,
            came: 0,
            whole: 0.0,
            hidden,
            usual: USUAL_SECONDS,
        }
    }

    pub(super) fn measure(&self) -> Measure {
        self.measure
    }

    /// Counts an attempt, when it starts: what comes is known before the first answer. Returns whether the
    /// measure has changed.
    pub(super) fn count(&mut self, stream: bool) -> bool {
        self.attempts = self.attempts.saturating_add(1);
        self.streams += self.gain() * (f64::from(u8::from(stream)) - self.streams);
        self.change()
    }

    /// One that was counted as a stream was none. Returns whether the measure has changed.
    pub(super) fn uncount(&mut self) -> bool {
        self.streams = (self.streams - self.gain()).max(0.0);
        self.change()
    }

    fn gain(&self) -> f64 {
        (1.0 / (STREAMS_ASSUMED + f64::from(self.attempts))).max(1.0 / SHARE_ATTEMPTS)
    }

    fn change(&mut self) -> bool {
        let measure = match self.measure {
            Measure::FirstToken if self.streams < STREAMS_TOO_FEW => Measure::WholeAnswer,
            Measure::WholeAnswer if self.streams > STREAMS_ENOUGH => Measure::FirstToken,
            same => same,
        };
        let changed = measure != self.measure;
        if changed {
            self.measure = measure;
            self.hidden.clear();
        }
        changed
    }

    /// What was asked for as a stream came so.
    pub(super) fn came(&mut self, form: Form) {
        self.came = self.came.saturating_add(1);
        let gain = (1.0 / f64::from(self.came)).max(1.0 / CAME_ANSWERS);
        self.whole += gain * (f64::from(u8::from(form == Form::Unstreamed)) - self.whole);
    }

    /// How an answer is expected to come.
    pub(super) fn expected(&self, asked_stream: bool) -> Form {
        match asked_stream {
            true if self.whole > WHOLE_EXPECTED => Form::Unstreamed,
            true => Form::Stream,
            false => Form::Whole,
        }
    }

    /// Whether so many answers hide their first token that those that show it are few.
    pub(super) fn many_hidden(&self) -> bool {
        self.streams < STREAMS_NEARLY_ALL
    }

    /// An attempt does not stream: of one that has just started that is known, of others it turns out.
    pub(super) fn hide(&mut self, hidden: Hidden) {
        if self.measure == Measure::FirstToken {
            let after = self.hidden.partition_point(|other| other.started <= hidden.started);
            self.hidden.insert(after, hidden);
        }
    }

    /// How many are kept, those that have ended among them.
    pub(super) fn hidden(&self) -> usize {
        self.hidden.len()
    }

    pub(super) fn retain(&mut self, is_underway: impl FnMut(&Hidden) -> bool) {
        self.hidden.retain(is_underway);
    }

    /// A stream had its first token after `waited`.
    pub(super) fn first_token(&mut self, waited: f64) {
        self.usual += USUAL_GAIN * (waited - self.usual);
    }

    /// The next that started no later than a stream that has its first token.
    pub(super) fn overtaken(&mut self, stream_started: f64) -> Option<Hidden> {
        self.next_if(|hidden| hidden.started <= stream_started)
    }

    /// The next that no stream has overtaken for too long, and how long it is taken to have waited. Nobody is expected
    /// to wait longer than `most`.
    pub(super) fn overdue(&mut self, now: f64, most: f64) -> Option<(Hidden, f64)> {
        let patience = OVERDUE_RATIO * self.usual.min(most).max(USUAL_SECONDS_MIN);
        let hidden = self.next_if(|hidden| now - hidden.started > patience)?;
        Some((hidden, patience))
    }

    fn next_if(&mut self, leaves: impl Fn(&Hidden) -> bool) -> Option<Hidden> {
        self.hidden.front().is_some_and(leaves).then(|| self.hidden.pop_front()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_with_few_streams_by_chance_changes_nothing_and_one_without_any_soon_does() {
        let mut half = Answers::new();
        let changes = (0..400).filter(|nth| half.count(nth % 2 == 0 && *nth > 5)).count();
        assert_eq!((changes, half.measure()), (0, Measure::FirstToken));
        let mut none = Answers::new();
        let change = (0..400).find(|_| none.count(false));
        assert_eq!((change, none.measure()), (Some(7), Measure::WholeAnswer));
    }

    #[test]
    fn who_is_expected_sooner_is_overdue_sooner() {
        let mut answers = Answers::new();
        (0..100).for_each(|_| answers.first_token(3.0));
        answers.hide(Hidden { number: 1, started: 0.0 });
        assert!(answers.overdue(1.0, f64::INFINITY).is_none());
        assert_eq!(answers.overdue(1.0, 0.2).map(|(hidden, _)| hidden.number), Some(1));
    }
}
