//! The metrics, under the names that dashboards depend on. Children are resolved once for each target when
//! a configuration is loaded: 6 ns to count then, against 45 to 550 when looked up by label.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use router_core::config::Segment;
use router_core::dialect::Dialect;

use super::admissions::Admissions;
use super::handshakes::Handshakes;
use super::jwt::JwtMetrics;
use super::limited::Limited;
use super::recent::Recents;
use super::{AdmissionMetrics, Ending, LimitMetrics, Record};

/// Label value for a call that did not get as far as a segment, route or target.
const NONE: &str = "none";

/// From 1 ms to two minutes: from a cache hit to a long answer.
const REQUEST_SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0];
/// Objectives for the first token are between half a second and a few.
const FIRST_TOKEN_SECONDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0];
/// Readers notice 50 ms; a stalled engine takes seconds.
const INTER_TOKEN_SECONDS: &[f64] =
    &[0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0, 5.0];
/// Weir's own share is tens of microseconds.
const OVERHEAD_SECONDS: &[f64] = &[0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.005, 0.01, 0.05];

/// All metrics of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    first_token: HistogramVec,
    inter_token: HistogramVec,
    tokens: IntCounterVec,
    inflight: IntGaugeVec,
    admissions: Admissions,
    limited: Limited,
    overhead: Histogram,
    limit_hits: [IntCounter; Limit::ALL.len()],
    pub(crate) handshakes: Handshakes,
    /// The last minute of each target.
    pub(crate) recents: Recents,
    /// 1 if the last reload succeeded, or none was asked for.
    pub(crate) reload_succeeded: IntGauge,
    /// 1 if the file of keys that was read last is in force, or there is none.
    pub(crate) keys_succeeded: IntGauge,
    /// Keys that are known.
    pub(crate) keys: IntGauge,
    /// Counts the configurations that were put into force, from 1.
    pub(crate) revision: IntGauge,
    pub(crate) panics: IntCounter,
    pub(crate) log_dropped: IntCounter,
    pub(crate) jwt: JwtMetrics,
}

/// A bound that a caller or an upstream ran into: the label of `weir_limit_hits_total`, named as the setting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Head,
    Uri,
    Body,
    BodyMemory,
    Connections,
    HeaderRead,
    BodyRead,
    BodyRate,
    Idle,
    ClientStall,
    Connect,
    Headers,
    FirstToken,
    UpstreamIdle,
    Answer,
    /// What one HTTP/2 connection may do that serves no call.
    Flood,
    /// Keys from one address that are nobody's.
    UnknownKeys,
}

impl Limit {
    const ALL: [Self; 17] = [
        Self::Head,
        Self::Uri,
        Self::Body,
        Self::BodyMemory,
        Self::Connections,
        Self::HeaderRead,
        Self::BodyRead,
        Self::BodyRate,
        Self::Idle,
        Self::ClientStall,
        Self::Connect,
        Self::Headers,
        Self::FirstToken,
        Self::UpstreamIdle,
        Self::Answer,
        Self::Flood,
        Self::UnknownKeys,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Uri => "uri",
            Self::Body => "body",
            Self::BodyMemory => "body_memory",
            Self::Connections => "connections",
            Self::HeaderRead => "header_read",
            Self::BodyRead => "body_read",
            Self::BodyRate => "body_rate",
            Self::Idle => "idle",
            Self::ClientStall => "client_stall",
            Self::Connect => "connect",
            Self::Headers => "headers",
            Self::FirstToken => "first_token",
            Self::UpstreamIdle => "upstream_idle",
            Self::Answer => "answer",
            Self::Flood => "flood",
            Self::UnknownKeys => "unknown_keys",
        }
    }
}

/// The children of one segment of one target of one route.
#[derive(Debug)]
pub(crate) struct TargetMetrics {
    pub(crate) segment: Arc<str>,
    /// By dialect, status 200: nearly all there are.
    answered: [OnceLock<IntCounter>; Dialect::ALL.len()],
    duration: Histogram,
    first_token: Histogram,
    pub(crate) inter_token: Histogram,
    prompt_tokens: IntCounter,
    completion_tokens: IntCounter,
}

