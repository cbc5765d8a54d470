//! Routes as operators see them, and their weights as operators change them: staged one by one, deployed all at once,
//! rolled back. Every answer has the `etag` that the next change may be asked of.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::ETAG;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use router_core::config::{WEIGHT_SUM, parse_weight};
use router_core::overload::lag::PoolState;
use router_core::route::is_skewed;
use router_core::route::staging::{Origin, Refusal, Staging, TargetWeight};
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use super::by::Asking;
use super::refuse;
use crate::gateway::Gateway;
use crate::path::telemetry::WINDOW_SECS;
use crate::reload::{Asked, Reloader, WeightsRefused};
use crate::snapshot::{Route, Target};

pub(super) fn router(reloader: Arc<Reloader>) -> Router<Arc<Gateway>> {
    Router::new()
        .route("/admin/v1/routes/{route}/targets/{*target}", patch(adjust))
        .route("/admin/v1/routes/{route}/staged", put(stage).delete(discard))
        .route("/admin/v1/deploy", post(deploy))
        .route("/admin/v1/rollback", post(rollback))
        .with_state(reloader)
        .route("/admin/v1/routes", get(routes))
}

/// `PATCH /admin/v1/routes/{route}/targets/{target}` takes this.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneWeight {
    weight: Number,
}

/// `PUT /admin/v1/routes/{route}/staged` takes this.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllWeights {
    weights: Map<String, Value>,
}

/// `GET /admin/v1/routes`
async fn routes(State(gateway): State<Arc<Gateway>>) -> Response {
    let (snapshot, weights, pools) = (gateway.snapshot(), gateway.weights.load(), gateway.line.pools());
    let describe = |route: &Arc<Route>| describe_route(route, &weights, &pools);
    let routes: Vec<Value> = snapshot.routes.iter().map(describe).collect();
    let mut body = json!({ "window_seconds": WINDOW_SECS, "routes": routes });
    if let Some((revision, earlier)) = weights.earlier() {
        let routes: Vec<Value> = earlier.routes().map(|route| describe_weights(route, &earlier)).collect();
        body["rollback"] = json!({ "revision": revision, "routes": routes });
    }
    answer(&weights, body)
}

async fn adjust(
    State(reloader): State<Arc<Reloader>>,
    Path((route, target)): Path<(String, String)>,
    asking: Asking,
    body: Bytes,
) -> Response {
    let asked = serde_json::from_slice::<OneWeight>(&body)
        .map_err(|error| format!("the body should be {{\"weight\": 0.7}}: {error}"))
        .and_then(|body| parse_weight(&body.weight.to_string()));
    match asked {
        Ok(weight) => change(reloader, Asked::Adjust { route, target, weight }, asking).await,
        Err(problem) => refuse(StatusCode::UNPROCESSABLE_ENTITY, "invalid_weight", &problem),
    }
}

async fn stage(
    State(reloader): State<Arc<Reloader>>,
    Path(route): Path<String>,
    asking: Asking,
    body: Bytes,
) -> Response {
    let one = |(label, weight): (String, Value)| {
        let number = weight.as_number().ok_or_else(|| format!("the weight of {label:?} is not a number"))?;
        Ok(TargetWeight { label, weight: parse_weight(&number.to_string())? })
    };
    let asked = serde_json::from_slice::<AllWeights>(&body)
        .map_err(|error| format!("the body should be {{\"weights\": {{\"pool/model\": 0.7, …}}}}: {error}"))
        .and_then(|body| body.weights.into_iter().map(one).collect::<Result<Vec<_>, String>>());
    match asked {
        Ok(weights) => change(reloader, Asked::Put { route, weights }, asking).await,
        Err(problem) => refuse(StatusCode::UNPROCESSABLE_ENTITY, "invalid_weight", &problem),
    }
}

async fn discard(
    State(reloader): State<Arc<Reloader>>,
    Path(route): Path<String>,
    asking: Asking,
) -> Response {
    change(reloader, Asked::Discard { route }, asking).await
}

async fn deploy(State(reloader): State<Arc<Reloader>>, asking: Asking) -> Response {
    change(reloader, Asked::Deploy, asking).await
}

async fn rollback(State(reloader): State<Arc<Reloader>>, asking: Asking) -> Response {
    change(reloader, Asked::Rollback, asking).await
}

async fn change(reloader: Arc<Reloader>, asked: Asked, asking: Asking) -> Response {
    let route = asked.route().map(str::to_owned);
    let outcome = super::to_its_end(async move {
        reloader.change_weights(asked, asking.expected.as_deref(), asking.by).await
    });
    let (weights, restored) = match outcome.await {
        Ok(Ok(done)) => done,
        Ok(Err(refused)) => return refuse(status(&refused), code(&refused), &refused.to_string()),
        Err(broken) => return broken,
    };
    let of_it = weights.routes().filter(|name| route.as_ref().is_none_or(|route| route == name));
    let routes: Vec<Value> = of_it.map(|route| describe_weights(route, &weights)).collect();
    let mut body = json!({ "routes": routes });
    if let Some(restored) = restored {
        body["restored"] = restored.into();
    }
    answer(&weights, body)
}

