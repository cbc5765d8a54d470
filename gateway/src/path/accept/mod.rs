//! Is this a sane HTTP request on an open door? Opens the call's account, gives every answer its id, its
//! counts and its times, and turns a panic into a 500. Answers the probes itself.

mod budget;
mod descriptors;
mod discard;
mod door;
mod doors;
mod headers;
mod heard;
mod http2;
mod listener;
mod patience;
mod room;
mod sane;
mod serve;
mod socket;
mod streams;
#[cfg(test)]
mod tests;
pub(crate) mod tls;

use std::convert::Infallible;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::FutureExt;
use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use router_core::config::{Limits, Tls};
use router_core::dialect::Reason;
use tower::Service;

pub(crate) use discard::{discard, discard_rest};
pub(crate) use doors::Doors;
pub(crate) use headers::request_id;
pub(crate) use listener::{SocketFile, open};
pub(crate) use patience::Busy;
pub(crate) use sane::is_chunked_at_most;
pub(crate) use socket::{Listener, Socket};

use super::stream::AnswerBody;
use super::telemetry::{Account, Limit, Open};
use super::{Failure, Walk};
use crate::gateway::Gateway;

/// Longest method that is logged: no registered one is longer.
const METHOD_CHARS_MAX: usize = 20;
/// Longest path that is logged.
const PATH_CHARS_MAX: usize = 256;

/// A request as it came in.
pub(crate) struct Arrival {
    pub(crate) request: Request<Incoming>,
    /// The caller's address.
    pub(crate) peer: HeaderValue,
    pub(crate) bounds: Bounds,
    /// Whether the listener believes what a caller says of itself.
    pub(crate) trusted: bool,
    pub(crate) scheme: Scheme,
}

/// What a caller speaks to the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    /// Over TLS.
    Https,
}

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    head_bytes: u64,
    uri_bytes: u64,
}

/// A request with an account.
pub(crate) struct Admitted {
    pub(crate) account: Arc<Account>,
    /// Boxed once, since it is handed from room to room.
    pub(crate) head: Box<Parts>,
    pub(crate) body: Incoming,
}

/// Where a call comes from.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) peer: HeaderValue,
    /// The caller's `x-request-id` if it is sane, else one of ours: visible ASCII, whoever made it.
    pub(crate) request_id: HeaderValue,
    /// Whether what the caller says of itself is believed.
    pub(crate) trusted: bool,
    pub(crate) scheme: Scheme,
}

impl Scheme {
    /// That of a listener with these settings.
    pub(crate) const fn of(tls: Option<&Tls>) -> Self {
        if tls.is_some() { Self::Https } else { Self::Http }
    }

    /// As an upstream is told it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Bounds {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self { head_bytes: limits.head_bytes, uri_bytes: limits.uri_bytes }
    }
}

/// The room.
#[derive(Clone, Debug)]
pub(crate) struct Accept<S> {
    gateway: Arc<Gateway>,
    inner: S,
}

impl<S> Accept<S> {
    pub(crate) fn new(gateway: Arc<Gateway>, inner: S) -> Self {
        Self { gateway, inner }
    }

    /// Opens the account of a call with this head.
    fn open(&self, head: &Parts, origin: Origin, started: Instant) -> Open {
        let open = Account::open(self.gateway.telemetry.clone(), origin, started);
        // Until somebody is identified, everybody is anybody.
        open.account().facts().segment = self.gateway.snapshot().anonymous().cloned();
        note_headers(&self.gateway, open.account(), &head.headers);
        open
    }
}

impl<S> Service<Arrival> for Accept<S>
where
    S: Service<Admitted, Response = Response<AnswerBody>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Walk<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, arrival: Arrival) -> Self::Future {
        let started = Instant::now();
        if let Some(probe) = probe(&self.gateway, &arrival.request) {
            return Box::pin(ready(Ok(probe)));
        }
        let Arrival { request, peer, bounds, trusted, scheme } = arrival;
        let (head, body) = request.into_parts();
        let origin = Origin { peer, request_id: request_id(&head.headers), trusted, scheme };
        let open = self.open(&head, origin, started);
        let dialect = self.gateway.snapshot().guess(&head);
        let mut admitted = Admitted { account: open.account().clone(), head: Box::new(head), body };
        let gateway = self.gateway.clone();
        let mut inner = self.inner.clone();
        Box::pin(async move {
            let account = open.account();
            // Called only within, since already the call may panic and not just what it returns.
            let walk = AssertUnwindSafe(async {
                if let Err(reason) = judge(&mut admitted.head, bounds) {
                    note_refused(&gateway, account, &admitted.head, &reason);
                    return Ok(Failure::from(reason).answer(dialect, account));
                }
                inner.call(admitted).await
            });
            let mut response = match walk.catch_unwind().await {
                Ok(Ok(response)) => response,
                // The panic hook has counted it and logged where it was.
                Err(_) => Failure::from(Reason::Internal).answer(dialect, account),
            };
            headers::finish(&mut response, account, gateway.is_draining());
            response.body_mut().keep(open);
            Ok(response)
        })
    }
}

/// Makes the head what one of HTTP/1.1 would be, and refuses what should go no further.
fn judge(head: &mut Parts, bounds: Bounds) -> Result<(), Reason> {
    // First, so that nothing is done with a head that is too large.
    sane::small(head, bounds)?;
    if head.version == Version::HTTP_2 {
        http2::as_http1(head)?;
    }
    sane::sane(head)?;
    sane::take_authority(head);
    Ok(())
}

fn note_refused(gateway: &Gateway, account: &Account, head: &Parts, reason: &Reason) {
    account.facts().unknown = Some(method_and_path(head));
    match reason {
        Reason::UriTooLong { .. } => gateway.telemetry.metrics.hit(Limit::Uri),
        Reason::HeadTooLarge { .. } => gateway.telemetry.metrics.hit(Limit::Head),
        _ => {}
    }
}

/// The answer to an orchestrator's question.
fn probe(gateway: &Gateway, request: &Request<Incoming>) -> Option<Response<AnswerBody>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let ready = match request.uri().path() {
        "/health/live" => true,
        "/health" | "/health/ready" => !gateway.is_draining(),
        _ => return None,
    };
    let (status, text) =
        if ready { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") };
    let mut response = Response::new(AnswerBody::full(text.into()));
    *response.status_mut() = status;
    headers::finish_probe(&mut response, request_id(request.headers()));
    Some(response)
}

fn note_headers(gateway: &Gateway, account: &Account, headers: &HeaderMap) {
    let snapshot = gateway.snapshot();
    let logged = &snapshot.config.log.headers;
    if logged.is_empty() {
        return;
    }
    let found = logged.iter().filter_map(|name| {
        let value = headers.get(name)?.to_str().ok()?;
        Some((name.clone(), value.to_owned()))
    });
    account.facts().headers = found.collect();
}

/// Anthropic's clients always send this header, and it alone tells their `GET /v1/models` from OpenAI's.
pub(crate) fn has_anthropic_version(headers: &HeaderMap) -> bool {
    headers.contains_key("anthropic-version")
}

/// For the log line of a call that no API knows: without the query, which may hold secrets, and without
/// characters that would move a terminal's cursor or end a reader's line.
pub(crate) fn method_and_path(head: &Parts) -> String {
    let shown = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    let part = |text: &str, chars: usize| text.chars().take(chars).map(shown).collect::<String>();
    format!("{} {}", part(head.method.as_str(), METHOD_CHARS_MAX), part(head.uri.path(), PATH_CHARS_MAX))
}
