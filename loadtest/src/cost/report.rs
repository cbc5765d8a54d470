//! Tables and JSON out of samples, and whether they are as they should be.

use super::Case;
use super::generator::Sample;
use super::options::Options;
use crate::rig::{Machine, Proxy};

/// What was measured of one proxy: a sample a round.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) proxy: Proxy,
    pub(crate) samples: Vec<Sample>,
}

impl Row {
    pub(crate) const fn new(proxy: Proxy) -> Self {
        Self { proxy, samples: Vec::new() }
    }

    fn figures(&self, case: Case, of: fn(&Sample, Case) -> f64) -> Vec<f64> {
        let mut figures: Vec<f64> = self.samples.iter().map(|sample| of(sample, case)).collect();
        figures.sort_by(f64::total_cmp);
        figures
    }

    fn median(&self, case: Case, of: fn(&Sample, Case) -> f64) -> f64 {
        let figures = self.figures(case, of);
        let upper = figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN);
        let lower = figures.get(figures.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
        f64::midpoint(lower, upper)
    }

    fn failures(&self) -> u64 {
        self.samples.iter().map(|sample| sample.tally.failures).sum()
    }
}

/// Answers, or events where those are what is paid for.
fn units(sample: &Sample, case: Case) -> f64 {
    let units = if case.streams() { sample.tally.events } else { sample.tally.answers };
    #[expect(clippy::cast_precision_loss, reason = "counts of seconds stay far below 2^53")]
    let units = units as f64;
    units
}

fn cpu_us(sample: &Sample, case: Case) -> f64 {
    sample.cpu.as_secs_f64() * 1e6 / units(sample, case)
}

fn per_second(sample: &Sample, case: Case) -> f64 {
    units(sample, case) / sample.elapsed.as_secs_f64()
}

fn p50_ms(sample: &Sample, _: Case) -> f64 {
    percentile_ms(sample, 50)
}

fn p99_ms(sample: &Sample, _: Case) -> f64 {
    percentile_ms(sample, 99)
}

fn percentile_ms(sample: &Sample, percent: usize) -> f64 {
    let sorted = &sample.tally.latency_us;
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |us| f64::from(*us) / 1e3)
}

fn core_percent(sample: &Sample, _: Case) -> f64 {
    100.0 * sample.cpu.as_secs_f64() / sample.elapsed.as_secs_f64()
}

fn disturbed_percent(sample: &Sample, _: Case) -> f64 {
    100.0 * sample.disturbed.as_secs_f64() / sample.elapsed.as_secs_f64()
}

/// CPU time as a multiple of the relay's, of the medians.
fn ratio(row: &Row, case: Case, rows: &[Row]) -> Option<f64> {
    let relay = rows.iter().find(|row| row.proxy == Proxy::Relay)?;
    (row.proxy != Proxy::Direct).then(|| row.median(case, cpu_us) / relay.median(case, cpu_us))
}

/// The table in Markdown, with what it cannot be read without.
pub(crate) fn table(case: Case, options: &Options, machine: &Machine, rows: &[Row]) -> String {
    let (unit, latency) = if case.streams() { ("event", "first event") } else { ("request", "answer") };
    let answers = match case {
        Case::Whole => "answered whole, at once".to_owned(),
        Case::Burst => "answered by 200 events at once".to_owned(),
        Case::Paced(gap) => format!("answered by 200 events, {} ms apart", gap.as_millis()),
    };
    let rate =
        options.rate.map_or_else(|| "as many as will go".to_owned(), |rate| format!("{rate} a second"));
    let mut text = format!(
        "\n{}-byte requests, {rate}, {answers}; {} connections; {} rounds of {} s, median (lowest to highest).\n{}.\n\n",
        options.body_bytes,
        options.connections,
        options.rounds,
        options.seconds,
        machine.line()
    );
    text += &format!(
        "| proxy | CPU µs/{unit} | × relay | {unit}s/s | {latency} p50 ms | p99 ms | added p50 µs | added p99 µs | not 200 or not whole | of its core % |\n\
         |---|---|---|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        text += &line(row, case, rows, options.rate);
    }
    if machine.has_core_for_proxy() {
        let proxies = rows.iter().filter(|row| row.proxy != Proxy::Direct);
        let disturbed = proxies.flat_map(|row| row.figures(case, disturbed_percent)).fold(0.0, f64::max);
        text += &format!("\nOthers used at most {disturbed:.0} % of the proxy's core in a round");
        text +=
            if disturbed > DISTURBED_PERCENT { ": not a quiet machine, do not quote this.\n" } else { ".\n" };
    }
    text
}

