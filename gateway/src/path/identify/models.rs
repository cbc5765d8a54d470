//! `GET /v1/models` and `/v1/models/{id}`: the routes' names, and behind a route `*` what its upstreams list, kept
//! for a while.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use router_core::dialect::{Dialect, Reason, model_id};
use router_core::identify::Rope;
use serde::Deserialize;
use serde_json::Value;

use super::who::who;
use crate::gateway::Gateway;
use crate::path::dialect::Known;
use crate::path::limit;
use crate::path::send::{self, Clocks, Connections};
use crate::path::stream::AnswerBody;
use crate::path::{Failure, Reply, select};
use crate::snapshot::{Pool, Snapshot};

/// How long an upstream's list is kept: model servers change theirs when they start, not in between.
const KEPT: Duration = Duration::from_secs(10);
/// How long an upstream may take to list its models.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where Weir has names of its own to list.
const PATIENCE_WITH_NAMES: Duration = Duration::from_secs(2);
/// Largest list that is taken from an upstream: the longest public ones have some hundred KB.
const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The last lists that came from upstreams, by dialect.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    kept: [Mutex<Option<Kept>>; Dialect::ALL.len()],
}

#[derive(Debug)]
struct Kept {
    since: Instant,
    /// Whose list it is: with a caller's own credential, upstreams list what that caller may use.
    credential: Credential,
    models: Vec<Value>,
}

type Credential = [Option<HeaderValue>; 4];

#[derive(Deserialize)]
struct List {
    data: Vec<Value>,
}

/// What an upstream said: a list, or something else that may be passed on.
enum Listed {
    Models(Vec<Value>),
    Other(Response<AnswerBody>),
}

/// The models that the caller may ask for.
pub(super) async fn list(gateway: &Gateway, request: &Known) -> Reply {
    let dialect = request.intent.dialect;
    let snapshot = Arc::clone(&gateway.snapshot());
    let who = who(gateway, &snapshot, &request.account, &request.head).await?;
    let names = snapshot.known_models(dialect, |route| who.may_use(route));
    if !snapshot.wildcard().is_some_and(|route| who.may_use(route)) {
        return Ok(json(dialect.model_list(&names, Vec::new())));
    }
    let credential =
        if snapshot.knows_callers { Credential::default() } else { credential(&request.head.headers) };
    let kept = gateway.catalogue.kept(dialect, &credential);
    let models = match kept {
        Some(models) => models,
        None => {
            limit::enter(&request.account, who.allowances(&snapshot))?;
            let asked = Instant::now();
            let answer = ask(&snapshot, request, &names).await;
            request.account.facts().upstream = Some(asked.elapsed());
            let models = match answer {
                Ok(Listed::Models(models)) => models,
                // With models of our own to list, an upstream that lists none is no reason to list nothing.
                Ok(Listed::Other(_)) | Err(_) if !names.is_empty() => Vec::new(),
                Ok(Listed::Other(answer)) => return Ok(answer),
                Err(failure) => return Err(failure),
            };
            gateway.catalogue.keep(dialect, credential, models.clone());
            models
        }
    };
    Ok(json(dialect.model_list(&names, models)))
}

/// One model: Weir's own by its name, else as the first upstream that knows it tells.
pub(super) async fn one(gateway: &Gateway, request: &Known) -> Reply {
    let dialect = request.intent.dialect;
    let id = model_id(request.head.uri.path()).unwrap_or_default();
    let snapshot = Arc::clone(&gateway.snapshot());
    let who = who(gateway, &snapshot, &request.account, &request.head).await?;
    let names = snapshot.known_models(dialect, |route| who.may_use(route));
    if names.contains(&id) {
        return Ok(json(dialect.model(&id)));
    }
    let named = snapshot.known_models(dialect, |_| true).contains(&id);
    let mut reply: Reply = Err(Reason::UnknownModel { model: id, known: names }.into());
    // What has a route of its own is not asked for elsewhere, whoever may use it.
    if named || !snapshot.wildcard().is_some_and(|route| who.may_use(route)) {
        return reply;
    }
    limit::enter(&request.account, who.allowances(&snapshot))?;
    let path = request.head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let asked = Instant::now();
    for pool in wildcard_pools(&snapshot, dialect) {
        reply = get(request, &pool, path.clone(), PATIENCE)
            .await
            .map(|(head, body)| passed_on(head.status, head.headers.get(CONTENT_TYPE), body));
        if reply.as_ref().is_ok_and(|answer| answer.status() == StatusCode::OK) {
            break;
        }
    }
    request.account.facts().upstream = Some(asked.elapsed());
    reply
}

