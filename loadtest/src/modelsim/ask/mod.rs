//! What a request asks for, whichever API it speaks.

mod anthropic;
mod openai;
mod suffix;
mod tools;

pub(super) use suffix::Suffix;
pub(super) use tools::ToolCall;

use super::problem::Problem;
use super::rng;

/// The API that a request speaks; errors and answers have its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// `POST /v1/chat/completions`.
    OpenAi,
    /// `POST /v1/messages`.
    Anthropic,
}

/// One request for an answer.
#[derive(Debug)]
pub(super) struct Ask {
    /// The name as the caller wrote it, suffixes included.
    pub(super) model: String,
    pub(super) prompt: Prompt,
    pub(super) stream: bool,
    /// OpenAI: the stream ends with a usage chunk.
    pub(super) include_usage: bool,
    pub(super) tokens_max: Option<u32>,
    /// The answer is this call of a tool, not a text.
    pub(super) tool: Option<ToolCall>,
}

impl Ask {
    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, as a 400.
    pub(super) fn parse(api: Api, body: &[u8]) -> Result<Self, Problem> {
        match api {
            Api::OpenAi => openai::parse(body),
            Api::Anthropic => anthropic::parse(body),
        }
    }
}

/// The text of a request, reduced to what the simulator needs of it.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    bytes: usize,
    hash: u64,
}

impl Prompt {
    pub(super) fn add(&mut self, text: &str) {
        self.bytes += text.len();
        self.hash = rng::hash(self.hash, text.as_bytes());
    }

    /// About one token per four bytes.
    pub(super) fn tokens(&self) -> u32 {
        u32::try_from(self.bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX).max(1)
    }

    /// The seed of this prompt's answer.
    pub(super) fn seed(&self, server: u64) -> u64 {
        rng::hash(server, &self.hash.to_le_bytes())
    }
}

/// A JSON body into a typed one; serde's message names the field at fault.
fn read<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(http::StatusCode::BAD_REQUEST, format!("cannot read the request: {error}"))
    })
}

const BYTES_PER_TOKEN: usize = 4;

#[cfg(test)]
mod tests;
