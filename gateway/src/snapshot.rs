//! The tables that a configuration becomes: routes with their targets, pools with their endpoints, secrets
//! read, names and headers ready to be sent. Built once, then only looked up in.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method};
use prometheus::IntGauge;
use router_core::config::{
    Balance, Canary, Config, FileUse, RouteTimeouts, Secret, Timeouts, Usage, WEIGHT_SUM, WILDCARD_ROUTE,
};
use router_core::dialect::{Dialect, DialectSet, Intent, Operation, Reason, passthrough, recognise};

use crate::path::accept::has_anthropic_version;
use crate::path::send::Connections;
use crate::path::send::tls::{self, Protocol};
use crate::path::telemetry::{Metrics, TargetMetrics};

/// What may be asked for below a prefix that goes to its pool as it is.
const PASSED_METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
/// What an answer is taken to be long before any has come.
const ANSWER_TOKENS: u32 = 256;
const PASSED_METHODS_TEXT: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

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
    /// Prefixes of paths that go to a pool as they are, each as a route with one target.
    passthrough: Vec<(String, Arc<Route>)>,
    /// Classes of callers, in the file's order.
    pub(crate) segments: Vec<Segment>,
}

/// A class of callers.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Its place in the configuration.
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
}

/// A model name that clients ask for.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    pub(crate) targets: Vec<Target>,
    pub(crate) canary: Vec<Canary>,
    /// Its place among [`Snapshot::topics`].
    pub(crate) topic: usize,
    /// Mean length of its answers of late, for what calls are estimated to cost.
    answer_tokens: AtomicU32,
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
    /// By segment.
    pub(crate) metrics: Vec<TargetMetrics>,
    pub(crate) inflight: IntGauge,
}

/// Endpoints that serve the same thing.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) name: String,
    /// The name as `x-weir-target`.
    header: HeaderValue,
    timeouts: Timeouts,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    pub(crate) dialects: DialectSet,
    pub(crate) balance: Balance,
    /// Whose turn it is under `round_robin`.
    pub(crate) turn: AtomicUsize,
    pub(crate) credential: Option<Credential>,
    pub(crate) usage: Usage,
    reach: Reach,
}

/// How a pool's endpoints are reached: while that stays, connections to them may.
#[derive(Debug, PartialEq, Eq)]
struct Reach {
    connect: Duration,
    http2: bool,
    /// The certificate authorities of its own, as they were read.
    authorities: Option<Vec<u8>>,
}

/// One address of a pool.
#[derive(Debug)]
pub(crate) struct Endpoint {
    config: router_core::config::Endpoint,
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
    /// Builds the tables, reading secrets and certificates. What `previous` tables know of an endpoint goes on:
    /// its connections, and the attempts that are under way there.
    pub(crate) fn build(
        config: Config,
        metrics: &Metrics,
        previous: Option<&Self>,
    ) -> Result<Self, BuildError> {
        let mut pools = Vec::new();
        for pool in &config.pools {
            let same = |known: &&Arc<Pool>| known.name == pool.name;
            let known = previous.and_then(|previous| previous.pools.iter().find(same));
            pools.push(Arc::new(Pool::build(pool, known.map(|known| &**known))?));
        }
        let mut routes = Vec::new();
        for (topic, route) in config.routes.iter().enumerate() {
            routes.push(Arc::new(Route::build(&config, topic, &pools, metrics, route)?));
        }
        let named = |route: &&Arc<Route>| &*route.name != WILDCARD_ROUTE;
        let by_name =
            routes.iter().filter(named).map(|route| (route.name.to_string(), route.clone())).collect();
        let wildcard = routes.iter().find(|route| !named(route)).cloned();
        let mut passthrough = Vec::new();
        for (place, one) in config.passthrough.iter().enumerate() {
            let route = Route::of_passthrough(&config, config.routes.len() + place, &pools, metrics, one);
            passthrough.push((one.prefix.clone(), Arc::new(route)));
        }
        let names = config.segments.iter().enumerate();
        let segments = names.map(|(index, one)| Segment { index, name: one.name.as_str().into() }).collect();
        Ok(Self { config, pools, routes, by_name, wildcard, passthrough, segments })
    }

    /// What a request head asks for, and for a path that goes to a pool as it is, the route there.
    pub(crate) fn recognise(&self, head: &Parts) -> Result<(Intent, Option<Arc<Route>>), Reason> {
        let (path, versioned) = (head.uri.path(), has_anthropic_version(&head.headers));
        match recognise(head.method.as_str(), path, versioned) {
            Err(Reason::UnknownPath) if !self.passthrough.is_empty() => {
                let found = passthrough(self.passthrough.iter().map(|(prefix, _)| &**prefix), path)?;
                let (_, route) =
                    found.and_then(|index| self.passthrough.get(index)).ok_or(Reason::UnknownPath)?;
                if !PASSED_METHODS.contains(&head.method) {
                    return Err(Reason::MethodNotAllowed { allow: PASSED_METHODS_TEXT });
                }
                Ok((
                    Intent { dialect: Dialect::Passthrough, operation: Operation::Passthrough },
                    Some(route.clone()),
                ))
            }
            intent => intent.map(|intent| (intent, None)),
        }
    }

