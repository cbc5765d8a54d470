//! What a model server tells of its own queue, read from its metrics page (Prometheus' text format, as `/metrics`
//! serves it).
//!
//! | server | waiting | running |
//! |---|---|---|
//! | vLLM | `vllm:num_requests_waiting` | `vllm:num_requests_running` |
//! | SGLang | `sglang:num_queue_reqs` | `sglang:num_running_reqs` |
//! | llama.cpp | `llamacpp:requests_deferred` | `llamacpp:requests_processing` |
//!
//! All samples of a name are added up, whatever their labels: a server with several engines has a queue for each.
//! Everything else on the page is passed over, so that a server may add what it likes; a value of one of these names
//! that is no count makes the page useless, since a part of a queue is no queue.
//!
//! The page comes from the network: reading takes one pass, keeps nothing of it and never fails but by
//! [`Unreadable`].

/// Requests at a server, whoever sent them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Those that it has taken and not begun.
    pub waiting: u32,
    /// Those that it works on.
    pub running: u32,
}

/// Why a page says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No server that is known wrote it, or one whose metrics are switched off.
    #[error(
        "no gauge of a known server: vllm:num_requests_waiting, sglang:num_queue_reqs or llamacpp:requests_deferred"
    )]
    Unknown,
    /// One of the names is there without a count.
    #[error("{0} is not a count")]
    NoCount(&'static str),
}

/// The names of each known server: those that wait, those that run.
const SERVERS: [[&str; 2]; 3] = [
    ["vllm:num_requests_waiting", "vllm:num_requests_running"],
    ["sglang:num_queue_reqs", "sglang:num_running_reqs"],
    ["llamacpp:requests_deferred", "llamacpp:requests_processing"],
];

impl Gauges {
    /// Reads a metrics page. Where several servers write to one, their queues are added up.
    ///
    /// # Errors
    ///
    /// If it does not say how many requests wait.
    ///
    /// ```
    /// use router_core::overload::gauges::Gauges;
    ///
    /// let page = b"# TYPE vllm:num_requests_waiting gauge\n\
    ///     vllm:num_requests_waiting{engine=\"0\"} 3.0\n\
    ///     vllm:num_requests_waiting{engine=\"1\"} 4.0\n\
    ///     vllm:num_requests_running{engine=\"0\"} 32.0\n";
    /// assert_eq!(Gauges::read(page), Ok(Gauges { waiting: 7, running: 32 }));
    /// ```
    pub fn read(page: &[u8]) -> Result<Self, Unreadable> {
        let mut waiting = None;
        let mut running = 0_u32;
        for line in page.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let Some((name, waits, rest)) = known(line.trim_ascii_start()) else { continue };
            let count = count(rest).ok_or(Unreadable::NoCount(name))?;
            if waits {
                waiting = Some(waiting.unwrap_or(0_u32).saturating_add(count));
            } else {
                running = running.saturating_add(count);
            }
        }
        waiting.map(|waiting| Self { waiting, running }).ok_or(Unreadable::Unknown)
    }
}

/// The name at the beginning of a line if it is a known one, whether it is of those that wait, and what follows.
fn known(line: &[u8]) -> Option<(&'static str, bool, &[u8])> {
    SERVERS.iter().find_map(|names| {
        names.iter().enumerate().find_map(|(index, name)| {
            let rest = line.strip_prefix(name.as_bytes())?;
            // What goes on is another, longer name.
            matches!(rest.first(), Some(b'{' | b' ' | b'\t')).then_some((*name, index == 0, rest))
        })
    })
}

/// The value after the labels, if there are any; what follows it, such as a time, is passed over.
fn count(rest: &[u8]) -> Option<u32> {
    let rest = rest.trim_ascii_start();
    let rest = match rest.strip_prefix(b"{") {
        Some(labels) => after_labels(labels)?,
        None => rest,
    };
    let rest = rest.trim_ascii_start();
    let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    let value: f64 = str::from_utf8(rest.get(..end)?).ok()?.parse().ok()?;
    (value.is_finite() && value >= 0.0).then(|| super::limiter::places(value.round()))
}

