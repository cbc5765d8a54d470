//! Puts an attempt on the wire, with its clocks. Chooses nothing and tries once: whether another attempt is
//! worth it is not decided here.

mod body;
mod clocks;
mod connections;
mod head;
mod http1;
mod http2;
mod idle;
mod page;
mod probe;
pub(crate) mod tls;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use router_core::config::{NonStreaming, Usage};
use router_core::dialect::{Dialect, Operation, Reason};
use router_core::identify::{Edit, Rope};
use router_core::stream::Assembly;

pub(crate) use body::RopeBody;
pub(crate) use clocks::{Clocks, Delivery, Term};
use connections::Outgoing;
pub(crate) use connections::{Connections, Lease};
pub(crate) use head::{CREDENTIALS, add_via, strip_hop_by_hop, strip_ours, to_upstream};
pub(crate) use page::{PageBounds, Unfetched, fetch};

use super::Failure;
use super::accept::is_chunked_at_most;
use super::identify::Call;
use super::overload::Permit;
use super::telemetry::{Account, Limit};
use crate::snapshot::{Endpoint, Pool, Target};

/// Most of an answer that is put together: ten times the longest text that models write, with room for an image. An
/// event of its stream may be as long.
pub(crate) const ASSEMBLED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// An upstream's answer whose head has come.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) early: Early,
    /// Returns the connection, once the body has come whole.
    pub(crate) lease: Lease,
    pub(crate) permit: Permit,
    /// How long the rest may take.
    pub(crate) term: Term,
    /// Whether the token counts were asked for in the caller's place, and are not for it.
    pub(crate) withhold_usage: bool,
    /// What makes one document of it, if it is a stream that was asked for in the caller's place.
    pub(crate) assembly: Option<Box<Assembly>>,
}

/// The first frame of a body, or its end, if it came together with the head.
pub(crate) type Early = Option<Option<Frame<Bytes>>>;

/// An attempt that is ready to go. Boxed, so that every call's future stays small.
struct Attempt {
    request: Outgoing,
    clocks: Clocks,
    delivery: Delivery,
    withhold_usage: bool,
}

/// Sends the call to the endpoint of `permit` and waits for the answer's head.
pub(crate) async fn send(call: &mut Call, target: &Target, mut permit: Permit) -> Result<Answer, Failure> {
    let mut attempt = attempt(call, target, permit.endpoint())?;
    {
        let mut facts = call.account.facts();
        facts.attempts += 1;
        facts.dispatched = Some(Instant::now());
        facts.endpoint = Some(permit.endpoint().label.clone());
    }
    let exchanged = {
        let Attempt { request, clocks, .. } = &mut *attempt;
        Connections::exchange(permit.endpoint(), request, clocks).await
    };
    call.account.facts().answered();
    let (mut response, mut lease) =
        exchanged.inspect_err(|failure| note_limit(&call.account, &failure.reason))?;
    permit.answered(response.status(), response.headers(), &target.pool);
    check(&response, &target.pool)?;
    let events = is_events(response.headers());
    if events && call.intent.dialect == Dialect::Passthrough {
        attempt.clocks.turn_to_stream();
    }
    if !events && attempt.delivery != Delivery::Whole && response.status().is_success() {
        permit.comes_whole();
    }
    let early = early(&mut response, &mut lease).await?;
    // Errors, and answers of servers that do not stream, go on as they came.
    let assembled = events && attempt.delivery == Delivery::Assembled && response.status() == StatusCode::OK;
    let assembly = assembled.then(|| Assembly::of(call.intent.operation, ASSEMBLED_BYTES_MAX)).flatten();
    let assembly = assembly.map(Box::new);
    let (term, withhold_usage) = (attempt.clocks.term(), attempt.withhold_usage);
    Ok(Answer { response, early, lease, permit, term, withhold_usage, assembly })
}

