//! Why a call gets no model's answer, and what its caller is told: one status, type and code for each
//! reason, the same in every place that refuses.

mod message;

use std::time::Duration;

use super::{Dialect, Shed, Unidentified, anthropic, openai, passthrough};
use crate::limit::Kind;

/// How long an address that sends unknown keys is asked to wait.
const TOO_MANY_WAIT: Duration = Duration::from_secs(1);

/// Why Weir itself answers with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request's head could be read differently by a server behind.
    BadHead {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The request's target is longer than allowed.
    UriTooLong {
        /// The most that is allowed.
        limit_bytes: u64,
    },
    /// The request's head is larger than allowed.
    HeadTooLarge {
        /// The most that is allowed.
        limit_bytes: u64,
    },
    /// The request's body paused for too long, or came too slowly.
    BodyTimeout,
    /// The request expects something that Weir does not do (RFC 9110, 10.1.1).
    ExpectationFailed,
    /// No API has this path.
    UnknownPath,
    /// The API has this path for another method.
    MethodNotAllowed {
        /// The method it is for.
        allow: &'static str,
    },
    /// The request's body is encoded (`content-encoding`), so it cannot be judged.
    EncodedBody,
    /// The body is larger than allowed.
    BodyTooLarge {
        /// The most that is allowed.
        limit_bytes: u64,
    },
    /// The bodies of all calls in flight leave no room for this one.
    BodyMemory,
    /// The body ended before its announced length, or its framing is broken.
    BodyIncomplete,
    /// The body is not UTF-8.
    InvalidUtf8,
    /// The body is not a JSON object.
    InvalidJson {
        /// Line of the first mistake, from 1.
        line: usize,
        /// Column of the first mistake.
        column: usize,
    },
    /// The body nests arrays and objects deeper than allowed.
    TooDeep {
        /// The most that is allowed.
        limit: usize,
    },
    /// A key that Weir reads stands twice in the body: readers would disagree on its value.
    DuplicateKey {
        /// The key.
        key: &'static str,
    },
    /// The body names no model.
    MissingModel,
    /// The body's `model` is not a string.
    ModelNotString,
    /// The model is not one that the caller may use.
    UnknownModel {
        /// As the caller wrote it.
        model: String,
        /// Those that it may use.
        known: Vec<String>,
    },
    /// Nobody knows who calls.
    InvalidKey {
        /// What is wrong with the caller's key.
        why: Unidentified,
    },
    /// The caller may not use this route.
    RouteForbidden {
        /// The model as the caller wrote it; none where it asked for a path.
        model: Option<String>,
    },
    /// A header of Weir's has a value that it cannot have.
    InvalidHeader {
        /// Its name.
        header: &'static str,
        /// What it may be.
        wanted: &'static str,
    },
    /// The caller's bearer token is not good.
    InvalidToken {
        /// What is wrong with it, in general terms.
        told: &'static str,
    },
    /// There is not enough for everybody and others come first, or nothing at all that could serve the call now.
    Shed {
        /// Why this call.
        why: Shed,
        /// When it may have better luck: the time in which what is ahead of it drains.
        retry_after: Duration,
    },
    /// The caller's quota is spent.
    OverQuota {
        /// What there is no more of.
        kind: Kind,
        /// When there is some again.
        retry_after: Duration,
    },
    /// Weir is being stopped, and the time for the answer is over.
    Draining,
    /// No connection to the endpoint came about.
    ConnectFailed,
    /// No connection to the endpoint came about in time.
    ConnectTimeout,
    /// The head of a stream did not come in time.
    HeadersTimeout,
    /// The first token of a stream did not come in time.
    FirstTokenTimeout,
    /// An answer that is not a stream did not come in time.
    AnswerTimeout,
    /// A stream that was to be put together into an answer fell silent.
    IdleTimeout,
    /// An answer that was to be put together is longer than allowed.
    AnswerTooLarge {
        /// The most that is allowed.
        limit_bytes: u64,
    },
    /// What the endpoint sent is no answer: broken HTTP, a closed connection, a refused key of ours.
    BadResponse,
    /// A mistake of Weir's own.
    Internal,
}

/// Whose doing an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The caller's.
    Downstream,
    /// The model server's, or of the way to it.
    Upstream,
    /// Weir's.
    Internal,
}

impl Source {
    /// The name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}

/// An answer that refuses, in one dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// JSON body in the dialect's envelope.
    pub body: String,
    /// Value of `x-weir-reason`, where Weir refused for want of room or endpoints, or by a quota.
    pub weir_reason: Option<&'static str>,
    /// Value of `allow`, for 405.
    pub allow: Option<&'static str>,
    /// Value of `www-authenticate`, for 401 (RFC 9110, 11.6.1).
    pub challenge: Option<&'static str>,
    /// When to come back, where that is known: see [`retry_hint`](super::retry_hint).
    pub retry_after: Option<Duration>,
}

/// Status, OpenAI's `type`, `code`.
type Terms = (u16, &'static str, &'static str);