impl Metrics {
    /// Registers every metric.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("weir".into()), None)?;
        let path = ["route", "segment", "target"];
        build_info(&registry)?;
        let overhead = overhead(&registry)?;
        Ok(Self {
            requests: counters(
                &registry,
                "requests_total",
                "Calls that ended, by the status that the caller got.",
                &["route", "segment", "target", "dialect", "code"],
            )?,
            duration: histograms(
                &registry,
                HistogramOpts::new("request_duration_seconds", "From arrival to the end of the answer.")
                    .buckets(REQUEST_SECONDS.to_vec()),
                &path,
            )?,
            first_token: histograms(
                &registry,
                HistogramOpts::new("first_token_seconds", "From arrival to the first token of a stream.")
                    .buckets(FIRST_TOKEN_SECONDS.to_vec()),
                &path,
            )?,
            inter_token: histograms(
                &registry,
                HistogramOpts::new("inter_token_seconds", "Between the tokens of a stream.")
                    .buckets(INTER_TOKEN_SECONDS.to_vec()),
                &path,
            )?,
            tokens: counters(
                &registry,
                "tokens_total",
                "Tokens as the upstream counted them.",
                &["route", "segment", "target", "direction"],
            )?,
            inflight: gauges(&registry, "inflight", "Attempts that have not ended.", &["target"])?,
            admissions: Admissions::new(&registry)?,
            limited: Limited::new(&registry)?,
            overhead,
            recents: Recents::new(),
            limit_hits: limit_hits(&registry)?,
            handshakes: Handshakes::new(&registry)?,
            reload_succeeded: gauge(
                &registry,
                "config_last_reload_success",
                "Whether the last reload succeeded.",
            )?,
            keys_succeeded: gauge(
                &registry,
                "keys_last_reload_success",
                "Whether the file of keys that was read last is in force.",
            )?,
            keys: gauge(
                &registry,
                "keys",
                "Keys of callers that are known, those that have expired among them.",
            )?,
            revision: gauge(&registry, "config_revision", "Configurations put into force so far.")?,
            panics: counter(&registry, "panics_total", "Mistakes of Weir's own that ended a request.")?,
            log_dropped: counter(&registry, "log_lines_dropped_total", "Log lines that found no room.")?,
            jwt: JwtMetrics::new(&registry)?,
            registry,
        })
    }

    /// The children of one target, by segment.
    pub(crate) fn target(&self, route: &str, target: &str, segments: &[Segment]) -> Vec<TargetMetrics> {
        let of = |segment: &Segment| {
            let segment = segment.name.as_str();
            let path = [route, segment, target];
            let tokens = |direction| self.tokens.with_label_values(&[route, segment, target, direction]);
            TargetMetrics {
                segment: segment.into(),
                answered: Dialect::ALL.map(|_| OnceLock::new()),
                duration: self.duration.with_label_values(&path),
                first_token: self.first_token.with_label_values(&path),
                inter_token: self.inter_token.with_label_values(&path),
                prompt_tokens: tokens("prompt"),
                completion_tokens: tokens("completion"),
            }
        };
        segments.iter().map(of).collect()
    }

    /// What counts how calls of a route are let in, by segment.
    pub(crate) fn admissions(&self, route: &str, segments: &[Segment]) -> Vec<AdmissionMetrics> {
        self.admissions.route(route, segments)
    }

    /// What counts who of a segment was beyond a quota.
    pub(crate) fn limits(&self, segment: &str) -> LimitMetrics {
        self.limited.segment(segment)
    }

    /// An endpoint did not tell of its own queue.
    pub(crate) fn gauges_failed(&self, endpoint: &str, reason: &'static str) {
        self.admissions.gauges_failed(endpoint, reason);
    }

    /// Attempts at a target that have not ended.
    pub(crate) fn inflight(&self, target: &str) -> IntGauge {
        self.inflight.with_label_values(&[target])
    }

    /// Counts that a bound was run into.
    pub(crate) fn hit(&self, limit: Limit) {
        self.limit_hits[limit as usize].inc();
    }

    /// Counts a closed account.
    pub(super) fn settle(&self, record: &Record, at: Instant) {
        let facts = &record.facts;
        if let Some(overhead) = facts.overhead {
            self.overhead.observe(overhead.as_secs_f64());
        }
        let route = facts.route.as_ref();
        let target = route.and_then(|route| route.targets.get(facts.target?));
        let Some((route, target)) = route.zip(target) else {
            self.ended(route.map_or(NONE, |route| &route.name), NONE, record).inc();
            return;
        };
        target.recent.note(at, record.has_failed(), facts.first_token);
        if facts.by_turn {
            target.turns.note(at);
        }
        let metrics = facts.segment.as_ref().and_then(|segment| target.metrics_of(segment));
        match (facts.intent, metrics) {
            (Some(intent), Some(metrics)) if facts.status == 200 => metrics.answered[intent.dialect.index()]
                .get_or_init(|| self.ended(&route.name, &target.label, record))
                .inc(),
            _ => self.ended(&route.name, &target.label, record).inc(),
        }
        let Some(metrics) = metrics else { return };
        metrics.duration.observe(record.total.as_secs_f64());
        if let Some(first_token) = facts.first_token {
            metrics.first_token.observe(first_token.as_secs_f64());
        }
        if let Some(usage) = facts.summary.usage {
            metrics.prompt_tokens.inc_by(usage.prompt_tokens);
            metrics.completion_tokens.inc_by(usage.completion_tokens);
            route.answered(usage.completion_tokens);
        }
    }

    fn ended(&self, route: &str, target: &str, record: &Record) -> IntCounter {
        let facts = &record.facts;
        let dialect = facts.intent.map_or(NONE, |intent| intent.dialect.name());
        let code = match (facts.status, record.ending) {
            // Weir stopped before the answer's head came.
            (0, Ending::Stopped) => 503,
            // nginx's code for a caller that left before it came.
            (0, _) => 499,
            (status, _) => status,
        };
        let segment = facts.segment.as_ref().map_or(NONE, |segment| &segment.name);
        self.requests.with_label_values(&[route, segment, target, dialect, &code.to_string()])
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        let mut text = Vec::new();
        // Encoding fails only for families without a metric; what was written until then is still right.
        TextEncoder::new().encode(&self.registry.gather(), &mut text).unwrap_or_default();
        String::from_utf8(text).unwrap_or_default()
    }
}