/// What follows the brace that closes the labels: one in a label's text closes nothing.
fn after_labels(labels: &[u8]) -> Option<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in labels.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return labels.get(index + 1..),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(page: &str) -> Result<(u32, u32), Unreadable> {
        Gauges::read(page.as_bytes()).map(|gauges| (gauges.waiting, gauges.running))
    }

    #[test]
    fn reads_each_known_server() {
        let pages = [
            "# HELP vllm:num_requests_waiting Number of requests waiting to be processed.\n\
             # TYPE vllm:num_requests_waiting gauge\n\
             vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 2.0\n\
             vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 5.0\n",
            "sglang:num_running_reqs{model_name=\"m\"} 5.0\nsglang:num_queue_reqs{model_name=\"m\"} 2.0",
            "llamacpp:requests_processing 5\nllamacpp:requests_deferred 2\n",
        ];
        for page in pages {
            assert_eq!(read(page), Ok((2, 5)), "{page}");
        }
    }

    #[test]
    fn adds_up_what_differs_in_labels_only() {
        let page = "vllm:num_requests_waiting{engine=\"0\"} 2\nvllm:num_requests_waiting{engine=\"1\"} 3\n";
        assert_eq!(read(page), Ok((5, 0)));
        let most = "vllm:num_requests_waiting 4e9\n";
        assert_eq!(read(&most.repeat(3)), Ok((u32::MAX, 0)));
    }

    #[test]
    fn takes_the_forms_that_the_format_allows() {
        for line in [
            "vllm:num_requests_waiting 7 1395066363000",
            "  vllm:num_requests_waiting\t{ a = \"b\" , } \t7e0\t",
            "vllm:num_requests_waiting{m=\"a\\\"} 9\\\\\"} 7\r",
            "vllm:num_requests_waiting{m=\"{}\"} 7.0 # {trace=\"x\"} 1",
            "vllm:num_requests_waiting +7\r\nother 1",
        ] {
            assert_eq!(read(line), Ok((7, 0)), "{line}");
        }
    }

    #[test]
    fn other_names_are_passed_over() {
        let others = "vllm:num_requests_waiting_by_reason{reason=\"capacity\"} 9\n\
            # vllm:num_requests_waiting 9\nxvllm:num_requests_waiting 9\n\
            help{text=\"vllm:num_requests_waiting 9\"} nonsense\nvllm:kv_cache_usage_perc NaN\n";
        assert_eq!(read(others), Err(Unreadable::Unknown));
        assert_eq!(read(&format!("{others}llamacpp:requests_deferred 1\n{others}")), Ok((1, 0)));
        assert_eq!(read(""), Err(Unreadable::Unknown));
        assert_eq!(
            read("vllm:num_requests_running 9\n"),
            Err(Unreadable::Unknown),
            "running alone is no queue"
        );
    }

    #[test]
    fn what_is_no_count_makes_the_page_useless() {
        for value in ["NaN", "+Inf", "-1", "", "many", "1 2}", "{a=\"b} 3", "0x10", "\u{fffd}"] {
            let page = format!("vllm:num_requests_waiting 1\nsglang:num_queue_reqs {value}\n");
            let expected = match value {
                "1 2}" => Ok((2, 0)),
                _ => Err(Unreadable::NoCount("sglang:num_queue_reqs")),
            };
            assert_eq!(read(&page), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn finds_every_sample_among_anything_else(
            samples in prop::collection::vec((0..3_usize, 0..2_usize, 0..1_000_000_u32, "[^\r\n\"\\\\]{0,9}"), 1..20),
            noise in "(#[^\r\n]{0,9}|up [0-9]{1,3}|vllm:[a-z]{1,5}\\{\\} 1)",
        ) {
            let mut page = String::new();
            let mut sums = [0_u32; 2];
            for (server, kind, value, label) in &samples {
                sums[*kind] += value;
                page += &format!("{noise}\n{}{{a=\"{label}\",b=\"\\\"\"}} {value}.0\n", SERVERS[*server][*kind]);
            }
            let told = samples.iter().any(|(_, kind, ..)| *kind == 0);
            let expected = if told { Ok((sums[0], sums[1])) } else { Err(Unreadable::Unknown) };
            prop_assert_eq!(read(&page), expected, "{}", page);
        }
    }
}
