//! What callers are told of each reason, in words.

use std::borrow::Cow;

use super::Reason;
use crate::limit::Kind;

/// What the caller of a path that nobody has is told.
const UNKNOWN_PATH: &str = "No such path. Weir serves OpenAI's chat/completions, completions, embeddings, responses and models, and Anthropic's messages, messages/count_tokens and models, under /v1.";
/// Longest client-made string that is repeated in an error.
const ECHO_CHARS_MAX: usize = 128;

impl Reason {
    /// What the caller is told.
    pub(super) fn message(&self) -> Cow<'static, str> {
        match self {
            Self::BadHead { fault } => format!("The request cannot be served: {fault}.").into(),
            Self::UriTooLong { limit_bytes } => {
                format!("The request's target is longer than {limit_bytes} bytes.").into()
            }
            Self::HeadTooLarge { limit_bytes } => {
                format!("The request's head is larger than {limit_bytes} bytes or has too many fields.")
                    .into()
            }
            Self::BodyTimeout => "The request body came too slowly.".into(),
            Self::ExpectationFailed => "The only expectation that is met is 100-continue.".into(),
            Self::UnknownPath => UNKNOWN_PATH.into(),
            Self::MethodNotAllowed { allow } => format!("This path is for {allow} requests.").into(),
            Self::EncodedBody => "Send the request body without content-encoding.".into(),
            Self::BodyTooLarge { limit_bytes } => {
                format!("The request body is larger than {limit_bytes} bytes.").into()
            }
            Self::BodyMemory => "There is no room for another request body now.".into(),
            Self::BodyIncomplete => "The request body ended early or is badly framed.".into(),
            Self::InvalidUtf8 => "The request body is not valid UTF-8.".into(),
            Self::InvalidJson { line, column } => {
                format!("The request body is not a valid JSON object (line {line}, column {column}).").into()
            }
            Self::TooDeep { limit } => format!("The request body nests deeper than {limit} levels.").into(),
            Self::DuplicateKey { key } => {
                format!("The request body has the key `{key}` more than once.").into()
            }
            Self::MissingModel => "The request body names no `model`.".into(),
            Self::ModelNotString => "The request body's `model` must be a string.".into(),
            Self::UnknownModel { model, known } => unknown_model(model, known).into(),
            Self::InvalidKey { why } => why.message().into(),
            Self::RouteForbidden { model } => forbidden(model.as_deref()).into(),
            Self::InvalidHeader { header, wanted } => {
                format!("The header `{header}` must be {wanted}.").into()
            }
            Self::InvalidToken { told } => (*told).into(),
            Self::Shed { why, .. } => why.message().into(),
            Self::OverQuota { kind, .. } => over_quota(*kind).into(),
            Self::Draining => "The gateway is being stopped.".into(),
            Self::Internal => "The gateway made a mistake; it was recorded under this request id.".into(),
            upstream => upstream.message_of_upstream(),
        }
    }

    /// The same where it is the model server's doing, or of the way to it.
    fn message_of_upstream(&self) -> Cow<'static, str> {
        match self {
            Self::ConnectFailed => "The model server could not be reached.".into(),
            Self::ConnectTimeout => "The model server could not be reached in time.".into(),
            Self::HeadersTimeout => "The model server did not begin an answer in time.".into(),
            Self::FirstTokenTimeout => "The model server did not send a first token in time.".into(),
            Self::AnswerTimeout => "The model server did not answer in time.".into(),
            Self::IdleTimeout => "The model server fell silent in the middle of its answer.".into(),
            Self::AnswerTooLarge { limit_bytes } => format!(
                "The model server's answer is longer than the {limit_bytes} bytes that are put together."
            )
            .into(),
            // A bad response is all that is left.
            _ => "The model server did not give a usable answer.".into(),
        }
    }
}

/// What a caller wrote, short enough to be repeated.
fn echoed(text: &str) -> String {
    text.chars().take(ECHO_CHARS_MAX).collect()
}

fn forbidden(model: Option<&str>) -> String {
    let what = model.map_or_else(|| "path".to_owned(), |model| format!("model `{}`", echoed(model)));
    format!("The caller may not use this {what}.")
}

fn unknown_model(model: &str, known: &[String]) -> String {
    let shown = echoed(model);
    if known.is_empty() {
        return format!("The model `{shown}` is not served through this API, nor is any other.");
    }
    format!("The model `{shown}` is not served through this API. Known models: {}.", known.join(", "))
}

/// Without the words on which some clients give up for good.
const fn over_quota(kind: Kind) -> &'static str {
    match kind {
        Kind::Requests => "Rate limit reached for requests: there were too many in too short a time.",
        Kind::Tokens => {
            "Rate limit reached for tokens: prompts and answers had too many in too short a time."
        }
        Kind::Concurrency => "Rate limit reached for concurrency: too many calls are under way at once.",
    }
}
