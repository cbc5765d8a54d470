//! A configuration as it would be written: the file's shape and key names, every default filled in, no
//! secret in it. What comes out can be loaded again.

mod callers;
mod jwt;
mod overload;
mod quota;

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub use quota::quota_to_json;

use super::expand::escape;
use super::scalar::{render_duration, render_size};
use super::{
    Address, Audit, Canary, Config, Limits, Listen, Passthrough, Pool, Route, Secret, Target, Tls,
    WEIGHT_SUM, url,
};

/// The configuration as JSON. A secret appears as the place where it is found. Object keys come in
/// alphabetical order, so two configurations can be compared line by line.
#[must_use]
pub fn to_json(config: &Config) -> Value {
    let listen: Vec<_> = config.listen.iter().map(listener).collect();
    let segments: Map<_, _> =
        config.segments.iter().map(|one| (one.name.clone(), overload::segment(one))).collect();
    let pools: Map<_, _> = config.pools.iter().map(|one| (one.name.clone(), pool(one))).collect();
    let routes: Map<_, _> = config.routes.iter().map(|one| (one.name.clone(), route(config, one))).collect();
    let mut admin = place(&config.admin.address, config.admin.tls.as_ref());
    if !config.admin.keys.is_empty() {
        admin["keys"] = config.admin.keys.iter().map(callers::operator).collect();
    }
    if let Some(metrics) = &config.admin.metrics {
        admin["metrics"] = place(&metrics.address, metrics.tls.as_ref());
    }
    let mut out = json!({
        "listen": listen,
        "admin": admin,
        "limits": limits(&config.limits),
        "drain": {
            "grace": render_duration(config.drain.grace),
            "requests": render_duration(config.drain.requests),
            "streams": render_duration(config.drain.streams),
        },
        "log": {
            "format": config.log.format.name(),
            "access": config.log.access,
            "headers": config.log.headers,
        },
        "pools": pools,
        "routes": routes,
        "passthrough": config.passthrough.iter().map(|one| passthrough(config, one)).collect::<Vec<_>>(),
        "segments": segments,
        "anonymous": config.anonymous.map_or("refuse", |index| &config.segments[index].name),
        "identity": callers::identity(&config.identity),
    });
    if let Some(log) = &config.audit {
        out["audit"] = audit(log);
    }
    out
}

fn listener(listen: &Listen) -> Value {
    let mut out = place(&listen.address, listen.tls.as_ref());
    out["trust_headers"] = listen.trust_headers.into();
    out
}

fn place(address: &Address, tls: Option<&Tls>) -> Value {
    let mut out = json!({ "address": escape(&address.to_string()) });
    if let Some(Tls { certificate, key, client_ca }) = tls {
        out["tls"] = json!({ "certificate": file(certificate), "key": secret(key) });
        if let Some(authorities) = client_ca {
            out["tls"]["client_ca"] = file(authorities).into();
        }
    }
    out
}

/// Where a secret is found.
fn secret(secret: &Secret) -> Value {
    match secret {
        Secret::Env(name) => json!({ "env": name }),
        Secret::File(path) => json!({ "file": file(path) }),
    }
}

fn file(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

fn limits(limits: &Limits) -> Value {
    json!({
        "head": render_size(limits.head_bytes),
        "uri": render_size(limits.uri_bytes),
        "body": render_size(limits.body_bytes),
        "body_memory": render_size(limits.body_memory_bytes),
        "connections": limits.connections,
        "header_read": render_duration(limits.header_read),
        "body_read": render_duration(limits.body_read),
        "body_rate": render_size(limits.body_rate_bytes),
        "idle": render_duration(limits.idle),
        "client_stall": render_duration(limits.client_stall),
        "send_buffer": render_size(limits.send_buffer_bytes),
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
        "timeouts": {
            "connect": render_duration(pool.timeouts.connect),
            "headers": render_duration(pool.timeouts.headers),
            "first_token": render_duration(pool.timeouts.first_token),
            "idle": render_duration(pool.timeouts.idle),
            "answer": render_duration(pool.timeouts.answer),
        },
        "http2": pool.http2,
        "usage": pool.usage.name(),
        "non_streaming": pool.non_streaming.name(),
        "bulkhead": overload::bulkhead(&pool.bulkhead),
        "batch": overload::batch(&pool.batch),
    });
    if let Some(concurrency) = &pool.concurrency {
        out["concurrency"] = overload::concurrency(concurrency);
    }
    if let Some(source) = &pool.gauges {
        out["gauges"] =
            source.url.as_ref().map_or_else(|| json!({}), |page| json!({ "url": url::render(page) }));
    }
    if let Some(key) = &pool.key {
        out["key"] = secret(key);
    }
    if let Some(ca) = &pool.ca {
        out["ca"] = file(ca).into();
    }
    out
}

fn audit(audit: &Audit) -> Value {
    let mut out = json!({ "path": escape(&audit.path.to_string_lossy()) });
    if let Some(key) = &audit.key {
        out["key"] = secret(key);
    }
    out
}

fn route(config: &Config, route: &Route) -> Value {
    let targets: Vec<_> = route.targets.iter().map(|one| target(config, one)).collect();
    let canary: Vec<_> = route.canary.iter().map(|one| rule(config, route, one)).collect();
    let times = &route.timeouts;
    let times = [
        ("headers", times.headers),
        ("first_token", times.first_token),
        ("idle", times.idle),
        ("answer", times.answer),
    ];
    let set = |(key, time): (&str, Option<Duration>)| Some((key.to_owned(), render_duration(time?).into()));
    let timeouts: Map<_, _> = times.into_iter().filter_map(set).collect();
    let mut out = json!({
        "targets": targets,
        "canary": canary,
        "timeouts": timeouts,
        "when_full": route.when_full.name(),
        "queue": overload::queue(&route.queue),
    });
    if let Some(allow) = &route.allow {
        out["allow"] = allow.iter().map(|index| config.segments[*index].name.as_str()).collect();
    }
    out
}

fn target(config: &Config, target: &Target) -> Value {
    let ratio = f64::from(target.weight) / f64::from(WEIGHT_SUM);
    let mut out = json!({ "pool": config.pools[target.pool].name, "weight": ratio });
    if let Some(model) = &target.model {
        out["model"] = escape(model).into();
    }
    out
}

fn passthrough(config: &Config, one: &Passthrough) -> Value {
    let mut out = json!({ "prefix": escape(&one.prefix), "pool": config.pools[one.pool].name });
    if let Some(timeout) = one.timeout {
        out["timeout"] = render_duration(timeout).into();
    }
    out
}

fn rule(config: &Config, route: &Route, rule: &Canary) -> Value {
    let target = config.target_label(&route.targets[rule.target]);
    json!({ "header": rule.header, "equals": escape(&rule.equals), "target": escape(&target) })
}