    /// The dialect in which a request that is refused is most likely to be understood.
    pub(crate) fn guess(&self, head: &Parts) -> Dialect {
        let path = head.uri.path();
        let below = |(prefix, _): &(String, _)| {
            path.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.passthrough.iter().any(below) {
            return Dialect::Passthrough;
        }
        Dialect::guess(path, has_anthropic_version(&head.headers))
    }

    /// The route of a model name.
    pub(crate) fn route(&self, model: &str) -> Option<&Arc<Route>> {
        self.by_name.get(model).or(self.wildcard.as_ref())
    }

    /// What calls wait for: routes, then prefixes.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().chain(self.passthrough.iter().map(|(_, route)| route))
    }

    /// The place of a topic by its name.
    pub(crate) fn topic(&self, name: &str) -> Option<usize> {
        self.topics().position(|route| &*route.name == name)
    }

    /// The place of a segment by its name.
    pub(crate) fn segment(&self, name: &str) -> Option<usize> {
        self.segments.iter().position(|segment| &*segment.name == name)
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
        topic: usize,
        pools: &[Arc<Pool>],
        metrics: &Metrics,
        route: &router_core::config::Route,
    ) -> Result<Self, BuildError> {
        let mut targets = Vec::new();
        for target in &route.targets {
            let label = config.target_label(target);
            targets.push(Target {
                header: HeaderValue::from_bytes(label.as_bytes())
                    .map_err(|_| BuildError::Label { route: route.name.clone(), label: label.clone() })?,
                metrics: metrics.target(&route.name, &label, &config.segments),
                inflight: metrics.inflight(&label),
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
        Ok(Self::new(route.name.as_str().into(), targets, route.canary.clone(), topic))
    }

    /// The route of a prefix: a topic of its own, with one target that keeps everything as it is.
    fn of_passthrough(
        config: &Config,
        topic: usize,
        pools: &[Arc<Pool>],
        metrics: &Metrics,
        passthrough: &router_core::config::Passthrough,
    ) -> Self {
        let pool = &pools[passthrough.pool];
        let name = format!("passthrough:{}", passthrough.prefix);
        let patience = passthrough.timeout;
        let timeouts =
            RouteTimeouts { headers: patience, first_token: patience, answer: patience, idle: None };
        let target = Target {
            header: pool.header.clone(),
            metrics: metrics.target(&name, &pool.name, &config.segments),
            inflight: metrics.inflight(&pool.name),
            label: pool.name.as_str().into(),
            pool: pool.clone(),
            model: None,
            weight: WEIGHT_SUM,
            timeouts: timeouts.over(&pool.timeouts),
        };
        Self::new(name.into(), vec![target], Vec::new(), topic)
    }

    fn new(name: Arc<str>, targets: Vec<Target>, canary: Vec<Canary>, topic: usize) -> Self {
        Self { name, targets, canary, topic, answer_tokens: AtomicU32::new(ANSWER_TOKENS) }
    }

    /// How long its answers are, about.
    pub(crate) fn answer_tokens(&self) -> u32 {
        self.answer_tokens.load(Ordering::Relaxed)
    }

    /// An answer was so long.
    pub(crate) fn answered(&self, tokens: u64) {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let mean = self.answer_tokens();
        // Two at once may lose one of them, which a mean survives.
        let next =
            if tokens > mean { mean + (tokens - mean).div_ceil(16) } else { mean - (mean - tokens) / 16 };
        self.answer_tokens.store(next, Ordering::Relaxed);
    }

    /// Whether any target speaks this API.
    pub(crate) fn speaks(&self, dialect: Dialect) -> bool {
        self.targets.iter().any(|target| target.pool.dialects.contains(dialect))
    }
}

impl Pool {
    fn build(pool: &router_core::config::Pool, known: Option<&Self>) -> Result<Self, BuildError> {
        let name = || pool.name.clone();
        let tls = if pool.endpoints.iter().any(|endpoint| endpoint.tls) {
            let protocol = if pool.http2 { Protocol::Http2 } else { Protocol::Http1 };
            let client = tls::client(pool.ca.as_deref(), protocol);
            Some(client.map_err(|problem| BuildError::Certificates { pool: name(), problem })?)
        } else {
            None
        };
        let reach = Reach::of(pool);
        let known = known.filter(|known| known.reach == reach);
        let mut endpoints = Vec::new();
        for endpoint in &pool.endpoints {
            let same = |known: &&Arc<Endpoint>| known.config == *endpoint;
            if let Some(known) = known.and_then(|known| known.endpoints.iter().find(same)) {
                endpoints.push(known.clone());
                continue;
            }
            let built = Endpoint::build(endpoint, tls.as_ref(), pool);
            let endpoint =
                built.ok_or_else(|| BuildError::Host { pool: name(), endpoint: endpoint.authority() })?;
            endpoints.push(Arc::new(endpoint));
        }
        let credential = pool.key.as_ref().map(Credential::read).transpose();
        Ok(Self {
            // Letters, digits and a few signs: it always can be one.
            header: HeaderValue::from_str(&pool.name).unwrap_or_else(|_| HeaderValue::from_static("?")),
            name: pool.name.clone(),
            timeouts: pool.timeouts.clone(),
            endpoints,
            dialects: pool.dialects,
            balance: pool.balance,
            turn: AtomicUsize::new(0),
            usage: pool.usage,
            reach,
            credential: credential.map_err(|problem| BuildError::Key { pool: name(), problem })?,
        })
    }
}

impl Reach {
    fn of(pool: &router_core::config::Pool) -> Self {
        // A file that cannot be read has been complained of where it is used.
        let authorities = pool.ca.as_ref().and_then(|path| std::fs::read(path).ok());
        Self { connect: pool.timeouts.connect, http2: pool.http2, authorities }
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
            config: endpoint.clone(),
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
