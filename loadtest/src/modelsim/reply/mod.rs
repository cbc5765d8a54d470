//! An answer before it has a shape: what it says, how long it is, why it ends.
//!
//! `chat` and `messages` give it the shape of an API, whole or as events.

mod chat;
mod messages;
mod sse;

pub(super) use sse::Event;

use super::ask::{Api, Ask, ToolCall};
use super::text::{self, Ending, Letter};
use bytes::Bytes;

/// Everything about one answer that is known when it starts.
#[derive(Debug)]
pub(super) struct Reply {
    api: Api,
    /// Number that makes ids unique on this server.
    serial: u64,
    model: String,
    /// Unix seconds.
    created: u64,
    prompt_tokens: u32,
    output_tokens: u32,
    finish: Finish,
    include_usage: bool,
    content: Content,
}

/// What the answer says.
#[derive(Debug)]
enum Content {
    Text { seed: u64 },
    Tool { name: String, pieces: Vec<String> },
}

/// Why the answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    Tool,
}

/// What the server adds to a request to make an answer of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) serial: u64,
    pub(super) created: u64,
    /// Seed of the text.
    pub(super) seed: u64,
    /// Tokens that the text would have if the caller set no limit.
    pub(super) tokens: u32,
}

impl Reply {
    /// Settles the answer to `ask`.
    pub(super) fn new(api: Api, ask: Ask, stamp: Stamp) -> Self {
        let content = ask.tool.map_or(Content::Text { seed: stamp.seed }, Content::call);
        let (tokens, finish) = match &content {
            Content::Text { .. } => (stamp.tokens, Finish::Stop),
            Content::Tool { pieces, .. } => (u32::try_from(pieces.len()).unwrap_or(u32::MAX), Finish::Tool),
        };
        let limit = ask.tokens_max.filter(|&max| max < tokens);
        Self {
            api,
            serial: stamp.serial,
            prompt_tokens: ask.prompt.tokens(),
            model: ask.model,
            created: stamp.created,
            output_tokens: limit.unwrap_or(tokens),
            finish: if limit.is_some() { Finish::Length } else { finish },
            include_usage: ask.include_usage,
            content,
        }
    }

    pub(super) fn prompt_tokens(&self) -> u32 {
        self.prompt_tokens
    }

    pub(super) fn output_tokens(&self) -> u32 {
        self.output_tokens
    }

    pub(super) fn finish(&self) -> Finish {
        self.finish
    }

    /// The answer as one JSON document.
    pub(super) fn whole(&self) -> Bytes {
        Bytes::from(match self.api {
            Api::OpenAi => chat::whole(self),
            Api::Anthropic => messages::whole(self),
        })
    }

    /// Starts the answer as events.
    pub(super) fn events(self) -> Events {
        Events { pieces: self.pieces(), written: 0, reply: self }
    }

    fn pieces(&self) -> Box<dyn Iterator<Item = String> + Send> {
        let length = self.output_tokens;
        match &self.content {
            Content::Text { seed } => {
                let ending = if self.finish == Finish::Stop { Ending::Closed } else { Ending::Open };
                Box::new(Letter::new(*seed, length, ending))
            }
            Content::Tool { pieces, .. } => Box::new(pieces.clone().into_iter().take(length as usize)),
        }
    }

    fn joined(&self) -> String {
        self.pieces().collect()
    }
}

impl Content {
    fn call(call: ToolCall) -> Self {
        Self::Tool { name: call.name, pieces: text::pieces(&call.arguments) }
    }
}

/// The events of a streamed answer, token by token.
pub(super) struct Events {
    reply: Reply,
    pieces: Box<dyn Iterator<Item = String> + Send>,
    written: u32,
}

impl Events {
    /// Tokens written so far.
    pub(super) fn written(&self) -> u32 {
        self.written
    }

    /// Tokens in all.
    pub(super) fn length(&self) -> u32 {
        self.reply.output_tokens
    }

    /// Why the answer ends.
    pub(super) fn finish(&self) -> Finish {
        self.reply.finish
    }

    /// The events of the next token: the first brings those that open the stream, the last those that close it.
    pub(super) fn next_token(&mut self) -> Vec<Event> {
        let (first, piece) = (self.written == 0, self.pieces.next().unwrap_or_default());
        self.written += 1;
        let (reply, last) = (&self.reply, self.written >= self.reply.output_tokens);
        let mut out = Vec::new();
        match reply.api {
            Api::OpenAi => {
                out.extend(first.then(|| chat::open(reply)));
                out.push(chat::piece(reply, &piece));
                out.extend(last.then(|| chat::close(reply)).into_iter().flatten());
            }
            Api::Anthropic => {
                out.extend(first.then(|| messages::open(reply)).into_iter().flatten());
                out.push(messages::piece(reply, &piece));
                out.extend(last.then(|| messages::close(reply)).into_iter().flatten());
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
