//! An upstream's body on its way to the caller.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use prometheus::Histogram;
use prometheus::local::LocalHistogram;
use router_core::dialect::{Dialect, Source};
use router_core::stream::{SseWatch, StreamEnd, Summary, UsageFilter, WholeWatch};

use super::body::Abort;
use super::breach::{Breach, CUT, STOPPED};
use super::clock::Clock;
use super::gathered::{Gathered, Turn};
use crate::path::failure::causes;
use crate::path::overload::Permit;
use crate::path::send::{Early, Lease};
use crate::path::telemetry::{Account, Ending};

/// What logs hear of a stream in which the upstream itself reported an error.
const FAILED_CODE: &str = "upstream_error_event";

/// An upstream's body on its way. Dropping it closes the connection, which stops the upstream.
pub(super) struct Relay {
    pub(super) upstream: Incoming,
    /// What of it came together with the head.
    pub(super) early: Early,
    /// Takes out what is not for the caller.
    pub(super) filter: Option<Box<UsageFilter>>,
    /// The connection and the place at the endpoint, until the answer has ended.
    pub(super) held: Option<(Lease, Permit)>,
    /// Whether it is an answer of a model's, and no error.
    pub(super) succeeded: bool,
    pub(super) watch: Watch,
    pub(super) dialect: Dialect,
    /// Whether an event may be added at the end.
    pub(super) extensible: bool,
    /// Whether only the end of the connection tells where the answer ends, so that it may have been cut.
    pub(super) unframed: bool,
    pub(super) clock: Clock,
    pub(super) last_byte: u8,
    pub(super) account: Arc<Account>,
    pub(super) tokens: Tokens,
    pub(super) turn: Turn,
    pub(super) state: State,
    /// Why it broke off, if it did before all had come.
    pub(super) breach: Option<&'static Breach>,
}

/// How an answer is looked at in passing.
pub(super) enum Watch {
    Events(Box<SseWatch>),
    Whole(Box<WholeWatch>),
    Nothing,
}