/// Adds what every answer about weights has.
fn answer(weights: &Staging, mut body: Value) -> Response {
    let tag = weights.tag();
    body["revision"] = weights.revision().into();
    body["etag"] = tag.as_str().into();
    let tag =
        HeaderValue::try_from(format!("\"{tag}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    ([(ETAG, tag)], axum::Json(body)).into_response()
}

const fn status(refused: &WeightsRefused) -> StatusCode {
    match refused {
        WeightsRefused::Refused(refusal) => match refusal {
            Refusal::UnknownRoute { .. } | Refusal::UnknownTarget { .. } => StatusCode::NOT_FOUND,
            Refusal::Sum { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Stale { .. } => StatusCode::PRECONDITION_FAILED,
            Refusal::SingleTarget { .. }
            | Refusal::NoProportion { .. }
            | Refusal::NothingStaged
            | Refusal::NothingEarlier => StatusCode::CONFLICT,
        },
        WeightsRefused::Unbuildable(_) => StatusCode::CONFLICT,
        WeightsRefused::Audit(_) | WeightsRefused::Draining => StatusCode::SERVICE_UNAVAILABLE,
    }
}

const fn code(refused: &WeightsRefused) -> &'static str {
    match refused {
        WeightsRefused::Refused(refusal) => match refusal {
            Refusal::UnknownRoute { .. } => "unknown_route",
            Refusal::UnknownTarget { .. } => "unknown_target",
            Refusal::Sum { .. } => "invalid_weight",
            Refusal::Stale { .. } => "stale_revision",
            Refusal::SingleTarget { .. } => "single_target",
            Refusal::NoProportion { .. } => "no_proportion",
            Refusal::NothingStaged => "nothing_staged",
            Refusal::NothingEarlier => "nothing_earlier",
        },
        WeightsRefused::Unbuildable(_) => "not_in_force",
        WeightsRefused::Audit(_) => "audit_unavailable",
        WeightsRefused::Draining => "draining",
    }
}

/// A route's weights: in force, staged, and where they come from.
fn describe_weights(route: &str, weights: &Staging) -> Value {
    let Some((in_force, origin)) = weights.in_force(route) else { return Value::Null };
    let staged = weights.staged(route);
    let targets = in_force.iter().enumerate().map(|(index, one)| {
        let mut out = json!({ "target": one.label, "weight": ratio(one.weight) });
        if let Some(staged) = staged.and_then(|staged| staged.get(index)) {
            out["staged_weight"] = ratio(staged.weight).into();
        }
        out
    });
    let mut out = json!({ "route": route, "targets": targets.collect::<Vec<_>>() });
    match origin {
        Origin::File => out["source"] = "file".into(),
        Origin::RunTime(since) => {
            out["source"] = "run_time".into();
            out["source_revision"] = since.into();
        }
    }
    out
}

/// The same, and how its targets do.
fn describe_route(route: &Route, weights: &Staging, pools: &[PoolState]) -> Value {
    let mut out = describe_weights(&route.name, weights);
    let now = Instant::now();
    let all: u64 = route.targets.iter().map(|target| target.turns.lately(now)).sum();
    let targets = out["targets"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let described = route.targets.iter().map(|target| {
        let same = |one: &&Value| one["target"].as_str() == Some(&*target.label);
        let mut out = targets.iter().find(same).cloned().unwrap_or_else(|| json!({}));
        describe_target(target, all, now, &mut out);
        if let Some(pool) = pools.iter().find(|pool| pool.pool == target.pool.name) {
            out["concurrency_limit"] = limit(pool).into();
            out["state"] = state(pool).into();
        }
        out
    });
    out["targets"] = described.collect();
    let canary = route.canary.iter().map(|rule| {
        json!({ "header": rule.header, "equals": rule.equals, "target": &*route.targets[rule.target].label })
    });
    out["canary"] = canary.collect();
    out
}

#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
fn describe_target(target: &Target, all: u64, now: Instant, out: &mut Value) {
    let (lately, turns) = (target.recent.lately(now), target.turns.lately(now));
    let ratio = |part: u64, whole: u64| {
        (whole > 0).then(|| (part as f64 / whole as f64 * 10_000.0).round() / 10_000.0)
    };
    let ms = |time: Option<std::time::Duration>| time.and_then(|time| u64::try_from(time.as_millis()).ok());
    out["pool"] = target.pool.name.as_str().into();
    let model = target.model.as_deref().and_then(|json| serde_json::from_slice(json).ok());
    out["model"] = model.unwrap_or(Value::Null);
    out["inflight"] = target.inflight.get().into();
    out["calls"] = lately.calls.into();
    out["turns"] = turns.into();
    out["observed_share"] = ratio(turns, all).into();
    out["skewed"] = is_skewed(turns, all, target.weight).into();
    out["error_ratio"] = ratio(lately.errors, lately.calls).into();
    out["first_token_p50_ms"] = ms(lately.first_token_p50).into();
    out["first_token_p95_ms"] = ms(lately.first_token_p95).into();
}

/// How much may be under way at the target's pool; `None` if nothing bounds it.
fn limit(pool: &PoolState) -> Option<u64> {
    Some(pool.limit).filter(|limit| *limit < u64::from(u32::MAX))
}

fn state(pool: &PoolState) -> &'static str {
    if pool.endpoints_ready == 0 {
        "resting"
    } else if pool.inflight >= pool.limit {
        "full"
    } else {
        "ready"
    }
}

/// A weight as people write it.
pub(crate) fn ratio(weight: u32) -> f64 {
    f64::from(weight) / f64::from(WEIGHT_SUM)
}
