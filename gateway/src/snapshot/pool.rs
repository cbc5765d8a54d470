//! Endpoints that serve the same thing, and how they are reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::time::Duration;

use http::HeaderValue;
use router_core::config::{Balance, NonStreaming, Timeouts, Usage};
use router_core::dialect::DialectSet;

use super::{BuildError, Credential, Page, gauges};
use crate::path::send::Connections;
use crate::path::send::tls::{self, Protocol};

/// Endpoints that serve the same thing.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) name: String,
    /// The name as `x-weir-target`.
    pub(super) header: HeaderValue,
    pub(super) timeouts: Timeouts,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    pub(crate) dialects: DialectSet,
    pub(crate) balance: Balance,
    /// Whose turn it is under `round_robin`.
    pub(crate) turn: AtomicUsize,
    pub(crate) credential: Option<Credential>,
    /// Whether a caller's own credential goes on to it: it does where neither the pool nor Weir has keys.
    pub(crate) passes_credentials: bool,
    pub(crate) usage: Usage,
    pub(crate) non_streaming: NonStreaming,
    /// Where each endpoint tells of its own queue, in their order; empty where none is asked.
    pub(crate) gauges: Vec<Arc<Page>>,
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
    pub(super) config: router_core::config::Endpoint,
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

impl Pool {
    pub(super) fn build(pool: &router_core::config::Pool, known: Option<&Self>) -> Result<Self, BuildError> {
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
        let credential = credential.map_err(|problem| BuildError::Key { pool: name(), problem })?;
        Ok(Self {
            gauges: gauges::pages(pool, &endpoints, credential.as_ref())?,
            // Letters, digits and a few signs: it always can be one.
            header: HeaderValue::from_str(&pool.name).unwrap_or_else(|_| HeaderValue::from_static("?")),
            name: pool.name.clone(),
            timeouts: pool.timeouts.clone(),
            endpoints,
            dialects: pool.dialects,
            balance: pool.balance,
            turn: AtomicUsize::new(0),
            usage: pool.usage,
            non_streaming: pool.non_streaming,
            reach,
            passes_credentials: credential.is_none(),
            credential,
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
    pub(super) fn build(
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
