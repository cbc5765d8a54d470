//! The tables that a configuration becomes: routes with their targets, pools with their endpoints, secrets
//! read, names and headers ready to be sent. Built once, then only looked up in.

mod callers;
mod credential;
mod gauges;
mod operators;
mod place;
mod pool;
mod route;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use http::Method;
use http::request::Parts;
use router_core::config::{Config, FileUse, Secret, WILDCARD_ROUTE};
use router_core::dialect::{Dialect, Intent, Operation, Reason, passthrough, recognise};

use callers::Known;
pub(crate) use callers::{Caller, Callers, KeysError, sha256, try_keys};
pub(crate) use credential::Credential;
pub(crate) use gauges::Page;
pub(crate) use operators::{Operators, Worth};
pub(crate) use place::Place;
pub(crate) use pool::{Endpoint, Pool};
pub(crate) use route::{Route, Target};

use crate::audit::SigningKey;
use crate::path::accept::has_anthropic_version;
use crate::path::accept::tls::{Identities, try_identity};
use crate::path::identify::{Issuer, try_jwks};
use crate::path::limit::Allowance;
use crate::path::send::tls::{self, Protocol};
use crate::path::telemetry::Metrics;

/// What may be asked for below a prefix that goes to its pool as it is.
const PASSED_METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
const PASSED_METHODS_TEXT: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why tables cannot be built of a configuration that is right in itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("pools.{pool}.key: {problem}")]
    Key { pool: String, problem: String },
    #[error("pools.{pool}.ca: {problem}")]
    Certificates { pool: String, problem: String },
    #[error("{0}")]
    Tls(String),
    #[error("pools.{pool}.endpoints: {endpoint} is not a usable host name")]
    Host { pool: String, endpoint: String },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("identity.jwt: {0}")]
    Jwt(String),
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
    /// What listeners speak TLS with.
    pub(crate) identities: Identities,
    /// Who may operate Weir.
    pub(crate) operators: Operators,
    /// What each segment may use, and has used, in their order.
    pub(crate) allowances: Vec<Arc<Allowance>>,
    /// Whether callers are known by credentials: from then on each has to be.
    pub(crate) knows_callers: bool,
    /// Who is known.
    callers: ArcSwap<Callers>,
    /// Whose bearer tokens are taken, if any are.
    pub(crate) issuer: Option<Arc<Issuer>>,
}

/// A class of callers.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Its place in the configuration.
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
}

/// What is wrong with a file that a configuration names, if anything.
pub(crate) fn try_file(path: &Path, what: FileUse<'_>) -> Result<(), String> {
    match what {
        // What stands in it can only be judged together with the rest of the configuration.
        FileUse::Keys => {
            std::fs::File::open(path).map(drop).map_err(|error| format!("{}: {error}", path.display()))
        }
        FileUse::Secret => Credential::read(&Secret::File(path.to_owned())).map(drop),
        FileUse::Certificates => tls::client(Some(path), Protocol::Http1).map(drop),
        FileUse::SigningKey => SigningKey::read(&Secret::File(path.to_owned())).map(drop),
        FileUse::Identity { key } => try_identity(path, key),
        FileUse::Jwks => try_jwks(path),
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
            let mut built = Pool::build(pool, known.map(|known| &**known))?;
            built.passes_credentials = pool.key.is_none() && !config.knows_callers();
            pools.push(Arc::new(built));
        }
        let mut routes = Vec::new();
        for (topic, route) in config.routes.iter().enumerate() {
            let built = Route::build(&config, topic, &pools, metrics, route)?;
            let known =
                previous.and_then(|previous| previous.routes.iter().find(|one| one.name == built.name));
            if let Some(known) = known {
                built.goes_on_from(known);
            }
            routes.push(Arc::new(built));
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
        let allowances = config.segments.iter().map(|segment| {
            let known = previous.and_then(|previous| previous.allowance(&segment.name));
            known.cloned().unwrap_or_else(|| Allowance::new(segment.quota, metrics.limits(&segment.name)))
        });
        let allowances: Vec<_> = allowances.collect();
        let names = config.segments.iter().enumerate();
        let segments: Vec<_> =
            names.map(|(index, one)| Segment { index, name: one.name.as_str().into() }).collect();
        // Whoever was known stays known, whatever is in their file just now: it is watched on its own.
        let are_same = |previous: &&Self| {
            Callers::are_same(&previous.config, &config) && !previous.callers().operates(&config.admin.keys)
        };
        let callers = match previous.filter(are_same) {
            Some(previous) => previous.callers.load_full(),
            None => {
                let before = previous.map(Self::callers);
                let before = before.as_ref().map(|before| &***before);
                let known = Known { segments: &segments, allowances: &allowances, previous: before };
                Arc::new(Callers::read(&config, &known)?)
            }
        };
        let callers = ArcSwap::new(callers);
        let knows_callers = config.knows_callers();
        let identities = Identities::build(&config).map_err(BuildError::Tls)?;
        let operators = Operators::new(&config.admin.keys);
        let known = previous.and_then(|previous| previous.issuer.as_ref());
        let issuer = config.identity.jwt.as_ref().map(|settings| Issuer::build(settings, known));
        let issuer = issuer.transpose().map_err(BuildError::Jwt)?;
        Ok(Self {
            config,
            pools,
            routes,
            by_name,
            wildcard,
            passthrough,
            segments,
            identities,
            operators,
            allowances,
            knows_callers,
            callers,
            issuer,
        })
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

    /// The segment of callers who are of no other, if they are let in.
    pub(crate) fn anonymous(&self) -> Option<&Segment> {
        self.segments.get(self.config.anonymous?)
    }

    /// Who is known.
    pub(crate) fn callers(&self) -> Guard<Arc<Callers>> {
        self.callers.load()
    }

    /// The keys of this configuration as they are now, those of its file read again.
    pub(crate) fn read_callers(&self) -> Result<Callers, KeysError> {
        let (segments, allowances, before) = (&self.segments, &self.allowances, self.callers());
        Callers::read(&self.config, &Known { segments, allowances, previous: Some(&before) })
    }

    /// From now on these are known, to calls that come.
    pub(crate) fn replace_callers(&self, callers: Callers) {
        callers.apply_quotas();
        self.callers.store(Arc::new(callers));
    }

    /// The place of a segment by its name.
    pub(crate) fn segment(&self, name: &str) -> Option<usize> {
        self.segments.iter().position(|segment| &*segment.name == name)
    }

    /// What a segment may use, by its name.
    pub(crate) fn allowance(&self, segment: &str) -> Option<&Arc<Allowance>> {
        self.segment(segment).and_then(|index| self.allowances.get(index))
    }

    /// From now on what this configuration says of quotas holds, but for what an operator set since it last said
    /// something else. What has been used stays used.
    pub(crate) fn apply_quotas(&self) {
        for (segment, allowance) in self.config.segments.iter().zip(&self.allowances) {
            allowance.follow(segment.quota);
        }
        self.callers().apply_quotas();
    }

    /// The route that catches every other name.
    pub(crate) fn wildcard(&self) -> Option<&Arc<Route>> {
        self.wildcard.as_ref()
    }

    /// The model names of this API that a caller may use, in the file's order.
    pub(crate) fn known_models(&self, dialect: Dialect, may_use: impl Fn(&Route) -> bool) -> Vec<String> {
        self.routes
            .iter()
            .filter(|route| &*route.name != WILDCARD_ROUTE && route.speaks(dialect) && may_use(route))
            .map(|route| route.name.to_string())
            .collect()
    }
}
