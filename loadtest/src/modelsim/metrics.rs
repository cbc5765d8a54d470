//! `GET /metrics`: the names that vLLM uses, so that dashboards and scrapers work unchanged.

use super::desk::Books;

/// The two latency histograms, in wall time.
#[derive(Debug)]
pub(super) struct Latency {
    pub(super) first_token: Histogram,
    pub(super) whole: Histogram,
}

impl Default for Latency {
    fn default() -> Self {
        Self { first_token: Histogram::new(&FIRST_TOKEN_BOUNDS), whole: Histogram::new(&WHOLE_BOUNDS) }
    }
}

/// Counts per upper bound, in seconds.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// One more than `bounds`: the last has no bound.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub(super) fn observe(&mut self, seconds: f64) {
        let at = self.bounds.partition_point(|&bound| bound < seconds);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum += seconds;
    }
}

/// The page for one server.
pub(super) fn render(books: &Books, model: &str) -> String {
    let mut page = Page { text: String::new(), model: escape(model) };
    let (cluster, totals, counters) = (&books.cluster, &books.totals, books.cluster.counters());
    let kv = cluster.kv_used() as f64 / cluster.kv_tokens().max(1) as f64;
    page.gauge("vllm:num_requests_running", "Requests in the batch.", cluster.running() as f64);
    page.gauge("vllm:num_requests_waiting", "Requests in the queue.", cluster.waiting() as f64);
    page.gauge("vllm:kv_cache_usage_perc", "Used share of the KV cache, 0 to 1.", kv);
    page.gauge("vllm:gpu_cache_usage_perc", "Older name of vllm:kv_cache_usage_perc.", kv);
    page.counter("vllm:num_preemptions_total", "Requests that lost their cache.", counters.preemptions);
    page.counter("vllm:prompt_tokens_total", "Prompt tokens taken in.", totals.prompt_tokens);
    page.counter("vllm:generation_tokens_total", "Tokens produced.", counters.output_tokens);
    let name = "vllm:request_success_total";
    page.head(name, "Requests that ended, by reason.", "counter");
    let reasons =
        [("stop", totals.stop + totals.tool_calls), ("length", totals.length), ("abort", totals.cancelled)];
    for (reason, count) in reasons {
        page.sample(name, &format!("finished_reason=\"{reason}\","), &count.to_string());
    }
    page.counter(
        "modelsim_requests_cancelled_total",
        "Requests abandoned by their client.",
        totals.cancelled,
    );
    let latency = &books.latency;
    page.histogram(
        "vllm:time_to_first_token_seconds",
        "From the queue to the first token.",
        &latency.first_token,
    );
    page.histogram("vllm:e2e_request_latency_seconds", "From the queue to the last token.", &latency.whole);
    page.text
}

struct Page {
    text: String,
    model: String,
}

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: &str) {
        let model = std::mem::take(&mut self.model);
        self.line(format_args!("{name}{{{labels}model_name=\"{model}\"}} {value}"));
        self.model = model;
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, help, "gauge");
        self.sample(name, "", &value.to_string());
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.sample(name, "", &value.to_string());
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let bounds = histogram.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (bound, count) in bounds.zip(&histogram.counts) {
            below += count;
            self.sample(&format!("{name}_bucket"), &format!("le=\"{bound}\","), &below.to_string());
        }
        self.sample(&format!("{name}_sum"), "", &histogram.sum.to_string());
        self.sample(&format!("{name}_count"), "", &below.to_string());
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// vLLM's buckets.
const FIRST_TOKEN_BOUNDS: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    80.0, 160.0, 640.0, 2560.0,
];
const WHOLE_BOUNDS: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0,
    960.0, 1920.0, 7680.0,
];

#[cfg(test)]
mod tests {
    use super::{Histogram, escape};

    #[test]
    fn a_value_on_a_bound_counts_below_it() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);
        for seconds in [0.5, 1.0, 1.5, 9.0] {
            histogram.observe(seconds);
        }
        assert_eq!(histogram.counts, [2, 1, 1]);
    }

    #[test]
    fn a_model_name_cannot_break_the_page() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