/// What goes to an endpoint of the target's, and how long it may take.
fn attempt(call: &mut Call, target: &Target, endpoint: &Arc<Endpoint>) -> Result<Box<Attempt>, Failure> {
    let pool = &target.pool;
    let rename = target.model.as_ref();
    let rename = rename.map(|model| Edit { span: call.model_span.clone(), with: model.clone() });
    let ask_usage = call.ask_usage.clone().filter(|_| asks_usage(pool, call));
    let withhold_usage = ask_usage.is_some();
    let as_stream = call.as_stream.clone().filter(|_| pool.non_streaming == NonStreaming::Stream);
    let delivery = match &as_stream {
        Some(_) => Delivery::Assembled,
        None if call.account.facts().stream => Delivery::Streamed,
        None => Delivery::Whole,
    };
    // A call streams already or is made to, never both.
    let body = Rope::edited(&call.body, [rename, ask_usage.or(as_stream)]);
    let clocks = Clocks::new(&target.timeouts, delivery, &call.ask, call.account.started);
    let headers = std::mem::take(&mut call.head.headers);
    let mut headers = to_upstream(headers, &call.account.origin, pool, endpoint, call.intent.dialect);
    add_via(&mut headers, call.head.version);
    let path = call.head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let request = Some(request(call.head.method.clone(), endpoint, path, headers, body)?);
    Ok(Box::new(Attempt { request, clocks, delivery, withhold_usage }))
}

/// Whether an answer is an event stream.
pub(crate) fn is_events(headers: &HeaderMap) -> bool {
    is_of_type(headers, "text/event-stream")
}

/// Whether an answer is of this media type, parameters left out.
pub(crate) fn is_of_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().get(..media_type.len()));
    value.is_some_and(|value| value.eq_ignore_ascii_case(media_type.as_bytes()))
}

/// What has come of the body together with the head: while the caller has nothing yet, broken framing is no answer.
async fn early(response: &mut Response<Incoming>, lease: &mut Lease) -> Result<Early, Failure> {
    if response.body().is_end_stream() {
        return Ok(None);
    }
    match poll_fn(|context| Poll::Ready(lease.poll_frame(response.body_mut(), context))).await {
        Poll::Pending => Ok(None),
        Poll::Ready(Some(Err(error))) => Err(Failure::caused(Reason::BadResponse, &error)),
        Poll::Ready(Some(Ok(frame))) => Ok(Some(Some(frame))),
        Poll::Ready(None) if lease.is_cut(response.body()) => Err(Failure::new(
            Reason::BadResponse,
            "the upstream reset its stream before its answer had ended",
        )),
        Poll::Ready(None) => Ok(Some(None)),
    }
}

/// Whether a stream is asked for its token counts.
fn asks_usage(pool: &Pool, call: &Call) -> bool {
    let asks = match pool.usage {
        Usage::Always => true,
        // Where a quota depends on them.
        Usage::Auto => call.counts_tokens,
        Usage::Never => false,
    };
    asks && matches!(call.intent.operation, Operation::ChatCompletions | Operation::Completions)
}

/// Counts the clock that ended an attempt, if one did.
fn note_limit(account: &Account, reason: &Reason) {
    account.hit(match reason {
        Reason::ConnectTimeout => Limit::Connect,
        Reason::HeadersTimeout => Limit::Headers,
        Reason::FirstTokenTimeout => Limit::FirstToken,
        Reason::AnswerTimeout => Limit::Answer,
        _ => return,
    });
}

/// A request to `endpoint` with exactly one framing.
pub(crate) fn request(
    method: Method,
    endpoint: &Arc<Endpoint>,
    path: PathAndQuery,
    mut headers: HeaderMap,
    body: Rope,
) -> Result<Request<RopeBody>, Failure> {
    let may_have_none = matches!(method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS);
    if !may_have_none || !body.is_empty() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let mut request = Request::new(RopeBody::new(body));
    *request.uri_mut() = if endpoint.path_prefix.is_empty() {
        path.into()
    } else {
        let prefixed = format!("{}{path}", endpoint.path_prefix).parse();
        prefixed.map_err(|error| Failure::caused(Reason::Internal, &error))?
    };
    *request.method_mut() = method;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Refuses heads that are no answer to the caller's question.
pub(crate) fn check(response: &Response<Incoming>, pool: &Pool) -> Result<(), Failure> {
    if !is_chunked_at_most(response.headers()) {
        return Err(Failure::new(Reason::BadResponse, "the upstream encoded its answer's transfer"));
    }
    // Readers disagree on where such an answer ends (RFC 9112, 6.3).
    let headers = response.headers();
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err(Failure::new(Reason::BadResponse, "the upstream framed its answer in two ways"));
    }
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            Err(Failure::new(Reason::BadResponse, "the upstream switched protocols without being asked"))
        }
        // The caller's own key was not at fault, and must not be told that it was.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !pool.passes_credentials => Err(Failure::new(
            Reason::BadResponse,
            format!("the upstream refused the key of pool {}: {}", pool.name, response.status()),
        )),
        _ => Ok(()),
    }
}
