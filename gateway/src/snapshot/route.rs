//! A model name that clients ask for, or a prefix of paths, and where its calls may go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::HeaderValue;
use prometheus::IntGauge;
use router_core::config::{Canary, Config, RouteTimeouts, Timeouts, WEIGHT_SUM};
use router_core::dialect::Dialect;

use super::{BuildError, Pool, Segment};
use crate::path::telemetry::{AdmissionMetrics, Metrics, TargetMetrics};

/// What an answer is taken to be long before any has come.
const ANSWER_TOKENS: u32 = 256;

/// A model name that clients ask for.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    pub(crate) targets: Vec<Target>,
    pub(crate) canary: Vec<Canary>,
    /// Indices of the segments whose callers may use it; all where there is none.
    pub(crate) allow: Option<Box<[usize]>>,
    /// By segment.
    pub(crate) admissions: Vec<AdmissionMetrics>,
    /// Its place among [`super::Snapshot::topics`].
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
    /// By segment, in the file's order.
    metrics: Vec<TargetMetrics>,
    pub(crate) inflight: IntGauge,
}

impl Target {
    /// The metrics of a segment's calls. A call that waited while the configuration was read again may be of one that
    /// stands elsewhere now, or is gone: then there are none.
    pub(crate) fn metrics_of(&self, segment: &Segment) -> Option<&TargetMetrics> {
        let its = |metrics: &&TargetMetrics| metrics.segment == segment.name;
        self.metrics.get(segment.index).filter(its).or_else(|| self.metrics.iter().find(its))
    }
}

impl Route {
    pub(super) fn build(
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
        let admissions = metrics.admissions(&route.name, &config.segments);
        Ok(Self {
            name: route.name.as_str().into(),
            targets,
            canary: route.canary.clone(),
            allow: route.allow.as_deref().map(Into::into),
            admissions,
            topic,
            answer_tokens: AtomicU32::new(ANSWER_TOKENS),
        })
    }

    /// The route of a prefix: a topic of its own, with one target that keeps everything as it is.
    pub(super) fn of_passthrough(
        config: &Config,
        topic: usize,
        pools: &[Arc<Pool>],
        metrics: &Metrics,
        passthrough: &router_core::config::Passthrough,
    ) -> Self {
        let pool = &pools[passthrough.pool];
        let name = passthrough.topic();
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
        Self {
            admissions: metrics.admissions(&name, &config.segments),
            name: name.into(),
            targets: vec![target],
            canary: Vec::new(),
            allow: None,
            topic,
            answer_tokens: AtomicU32::new(ANSWER_TOKENS),
        }
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
