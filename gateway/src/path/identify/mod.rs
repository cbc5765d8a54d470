//! Finds out who calls, by the head alone. Then reads the body once, under its limits, has `router_core::identify`
//! judge it, and finds the route. Behind this room nothing is unknown about a call. Lists the models where that is what
//! was asked for.

mod body;
mod credential;
mod guard;
mod jwt;
mod memory;
mod models;
mod who;
mod words;

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use router_core::config::NonStreaming;
use router_core::dialect::{Intent, Operation, Reason};
use router_core::identify::{Edit, Scan, as_stream, scan};
use router_core::overload::ask::Ask;
use router_core::overload::estimate::sampled;
use tower::Service;
use who::{Who, who};

use super::accept::discard;
use super::dialect::Known;
use super::stream::AnswerBody;
use super::telemetry::Account;
use super::{Failure, Reply, Walk, limit};
use crate::gateway::Gateway;
use crate::snapshot::{Caller, Route, Segment, Snapshot, Target};

pub(crate) use credential::of as credential;
pub(crate) use guard::Guard;
pub(crate) use jwt::{Issuer, Keeper, try_jwks};
pub(crate) use memory::{BodyMemory, Reservation};
pub(crate) use models::Catalogue;

/// A call about which everything is known that a decision needs.
pub(crate) struct Call {
    pub(crate) account: Arc<Account>,
    pub(crate) intent: Intent,
    pub(crate) head: Box<Parts>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) segment: Segment,
    /// Who calls, if it is known.
    #[expect(dead_code, reason = "the rooms behind decide by it: quotas of keys")]
    pub(crate) caller: Option<Arc<Caller>>,
    /// What its headers ask for.
    pub(crate) ask: Ask,
    /// About how long its prompt is.
    pub(crate) prompt_tokens: u32,
    pub(crate) body: Bytes,
    /// The body's part of the memory for bodies: as long as it may be sent again.
    pub(crate) _held: Reservation,
    /// Where the model's name stands in the body, quotes included. Empty where bodies are not looked into.
    pub(crate) model_span: Range<usize>,
    /// What makes the body ask for token counts that it does not ask for.
    pub(crate) ask_usage: Option<Edit>,
    /// Most tokens that it lets its answer have, if it says so.
    pub(crate) output_tokens_max: Option<u32>,
    /// Whether its tokens are charged to a quota, so that it matters how many there are.
    pub(crate) counts_tokens: bool,
    /// What makes the body ask for a stream that it does not ask for, where a target of its route has such calls
    /// streamed and this one may be.
    pub(crate) as_stream: Option<Edit>,
    pub(crate) route: Arc<Route>,
}

/// The room.
#[derive(Clone, Debug)]
pub(crate) struct Identify<S> {
    gateway: Arc<Gateway>,
    inner: S,
}

impl<S> Identify<S> {
    pub(crate) fn new(gateway: Arc<Gateway>, inner: S) -> Self {
        Self { gateway, inner }
    }
}

impl<S> Service<Known> for Identify<S>
where
    S: Service<Box<Call>, Response = Response<AnswerBody>, Error = Failure, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = Failure;
    type Future = Walk<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Known) -> Self::Future {
        let gateway = self.gateway.clone();
        let mut inner = self.inner.clone();
        Box::pin(async move {
            match request.intent.operation {
                // What is rare is kept apart, so that every call's future stays small.
                Operation::Models => Box::pin(models::list(&gateway, &request)).await,
                Operation::Model => Box::pin(models::one(&gateway, &request)).await,
                _ => {
                    let call = identify(&gateway, request).await?;
                    inner.call(call).await
                }
            }
        })
    }
}

async fn identify(gateway: &Gateway, request: Known) -> Result<Box<Call>, Failure> {
    let Known { account, intent, passthrough, head, body } = request;
    // One snapshot for the whole judgement, whatever is reloaded while the body comes.
    let snapshot = Arc::clone(&gateway.snapshot());
    let judged = who(gateway, &snapshot, &account, &head).await.and_then(|who| match &passthrough {
        Some(route) if !who.may_use(route) => Err(Reason::RouteForbidden { model: None }.into()),
        None if body::is_encoded(&head.headers) => Err(Reason::EncodedBody.into()),
        _ => Ok(who),
    });
    // Before anything of its body is read.
    let judged = judged.and_then(|who| match limit::enter(&account, who.allowances(&snapshot)) {
        Ok(()) => Ok(who),
        Err(reason) => Err(reason.into()),
    });
    let who = match judged {
        Ok(who) => who,
        Err(failure) => {
            discard(body, &head);
            return Err(failure);
        }
    };
    let waited = Instant::now();
    let body = body::read(body, &head, &gateway.body_memory, &snapshot.config.limits).await;
    account.facts().body_wait = waited.elapsed();
    let (body, held) = body.map_err(|unread| {
        if let Some(limit) = unread.limit {
            gateway.telemetry.metrics.hit(limit);
        }
        Failure::from(unread.reason)
    })?;
    account.facts().bytes_in = body.len() as u64;
    let found = match passthrough {
        Some(route) => {
            let route = still_there(&route, &snapshot)?;
            Found { route, model_span: 0..0, ask_usage: None, output_tokens_max: None, stream: false }
        }
        None => look_into(&body, &snapshot, &who, intent)?,
    };
    let Found { route, model_span, ask_usage, output_tokens_max, stream } = found;
    {
        let mut facts = account.facts();
        facts.stream = stream;
        facts.route = Some(route.clone());
    }
    let prompt_tokens = sampled(&body);
    let streamed = |target: &Target| target.pool.non_streaming == NonStreaming::Stream;
    let as_stream = match route.targets.iter().any(streamed) {
        true => as_stream(&body, intent.operation),
        false => None,
    };
    let Who { caller, segment, ask } = who;
    let call = Call {
        account,
        intent,
        head,
        snapshot,
        segment,
        caller,
        ask,
        prompt_tokens,
        body,
        _held: held,
        model_span,
        ask_usage,
        output_tokens_max,
        counts_tokens: false,
        as_stream,
        route,
    };
    Ok(Box::new(call))
}

/// What a body and its path lead to.
struct Found {
    route: Arc<Route>,
    model_span: Range<usize>,
    ask_usage: Option<Edit>,
    output_tokens_max: Option<u32>,
    stream: bool,
}

/// A prefix may have gone since its path was recognised.
fn still_there(route: &Route, snapshot: &Snapshot) -> Result<Arc<Route>, Reason> {
    let found = snapshot.topics().find(|known| known.name == route.name);
    found.cloned().ok_or(Reason::UnknownPath)
}

fn look_into(body: &[u8], snapshot: &Snapshot, who: &Who, intent: Intent) -> Result<Found, Reason> {
    let scan = scan(body)?;
    let route = snapshot.route(&scan.model).filter(|route| route.speaks(intent.dialect));
    let Some(route) = route.cloned() else {
        let known = snapshot.known_models(intent.dialect, |route| who.may_use(route));
        return Err(Reason::UnknownModel { model: scan.model.into_owned(), known });
    };
    if !who.may_use(&route) {
        return Err(Reason::RouteForbidden { model: Some(scan.model.into_owned()) });
    }
    let Scan { model_span, ask_usage, output_tokens_max, stream, .. } = scan;
    Ok(Found { route, model_span, ask_usage, output_tokens_max, stream })
}
