//! The operators' listener: metrics, probes, the state of routes and pools, and what can be changed of them. Never
//! reachable through the data port. While there are no keys for it, it is bound to loopback or to a Unix-domain socket
//! only, and refuses what a web page could make a browser on this machine send; with keys, `guard` says who may do
//! what. The metrics alone may have a listener of their own.

mod backpressure;
mod by;
mod entrance;
mod guard;
mod segments;
mod state;
mod weights;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

pub(crate) use guard::advice;
pub(crate) use weights::ratio;

use by::Asking;
use entrance::IdentityOf;
use guard::Operator;

use crate::gateway::Gateway;
use crate::path::accept::Listener;
use crate::path::telemetry::pressure;
use crate::reload::{Cause, Refused, Reloader};

/// Serves operators until the process ends: what happens while Weir drains is worth seeing.
pub(crate) fn open(listener: Listener, gateway: &Arc<Gateway>, reloader: Arc<Reloader>) {
    let router = router(gateway.clone(), reloader);
    // No web page can have a browser speak to a Unix-domain socket, so its host may have any name.
    let router = match &listener {
        Listener::Tcp(_) => router.layer(from_fn_with_state(gateway.clone(), guard_host)),
        Listener::Unix(_) => router,
    };
    let router = router.layer(from_fn_with_state(gateway.clone(), guard::judge)).layer(from_fn(guard_origin));
    serve(listener, router, gateway, |identities| identities.admin.as_ref());
}

/// Serves the metrics alone, to whoever can connect.
pub(crate) fn open_metrics(listener: Listener, gateway: &Arc<Gateway>) {
    let router = Router::new().route("/metrics", get(metrics)).with_state(gateway.clone());
    serve(listener, router, gateway, |identities| identities.metrics.as_ref());
}

fn serve(listener: Listener, router: Router, gateway: &Arc<Gateway>, identity: IdentityOf) {
    tokio::spawn(entrance::serve(listener, router, gateway.clone(), identity));
}

fn router(gateway: Arc<Gateway>, reloader: Arc<Reloader>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(|| async { "ok\n" }))
        .route("/health/ready", get(ready))
        .route("/health", get(ready))
        .route("/admin/v1/pools", get(state::pools))
        .route("/admin/v1/config", get(state::config))
        .route("/admin/v1/reload", post(reload).with_state(reloader.clone()))
        .merge(weights::router(reloader.clone()))
        .merge(backpressure::routes())
        .merge(segments::routes(reloader))
        .fallback(async || refuse(StatusCode::NOT_FOUND, "not_found", "no such path on the admin listener"))
        .with_state(gateway)
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    let mut text = gateway.telemetry.metrics.render();
    let endpoints = gateway.line.endpoints();
    let endpoints: Vec<_> = endpoints.iter().map(|(label, reading)| (&**label, *reading)).collect();
    text += &pressure::render(&gateway.line.topics(), &endpoints, &gateway.line.shared_queues());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> (StatusCode, &'static str) {
    if gateway.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

/// Refuses what a browser sends for a page of another site.
async fn guard_origin(request: Request, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        return refuse(StatusCode::FORBIDDEN, "origin_refused", "requests with an Origin header are refused");
    }
    next.run(request).await
}

/// Refuses what a browser sends for a page that reaches loopback by a name that it made point there. It has no key.
/// Probes have none either, and name whatever address they come to, which with keys may be any.
async fn guard_host(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    if guard::is_probe(&request) && gateway.snapshot().operators.are_known() {
        return next.run(request).await;
    }
    if request.extensions().get::<Operator>().is_some_and(|operator| operator.id.is_some()) {
        return next.run(request).await;
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let target = request.uri().authority().is_none_or(|authority| is_loopback(authority.as_str()));
    if !host.is_some_and(is_loopback) || hosts.next().is_some() || !target {
        return refuse(StatusCode::FORBIDDEN, "host_refused", "the Host header must name a loopback address");
    }
    next.run(request).await
}

/// Whether a `host` header names this machine alone.
pub(crate) fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// `POST /admin/v1/reload`: the revision that is in force now, or why the one before still is.
async fn reload(State(reloader): State<Arc<Reloader>>, asking: Asking) -> Response {
    let outcome = to_its_end(async move { reloader.reload(Cause::Operator, asking.by).await });
    let refused = match outcome.await {
        Err(broken) => return broken,
        Ok(Ok(reloaded)) => {
            let (revision, warnings) = (reloaded.revision, reloaded.warnings());
            return axum::Json(json!({ "revision": revision, "warnings": warnings })).into_response();
        }
        Ok(Err(refused)) => refused,
    };
    let (status, code) = match refused {
        Refused::NoFile => (StatusCode::CONFLICT, "no_file"),
        Refused::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        Refused::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_config"),
        Refused::NeedsRestart(_) => (StatusCode::CONFLICT, "needs_restart"),
        Refused::Audit(_) => (StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable"),
    };
    refuse(status, code, &refused.to_string())
}

/// Makes a change whether or not whoever asked for it waits: what is written down must also be done.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, Response> {
    let broken =
        |_| refuse(StatusCode::INTERNAL_SERVER_ERROR, "broken", "a mistake of Weir's own: see its log");
    tokio::spawn(change).await.map_err(broken)
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    (status, axum::Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_names_of_this_machine_pass() {
        for host in ["127.0.0.1:9901", "localhost", "LOCALHOST:1", "[::1]:9901", "127.9.9.9"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["weir.example", "10.0.0.1:9901", "127.0.0.1.example:80", "user@127.0.0.1", "", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