/// Asks every pool of the route `*` that speaks the caller's API for models that Weir has no name for.
async fn ask(snapshot: &Snapshot, request: &Known, names: &[String]) -> Result<Listed, Failure> {
    let dialect = request.intent.dialect;
    let pools = wildcard_pools(snapshot, dialect);
    if pools.is_empty() {
        return Ok(Listed::Models(Vec::new()));
    }
    let patience = if names.is_empty() { PATIENCE } else { PATIENCE_WITH_NAMES };
    // Names with routes of their own, whoever may use those.
    let mut seen: HashSet<String> = snapshot.known_models(dialect, |_| true).into_iter().collect();
    let mut models: Vec<Value> = Vec::new();
    let (mut listed, mut other) = (false, None);
    for answer in join_all(pools.iter().map(|pool| ask_pool(request, pool, patience))).await {
        match answer {
            Ok(Listed::Models(more)) => {
                listed = true;
                let new = |model: &Value| model["id"].as_str().is_some_and(|id| seen.insert(id.to_owned()));
                models.extend(more.into_iter().filter(new));
            }
            answer => {
                other.get_or_insert(answer);
            }
        }
    }
    match other {
        Some(other) if !listed => other,
        _ => Ok(Listed::Models(models)),
    }
}

async fn ask_pool(request: &Known, pool: &Pool, patience: Duration) -> Result<Listed, Failure> {
    let (head, body) = get(request, pool, PathAndQuery::from_static("/v1/models"), patience).await?;
    match serde_json::from_slice::<List>(&body) {
        Ok(list) if head.status == StatusCode::OK => Ok(Listed::Models(list.data)),
        _ => Ok(Listed::Other(passed_on(head.status, head.headers.get(CONTENT_TYPE), body))),
    }
}

/// The pools of the route `*` that speak the caller's API, each once.
fn wildcard_pools(snapshot: &Snapshot, dialect: Dialect) -> Vec<Arc<Pool>> {
    let mut pools: Vec<Arc<Pool>> = Vec::new();
    for target in snapshot.wildcard().iter().flat_map(|route| &route.targets) {
        let new = !pools.iter().any(|pool| Arc::ptr_eq(pool, &target.pool));
        if new && target.pool.dialects.contains(dialect) {
            pools.push(target.pool.clone());
        }
    }
    pools
}

/// Fetches a small answer from an endpoint of the pool, in the caller's name.
async fn get(
    request: &Known,
    pool: &Pool,
    path: PathAndQuery,
    patience: Duration,
) -> Result<(http::response::Parts, Bytes), Failure> {
    let endpoint = select::pick(pool).ok_or(Reason::Internal)?;
    let headers = request.head.headers.clone();
    let mut headers =
        send::to_upstream(headers, &request.account.origin, pool, endpoint, request.intent.dialect);
    send::add_via(&mut headers, request.head.version);
    let asked = send::request(Method::GET, endpoint, path, headers, Rope::default())?;
    let exchange = async {
        let (response, mut lease) =
            Connections::exchange(endpoint, &mut Some(asked), &mut Clocks::whole(patience)).await?;
        send::check(&response, pool)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(lease.driving(body), LIST_BYTES_MAX).collect().await;
        let body = body.map_err(|error| Failure::caused(Reason::BadResponse, &*error))?.to_bytes();
        lease.give_back();
        Ok((head, body))
    };
    tokio::time::timeout(patience, exchange)
        .await
        .map_err(|_| Failure::new(Reason::BadResponse, "no answer about models in time"))?
}

impl Catalogue {
    /// Keeps nothing of what upstreams said that may be gone.
    pub(crate) fn forget(&self) {
        for slot in &self.kept {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn slot(&self, dialect: Dialect) -> &Mutex<Option<Kept>> {
        &self.kept[dialect.index()]
    }

    fn kept(&self, dialect: Dialect, credential: &Credential) -> Option<Vec<Value>> {
        let kept = self.slot(dialect).lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref().filter(|kept| kept.since.elapsed() < KEPT && kept.credential == *credential);
        kept.map(|kept| kept.models.clone())
    }

    fn keep(&self, dialect: Dialect, credential: Credential, models: Vec<Value>) {
        let kept = Kept { since: Instant::now(), credential, models };
        *self.slot(dialect).lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

fn credential(headers: &HeaderMap) -> Credential {
    send::CREDENTIALS.map(|name| headers.get(name).cloned().map(sensitive))
}

/// Shown nowhere, whoever prints it.
fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn json(text: String) -> Response<AnswerBody> {
    passed_on(StatusCode::OK, Some(&HeaderValue::from_static("application/json")), text.into())
}

fn passed_on(status: StatusCode, content_type: Option<&HeaderValue>, body: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::full(body));
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    response
}
