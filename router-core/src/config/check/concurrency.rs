//! A pool's `concurrency`: how many calls its endpoints get at a time. Every setting is judged, whichever algorithm
//! it is for, so that all mistakes are reported in one go; then those of other algorithms are refused.

use super::reader::{At, Fields, Reader};
use crate::config::bounds::{
    BACKOFF_RATIO, BASE_TIME, CONCURRENCY, GATEWAYS, MARGIN_PERCENT, PERCENTILE, RESPONSE_TIME,
    RTT_TOLERANCE, SAMPLES, SMOOTHING, UPDATE_INTERVAL,
};
use crate::config::problem::Complaint;
use crate::config::tree::Value;
use crate::config::{
    Aimd, Bulkhead, Concurrency, FirstTokenWindow, GaugesSource, Gradient, Gradient2, MinRtt, MinRttSource,
    Passthrough, Pool, Route, Span, reference, scalar,
};

/// Whatever leads to pools.
pub(super) struct Users<'u> {
    pub(super) routes: &'u [Route],
    pub(super) passthrough: &'u [Passthrough],
}

/// A bound that the file may set, `None` if what it sets is refused.
#[derive(Clone, Copy)]
struct Bound<'f, 'n> {
    key: &'static str,
    at: Option<&'f At<'n>>,
    value: Option<u32>,
}

/// What the section says; `None` if no algorithm can be made out.
pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Concurrency> {
    let fields = reader.fields(at, &reference::CONCURRENCY)?;
    let window = window(reader, &fields);
    let span = span(reader, &fields);
    let gradient = gradient(reader, &fields);
    let gradient2 = gradient2(reader, &fields, span);
    let aimd = aimd(reader, &fields, span);
    let limit = reader.small(&fields, "limit", CONCURRENCY);
    let words = Concurrency::ALGORITHMS.map(|name| (name, name));
    let algorithm = match fields.get("algorithm") {
        Some(at) => reader.value(at, &scalar::choice(&words), |text| scalar::word(text, &words))?,
        None => Concurrency::ALGORITHMS[0],
    };
    strangers(reader, &fields, algorithm);
    Some(match algorithm {
        "gradient" => Concurrency::Gradient(gradient),
        "gradient2" => Concurrency::Gradient2(gradient2),
        "aimd" => Concurrency::Aimd(aimd),
        "fixed" => {
            reader.required(&fields, "limit")?;
            Concurrency::Fixed { limit: limit? }
        }
        _ => Concurrency::FirstTokenWindow(window),
    })
}

/// Refuses what belongs to other algorithms.
fn strangers(reader: &mut Reader<'_>, fields: &Fields<'_>, algorithm: &str) {
    for (key, owners) in OWNERS {
        let Some(at) = fields.get(key).filter(|_| !owners.contains(&algorithm)) else { continue };
        let complaint = Complaint::new(format!("`{key}` does nothing with the algorithm `{algorithm}`"));
        reader.refuse(at, complaint.help(format!("it belongs to {}", owners.join(" and "))));
    }
}

fn window(reader: &mut Reader<'_>, fields: &Fields<'_>) -> FirstTokenWindow {
    let default = FirstTokenWindow::default();
    FirstTokenWindow {
        gateways: reader.small(fields, "gateways", GATEWAYS).unwrap_or(default.gateways),
        base_time: reader.duration(fields, "base_time", BASE_TIME),
    }
}

fn gradient2(reader: &mut Reader<'_>, fields: &Fields<'_>, span: Span) -> Gradient2 {
    let default = Gradient2::default();
    Gradient2 {
        span,
        rtt_tolerance: reader.number(fields, "rtt_tolerance", RTT_TOLERANCE).unwrap_or(default.rtt_tolerance),
        smoothing: reader.number(fields, "smoothing", SMOOTHING).unwrap_or(default.smoothing),
        queue_size: reader.small(fields, "queue_size", SAMPLES).unwrap_or(default.queue_size),
        long_window: reader.small(fields, "long_window", SAMPLES).unwrap_or(default.long_window),
    }
}

fn aimd(reader: &mut Reader<'_>, fields: &Fields<'_>, span: Span) -> Aimd {
    let default = Aimd::default();
    Aimd {
        span,
        timeout: reader.duration(fields, "timeout", RESPONSE_TIME).unwrap_or(default.timeout),
        backoff_ratio: reader.number(fields, "backoff_ratio", BACKOFF_RATIO).unwrap_or(default.backoff_ratio),
    }
}