impl Reason {
    /// Status, OpenAI's `type` and `code` of this reason.
    fn terms(&self) -> Terms {
        const CALLER: &str = "invalid_request_error";
        const SERVER: &str = "server_error";
        const UPSTREAM: &str = "upstream_error";
        match self {
            Self::BadHead { .. } => (400, CALLER, "bad_request_head"),
            Self::UriTooLong { .. } => (414, CALLER, "uri_too_long"),
            Self::HeadTooLarge { .. } => (431, CALLER, "head_too_large"),
            Self::BodyTimeout => (408, CALLER, "body_timeout"),
            Self::ExpectationFailed => (417, CALLER, "expectation_failed"),
            Self::UnknownPath => (404, CALLER, "unknown_path"),
            Self::MethodNotAllowed { .. } => (405, CALLER, "method_not_allowed"),
            Self::EncodedBody => (415, CALLER, "unsupported_content_encoding"),
            Self::BodyTooLarge { .. } => (413, CALLER, "body_too_large"),
            Self::BodyMemory => (503, SERVER, "memory"),
            Self::BodyIncomplete => (400, CALLER, "body_incomplete"),
            Self::InvalidUtf8 => (400, CALLER, "invalid_utf8"),
            Self::InvalidJson { .. } => (400, CALLER, "invalid_json"),
            Self::TooDeep { .. } => (400, CALLER, "nesting_too_deep"),
            Self::DuplicateKey { .. } => (400, CALLER, "duplicate_key"),
            Self::MissingModel => (400, CALLER, "missing_model"),
            Self::ModelNotString => (400, CALLER, "invalid_model"),
            Self::UnknownModel { .. } => (404, CALLER, "model_not_found"),
            Self::InvalidKey { .. } => (401, CALLER, "invalid_api_key"),
            Self::RouteForbidden { .. } => (403, "permission_error", "route_forbidden"),
            Self::InvalidHeader { .. } => (400, CALLER, "invalid_header"),
            Self::InvalidToken { .. } => (401, CALLER, "invalid_api_key"),
            Self::Shed { why: why @ Shed::NoEndpoint, .. } => (503, SERVER, why.code()),
            Self::Shed { why, .. } => (429, "overloaded_error", why.code()),
            Self::OverQuota { .. } => (429, "rate_limit_error", "rate_limit_exceeded"),
            Self::Draining => (503, SERVER, "draining"),
            Self::ConnectFailed => (502, UPSTREAM, "connect_failed"),
            Self::ConnectTimeout => (502, UPSTREAM, "connect_timeout"),
            Self::HeadersTimeout => (504, UPSTREAM, "headers_timeout"),
            Self::FirstTokenTimeout => (504, UPSTREAM, "first_token_timeout"),
            Self::AnswerTimeout => (504, UPSTREAM, "answer_timeout"),
            Self::IdleTimeout => (504, UPSTREAM, "idle_timeout"),
            Self::AnswerTooLarge { .. } => (502, UPSTREAM, "answer_too_large"),
            Self::BadResponse => (502, UPSTREAM, "bad_response"),
            Self::Internal => (500, SERVER, "internal_error"),
        }
    }

    /// The word for this reason in errors, logs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.terms().2
    }

    /// Whether nothing more can be taken from the connection on which it came.
    #[must_use]
    pub fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::BadHead { .. }
                | Self::UriTooLong { .. }
                | Self::HeadTooLarge { .. }
                | Self::BodyTimeout
                | Self::ExpectationFailed
        )
    }

    /// Whose doing it is.
    #[must_use]
    pub fn source(&self) -> Source {
        match self {
            Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::HeadersTimeout
            | Self::FirstTokenTimeout
            | Self::AnswerTimeout
            | Self::IdleTimeout
            | Self::AnswerTooLarge { .. }
            | Self::BadResponse => Source::Upstream,
            Self::Shed { .. } | Self::BodyMemory | Self::Draining | Self::Internal => Source::Internal,
            _ => Source::Downstream,
        }
    }

    /// The body's field, or the header, that is at fault.
    fn param(&self) -> Option<&'static str> {
        match self {
            Self::MissingModel
            | Self::ModelNotString
            | Self::UnknownModel { .. }
            | Self::RouteForbidden { model: Some(_) } => Some("model"),
            Self::DuplicateKey { key } => Some(key),
            Self::InvalidHeader { header, .. } => Some(header),
            _ => None,
        }
    }

    /// The answer to a caller that speaks `dialect`.
    #[must_use]
    pub fn refuse(&self, dialect: Dialect, request_id: &str) -> Refusal {
        let (mut status, kind, code) = self.terms();
        let mut retry_after = None;
        if let Self::Shed { retry_after: wait, .. } = self {
            retry_after = Some(*wait);
            if dialect == Dialect::Anthropic && status == 429 {
                // 429 is a quota there, and has another type of error.
                status = 529;
            }
        }
        if let Self::OverQuota { retry_after: wait, .. } = self {
            retry_after = Some(*wait);
        }
        if let Self::InvalidKey { why: Unidentified::TooMany } = self {
            retry_after = Some(TOO_MANY_WAIT);
        }
        let challenge = (status == 401).then_some("Bearer");
        let message = self.message();
        let body = match dialect {
            Dialect::OpenAi => openai::error(&message, kind, self.param(), code),
            Dialect::Anthropic => anthropic::error(&message, status, request_id),
            Dialect::Passthrough => passthrough::error(&message),
        };
        let weir_reason = match self {
            Self::Shed { why, .. } => Some(why.weir_reason()),
            Self::OverQuota { kind: Kind::Requests, .. } => Some("quota-requests"),
            Self::OverQuota { kind: Kind::Tokens, .. } => Some("quota-tokens"),
            Self::OverQuota { kind: Kind::Concurrency, .. } => Some("quota-concurrency"),
            Self::BodyMemory => Some("memory"),
            Self::Draining => Some("draining"),
            _ => None,
        };
        let allow = if let Self::MethodNotAllowed { allow } = self { Some(*allow) } else { None };
        Refusal { status, body, weir_reason, allow, challenge, retry_after }
    }
}

#[cfg(test)]
mod tests;
