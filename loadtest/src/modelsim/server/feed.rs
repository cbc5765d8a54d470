//! The body of an answer: events as the engine makes them, or one document, with the faults that strike on the way.

use super::super::desk::{Progress, Ticket};
use super::super::fault::Fault;
use super::super::reply::{Event, Events, Finish};
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use std::collections::VecDeque;
use std::time::Duration;

/// A response body; its error ends the connection.
pub(super) type Body = UnsyncBoxBody<Bytes, Rude>;

/// To leave without a word of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rude {
    /// Reset the connection.
    #[error("reset on request")]
    Reset,
    /// Close the connection in the middle of a body.
    #[error("cut on request")]
    Cut,
    /// Write something else and close.
    #[error("garbage on request")]
    Garbage,
}

/// A body that is complete.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A streamed answer.
pub(super) fn streamed(ticket: Ticket, progress: Progress, events: Events, fault: Option<Fault>) -> Body {
    let finish = events.finish();
    let source = Source::Events { progress, events };
    Feed { source, ready: VecDeque::new(), events_out: 0, ticket, finish, fault }.into_body()
}

/// An answer in one document.
pub(super) fn whole(mut ticket: Ticket, finish: Finish, document: &Bytes, fault: Option<Fault>) -> Body {
    let (half, len) = (document.len() / 2, document.len());
    let parts = match fault {
        Some(Fault::HangAfter(_) | Fault::Cut(_) | Fault::Fin(_)) => cut(document, [half]),
        Some(Fault::Drip(_)) => cut(document, (DRIP_BYTES..len).step_by(DRIP_BYTES)),
        _ => {
            ticket.finished(finish);
            let broken = matches!(fault, Some(Fault::Malformed(_)));
            return full(document.slice(..if broken { half } else { len }));
        }
    };
    let source = Source::Parts(parts.into());
    Feed { source, ready: VecDeque::new(), events_out: 0, ticket, finish, fault }.into_body()
}

/// What a body still has to say.
struct Feed {
    source: Source,
    /// Slices that go out first, each after a pause.
    ready: VecDeque<(Duration, Bytes)>,
    events_out: u32,
    ticket: Ticket,
    finish: Finish,
    fault: Option<Fault>,
}

enum Source {
    Events { progress: Progress, events: Events },
    Parts(VecDeque<Bytes>),
}

impl Feed {
    fn into_body(self) -> Body {
        let frames = stream::unfold(self, |mut feed| async move {
            let slice = feed.next().await?;
            Some((slice.map(Frame::data), feed))
        });
        StreamBody::new(frames).boxed_unsync()
    }

    async fn next(&mut self) -> Option<Result<Bytes, Rude>> {
        loop {
            if let Some((pause, slice)) = self.ready.pop_front() {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                if self.ready.is_empty() && self.source.is_done() {
                    self.ticket.finished(self.finish);
                }
                return Some(Ok(slice));
            }
            if self.source.is_done() {
                return None;
            }
            if self.fault_is_due() {
                return self.strike().await;
            }
            if !self.refill().await {
                self.ticket.faulted();
                return Some(Err(Rude::Cut));
            }
        }
    }

    /// Gets the next events or the next part; false if the replica or the whole server is gone.
    async fn refill(&mut self) -> bool {
        match &mut self.source {
            Source::Parts(parts) => {
                let pause = if let Some(Fault::Drip(gap)) = self.fault { gap } else { Duration::ZERO };
                self.ready.extend(parts.pop_front().map(|part| (pause, part)));
                true
            }
            Source::Events { progress, events } => {
                let alive = progress.beyond(events.written()).await;
                if alive {
                    let events = events.next_token();
                    events.into_iter().for_each(|event| self.take(event));
                }
                alive
            }
        }
    }

    fn take(&mut self, event: Event) {
        self.events_out += 1;
        match self.fault {
            Some(Fault::Malformed(nth)) if nth == self.events_out => {
                self.ready.push_back((Duration::ZERO, event.broken().bytes()));
            }
            Some(Fault::Drip(gap)) => {
                // The last cut is between the two line ends that close the event.
                let (bytes, pause) = (event.bytes(), gap / DRIP_SLICES);
                let len = bytes.len();
                let slices = cut(&bytes, [len / 3, len * 2 / 3, len - 1]);
                self.ready.extend(slices.into_iter().map(|slice| (pause, slice)));
            }
            _ => self.ready.push_back((Duration::ZERO, event.bytes())),
        }
    }

    fn fault_is_due(&self) -> bool {
        let Some(Fault::HangAfter(after) | Fault::Cut(after) | Fault::Fin(after)) = self.fault else {
            return false;
        };
        match &self.source {
            Source::Events { events, .. } => events.written() == after,
            // The first half is out.
            Source::Parts(parts) => parts.len() == 1,
        }
    }

    async fn strike(&mut self) -> Option<Result<Bytes, Rude>> {
        if let Some(Fault::HangAfter(_)) = self.fault {
            return std::future::pending().await;
        }
        self.ticket.faulted();
        if let Some(Fault::Fin(_)) = self.fault {
            return None;
        }
        // Once around the runtime, so that what was written before is flushed.
        tokio::task::yield_now().await;
        Some(Err(Rude::Cut))
    }
}

impl Source {
    fn is_done(&self) -> bool {
        match self {
            Self::Events { events, .. } => events.written() >= events.length(),
            Self::Parts(parts) => parts.is_empty(),
        }
    }
}

/// `bytes` in slices that end at the given places and at the end.
fn cut(bytes: &Bytes, at: impl IntoIterator<Item = usize>) -> Vec<Bytes> {
    let mut rest = bytes.clone();
    let mut from = 0;
    let mut slices: Vec<Bytes> = Vec::new();
    for at in at {
        slices.push(rest.split_to(at - from));
        from = at;
    }
    slices.push(rest);
    slices
}

/// Slices of an event under `drip`.
const DRIP_SLICES: u32 = 4;
/// Size of a slice of a document under `drip`.
const DRIP_BYTES: usize = 64;
