//! The classes of callers, and what each may use: `GET /admin/v1/segments`, `PUT` and `DELETE` of a segment's quota.
//! What is put holds at once and until the process ends, or until the file says something else of that quota than it
//! did; what is deleted is what was put, so that the file's holds again.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use router_core::config::{Problem, Quota, quota, quota_to_json};
use router_core::limit::{Cell, Rate};
use serde_json::{Value, json};

use super::refuse;
use crate::gateway::Gateway;
use crate::path::limit::{Allowance, Origin};
use crate::path::telemetry::Level;

pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/admin/v1/segments", get(segments))
        .route("/admin/v1/segments/{segment}/quota", put(put_quota).delete(delete_quota))
}

async fn segments(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let segments = snapshot.config.segments.iter().zip(&snapshot.allowances);
    let segments: Vec<Value> =
        segments.map(|(segment, allowance)| describe(&segment.name, allowance)).collect();
    Json(json!({ "segments": segments }))
}

async fn put_quota(
    State(gateway): State<Arc<Gateway>>,
    Path(segment): Path<String>,
    body: String,
) -> Response {
    match quota(&body) {
        Ok(quota) => set(&gateway, &segment, Some(quota)),
        Err(problems) => refuse(StatusCode::UNPROCESSABLE_ENTITY, "invalid_quota", &told(&problems)),
    }
}

async fn delete_quota(State(gateway): State<Arc<Gateway>>, Path(segment): Path<String>) -> Response {
    set(&gateway, &segment, None)
}

fn set(gateway: &Gateway, segment: &str, quota: Option<Quota>) -> Response {
    let snapshot = gateway.snapshot();
    let Some(allowance) = snapshot.allowance(segment) else {
        let message = format!("there is no segment of the name {segment:?}");
        return refuse(StatusCode::NOT_FOUND, "not_found", &message);
    };
    let before = rendered(allowance.quota().0);
    allowance.set(quota);
    let after = rendered(allowance.quota().0);
    let message =
        format!("the quota of segment {segment} was changed by an operator from {before} to {after}");
    gateway.telemetry.event(Level::Info, message);
    let mut answer = describe(segment, allowance);
    answer["before"] = before;
    Json(answer).into_response()
}

fn describe(name: &str, allowance: &Allowance) -> Value {
    let (quota, origin) = allowance.quota();
    let mut out = json!({ "segment": name, "quota": rendered(quota) });
    if quota.is_some() {
        out["origin"] = origin.name().into();
    }
    if origin == Origin::Operator {
        out["quota_of_file"] = rendered(allowance.of_file());
    }
    let Some(terms) = allowance.terms() else { return out };
    let meter = allowance.meter();
    let left =
        |rate: Option<Rate>, cell: &Cell| rate.map(|rate| cell.level(&rate, allowance.now()).remaining);
    out["remaining"] = json!({
        "requests": left(terms.requests, meter.requests()),
        "tokens": left(terms.tokens, meter.tokens()),
        "concurrent": terms.concurrent.map(|most| most.saturating_sub(meter.concurrent())),
    });
    out["output_tokens_p90"] = allowance.outputs().usual_most().into();
    out
}

fn rendered(quota: Option<Quota>) -> Value {
    quota.as_ref().map_or(Value::Null, quota_to_json)
}

/// All that is wrong, on one line.
fn told(problems: &[Problem]) -> String {
    let one = |problem: &Problem| {
        let help = problem.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        let place = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
        format!("{place}{}{help}", problem.message)
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}
