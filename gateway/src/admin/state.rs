//! What pools and configuration look like now.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use router_core::config::{Balance, to_json};
use router_core::dialect::Dialect;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::snapshot::Pool;

/// `GET /admin/v1/pools`
pub(super) async fn pools(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let pools: Vec<Value> = gateway.snapshot().pools.iter().map(|pool| describe_pool(pool)).collect();
    Json(json!({ "pools": pools }))
}

/// `GET /admin/v1/config`: secrets are shown by where they are found, of digests only the beginning: whoever sees one
/// whole could try passwords against it.
pub(super) async fn config(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let mut config = to_json(&gateway.snapshot().config);
    config.pointer_mut("/admin/keys").and_then(Value::as_array_mut).into_iter().flatten().for_each(shorten);
    let segments = config["segments"].as_object_mut().into_iter().flat_map(|segments| segments.values_mut());
    segments.filter_map(|segment| segment["keys"].as_array_mut()).flatten().for_each(shorten);
    Json(config)
}

/// Leaves the beginning of a key's digest.
fn shorten(key: &mut Value) {
    let beginning: String = key["sha256"].as_str().unwrap_or_default().chars().take(8).collect();
    key["sha256"] = format!("{beginning}…").into();
}

fn describe_pool(pool: &Pool) -> Value {
    let dialects = [Dialect::OpenAi, Dialect::Anthropic]
        .into_iter()
        .filter(|&dialect| pool.dialects.contains(dialect))
        .map(Dialect::name);
    let endpoints = pool.endpoints.iter().map(|endpoint| {
        json!({ "endpoint": &*endpoint.label, "inflight": endpoint.inflight.load(Ordering::Relaxed) })
    });
    let balance = match pool.balance {
        Balance::LeastRequest => "least_request",
        Balance::RoundRobin => "round_robin",
    };
    json!({
        "pool": pool.name,
        "dialects": dialects.collect::<Vec<_>>(),
        "balance": balance,
        "endpoints": endpoints.collect::<Vec<_>>(),
    })
}
