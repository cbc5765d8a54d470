//! The body of every answer. It keeps the call's account open until the last byte has been handed over.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use router_core::dialect::Source;

use super::relay::Relay;
use crate::path::accept::Busy;
use crate::path::telemetry::Open;

/// Ends the connection of an answer that cannot be finished.
pub(crate) type Abort = Box<dyn std::error::Error + Send + Sync>;

/// An answer's body: Weir's own words, or an upstream's.
pub(crate) struct AnswerBody {
    content: Content,
    account: Option<Open>,
    /// Tells the connection when it is free for another request.
    busy: Option<Busy>,
    bytes_out: u64,
}

enum Content {
    Full(Bytes),
    Relay(Box<Relay>),
}

impl AnswerBody {
    /// A body that is already there.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self { content: Content::Full(bytes), account: None, busy: None, bytes_out: 0 }
    }

    /// A body that is still coming.
    pub(super) fn relay(relay: Relay) -> Self {
        Self { content: Content::Relay(Box::new(relay)), account: None, busy: None, bytes_out: 0 }
    }

    /// Keeps the account open until this body is over.
    pub(crate) fn keep(&mut self, account: Open) {
        self.account = Some(account);
        self.close_if_over();
    }

    /// Keeps the connection busy until this body is dropped.
    pub(crate) fn keep_busy(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }

    fn is_over(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.is_empty(),
            Content::Relay(relay) => relay.is_over(),
        }
    }

    fn close_if_over(&mut self) {
        if self.is_over() {
            self.note_bytes();
            if let Some(mut account) = self.account.take() {
                account.close();
            }
        }
    }

    fn note_bytes(&self) {
        if let Some(open) = &self.account {
            open.account().facts().bytes_out = self.bytes_out;
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Abort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Abort>>> {
        if self.busy.as_mut().is_some_and(|busy| !busy.wants_more()) {
            return Poll::Pending;
        }
        let frame = match &mut self.content {
            Content::Full(bytes) if bytes.is_empty() => None,
            Content::Full(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Content::Relay(relay) => ready!(relay.poll_frame(context)),
        };
        if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
            let bytes = data.map_or(0, Bytes::len);
            self.bytes_out += bytes as u64;
            if let Some(busy) = &mut self.busy {
                busy.handed(bytes);
            }
        }
        self.close_if_over();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Relay(relay) => relay.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // An account that is still open notes "client gone" as it is dropped after this.
        self.note_bytes();
        if let Some(open) = &self.account
            && self.busy.as_ref().is_some_and(Busy::is_given_up)
        {
            let mut facts = open.account().facts();
            facts.reason.get_or_insert("client_stall");
            facts.source.get_or_insert(Source::Downstream);
        }
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AnswerBody").field("bytes_out", &self.bytes_out).finish_non_exhaustive()
    }
}