fn span(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Span {
    let default = Span::default();
    let min = Bound::new(reader, Some(fields), "min", default.min);
    let max = Bound::new(reader, Some(fields), "max", default.max);
    ordered(reader, &min, &max);
    let (least, most) = (min.value.unwrap_or(default.min), max.value.unwrap_or(default.max));
    let most = most.max(least);
    let initial = Bound::new(reader, Some(fields), "initial", default.initial.clamp(least, most));
    if initial.at.is_some() && min.value.is_some() && max.value.is_some() {
        if initial.value.is_some_and(|initial| initial < least) {
            ordered(reader, &min, &initial);
        }
        if initial.value.is_some_and(|initial| initial > most) {
            ordered(reader, &initial, &max);
        }
    }
    Span { min: least, max: most, initial: initial.value.unwrap_or(least) }
}

fn gradient(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Gradient {
    let default = Gradient::default();
    let percentile = reader.small(fields, "sample_aggregate_percentile", PERCENTILE);
    let limits =
        fields.get("concurrency_limit_params").and_then(|at| reader.fields(at, &reference::LIMIT_PARAMS));
    let base = fields.get("min_rtt_calc_params").and_then(|at| reader.fields(at, &reference::MIN_RTT_PARAMS));
    let most = default.max_concurrency_limit;
    let max = Bound::new(reader, limits.as_ref(), "max_concurrency_limit", most);
    let min = Bound::new(reader, base.as_ref(), "min_concurrency", default.min_rtt.min_concurrency);
    ordered(reader, &min, &max);
    let interval = limits.as_ref();
    let interval =
        interval.and_then(|fields| reader.duration(fields, "concurrency_update_interval", UPDATE_INTERVAL));
    let buffer = base.as_ref().and_then(|fields| reader.small(fields, "buffer", MARGIN_PERCENT));
    Gradient {
        sample_aggregate_percentile: percentile.unwrap_or(default.sample_aggregate_percentile),
        max_concurrency_limit: max.value.unwrap_or(most),
        concurrency_update_interval: interval.unwrap_or(default.concurrency_update_interval),
        min_rtt: MinRtt {
            source: base.as_ref().map(|fields| source(reader, fields)).unwrap_or_default(),
            min_concurrency: min.value.unwrap_or(default.min_rtt.min_concurrency),
            buffer_percent: buffer.unwrap_or(default.min_rtt.buffer_percent),
        },
    }
}

/// Where the gradient's shortest response time comes from.
fn source(reader: &mut Reader<'_>, fields: &Fields<'_>) -> MinRttSource {
    let default = MinRttSource::default();
    let fixed = reader.duration(fields, "fixed_value", RESPONSE_TIME);
    let every = reader.duration(fields, "interval", RESPONSE_TIME);
    let jitter = reader.small(fields, "jitter", MARGIN_PERCENT);
    let count = reader.small(fields, "request_count", SAMPLES);
    if fields.get("fixed_value").is_some() {
        for at in ["interval", "jitter", "request_count"].iter().filter_map(|key| fields.get(key)) {
            reader.refuse(at, Complaint::new("this does nothing beside a `fixed_value`"));
        }
    }
    match (fixed, default) {
        (Some(value), _) => MinRttSource::Fixed(value),
        (None, MinRttSource::Measured { interval, jitter_percent, request_count }) => {
            MinRttSource::Measured {
                interval: every.unwrap_or(interval),
                jitter_percent: jitter.unwrap_or(jitter_percent),
                request_count: count.unwrap_or(request_count),
            }
        }
        (None, fixed @ MinRttSource::Fixed(_)) => fixed,
    }
}

impl<'f, 'n> Bound<'f, 'n> {
    fn new(reader: &mut Reader<'_>, fields: Option<&'f Fields<'n>>, key: &'static str, default: u32) -> Self {
        let at = fields.and_then(|fields| fields.get(key));
        let value = match (fields, at) {
            (Some(fields), Some(_)) => reader.small(fields, key, CONCURRENCY),
            _ => Some(default),
        };
        Self { key, at, value }
    }

    fn told(&self) -> String {
        let by_default = if self.at.is_none() { " by default" } else { "" };
        format!("`{}` ({}{by_default})", self.key, self.value.unwrap_or_default())
    }
}

/// Refuses a lower bound that is above the upper one.
fn ordered(reader: &mut Reader<'_>, low: &Bound<'_, '_>, high: &Bound<'_, '_>) {
    let (Some(least), Some(most)) = (low.value, high.value) else { return };
    if let (Some(at), true) = (low.at.or(high.at), least > most) {
        reader.refuse(at, Complaint::new(format!("{} is above {}", low.told(), high.told())));
    }
}

/// Settles what depends on who uses a pool: where only paths lead to it, its bulkhead limits it, and nothing else
/// unless that is asked for.
pub(super) fn settle(reader: &mut Reader<'_>, top: &Fields<'_>, pools: &mut [Pool], users: &Users<'_>) {
    for (index, pool) in pools.iter_mut().enumerate() {
        let by_path = users.passthrough.iter().any(|one| one.pool == index);
        let by_model =
            users.routes.iter().flat_map(|route| &route.targets).any(|target| target.pool == index);
        if by_model || !by_path {
            let concurrency = pool.concurrency.get_or_insert_default();
            if let (Some(at), true) =
                (section(top, &pool.name, "gauges"), has_no_use_for_gauges(pool.gauges.as_ref(), concurrency))
            {
                let complaint = Complaint::new(format!("`{}` has no use for them", concurrency.algorithm()));
                reader.refuse(&at, complaint.help("only `first_token_window` counts what waits at a server"));
            }
            continue;
        }
        let (own, default) = (pool.bulkhead, Bulkhead::PASSTHROUGH);
        pool.bulkhead = Bulkhead {
            // In HTTP/2 calls share connections.
            connections: own.connections.or(default.connections).filter(|_| !pool.http2),
            pending: own.pending.or(default.pending),
            streams: own.streams.or(default.streams),
        };
        // A route that is refused may have been meant to lead here.
        let sees_none = matches!(pool.concurrency, Some(Concurrency::FirstTokenWindow(_)));
        if let (Some(at), true) =
            (section(top, &pool.name, "gauges"), pool.gauges.is_some() && reader.is_content())
        {
            let complaint = Complaint::new("no route leads to this pool, and only its `bulkhead` limits it");
            reader.refuse(&at, complaint.help("gauges correct the `first_token_window` of a route's pool"));
        }
        if let (Some(at), true) = (section(top, &pool.name, "concurrency"), sees_none && reader.is_content())
        {
            let complaint =
                Complaint::new("no route leads to this pool, and other calls have no first token");
            reader.refuse(
                &at,
                complaint.help("its `bulkhead` limits it, or the algorithm `fixed` each endpoint"),
            );
        }
    }
}

fn has_no_use_for_gauges(gauges: Option<&GaugesSource>, concurrency: &Concurrency) -> bool {
    gauges.is_some() && !matches!(concurrency, Concurrency::FirstTokenWindow(_))
}

/// Where a section of a pool stands.
fn section<'n>(top: &Fields<'n>, pool: &str, name: &str) -> Option<At<'n>> {
    let within = |at: &At<'n>, name: &str| match &at.node.value {
        Value::Mapping(pairs) => {
            let pair = pairs.iter().find(|(key, _)| key.word() == Some(name))?;
            Some(at.key(name, &pair.1))
        }
        Value::Scalar { .. } | Value::Sequence(_) => None,
    };
    within(&within(top.get("pools")?, pool)?, name)
}

/// Which algorithms a setting is for.
const OWNERS: [(&str, &[&str]); 15] = [
    ("gateways", &["first_token_window"]),
    ("base_time", &["first_token_window"]),
    ("limit", &["fixed"]),
    ("min", &["gradient2", "aimd"]),
    ("max", &["gradient2", "aimd"]),
    ("initial", &["gradient2", "aimd"]),
    ("rtt_tolerance", &["gradient2"]),
    ("smoothing", &["gradient2"]),
    ("queue_size", &["gradient2"]),
    ("long_window", &["gradient2"]),
    ("timeout", &["aimd"]),
    ("backoff_ratio", &["aimd"]),
    ("sample_aggregate_percentile", &["gradient"]),
    ("concurrency_limit_params", &["gradient"]),
    ("min_rtt_calc_params", &["gradient"]),
];
