//! Why a room gives no answer: what the caller may hear, and what only the operator may.

use std::error::Error;
use std::fmt::Write as _;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use router_core::dialect::{Dialect, Reason, retry_hint};

use super::stream::AnswerBody;
use super::telemetry::{Account, Ending};

/// A call that ends in a refusal.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// For the log; no caller sees it.
    cause: Option<String>,
}

impl Failure {
    pub(crate) fn new(reason: Reason, cause: impl Into<String>) -> Self {
        Self { reason, cause: Some(cause.into()) }
    }

    /// With an error and all that it comes from as the cause.
    pub(crate) fn caused(reason: Reason, error: &dyn Error) -> Self {
        Self::new(reason, causes(error))
    }

    /// The same for the operator, told to the caller as something else.
    pub(crate) fn instead(self, reason: Reason) -> Self {
        let cause = self.cause.or_else(|| Some(self.reason.code().to_owned()));
        Self { reason, cause }
    }

    /// What the operator may hear.
    pub(crate) fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or_else(|| self.reason.code())
    }

    /// The one place where a failure becomes an answer.
    pub(crate) fn answer(self, dialect: Dialect, account: &Account) -> Response<AnswerBody> {
        let refusal = self.reason.refuse(dialect, account.origin.request_id.to_str().unwrap_or_default());
        {
            let mut facts = account.facts();
            let stopped = self.reason == Reason::Draining;
            facts.ending = Some(if stopped { Ending::Stopped } else { Ending::Refused });
            facts.reason = Some(self.reason.code());
            facts.source = Some(self.reason.source());
            facts.cause = self.cause;
        }
        let mut response = Response::new(AnswerBody::full(refusal.body.into()));
        *response.status_mut() =
            StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.reason.ends_connection() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(reason) = refusal.weir_reason {
            headers.insert("x-weir-reason", HeaderValue::from_static(reason));
        }
        if let Some(challenge) = refusal.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = refusal.retry_after {
            let hint = retry_hint(wait, rand::random());
            headers.insert(RETRY_AFTER, HeaderValue::from(hint.seconds));
            headers.insert("retry-after-ms", HeaderValue::from(hint.ms));
        }
        if let Some(allow) = refusal.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, cause: None }
    }
}

/// An error with all that it comes from, on one line.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string cannot fail.
        write!(text, ": {error}").unwrap_or_default();
        source = error.source();
    }
    text
}
