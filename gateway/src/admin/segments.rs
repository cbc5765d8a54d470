//! The classes of callers, and what each may use: `GET /admin/v1/segments`, `PUT` and `DELETE` of a segment's quota.
//! What is put holds at once and until the process ends, or until the file says something else of that quota than it
//! did; what is deleted is what was put, so that the file's holds again. A change may be asked of
//! the `etag` that each segment has.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::ETAG;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use router_core::config::{Problem, Quota, Segment, quota};
use router_core::limit::{Cell, Rate};
use serde_json::{Value, json};

use super::by::Asking;
use super::refuse;
use crate::gateway::Gateway;
use crate::path::limit::{Allowance, Origin};
use crate::reload::{QuotaRefused, Reloader, rendered, tag};

pub(super) fn routes(reloader: Arc<Reloader>) -> Router<Arc<Gateway>> {
    Router::new()
        .route("/admin/v1/segments/{segment}/quota", put(put_quota).delete(delete_quota))
        .with_state(reloader)
        .route("/admin/v1/segments", get(segments))
}

async fn segments(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let snapshot = gateway.snapshot();
    let segments = snapshot.config.segments.iter().zip(&snapshot.allowances);
    let describe = |(segment, allowance): (&Segment, &Arc<Allowance>)| {
        describe(&segment.name, allowance, allowance.quota())
    };
    let segments: Vec<Value> = segments.map(describe).collect();
    Json(json!({ "segments": segments }))
}

async fn put_quota(
    State(reloader): State<Arc<Reloader>>,
    Path(segment): Path<String>,
    asking: Asking,
    body: String,
) -> Response {
    match quota(&body) {
        Ok(quota) => change(reloader, segment, Some(quota), asking).await,
        Err(problems) => refuse(StatusCode::UNPROCESSABLE_ENTITY, "invalid_quota", &told(&problems)),
    }
}

async fn delete_quota(
    State(reloader): State<Arc<Reloader>>,
    Path(segment): Path<String>,
    asking: Asking,
) -> Response {
    change(reloader, segment, None, asking).await
}

async fn change(reloader: Arc<Reloader>, segment: String, quota: Option<Quota>, asking: Asking) -> Response {
    let outcome = super::to_its_end(async move {
        let changed = reloader.change_quota(&segment, quota, asking.expected.as_deref(), asking.by).await;
        changed.map(|changed| {
            let mut body = describe(&segment, &changed.allowance, changed.after);
            body["before"] = rendered(changed.before);
            let (quota, origin) = changed.after;
            let tag = HeaderValue::try_from(format!("\"{}\"", tag(quota, origin)));
            ([(ETAG, tag.unwrap_or_else(|_| HeaderValue::from_static("\"\"")))], Json(body)).into_response()
        })
    });
    let refused = match outcome.await {
        Ok(Ok(answer)) => return answer,
        Ok(Err(refused)) => refused,
        Err(broken) => return broken,
    };
    let (status, code) = match refused {
        QuotaRefused::UnknownSegment(_) => (StatusCode::NOT_FOUND, "not_found"),
        QuotaRefused::Stale { .. } => (StatusCode::PRECONDITION_FAILED, "stale_revision"),
        QuotaRefused::Audit(_) => (StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable"),
        QuotaRefused::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    refuse(status, code, &refused.to_string())
}

/// A segment of which this quota holds.
fn describe(name: &str, allowance: &Allowance, (quota, origin): (Option<Quota>, Origin)) -> Value {
    let mut out = json!({ "segment": name, "quota": rendered(quota), "etag": tag(quota, origin) });
    if quota.is_some() {
        out["source"] = origin.name().into();
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

/// All that is wrong, on one line.
fn told(problems: &[Problem]) -> String {
    let one = |problem: &Problem| {
        let help = problem.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        let place = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
        format!("{place}{}{help}", problem.message)
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}
