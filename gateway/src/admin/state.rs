//! What routes, pools and configuration look like now.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use router_core::config::{Balance, WEIGHT_SUM, to_json};
use router_core::dialect::Dialect;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::snapshot::{Pool, Route};

/// `GET /admin/v1/routes`
pub(super) async fn routes(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let routes: Vec<Value> = gateway.snapshot().routes.iter().map(|route| describe_route(route)).collect();
    Json(json!({ "routes": routes }))
}

/// `GET /admin/v1/pools`
pub(super) async fn pools(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let pools: Vec<Value> = gateway.snapshot().pools.iter().map(|pool| describe_pool(pool)).collect();
    Json(json!({ "pools": pools }))
}

/// `GET /admin/v1/config`: secrets are shown by where they are found, of digests only the beginning: whoever sees one
/// whole could try passwords against it.
pub(super) async fn config(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let mut config = to_json(&gateway.snapshot().config);
    let segments = config["segments"].as_object_mut().into_iter().flat_map(|segments| segments.values_mut());
    let keys = segments.filter_map(|segment| segment["keys"].as_array_mut()).flatten();
    for digest in keys.map(|key| &mut key["sha256"]) {
        let beginning: String = digest.as_str().unwrap_or_default().chars().take(8).collect();
        *digest = format!("{beginning}…").into();
    }
    Json(config)
}

fn describe_route(route: &Route) -> Value {
    let targets = route.targets.iter().map(|target| {
        json!({
            "target": &*target.label,
            "pool": target.pool.name,
            "weight": f64::from(target.weight) / f64::from(WEIGHT_SUM),
            "inflight": target.inflight.get(),
        })
    });
    let canary = route.canary.iter().map(|rule| {
        json!({ "header": rule.header, "equals": rule.equals, "target": &*route.targets[rule.target].label })
    });
    json!({
        "route": &*route.name,
        "targets": targets.collect::<Vec<_>>(),
        "canary": canary.collect::<Vec<_>>(),
    })
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