fn overhead(registry: &Registry) -> prometheus::Result<Histogram> {
    let overhead = Histogram::with_opts(
        HistogramOpts::new("overhead_seconds", "Weir's own share of a call, up to the answer's head.")
            .buckets(OVERHEAD_SECONDS.to_vec()),
    )?;
    registry.register(Box::new(overhead.clone()))?;
    Ok(overhead)
}

fn build_info(registry: &Registry) -> prometheus::Result<()> {
    let build = gauges(registry, "build_info", "Always 1; the version is a label.", &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(())
}

/// By limit, in their order.
fn limit_hits(registry: &Registry) -> prometheus::Result<[IntCounter; Limit::ALL.len()]> {
    let help = "Bounds that callers or upstreams ran into.";
    let hits = counters(registry, "limit_hits_total", help, &["limit"])?;
    Ok(Limit::ALL.map(|limit| hits.with_label_values(&[limit.name()])))
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

/// A gauge that starts at 1.
pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::new(name, help)?;
    gauge.set(1);
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

pub(super) fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}

pub(super) fn histograms(
    registry: &Registry,
    opts: HistogramOpts,
    labels: &[&str],
) -> prometheus::Result<HistogramVec> {
    let histograms = HistogramVec::new(opts, labels)?;
    registry.register(Box::new(histograms.clone()))?;
    Ok(histograms)
}
