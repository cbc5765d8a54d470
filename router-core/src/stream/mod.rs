//! What does an answer say while it passes? Watches the bytes of a model's answer on their way to the
//! caller: first token, events, token counts, finish reason, and whether it came to its proper end. Watching never
//! alters, delays or refuses a byte, and nothing malformed is an error: what cannot be read is not counted.
//! The gateway's half, which moves the bytes and times them, is `gateway/src/path/stream/`.
//!
//! [`SseWatch`] reads event streams, [`WholeWatch`] JSON answers. Both take the body in pieces of any size and
//! keep nothing of it except an event or a value that is cut between two pieces. [`UsageFilter`] alone takes
//! something away: the token counts that Weir asked for and the caller did not. [`Assembly`] alone makes something of
//! a stream: the one document that its caller asked for, where Weir asked for a stream in its place.

mod anthropic;
mod assemble;
mod event;
mod frame;
mod keys;
mod openai;
mod passthrough;
mod responses;
mod sse;
mod whole;
mod withhold;

#[cfg(test)]
mod tests;

pub use assemble::{Assembly, Unassembled};
pub use sse::{Seen, SseWatch};
pub use whole::WholeWatch;
pub use withhold::UsageFilter;

/// What an answer said of itself, as far as it said it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The token counts, the last ones if they came repeatedly.
    pub usage: Option<Usage>,
    /// Why the model stopped, of the last choice that stopped.
    pub finish: Option<Finish>,
}

/// An upstream's own token counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read, those from a prompt cache included.
    pub prompt_tokens: u64,
    /// Tokens made, reasoning included.
    pub completion_tokens: u64,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was done, or met a stop sequence.
    Stop,
    /// It met the output limit or the end of its context.
    Length,
    /// It wants tools called.
    ToolCalls,
    /// A filter or the model itself refused.
    ContentFilter,
    /// A reason that has no name here.
    Other,
}

/// How far a stream came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// No sign of an end: if the body is over, it was cut.
    Open,
    /// A finish reason came, the terminator did not: the text is whole, the protocol's end is missing.
    Finished,
    /// `[DONE]` or `message_stop` came.
    Complete,
    /// The upstream sent an error event. Some send `[DONE]` after it: it stays failed.
    Failed,
}

impl Finish {
    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other => "other",
        }
    }

    /// Reads either dialect's word, without its quotes. Some servers say `""` for "not yet".
    const fn from_wire(word: &[u8]) -> Option<Self> {
        match word {
            b"" => None,
            b"stop" | b"end_turn" | b"stop_sequence" => Some(Self::Stop),
            b"length" | b"max_tokens" | b"model_context_window_exceeded" => Some(Self::Length),
            b"tool_calls" | b"function_call" | b"tool_use" => Some(Self::ToolCalls),
            b"content_filter" | b"refusal" => Some(Self::ContentFilter),
            _ => Some(Self::Other),
        }
    }
}