/// Where a relay stands.
pub(super) enum State {
    Flowing,
    /// The answer breaks off; this, if anything, is still to be said.
    LastWords(Bytes),
    /// The answer breaks off, and nothing can be said: the transport has to be aborted.
    Broken(&'static str),
    /// The same, once what had come before has been handed to the socket.
    Aborting(&'static str),
    Over,
}

/// The pace of a stream's tokens.
pub(super) struct Tokens {
    /// `None` where nobody counts them.
    inter_token: Option<Histogram>,
    last: Option<Instant>,
    /// Counted here, and added to the metric once, when the stream is over.
    gaps: Option<LocalHistogram>,
}

impl Relay {
    /// A body without a byte is over before it is asked for one.
    pub(super) fn settle_if_empty(mut self) -> Self {
        if self.early.is_none() && self.upstream.is_end_stream() {
            self.end();
        }
        self
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Why the answer broke off before all of it had come.
    pub(super) fn breach(&self) -> Option<&'static Breach> {
        self.breach
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let early = self.early.iter().flatten().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
        match self.upstream.size_hint().exact() {
            Some(left) if !self.extensible => SizeHint::with_exact(left + early as u64),
            _ => SizeHint::default(),
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Abort>>> {
        if matches!(self.state, State::Flowing) && self.account.is_stopped() {
            self.cut(&STOPPED, "the time to drain was over".into());
        }
        if matches!(self.state, State::Flowing)
            && let Some(data) = ready!(self.poll_data(context))
        {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::LastWords(words) if !words.is_empty() => Poll::Ready(Some(Ok(Frame::data(words)))),
            State::Broken(message) => {
                // What came before leaves first: an error now would drop even the answer's head.
                self.state = State::Aborting(message);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            State::Aborting(message) => Poll::Ready(Some(Err(message.into()))),
            State::LastWords(_) | State::Flowing | State::Over => Poll::Ready(None),
        }
    }

    /// All data that is ready now, or `None` at the body's end, proper or not; what comes before an end is handed
    /// out before it.
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.turn.is_over() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut gathered = Gathered::default();
        while matches!(self.state, State::Flowing) && !gathered.is_enough() {
            match self.poll_upstream(context) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    let data = frame.into_data().unwrap_or_default();
                    self.observe(&data);
                    self.clock.came();
                    gathered.add(self.filtered(data));
                    if self.upstream.is_end_stream() {
                        self.end();
                    }
                }
                Poll::Ready(None) if self.is_reset() => {
                    self.cut(&CUT, "the upstream reset its stream before its answer had ended".into());
                }
                // Trailers end a body. They go no further: nobody asked for them.
                Poll::Ready(Some(Ok(_)) | None) => self.end(),
                Poll::Ready(Some(Err(error))) => self.cut(&CUT, causes(&error)),
                Poll::Pending if gathered.is_empty() => {
                    self.turn.pause();
                    let breach = ready!(self.clock.poll_overdue(context));
                    self.cut(breach, "the upstream was silent for too long".into());
                }
                Poll::Pending => break,
            }
        }
        // Of a stream that was cut no part of an event is passed on: its caller could not read it, nor what follows.
        if let (State::Over, Some(filter)) = (&self.state, &mut self.filter) {
            gathered.add(filter.end());
        }
        if gathered.is_empty() {
            return Poll::Ready(None);
        }
        self.clock.handed();
        self.turn.handed(&gathered);
        Poll::Ready(Some(gathered.into_bytes()))
    }

    fn filtered(&mut self, data: Bytes) -> Bytes {
        match &mut self.filter {
            Some(filter) => filter.feed(data),
            None => data,
        }
    }

    fn poll_upstream(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(early) = self.early.take() {
            return Poll::Ready(early.map(Ok));
        }
        match &mut self.held {
            Some((lease, _)) => lease.poll_frame(&mut self.upstream, context),
            None => Poll::Ready(None),
        }
    }

    /// Whether the upstream broke off what hyper says has ended.
    fn is_reset(&self) -> bool {
        self.held.as_ref().is_some_and(|(lease, _)| lease.is_cut(&self.upstream))
    }

    fn observe(&mut self, data: &[u8]) {
        match &mut self.watch {
            Watch::Events(watch) => {
                let seen = watch.feed(data);
                if seen.content_events > 0 {
                    let now = Instant::now();
                    if seen.first_token {
                        self.clock.first_token();
                        self.account.facts().first_token = Some(now - self.account.started);
                    }
                    if let Some((_, permit)) = &mut self.held {
                        permit.came(seen.content_events, seen.first_token, now);
                    }
                    self.tokens.passed(seen.content_events, now);
                }
            }
            Watch::Whole(watch) => {
                watch.feed(data);
                if let Some(last) = data.trim_ascii_end().last() {
                    self.last_byte = *last;
                }
            }
            Watch::Nothing => {}
        }
    }

    /// The upstream's body has come to its end: well, or, for a stream without a finish, too early.
    fn end(&mut self) {
        if let Watch::Events(watch) = &mut self.watch {
            watch.end();
            match watch.outcome() {
                StreamEnd::Open => return self.cut(&CUT, "the stream ended without a finish".into()),
                StreamEnd::Finished if self.unframed && watch.is_mid_event() => {
                    return self.cut(&CUT, "the connection closed within an event".into());
                }
                StreamEnd::Failed => {
                    self.succeeded = false;
                    self.note_failed("the upstream sent an error event".into());
                }
                StreamEnd::Finished | StreamEnd::Complete => {}
            }
        }
        if matches!(self.watch, Watch::Whole(_)) && self.unframed && self.last_byte != b'}' {
            return self.cut(&CUT, "the connection closed within the answer".into());
        }
        let output_tokens = self.summary().usage.map(|usage| usage.completion_tokens);
        self.note_summary();
        if let Some((lease, permit)) = self.held.take() {
            lease.give_back();
            // Errors come sooner than answers do, and say nothing of how long those take.
            if self.succeeded {
                permit.whole(output_tokens);
            }
        }
        self.state = State::Over;
    }

    /// The answer breaks off. Where an event can still be written, it says so.
    fn cut(&mut self, breach: &'static Breach, cause: String) {
        let outcome = match &self.watch {
            Watch::Events(watch) => watch.outcome(),
            Watch::Whole(_) | Watch::Nothing => StreamEnd::Open,
        };
        if let Some(limit) = breach.limit {
            self.account.hit(limit);
        }
        match outcome {
            // All is here: how its transport ends matters only where more was announced.
            StreamEnd::Complete if self.extensible => {}
            StreamEnd::Failed => self.note_failed(cause),
            StreamEnd::Open | StreamEnd::Finished | StreamEnd::Complete => {
                self.breach = Some(breach);
                self.note(breach.ending, breach.source, breach.code, cause);
            }
        }
        self.note_summary();
        self.held = None;
        self.state = self.last_words(breach, outcome).map_or(State::Broken(breach.message), State::LastWords);
    }

    /// What a caller is still told of a stream that broke off: nothing more if the stream itself had said how it
    /// ends. `None` where nothing can be added, so that the transport has to be aborted.
    fn last_words(&self, breach: &Breach, outcome: StreamEnd) -> Option<Bytes> {
        let Watch::Events(watch) = &self.watch else { return None };
        if !self.extensible {
            return None;
        }
        if matches!(outcome, StreamEnd::Complete | StreamEnd::Failed) {
            return Some(Bytes::new());
        }
        // An event that has begun must end first, or it would swallow this one.
        let gap = if watch.is_mid_event() { "\n\n" } else { "" };
        let event = self.dialect.error_event(breach.message, breach.kind, breach.code);
        Some(format!("{gap}{event}").into())
    }

    fn note_failed(&self, cause: String) {
        self.note(Ending::UpstreamCut, Source::Upstream, FAILED_CODE, cause);
    }

    fn note(&self, ending: Ending, source: Source, code: &'static str, cause: String) {
        let mut facts = self.account.facts();
        facts.ending = Some(ending);
        facts.source = Some(source);
        facts.reason = Some(code);
        facts.cause = Some(cause);
    }

    fn note_summary(&self) {
        let mut facts = self.account.facts();
        facts.summary = self.summary();
        if let Watch::Events(watch) = &self.watch {
            facts.content_events = watch.content_events();
        }
    }

    fn summary(&self) -> Summary {
        match &self.watch {
            Watch::Events(watch) => watch.summary(),
            Watch::Whole(watch) => watch.summary(),
            Watch::Nothing => Summary::default(),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The caller went away: what had come until then was still made, and paid for.
        if !self.is_over() {
            self.note_summary();
        }
    }
}

impl Tokens {
    pub(super) fn new(inter_token: Option<Histogram>) -> Self {
        Self { inter_token, last: None, gaps: None }
    }

    /// `count` tokens came at once.
    fn passed(&mut self, count: u32, now: Instant) {
        let Some(inter_token) = &self.inter_token else { return };
        let gaps = self.gaps.get_or_insert_with(|| inter_token.local());
        if let Some(last) = self.last.replace(now) {
            gaps.observe((now - last).as_secs_f64());
        }
        for _ in 1..count {
            gaps.observe(0.0);
        }
    }
}