/// Microseconds that a proxy adds to the same figure without one, of the medians.
fn added_us(row: &Row, case: Case, rows: &[Row], of: fn(&Sample, Case) -> f64) -> Option<f64> {
    let direct = rows.iter().find(|row| row.proxy == Proxy::Direct)?;
    (row.proxy != Proxy::Direct).then(|| (row.median(case, of) - direct.median(case, of)) * 1e3)
}

fn line(row: &Row, case: Case, rows: &[Row], rate: Option<u32>) -> String {
    let cpu = row.figures(case, cpu_us);
    let cpu = match (row.proxy, cpu.first(), cpu.last()) {
        (Proxy::Direct, _, _) | (_, None, _) | (_, _, None) => "–".to_owned(),
        (_, Some(low), Some(high)) => {
            // An event of a burst costs less than a microsecond.
            let digits = if case.streams() { 2 } else { 1 };
            format!("{:.digits$} ({low:.digits$}–{high:.digits$})", row.median(case, cpu_us))
        }
    };
    let ratio = ratio(row, case, rows).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
    // At full load every figure is a queue's length, and a difference of two says nothing.
    let added = |of| {
        let added = rate.and_then(|_| added_us(row, case, rows, of));
        added.map_or_else(|| "–".to_owned(), |us| format!("{us:.0}"))
    };
    let core = match row.proxy {
        Proxy::Direct => "–".to_owned(),
        _ => format!("{:.0}", row.median(case, core_percent)),
    };
    format!(
        "| {} | {cpu} | {ratio} | {:.0} | {:.2} | {:.2} | {} | {} | {} | {core} |\n",
        row.proxy.name(),
        row.median(case, per_second),
        row.median(case, p50_ms),
        row.median(case, p99_ms),
        added(p50_ms),
        added(p99_ms),
        row.failures(),
    )
}

/// Every round's figures, for programs.
pub(crate) fn json(options: &Options, machine: &Machine, tables: &[(Case, Vec<Row>)]) -> String {
    let mut measured = Vec::new();
    for (case, row) in tables.iter().flat_map(|(case, rows)| rows.iter().map(|row| (*case, row))) {
        for (round, sample) in row.samples.iter().enumerate() {
            measured.push(serde_json::json!({
                "proxy": row.proxy.name(),
                "case": case.name(),
                "round": round + 1,
                "cpu_us": cpu_us(sample, case),
                "rate_per_sec": per_second(sample, case),
                "p50_ms": p50_ms(sample, case),
                "p99_ms": p99_ms(sample, case),
                "failures": sample.tally.failures,
                "core_percent": core_percent(sample, case),
                "disturbed_percent": disturbed_percent(sample, case),
            }));
        }
    }
    serde_json::json!({
        "machine": machine.line(),
        "body_bytes": options.body_bytes,
        "connections": options.connections,
        "rate_per_sec": options.rate,
        "seconds": options.seconds,
        "samples": measured,
    })
    .to_string()
}

