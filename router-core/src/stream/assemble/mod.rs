//! What would this stream be as one document? Puts the events of a chat completion or a message together into the
//! answer that the same call without `stream` gets: for calls that Weir sends as streams in the place of callers who
//! wait for the whole answer (`non_streaming: stream` of a pool), because a stream shows its first token and its
//! pauses.
//!
//! Text grows, lists grow, everything else is as its last event says; values that are only passed on stay as they
//! came, number formats included. Fields that no API documents are kept by the same rules. What cannot be read is an
//! error here, in contrast to the watches: a document with a gap would look complete. So is a stream without its
//! finish, an error event in it, and more than a number of bytes.
//!
//! Limitations: white space and the order of fields may differ from what the server would have written in one piece.

mod chat;
mod fields;
mod grown;
mod message;

#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;

use self::chat::Chat;
use self::message::Message;
use super::event::Event;
use super::frame::{Block, Framer};
use crate::dialect::Operation;

/// Puts the events of one stream together.
///
/// ```
/// use router_core::dialect::Operation;
/// use router_core::stream::Assembly;
///
/// let mut assembly = Assembly::of(Operation::ChatCompletions, 1024).unwrap();
/// assembly.feed(b"data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"cho")?;
/// assembly.feed(b"ices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")?;
/// let document = assembly.finish()?;
/// assert!(document.starts_with(r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"#));
/// assert!(document.ends_with(r#""message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#));
/// # Ok::<(), router_core::stream::Unassembled>(())
/// ```
pub struct Assembly {
    framer: Framer,
    answer: Answer,
    budget: Budget,
    /// The first thing that was wrong: what follows does not make it good.
    fault: Option<Unassembled>,
}

/// Why a stream cannot be made a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unassembled {
    /// The upstream reported an error.
    #[error("the upstream sent an error event")]
    Failed,
    /// An event is not what the API has there.
    #[error("an event of the stream cannot be put together with the others: {0}")]
    Unreadable(&'static str),
    /// It would be larger than allowed.
    #[error("the answer is longer than what is put together")]
    TooLong,
    /// The stream is over, and has not said how the answer ended.
    #[error("the stream ended without a finish")]
    Unfinished,
}

enum Answer {
    Chat(Chat),
    Message(Message),
}

/// How much more may be kept.
struct Budget {
    left: usize,
}

impl Assembly {
    /// For an answer to `operation` of which at most `bytes_max` are kept; an event may be as long, too. `None` for
    /// operations whose answers are not put together.
    #[must_use]
    pub fn of(operation: Operation, bytes_max: usize) -> Option<Self> {
        let answer = match operation {
            Operation::ChatCompletions => Answer::Chat(Chat::new()),
            Operation::Messages => Answer::Message(Message::default()),
            _ => return None,
        };
        let framer = Framer::with_block_max(bytes_max);
        Some(Self { framer, answer, budget: Budget { left: bytes_max }, fault: None })
    }

    /// Takes the next piece of the stream as it came off the wire.
    ///
    /// # Errors
    ///
    /// [`Unassembled`]: this stream will not be a document.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Unassembled> {
        let Self { framer, answer, budget, fault } = self;
        framer.feed(piece, |block| {
            if fault.is_none() {
                *fault = answer.on_block(block, budget).err();
            }
        });
        self.fault.map_or(Ok(()), Err)
    }

    /// The stream came to its proper end: the document. A last event without its blank line counts if it is whole.
    ///
    /// # Errors
    ///
    /// [`Unassembled`], and [`Unassembled::Unfinished`] for one that did not say how it ended.
    pub fn finish(mut self) -> Result<String, Unassembled> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let rest = self.framer.unfinished();
        if Event::read(rest).is_some_and(|event| event.is_whole()) {
            self.answer.on_block(rest, &mut self.budget)?;
        }
        match self.answer {
            Answer::Chat(chat) => chat.document(),
            Answer::Message(message) => message.document(),
        }
    }
}

impl Answer {
    fn on_block(&mut self, block: Block<'_>, budget: &mut Budget) -> Result<(), Unassembled> {
        let Some(event) = Event::read(block) else { return Ok(()) };
        if event.shortened {
            return Err(Unassembled::TooLong);
        }
        if event.name == b"error" {
            return Err(Unassembled::Failed);
        }
        let data = str::from_utf8(&event.data).map_err(|_| Unassembled::Unreadable("not UTF-8"))?.trim();
        if data.is_empty() || event.is_done_mark() {
            return Ok(());
        }
        match self {
            Self::Chat(chat) => chat.on_chunk(data, budget),
            Self::Message(message) => message.on_event(event.name, data, budget),
        }
    }
}

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<(), Unassembled> {
        self.left = self.left.checked_sub(bytes).ok_or(Unassembled::TooLong)?;
        Ok(())
    }
}

impl fmt::Debug for Assembly {
    /// Without the text: answers do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembly").field("fault", &self.fault).finish_non_exhaustive()
    }
}
