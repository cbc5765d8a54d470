//! From a request to a response: which page, which fault, which shape an error has.

use super::super::ask::Api;
use super::super::fault::{Fault, FaultError};
use super::super::metrics;
use super::super::problem::Problem;
use super::feed::{self, Body, Rude};
use super::{Server, generate};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a connection does with a request: answer it, or leave.
pub(super) type Reaction = Result<Response<Body>, Rude>;

/// Why a request gets no regular answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// It gets an error.
    Problem(Problem),
    /// It gets a closed connection.
    Rude(Rude),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Answers one request.
pub(super) async fn react(server: &Arc<Server>, request: Request<Incoming>) -> Reaction {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let anthropic = path == MESSAGES || head.headers.contains_key("anthropic-version");
    let api = if anthropic { Api::Anthropic } else { Api::OpenAi };
    let outcome = match (&head.method, path) {
        (&Method::POST, CHAT | MESSAGES) => generate::answer(server, api, &head.headers, body).await,
        (&Method::GET, "/sim/stats") => Ok(json_page(&json!(server.desk.stats()))),
        (&Method::PUT, "/sim/fault") => set_fault(server, body).await.map_err(Stop::Problem),
        (&Method::PUT, "/sim/lost") => set_lost(server, body).await.map_err(Stop::Problem),
        (method, path) => page(server, api, method, path, &head.headers).await,
    };
    match outcome {
        Ok(response) => Ok(response),
        Err(Stop::Problem(problem)) => Ok(refusal(api, &problem)),
        Err(Stop::Rude(rude)) => Err(rude),
    }
}

/// The pages that need no engine; faults strike here too.
async fn page(
    server: &Server,
    api: Api,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, Stop> {
    let fault = header_fault(headers)?.or_else(|| server.fault());
    leave(fault.as_ref())?;
    linger(fault.as_ref()).await;
    match (method, path) {
        (&Method::GET, "/health") => Ok(Response::new(feed::full(Bytes::new()))),
        (&Method::GET, "/metrics") => Ok(metrics_page(server)),
        (&Method::GET, "/v1/models") => Ok(json_page(&models(server, api))),
        (_, CHAT | MESSAGES | "/health" | "/metrics" | "/v1/models") => {
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not know {method}")).into())
        }
        _ => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no {path}")).into()),
    }
}

/// The fault that the request's header asks for.
pub(super) fn header_fault(headers: &HeaderMap) -> Result<Option<Fault>, Problem> {
    let Some(value) = headers.get("x-sim-fault") else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    text.parse().map(Some).map_err(|error: FaultError| Problem::invalid("x-sim-fault", error.to_string()))
}

/// Faults instead of an answer.
pub(super) fn leave(fault: Option<&Fault>) -> Result<(), Stop> {
    match fault {
        Some(Fault::Refuse) => Err(Stop::Rude(Rude::Reset)),
        Some(Fault::Garbage) => Err(Stop::Rude(Rude::Garbage)),
        Some(&Fault::Status { code, retry_after }) => {
            let message = format!("the simulator answers {} on request", code.as_u16());
            Err(Problem { retry_after, ..Problem::new(code, message) }.into())
        }
        _ => Ok(()),
    }
}

/// Faults that pass time before an answer.
pub(super) async fn linger(fault: Option<&Fault>) {
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
        _ => {}
    }
}

/// Reads a body to its end.
pub(super) async fn read(body: Incoming) -> Result<Bytes, Problem> {
    match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body is larger than {REQUEST_BYTES_MAX} bytes"),
        )),
        Err(error) => {
            Err(Problem::new(StatusCode::BAD_REQUEST, format!("the request body ended early: {error}")))
        }
    }
}

/// A body with its type.
pub(super) fn typed(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn refusal(api: Api, problem: &Problem) -> Response<Body> {
    let mut response = typed(JSON, feed::full(problem.body(api)));
    *response.status_mut() = problem.status;
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn json_page(value: &Value) -> Response<Body> {
    typed(JSON, feed::full(value.to_string()))
}

fn metrics_page(server: &Server) -> Response<Body> {
    let text = metrics::render(&server.desk.books(), server.settings.model_name());
    typed("text/plain; version=0.0.4; charset=utf-8", feed::full(text))
}

fn models(server: &Server, api: Api) -> Value {
    let any = [server.settings.model_name().to_owned()];
    let names = if server.settings.models.is_empty() { &any[..] } else { &server.settings.models };
    let entry = |name: &String| match api {
        Api::OpenAi => json!({"id": name, "object": "model", "created": BORN, "owned_by": "modelsim"}),
        Api::Anthropic => {
            json!({"type": "model", "id": name, "display_name": name, "created_at": BORN_AT})
        }
    };
    let data: Vec<Value> = names.iter().map(entry).collect();
    match api {
        Api::OpenAi => json!({"object": "list", "data": data}),
        Api::Anthropic => {
            json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()})
        }
    }
}

/// `PUT /sim/fault`: the body names the fault that every further request meets; an empty one ends it.
async fn set_fault(server: &Server, body: Incoming) -> Result<Response<Body>, Problem> {
    let body = read(body).await?;
    let text = String::from_utf8_lossy(&body);
    let fault = match text.trim() {
        "" => None,
        text => Some(text.parse().map_err(|error: FaultError| Problem::invalid("body", error.to_string()))?),
    };
    server.set_fault(fault);
    Ok(done())
}

/// `PUT /sim/lost`: the body says how many replicas are away from now on; `0` brings all back.
async fn set_lost(server: &Server, body: Incoming) -> Result<Response<Body>, Problem> {
    let body = read(body).await?;
    let most = server.settings.replicas - 1;
    let lost = std::str::from_utf8(&body).ok().and_then(|text| text.trim().parse().ok());
    let lost = lost.filter(|lost| *lost <= most);
    let lost =
        lost.ok_or_else(|| Problem::invalid("body", format!("it must be a number from 0 to {most}")))?;
    server.desk.lose(lost);
    Ok(done())
}

fn done() -> Response<Body> {
    let mut response = Response::new(feed::full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
pub(super) const JSON: &str = "application/json";
/// Bodies with pictures in them are this large; larger ones are a mistake.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// When every model was made, as both APIs write it.
const BORN: u64 = 1_735_689_600;
const BORN_AT: &str = "2025-01-01T00:00:00Z";
