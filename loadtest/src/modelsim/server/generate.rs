//! The two calls that generate text, from the body to the first byte of the answer.

use super::super::ask::{Api, Ask, Suffix};
use super::super::cluster::Refused;
use super::super::desk::{Pace, Progress, Size, Ticket, unix_ms};
use super::super::fault::Fault;
use super::super::problem::Problem;
use super::super::reply::{Reply, Stamp};
use super::super::rng::Rng;
use super::super::settings::Settings;
use super::Server;
use super::answer::{JSON, Stop, header_fault, leave, linger, read, typed};
use super::feed::{self, Body, Rude};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;

/// Answers `POST /v1/chat/completions` and `POST /v1/messages`.
pub(super) async fn answer(
    server: &Arc<Server>,
    api: Api,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response<Body>, Stop> {
    let asked = header_fault(headers)?;
    if asked == Some(Fault::Refuse) {
        // At once: the body stays unread.
        return Err(Stop::Rude(Rude::Reset));
    }
    let ask = Ask::parse(api, &read(body).await?)?;
    let order = Order::new(&server.settings, headers, ask)?;
    let fault = asked.or_else(|| order.fault.clone()).or_else(|| server.fault());
    leave(fault.as_ref())?;
    let ticket = server.desk.accept();
    linger(fault.as_ref()).await;
    let extra = server.settings.extra_delay;
    if !extra.is_zero() {
        tokio::time::sleep(server.desk.wall(extra)).await;
    }
    run(server, ticket, Task { api, order, fault }).await
}

/// A request that can be served.
struct Order {
    ask: Ask,
    /// The fault in the model name.
    fault: Option<Fault>,
    /// Seed of the text.
    seed: u64,
    /// Length of the text, if the caller's limit allows it.
    tokens: u32,
}

/// An order, how to answer it, and what goes wrong.
struct Task {
    api: Api,
    order: Order,
    fault: Option<Fault>,
}

impl Order {
    fn new(settings: &Settings, headers: &HeaderMap, mut ask: Ask) -> Result<Self, Problem> {
        let suffix =
            Suffix::parse(&ask.model).map_err(|error| Problem::invalid("model", error.to_string()))?;
        if !settings.serves(suffix.model) {
            return Err(no_model(suffix.model));
        }
        let seed = ask.prompt.seed(settings.seed);
        let wish = headers.get("x-sim-output-tokens").map(|value| String::from_utf8_lossy(value.as_bytes()));
        let tokens = match wish.as_deref().or(suffix.tokens) {
            Some(wish) => wished_tokens(wish)?,
            None => settings.output.draw(&mut Rng::new(seed)),
        };
        let (model, fault) = (suffix.model.to_owned(), suffix.fault);
        ask.model = model;
        Ok(Self { ask, fault, seed, tokens: tokens.min(output_tokens_max(settings)) })
    }
}

async fn run(server: &Server, mut ticket: Ticket, task: Task) -> Result<Response<Body>, Stop> {
    let Task { api, order, fault } = task;
    let streams = order.ask.stream;
    let stamp =
        Stamp { serial: ticket.serial(), created: unix_ms() / 1000, seed: order.seed, tokens: order.tokens };
    let reply = Reply::new(api, order.ask, stamp);
    let pace = if streams { Pace::Tokens } else { Pace::Whole };
    let mut progress = submit(&server.settings, &mut ticket, &reply, pace)?;
    if streams {
        let mut response = typed("text/event-stream; charset=utf-8", {
            feed::streamed(ticket, progress, reply.events(), fault)
        });
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return Ok(response);
    }
    if !progress.all().await {
        ticket.faulted();
        return Err(Stop::Rude(Rude::Cut));
    }
    Ok(typed(JSON, feed::whole(ticket, reply.finish(), &reply.whole(), fault)))
}

fn submit(settings: &Settings, ticket: &mut Ticket, reply: &Reply, pace: Pace) -> Result<Progress, Problem> {
    let output_tokens = reply.output_tokens();
    // What does not fit into the cache is taken as cut off the prompt; the usage still counts it.
    let room = settings.engine.job_tokens_max().saturating_sub(u64::from(output_tokens));
    let prompt_tokens = reply.prompt_tokens().min(u32::try_from(room).unwrap_or(u32::MAX));
    ticket.submit(Size { prompt_tokens, output_tokens }, pace).map_err(|refused| match refused {
        Refused::Full { .. } => Problem {
            code: Some("rate_limit_exceeded"),
            retry_after: Some(RETRY_AFTER_SECONDS),
            ..Problem::new(StatusCode::TOO_MANY_REQUESTS, refused.to_string())
        },
        Refused::TooLarge(_) => Problem {
            code: Some("context_length_exceeded"),
            ..Problem::invalid("messages", refused.to_string())
        },
    })
}

fn wished_tokens(wish: &str) -> Result<u32, Problem> {
    let tokens = wish.trim().parse().ok().filter(|tokens| (1..=WISH_TOKENS_MAX).contains(tokens));
    tokens.ok_or_else(|| {
        let message = format!("{wish:?} is no length for an answer: 1 to {WISH_TOKENS_MAX} tokens");
        Problem::invalid("x-sim-output-tokens", message)
    })
}

/// One prompt token has to fit beside the answer.
fn output_tokens_max(settings: &Settings) -> u32 {
    u32::try_from(settings.engine.job_tokens_max() - 1).unwrap_or(u32::MAX)
}

fn no_model(name: &str) -> Problem {
    Problem {
        code: Some("model_not_found"),
        param: Some("model"),
        ..Problem::new(StatusCode::NOT_FOUND, format!("The model {name:?} does not exist on this server."))
    }
}

/// Longest answer that a caller may ask for.
const WISH_TOKENS_MAX: u32 = 100_000;
/// A cap is passed within about this time.
const RETRY_AFTER_SECONDS: u32 = 1;
