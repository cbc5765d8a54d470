//! How far behind is Weir? `/weir/backpressure…`: whole, one route, some of its segments, one pool. Answers are told
//! apart by their `etag`, so that whoever asks often is told when nothing has changed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use router_core::overload::lag::{Backpressure, TopicState};
use serde::Serialize;

use super::refuse;
use crate::gateway::Gateway;

pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/weir/backpressure", get(all))
        .route("/weir/backpressure/pools/{pool}", get(pool))
        .route("/weir/backpressure/{route}", get(one))
        .route("/weir/backpressure/{route}/segments/{segments}", get(some))
}

async fn all(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response {
    answer(&whole(&gateway, gateway.line.topics()), &headers)
}

async fn one(State(gateway): State<Arc<Gateway>>, Path(route): Path<String>, headers: HeaderMap) -> Response {
    match topic(&gateway, &route) {
        Some(topic) => answer(&whole(&gateway, vec![topic]), &headers),
        None => unknown("route", &route),
    }
}

/// The totals stay the route's: segments share its pools.
async fn some(
    State(gateway): State<Arc<Gateway>>,
    Path((route, segments)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(mut topic) = topic(&gateway, &route) else { return unknown("route", &route) };
    let wanted: Vec<&str> = segments.split(',').collect();
    for wanted in &wanted {
        if !topic.partitions.iter().any(|partition| partition.partition == *wanted) {
            return unknown("segment", wanted);
        }
    }
    topic.partitions.retain(|partition| wanted.contains(&partition.partition.as_str()));
    answer(&whole(&gateway, vec![topic]), &headers)
}

async fn pool(State(gateway): State<Arc<Gateway>>, Path(pool): Path<String>, headers: HeaderMap) -> Response {
    match gateway.line.pools().into_iter().find(|known| known.pool == pool) {
        Some(pool) => answer(&pool, &headers),
        None => unknown("pool", &pool),
    }
}

fn topic(gateway: &Gateway, name: &str) -> Option<TopicState> {
    gateway.line.topics().into_iter().find(|topic| topic.topic == name)
}

fn whole(gateway: &Gateway, topics: Vec<TopicState>) -> Backpressure {
    static REPLICA: OnceLock<String> = OnceLock::new();
    let replica = REPLICA.get_or_init(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
        std::env::var("HOSTNAME").or(name).unwrap_or_default().trim().to_owned()
    });
    Backpressure::new(gateway.epoch_ms, replica.clone(), topics)
}

fn answer(state: &impl Serialize, headers: &HeaderMap) -> Response {
    let text = serde_json::to_string(state).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let etag = format!("\"{:016x}\"", hasher.finish());
    let same = is_known(headers, &etag);
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("max-age=1")),
        (ETAG, HeaderValue::try_from(etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    if same {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, text).into_response()
}

/// Whether the asker has this version: any of the tags that it lists, strong or weak (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn unknown(what: &str, name: &str) -> Response {
    refuse(StatusCode::NOT_FOUND, "not_found", &format!("there is no {what} of the name {name:?}"))
}
