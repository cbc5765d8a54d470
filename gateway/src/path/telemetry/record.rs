//! A closed account, and how it reads as a log line.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{Ending, Facts};

/// A closed account.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) request_id: String,
    /// From arrival to the end of the answer.
    pub(crate) total: Duration,
    pub(crate) ending: Ending,
    pub(crate) facts: Facts,
}

/// A call's line: the names are a contract with whoever reads the log.
#[derive(Serialize)]
struct Line<'a> {
    ts: String,
    event: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    stream: bool,
    status: u16,
    attempts: u8,
    end: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish: Option<&'static str>,
    bytes_in: u64,
    bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens: Option<u64>,
    /// Always 0 while there is no queue.
    queue_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u128>,
    total_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    overhead_us: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    headers: std::collections::BTreeMap<&'a str, &'a str>,
}

impl Record {
    /// The label of the target, if the call got that far.
    pub(crate) fn target_label(&self) -> Option<&str> {
        let route = self.facts.route.as_ref()?;
        route.targets.get(self.facts.target?).map(|target| &*target.label)
    }

    /// One JSON object, without a newline.
    pub(crate) fn json(&self, now: SystemTime) -> String {
        let facts = &self.facts;
        let line = Line {
            ts: humantime::format_rfc3339_millis(now).to_string(),
            event: "call",
            request_id: &self.request_id,
            dialect: facts.intent.map(|intent| intent.dialect.name()),
            operation: facts.intent.map(|intent| intent.operation.name()),
            unknown: facts.unknown.as_deref(),
            route: facts.route.as_ref().map(|route| &*route.name),
            target: self.target_label(),
            endpoint: facts.endpoint.as_deref(),
            stream: facts.stream,
            status: facts.status,
            attempts: facts.attempts,
            end: self.ending.name(),
            reason: facts.reason,
            finish: facts.summary.finish.map(router_core::stream::Finish::name),
            bytes_in: facts.bytes_in,
            bytes_out: facts.bytes_out,
            prompt_tokens: facts.summary.usage.map(|usage| usage.prompt_tokens),
            completion_tokens: facts.summary.usage.map(|usage| usage.completion_tokens),
            queue_ms: 0,
            upstream_ms: facts.upstream.map(|time| time.as_millis()),
            first_token_ms: facts.first_token.map(|time| time.as_millis()),
            total_ms: self.total.as_millis(),
            overhead_us: facts.overhead.map(|time| time.as_micros()),
            cause: facts.cause.as_deref(),
            headers: facts.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// For a terminal: what one looks at first, first.
    pub(crate) fn human(&self, now: SystemTime) -> String {
        let facts = &self.facts;
        let mut line = format!(
            "{} {:>3} {:<12} {} -> {} {} ms",
            humantime::format_rfc3339_millis(now),
            facts.status,
            self.ending.name(),
            facts
                .route
                .as_ref()
                .map_or_else(|| facts.unknown.as_deref().unwrap_or("-"), |route| &*route.name),
            self.target_label().unwrap_or("-"),
            self.total.as_millis(),
        );
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                write!(line, " {name}={value}").unwrap_or_default();
            }
        };
        add("first_token_ms", facts.first_token.map(|time| time.as_millis().to_string()));
        add("tokens", facts.summary.usage.map(|usage| usage.completion_tokens.to_string()));
        add("reason", facts.reason.map(str::to_owned));
        add("cause", facts.cause.clone().map(|cause| cause.replace(['\n', '\r'], " ")));
        add("id", Some(self.request_id.clone()));
        line
    }
}
