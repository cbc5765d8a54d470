//! A closed account, and how it reads as a log line.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use http::HeaderValue;

use super::line::Line;
use super::{Ending, Facts};

/// A closed account.
#[derive(Debug)]
pub(crate) struct Record {
    /// Visible ASCII, whoever made it.
    pub(crate) request_id: HeaderValue,
    /// From arrival to the end of the answer.
    pub(crate) total: Duration,
    pub(crate) ending: Ending,
    pub(crate) facts: Facts,
}

impl Record {
    /// The label of the target, if the call got that far.
    pub(crate) fn target_label(&self) -> Option<&str> {
        let route = self.facts.route.as_ref()?;
        route.targets.get(self.facts.target?).map(|target| &*target.label)
    }

    /// One JSON object, without a newline. The names are a contract with whoever reads the log.
    pub(crate) fn json(&self, now: SystemTime, out: &mut String) {
        let facts = &self.facts;
        let mut line = Line::begin(out, now);
        line.word("event", Some("call"));
        line.text("request_id", self.request_id.to_str().ok());
        line.word("dialect", facts.intent.map(|intent| intent.dialect.name()));
        line.word("operation", facts.intent.map(|intent| intent.operation.name()));
        line.text("unknown", facts.unknown.as_deref());
        line.text("segment", facts.segment.as_ref().map(|segment| &*segment.name));
        line.text("caller", facts.caller.as_ref().map(|caller| &*caller.id));
        line.text("route", facts.route.as_ref().map(|route| &*route.name));
        line.text("target", self.target_label());
        line.text("endpoint", facts.endpoint.as_deref());
        line.truth("stream", facts.stream);
        line.number("status", Some(facts.status));
        line.number("attempts", Some(facts.attempts));
        line.word("end", Some(self.ending.name()));
        line.word("reason", facts.reason);
        line.word("source", facts.source.map(router_core::dialect::Source::name));
        line.word("finish", facts.summary.finish.map(router_core::stream::Finish::name));
        line.number("bytes_in", Some(facts.bytes_in));
        line.number("bytes_out", Some(facts.bytes_out));
        line.number("prompt_tokens", facts.summary.usage.map(|usage| usage.prompt_tokens));
        line.number("completion_tokens", facts.summary.usage.map(|usage| usage.completion_tokens));
        line.number("queue_ms", Some(ms(facts.queued)));
        line.number("upstream_ms", facts.upstream.map(ms));
        line.number("first_token_ms", facts.first_token.map(ms));
        line.number("total_ms", Some(ms(self.total)));
        line.number("overhead_us", facts.overhead.map(us));
        line.text("cause", facts.cause.as_deref());
        line.group("headers", &facts.headers);
        line.end();
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
        add("caller", facts.caller.as_ref().map(|caller| caller.id.to_string()));
        add("first_token_ms", facts.first_token.map(|time| time.as_millis().to_string()));
        add("tokens", facts.summary.usage.map(|usage| usage.completion_tokens.to_string()));
        add("reason", facts.reason.map(str::to_owned));
        // It may repeat words of an upstream's, which must not move the cursor.
        add("cause", facts.cause.as_ref().map(|cause| cause.replace(char::is_control, " ")));
        add("id", self.request_id.to_str().ok().map(str::to_owned));
        line
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
