//! The tables that a configuration becomes: routes with their rotations, pools with their endpoints, secrets
//! read, names and headers ready to be sent. Built once, then only looked up in.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderValue;
use router_core::config::{Balance, Canary, Config, FileUse, Secret, Timeouts, Usage, WILDCARD_ROUTE};
use router_core::dialect::{Dialect, DialectSet};
use router_core::route::Rotation;

use crate::path::send::Connections;
use crate::path::send::tls::{self, Protocol};
use crate::path::telemetry::{Metrics, TargetMetrics};

/// Why tables cannot be built of a configuration that is right in itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("pools.{pool}.key: {problem}")]
    Key { pool: String, problem: String },
    #[error("pools.{pool}.ca: {problem}")]
    Certificates { pool: String, problem: String },
    #[error("pools.{pool}.endpoints: {endpoint} is not a usable host name")]
    Host { pool: String, endpoint: String },
    #[error("routes.{route}: the target {label:?} cannot stand in a header")]
    Label { route: String, label: String },
}

/// Everything that a request looks up.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) config: Config,
    pub(crate) pools: Vec<Arc<Pool>>,
    /// In the file's order.
    pub(crate) routes: Vec<Arc<Route>>,
    by_name: HashMap<String, Arc<Route>>,
    wildcard: Option<Arc<Route>>,
}

/// A model name that clients ask for.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    pub(crate) targets: Vec<Target>,
    pub(crate) canary: Vec<Canary>,
    /// One for each dialect, over the targets that speak it: a target that never takes part must not lose its
    /// credit by every turn of the others. Held for one pick, some tens of nanoseconds.
    pub(crate) rotation: [Mutex<Rotation>; Dialect::ALL.len()],
}

/// One destination of a route.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) label: Arc<str>,
    /// The label as `x-weir-target`.
    pub(crate) header: HeaderValue,
    pub(crate) pool: Arc<Pool>,
    /// The model name that the pool knows, as JSON; `None` keeps the caller's.
    pub(crate) model: Option<Bytes>,
    pub(crate) weight: u32,
    /// The pool's, with the route's in their place.
    pub(crate) timeouts: Timeouts,
    pub(crate) metrics: TargetMetrics,
}

/// Endpoints that serve the same thing.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    pub(crate) dialects: DialectSet,
    pub(crate) balance: Balance,
    /// Whose turn it is under `round_robin`.
    pub(crate) turn: AtomicUsize,
    pub(crate) credential: Option<Credential>,
    pub(crate) usage: Usage,
}

/// One address of a pool.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// `host:port`, as in metrics and logs.
    pub(crate) label: Arc<str>,
    /// The `host` header it gets.
    pub(crate) host: HeaderValue,
    /// What stands before `/v1/…`.
    pub(crate) path_prefix: String,
    /// Attempts that have not ended.
    pub(crate) inflight: AtomicU32,
    pub(crate) connections: Connections,
}

/// A provider's key as the headers that carry it. Its `Debug` shows nothing of it.
pub(crate) struct Credential {
    bearer: HeaderValue,
    plain: HeaderValue,
}

/// What is wrong with a file that a configuration names, if anything.
pub(crate) fn try_file(path: &Path, what: FileUse) -> Result<(), String> {
    match what {
        FileUse::Secret => Credential::read(&Secret::File(path.to_owned())).map(drop),
        FileUse::Certificates => tls::client(Some(path), Protocol::Http1).map(drop),
    }
}

impl Snapshot {
    /// Builds the tables, reading secrets and certificates.
    pub(crate) fn build(config: Config, metrics: &Metrics) -> Result<Self, BuildError> {
        let mut pools = Vec::new();
        for pool in &config.pools {
            pools.push(Arc::new(Pool::build(pool)?));
        }
        let mut routes = Vec::new();
        for route in &config.routes {
            routes.push(Arc::new(Route::build(&config, route, &pools, metrics)?));
        }
        let named = |route: &&Arc<Route>| &*route.name != WILDCARD_ROUTE;
        let by_name =
            routes.iter().filter(named).map(|route| (route.name.to_string(), route.clone())).collect();
        let wildcard = routes.iter().find(|route| !named(route)).cloned();
        Ok(Self { config, pools, routes, by_name, wildcard })
    }

    /// The route of a model name.
    pub(crate) fn route(&self, model: &str) -> Option<&Arc<Route>> {
        self.by_name.get(model).or(self.wildcard.as_ref())
    }

    /// The route that catches every other name.
    pub(crate) fn wildcard(&self) -> Option<&Arc<Route>> {
        self.wildcard.as_ref()
    }

