//! How far behind each route is, and what each endpoint's limiter thinks, as metrics. Read off the dispatcher when
//! somebody asks, in Prometheus' text format: nothing is kept up to date meanwhile, and what a reload took away is
//! gone.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use router_core::overload::lag::{Level, PartitionState, TopicState};
use router_core::overload::limiter::Reading;

/// A family of metrics that is being written.
struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

/// All of them.
pub(crate) fn render(
    topics: &[TopicState],
    endpoints: &[(&str, Reading)],
    shared_queues: &[(String, f64)],
) -> String {
    let mut text = String::new();
    partitions(&mut text, topics);
    totals(&mut text, topics);
    limits(&mut text, endpoints);
    if !shared_queues.is_empty() {
        let help = "Queue that the gateways which share a pool keep at its slowest endpoint at the least, as a part of \
                    the first-token objective: over 0.25 they are too many for it. 0 while nobody is held back there.";
        let mut family = Family::new(&mut text, "shared_queue_ratio", "gauge", help);
        shared_queues.iter().for_each(|(pool, ratio)| family.add(&[("pool", pool)], ratio));
    }
    text
}

fn limits(text: &mut String, endpoints: &[(&str, Reading)]) {
    // An endpoint of two pools has two limiters, and one label.
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (endpoint, reading) in endpoints {
        let (limit, awaiting) = sums.entry(endpoint).or_default();
        *limit += u64::from(reading.inflight) + u64::from(reading.free);
        *awaiting += u64::from(reading.awaiting_first_token);
    }
    let help = "Attempts that an endpoint may have at a time.";
    let mut family = Family::new(text, "concurrency_limit", "gauge", help);
    sums.iter().for_each(|(endpoint, (limit, _))| family.add(&[("endpoint", endpoint)], limit));
    let help = "Attempts of an endpoint without a first token.";
    let mut family = Family::new(text, "awaiting_first_token", "gauge", help);
    sums.iter().for_each(|(endpoint, (_, awaiting))| family.add(&[("endpoint", endpoint)], awaiting));
}

fn partitions(text: &mut String, topics: &[TopicState]) {
    type Value = fn(&PartitionState) -> u64;
    let families: [(&str, &str, &str, Value); 3] = [
        ("queued", "gauge", "Calls that wait.", |one| one.queued),
        ("log_end_offset", "counter", "Calls that were started or queued.", |one| one.log_end_offset),
        ("committed_offset", "counter", "Those of them that have ended.", |one| one.committed_offset),
    ];
    for (name, kind, help, value) in families {
        let mut family = Family::new(text, name, kind, help);
        for (topic, one) in each(topics) {
            family.add(&[("route", topic), ("segment", &one.partition)], value(one));
        }
    }
    let mut family =
        Family::new(text, "lag", "gauge", "Unfinished calls, and their estimated tokens still to come.");
    for (topic, one) in each(topics) {
        let labels = |unit| [("route", topic), ("segment", one.partition.as_str()), ("unit", unit)];
        family.add(&labels("requests"), one.lag);
        family.add(&labels("tokens"), one.lag_tokens);
    }
}

fn totals(text: &mut String, topics: &[TopicState]) {
    type Value = fn(&TopicState) -> f64;
    let families: [(&str, &str, Value); 5] = [
        ("oldest_age_seconds", "Age of the oldest unfinished call.", |one| seconds(one.totals.oldest_age_ms)),
        ("drain_seconds", "Time to empty the queue at the present pace.", |one| seconds(one.totals.drain_ms)),
        ("unmet", "Demand that was turned away, as calls under way.", |one| seconds(one.totals.unmet * 1000)),
        ("saturation", "Nearness to the set point, which is 1.", |one| one.saturation),
        ("level", "0 normal, 1 elevated, 2 high, 3 critical.", |one| {
            Level::ALL
                .iter()
                .position(|level| *level == one.level)
                .map_or(0.0, |place| seconds(place as u64 * 1000))
        }),
    ];
    for (name, help, value) in families {
        let mut family = Family::new(text, name, "gauge", help);
        for topic in topics {
            family.add(&[("route", &topic.topic)], value(topic));
        }
    }
}

fn each(topics: &[TopicState]) -> impl Iterator<Item = (&str, &PartitionState)> {
    topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| (topic.topic.as_str(), one)))
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

impl<'a> Family<'a> {
    fn new(text: &'a mut String, name: &'static str, kind: &str, help: &str) -> Self {
        // Writing to a string cannot fail, here and below.
        write!(text, "# HELP weir_{name} {help}\n# TYPE weir_{name} {kind}\n").unwrap_or_default();
        Self { text, name }
    }

    fn add(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(name, text)| format!("{name}=\"{}\"", quoted(text))).collect();
        writeln!(self.text, "weir_{}{{{}}} {value}", self.name, labels.join(",")).unwrap_or_default();
    }
}
