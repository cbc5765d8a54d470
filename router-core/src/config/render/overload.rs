//! The settings of overload control as they would be written.

use serde_json::{Map, Value, json};

use crate::config::scalar::render_duration;
use crate::config::{Batch, Bulkhead, Concurrency, Gradient, MinRttSource, Objective, Queue, Segment, Span};

pub(super) fn segment(segment: &Segment) -> Value {
    json!({
        "share": number(segment.share),
        "order": segment.order.name(),
        "priority": segment.priority.name(),
        "objective": objective(&segment.objective),
        "max_inflight_ratio": number(segment.max_inflight_ratio),
        "keys": segment.keys.iter().map(super::callers::key).collect::<Vec<_>>(),
    })
}

fn objective(objective: &Objective) -> Value {
    let times = [("first_token", objective.first_token), ("inter_token", objective.inter_token)];
    set(times.map(|(key, time)| (key, time.map(render_duration))))
}

pub(super) fn bulkhead(bulkhead: &Bulkhead) -> Value {
    set([("connections", bulkhead.connections), ("pending", bulkhead.pending), ("streams", bulkhead.streams)])
}

pub(super) fn batch(batch: &Batch) -> Value {
    json!({ "reserve": number(batch.reserve), "minimum": batch.minimum })
}

pub(super) fn queue(queue: &Queue) -> Value {
    let mut out = json!({ "wait": render_duration(queue.wait), "requests": queue.requests });
    if let Some(tokens) = queue.tokens {
        out["tokens"] = tokens.into();
    }
    out
}

pub(super) fn concurrency(concurrency: &Concurrency) -> Value {
    let mut out = match concurrency {
        Concurrency::FirstTokenWindow(window) => {
            let mut out = json!({ "gateways": window.gateways });
            if let Some(time) = window.base_time {
                out["base_time"] = render_duration(time).into();
            }
            out
        }
        Concurrency::Gradient(settings) => gradient(settings),
        Concurrency::Gradient2(settings) => spanned(
            &settings.span,
            json!({
                "rtt_tolerance": number(settings.rtt_tolerance),
                "smoothing": number(settings.smoothing),
                "queue_size": settings.queue_size,
                "long_window": settings.long_window,
            }),
        ),
        Concurrency::Aimd(settings) => spanned(
            &settings.span,
            json!({
                "timeout": render_duration(settings.timeout),
                "backoff_ratio": number(settings.backoff_ratio),
            }),
        ),
        Concurrency::Fixed { limit } => json!({ "limit": limit }),
    };
    out["algorithm"] = concurrency.algorithm().into();
    out
}

fn gradient(settings: &Gradient) -> Value {
    let mut base = match settings.min_rtt.source {
        MinRttSource::Measured { interval, jitter_percent, request_count } => json!({
            "interval": render_duration(interval),
            "jitter": jitter_percent,
            "request_count": request_count,
        }),
        MinRttSource::Fixed(value) => json!({ "fixed_value": render_duration(value) }),
    };
    base["min_concurrency"] = settings.min_rtt.min_concurrency.into();
    base["buffer"] = settings.min_rtt.buffer_percent.into();
    json!({
        "sample_aggregate_percentile": settings.sample_aggregate_percentile,
        "concurrency_limit_params": {
            "max_concurrency_limit": settings.max_concurrency_limit,
            "concurrency_update_interval": render_duration(settings.concurrency_update_interval),
        },
        "min_rtt_calc_params": base,
    })
}

fn spanned(span: &Span, mut settings: Value) -> Value {
    for (key, value) in [("min", span.min), ("max", span.max), ("initial", span.initial)] {
        settings[key] = value.into();
    }
    settings
}

/// The settings that are there.
fn set<T: Into<Value>, const N: usize>(settings: [(&str, Option<T>); N]) -> Value {
    let there = settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into())));
    Value::Object(there.collect::<Map<_, _>>())
}

/// A number without a fraction that says nothing.
fn number(number: f64) -> Value {
    let text = number.to_string();
    text.parse::<i64>().map_or_else(|_| number.into(), Value::from)
}