    /// The model names that a caller of this API may use, in the file's order.
    pub(crate) fn known_models(&self, dialect: Dialect) -> Vec<String> {
        self.routes
            .iter()
            .filter(|route| &*route.name != WILDCARD_ROUTE && route.speaks(dialect))
            .map(|route| route.name.to_string())
            .collect()
    }
}

impl Route {
    fn build(
        config: &Config,
        route: &router_core::config::Route,
        pools: &[Arc<Pool>],
        metrics: &Metrics,
    ) -> Result<Self, BuildError> {
        let mut targets = Vec::new();
        for target in &route.targets {
            let label = config.target_label(target);
            targets.push(Target {
                header: HeaderValue::from_bytes(label.as_bytes())
                    .map_err(|_| BuildError::Label { route: route.name.clone(), label: label.clone() })?,
                metrics: metrics.target(&route.name, &label),
                label: label.into(),
                pool: pools[target.pool].clone(),
                model: target
                    .model
                    .as_ref()
                    .map(|model| serde_json::Value::from(model.as_str()).to_string().into()),
                weight: target.weight,
                timeouts: route.timeouts.over(&config.pools[target.pool].timeouts),
            });
        }
        let rotation = Dialect::ALL.map(|dialect| {
            let speaks = |target: &Target| target.pool.dialects.contains(dialect);
            let weights = targets.iter().map(|target| if speaks(target) { target.weight } else { 0 });
            Mutex::new(Rotation::new(weights.collect()))
        });
        Ok(Self { name: route.name.as_str().into(), targets, canary: route.canary.clone(), rotation })
    }

    /// Whether any target speaks this API.
    pub(crate) fn speaks(&self, dialect: Dialect) -> bool {
        self.targets.iter().any(|target| target.pool.dialects.contains(dialect))
    }
}

impl Pool {
    fn build(pool: &router_core::config::Pool) -> Result<Self, BuildError> {
        let name = || pool.name.clone();
        let tls = if pool.endpoints.iter().any(|endpoint| endpoint.tls) {
            let protocol = if pool.http2 { Protocol::Http2 } else { Protocol::Http1 };
            let client = tls::client(pool.ca.as_deref(), protocol);
            Some(client.map_err(|problem| BuildError::Certificates { pool: name(), problem })?)
        } else {
            None
        };
        let mut endpoints = Vec::new();
        for endpoint in &pool.endpoints {
            let built = Endpoint::build(endpoint, tls.as_ref(), pool);
            let endpoint =
                built.ok_or_else(|| BuildError::Host { pool: name(), endpoint: endpoint.authority() })?;
            endpoints.push(Arc::new(endpoint));
        }
        let credential = pool.key.as_ref().map(Credential::read).transpose();
        Ok(Self {
            name: pool.name.clone(),
            endpoints,
            dialects: pool.dialects,
            balance: pool.balance,
            turn: AtomicUsize::new(0),
            usage: pool.usage,
            credential: credential.map_err(|problem| BuildError::Key { pool: name(), problem })?,
        })
    }
}

impl Endpoint {
    fn build(
        endpoint: &router_core::config::Endpoint,
        tls: Option<&Arc<rustls::ClientConfig>>,
        pool: &router_core::config::Pool,
    ) -> Option<Self> {
        let authority = endpoint.authority();
        let default_port = if endpoint.tls { 443 } else { 80 };
        let host = if endpoint.port == default_port {
            authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host)
        } else {
            &authority
        };
        let tls = tls.filter(|_| endpoint.tls).cloned();
        Some(Self {
            host: HeaderValue::from_str(host).ok()?,
            connections: Connections::new(endpoint, host, tls, pool)?,
            path_prefix: endpoint.path_prefix.clone(),
            inflight: AtomicU32::new(0),
            label: authority.into(),
        })
    }
}

impl Credential {
    fn read(secret: &Secret) -> Result<Self, String> {
        let key = match secret {
            Secret::Env(name) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
            }
            Secret::File(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                text.trim_end_matches(['\n', '\r']).to_owned()
            }
        };
        if key.is_empty() {
            return Err("the secret is empty".into());
        }
        // No message ever shows the value.
        let header =
            |text: &str| HeaderValue::from_str(text).map_err(|_| "the secret cannot stand in a header");
        let mut bearer = header(&format!("Bearer {key}"))?;
        let mut plain = header(&key)?;
        bearer.set_sensitive(true);
        plain.set_sensitive(true);
        Ok(Self { bearer, plain })
    }

    /// For APIs that take `authorization: Bearer`.
    pub(crate) fn bearer(&self) -> &HeaderValue {
        &self.bearer
    }

    /// For APIs that take `x-api-key`.
    pub(crate) fn plain(&self) -> &HeaderValue {
        &self.plain
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credential(***)")
    }
}