/// What is wrong with a table, if anything: wrong answers first, then Weir above `ratio_max` times the relay.
pub(crate) fn complaint(case: Case, rows: &[Row], ratio_max: Option<f64>) -> Option<String> {
    let wrong = rows.iter().find_map(|row| {
        let why = row.samples.iter().find_map(|sample| sample.tally.failure.as_deref())?;
        Some(format!("{} answered wrongly {} times: {why}", row.proxy.name(), row.failures()))
    });
    let silent = || {
        let silent = rows.iter().find(|row| row.samples.iter().any(|sample| units(sample, case) < 1.0))?;
        Some(format!("{} answered nothing", silent.proxy.name()))
    };
    let dear = || {
        let weir = rows.iter().find(|row| row.proxy == Proxy::Weir)?;
        let (ratio, ratio_max) = (ratio(weir, case, rows)?, ratio_max?);
        (ratio > ratio_max).then(|| format!("weir costs {ratio:.2} × the relay, more than {ratio_max:.2}"))
    };
    wrong.or_else(silent).or_else(dear)
}

/// Above this share of other work on its core a proxy's figures move by more than differences that matter.
const DISTURBED_PERCENT: f64 = 5.0;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::generator::Tally;
    use super::*;

    /// Rows with these CPU times (µs per request) in their rounds.
    fn row(proxy: Proxy, cpu_us: &[u64]) -> Row {
        let samples = cpu_us.iter().map(|us| Sample {
            tally: Tally { answers: 1000, latency_us: (1..=1000).collect(), ..Tally::default() },
            elapsed: Duration::from_secs(1),
            cpu: Duration::from_micros(us * 1000),
            disturbed: Duration::ZERO,
        });
        Row { proxy, samples: samples.collect() }
    }

    #[test]
    fn rows_show_median_spread_and_ratio() {
        let rows = [row(Proxy::Relay, &[30, 10, 20]), row(Proxy::Weir, &[25, 35])];
        let mut text = String::new();
        for row in &rows {
            text += &line(row, Case::Whole, &rows, None);
        }
        assert_eq!(
            text,
            "| relay | 20.0 (10.0–30.0) | 1.00 | 1000 | 0.50 | 0.99 | – | – | 0 | 2 |\n\
             | weir | 30.0 (25.0–35.0) | 1.50 | 1000 | 0.50 | 0.99 | – | – | 0 | 3 |\n"
        );
    }

    #[test]
    fn what_a_proxy_adds_is_told_where_there_is_a_row_without_one() {
        let mut rows = [row(Proxy::Direct, &[0]), row(Proxy::Weir, &[30])];
        for sample in &mut rows[1].samples {
            sample.tally.latency_us = (101..=1100).collect();
        }
        let text = line(&rows[1], Case::Whole, &rows, Some(1000));
        assert!(text.contains("| 0.60 | 1.09 | 100 | 100 | 0 |"), "{text}");
        assert!(line(&rows[0], Case::Whole, &rows, Some(1000)).contains("| – | – | 0 |"));
        assert!(line(&rows[1], Case::Whole, &rows, None).contains("| – | – | 0 |"), "not at full load");
    }

    #[test]
    fn complaints_name_wrong_answers_first_then_the_ratio() {
        let mut rows = [row(Proxy::Relay, &[20]), row(Proxy::Weir, &[30])];
        assert_eq!(complaint(Case::Whole, &rows, None), None);
        assert_eq!(complaint(Case::Whole, &rows, Some(1.5)), None);
        let dear = complaint(Case::Whole, &rows, Some(1.4)).unwrap();
        assert!(dear.contains("1.50"), "{dear}");
        rows[1].samples[0].tally.failures = 2;
        rows[1].samples[0].tally.failure = Some("status 503".to_owned());
        let wrong = complaint(Case::Whole, &rows, Some(1.4)).unwrap();
        assert!(wrong.contains("weir") && wrong.contains("status 503"), "{wrong}");
    }

    #[test]
    fn a_proxy_that_answers_nothing_is_not_cheap() {
        let mut rows = [row(Proxy::Weir, &[20])];
        rows[0].samples[0].tally.answers = 0;
        assert_eq!(complaint(Case::Whole, &rows, None).as_deref(), Some("weir answered nothing"));
    }
}
