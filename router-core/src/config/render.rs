//! A configuration as it would be written: the file's shape and key names, every default filled in, no
//! secret in it. What comes out can be loaded again.

use serde_json::{Map, Value, json};

use super::expand::escape;
use super::{Canary, Config, Pool, Route, Secret, Target, WEIGHT_SUM, scalar, url};

/// The configuration as JSON. A secret appears as the place where it is found. Object keys come in
/// alphabetical order, so two configurations can be compared line by line.
#[must_use]
pub fn to_json(config: &Config) -> Value {
    let listen: Vec<_> =
        config.listen.iter().map(|one| json!({ "address": one.address.to_string() })).collect();
    let pools: Map<_, _> = config.pools.iter().map(|one| (one.name.clone(), pool(one))).collect();
    let routes: Map<_, _> = config.routes.iter().map(|one| (one.name.clone(), route(config, one))).collect();
    json!({
        "listen": listen,
        "admin": { "address": config.admin.address.to_string() },
        "limits": { "body": scalar::render_size(config.limits.body_bytes) },
        "drain": scalar::render_duration(config.drain.requests),
        "log": {
            "format": config.log.format.name(),
            "access": config.log.access,
            "headers": config.log.headers,
        },
        "pools": pools,
        "routes": routes,
    })
}

fn pool(pool: &Pool) -> Value {
    let endpoints: Vec<_> =
        pool.endpoints.iter().map(|endpoint| json!({ "url": url::render(endpoint) })).collect();
    let dialects = [("openai", pool.dialects.openai), ("anthropic", pool.dialects.anthropic)];
    let dialects: Vec<_> = dialects.into_iter().filter_map(|(name, spoken)| spoken.then_some(name)).collect();
    let mut out = json!({
        "endpoints": endpoints,
        "dialects": dialects,
        "balance": pool.balance.name(),
        "timeouts": { "connect": scalar::render_duration(pool.timeouts.connect) },
    });
    if let Some(secret) = &pool.key {
        out["key"] = match secret {
            Secret::Env(name) => json!({ "env": name }),
            Secret::File(path) => json!({ "file": escape(&path.to_string_lossy()) }),
        };
    }
    if let Some(ca) = &pool.ca {
        out["ca"] = escape(&ca.to_string_lossy()).into();
    }
    out
}

fn route(config: &Config, route: &Route) -> Value {
    let targets: Vec<_> = route.targets.iter().map(|one| target(config, one)).collect();
    let canary: Vec<_> = route.canary.iter().map(|one| rule(config, route, one)).collect();
    json!({ "targets": targets, "canary": canary })
}

fn target(config: &Config, target: &Target) -> Value {
    let ratio = f64::from(target.weight) / f64::from(WEIGHT_SUM);
    let mut out = json!({ "pool": config.pools[target.pool].name, "weight": ratio });
    if let Some(model) = &target.model {
        out["model"] = escape(model).into();
    }
    out
}

fn rule(config: &Config, route: &Route, rule: &Canary) -> Value {
    let target = config.target_label(&route.targets[rule.target]);
    json!({ "header": rule.header, "equals": escape(&rule.equals), "target": escape(&target) })
}
