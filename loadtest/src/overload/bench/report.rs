//! The tables: what came of every point, as a whole and for each segment, and which bars it misses.

use std::time::Duration;

use loadtest::overload::sim::{Call, Ending, Life};

use super::SEGMENTS;
use super::drive::{Drive, lost_by_server};
use super::options::{Front, Limit};
use super::points::Point;

/// A point as it came out for one front.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) front: Front,
    pub(super) load: f64,
    pub(super) steady: bool,
    name: String,
    attainable: (u32, f64),
    simulated: Option<Simulated>,
    offered: f64,
    goodput: f64,
    all: Figures,
    segments: Vec<Figures>,
    /// Of the gateway, as a share of one core.
    cpu: Option<f64>,
    pub(super) misses: Vec<String>,
    flaws: Vec<String>,
    /// How late the 99th percentile of the callers got their connection: a machine that is too busy to measure on.
    late: Duration,
}

/// What the same limiter reaches in the simulation.
#[derive(Clone, Copy, Debug)]
struct Simulated {
    /// Goodput over the attainable.
    share: f64,
    /// Share answered inside the objective, by segment.
    inside: [f64; 3],
}

/// Figures of some calls.
#[derive(Debug, Default)]
struct Figures {
    calls: usize,
    /// Share answered inside the objective, without those that the server dropped.
    inside: f64,
    refused: f64,
    left: f64,
    failed: f64,
    /// p50, p95, p99 of those that had one.
    first_token: [Duration; 3],
}

impl Row {
    pub(super) fn new(front: Front, point: &Point, drive: &Drive, cpu: Option<f64>) -> Self {
        let window = point.window();
        let counted: Vec<&(Call, Life)> = drive.outcome.arrived(&window).collect();
        let summary = drive.outcome.summary(&window);
        let segment = |at| {
            let own: Vec<_> = counted.iter().filter(|(call, _)| call.segment == at).copied().collect();
            Figures::of(point, &own)
        };
        let flaws = drive.flaws.iter().map(|(why, count)| format!("{count} × {why}")).collect();
        let mut row = Self {
            front,
            load: point.load,
            steady: point.is_steady(),
            name: point.name(),
            attainable: point.attainable,
            simulated: point
                .simulated(front)
                .map(|line| Simulated { share: line.share.unwrap_or_default(), inside: line.summary.good }),
            offered: summary.offered,
            goodput: summary.goodput,
            all: Figures::of(point, &counted),
            segments: (0..SEGMENTS.len()).map(segment).collect(),
            cpu,
            misses: Vec::new(),
            flaws,
            late: late(&counted),
        };
        if front == Front::Weir(Limit::FirstTokenWindow) {
            row.misses = row.judge(point);
        }
        row
    }

    /// Goodput over the attainable.
    pub(super) fn share(&self) -> f64 {
        self.goodput / self.attainable.1
    }

    fn judge(&self, point: &Point) -> Vec<String> {
        let bars = point.bars();
        let enterprise = self.segments.first().map_or(0.0, |segment| segment.inside);
        let judged =
            [("goodput", self.share(), bars.goodput), ("enterprise inside", enterprise, bars.enterprise)];
        let missed = judged.into_iter().filter(|(_, is, bar)| is < bar);
        missed.map(|(what, is, bar)| format!("{what} {is:.3} < {bar:.2}")).collect()
    }

    /// What is wrong with it, if anything.
    pub(super) fn complaint(&self) -> Option<String> {
        (!self.misses.is_empty()).then(|| format!("{}: {}", self.name, self.misses.join(", ")))
    }

    /// One line while the others are still to come.
    pub(super) fn line(&self) -> String {
        let (limit, attainable) = self.attainable;
        format!(
            "{}, {}: {:.1}/s inside the objective of {attainable:.1}/s attainable (fixed {limit}): {:.3}{}",
            self.front,
            self.name,
            self.goodput,
            self.share(),
            self.cpu.map_or(String::new(), |cpu| format!("; gateway {:.0} % of a core", cpu * 100.0)),
        )
    }
}

impl Figures {
    fn of(point: &Point, calls: &[&(Call, Life)]) -> Self {
        let share = |matches: &dyn Fn(&(Call, Life)) -> bool, of: usize| {
            calls.iter().filter(|one| matches(one)).count() as f64 / of.max(1) as f64
        };
        let ended = |how| move |(_, life): &(Call, Life)| life.ended.is_some_and(|(_, is)| is == how);
        let kept = calls.iter().filter(|(_, life)| !lost_by_server(&point.scenario, life)).count();
        let mut waits: Vec<Duration> =
            calls.iter().filter_map(|(call, life)| Some(life.first_token? - call.at)).collect();
        waits.sort_unstable();
        Self {
            calls: calls.len(),
            inside: share(&|(call, life)| life.is_good(call, &point.scenario.objective), kept),
            refused: share(&ended(Ending::Refused), calls.len()),
            left: share(&ended(Ending::Left), calls.len()),
            failed: share(&ended(Ending::Failed), calls.len()),
            first_token: [50, 95, 99].map(|percent| percentile(&waits, percent)),
        }
    }

    fn first_token(&self) -> String {
        self.first_token.map(|wait| format!("{:.2}", wait.as_secs_f64())).join("/")
    }
}

/// The tables in Markdown, and under them why calls failed.
pub(super) fn tables(rows: &[Row]) -> String {
    let mut text = String::from(
        "| in front | load | offered/s | attainable/s | inside objective/s | share | simulated | refused | left | failed | first token p50/p95/p99 s | callers late p99 ms | bars |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let Row { front, name, offered, goodput, all, attainable: (limit, attainable), .. } = row;
        let simulated =
            row.simulated.map_or_else(|| "-".to_owned(), |simulated| format!("{:.2}", simulated.share));
        let [refused, left, failed] = [all.refused, all.left, all.failed].map(percent);
        let bars = match (front, row.misses.is_empty()) {
            (Front::Weir(Limit::FirstTokenWindow), true) => "held".to_owned(),
            (Front::Weir(Limit::FirstTokenWindow), false) => format!("MISSED: {}", row.misses.join("; ")),
            _ => "-".to_owned(),
        };
        text += &format!(
            "| {front} | {name} | {offered:.1} | {attainable:.1} at {limit} | {goodput:.1} | {:.2} | {simulated} | \
             {refused} | {left} | {failed} | {} | {} | {bars} |\n",
            row.share(),
            all.first_token(),
            row.late.as_millis(),
        );
    }
    text += "\n| in front | load | segment | calls | inside objective | simulated | refused | first token p50/p95/p99 s |\n\
             |---|---|---|---|---|---|---|---|\n";
    for row in rows {
        for (at, ((segment, _), figures)) in SEGMENTS.iter().zip(&row.segments).enumerate() {
            let simulated = row.simulated.and_then(|simulated| simulated.inside.get(at).copied());
            let simulated =
                simulated.map_or_else(|| "-".to_owned(), |inside| format!("{:.1}%", inside * 100.0));
            let Figures { calls, inside, refused, .. } = figures;
            text += &format!(
                "| {} | {} | {segment} | {calls} | {:.1}% | {simulated} | {} | {} |\n",
                row.front,
                row.name,
                inside * 100.0,
                percent(*refused),
                figures.first_token(),
            );
        }
    }
    for row in rows.iter().filter(|row| !row.flaws.is_empty()) {
        text += &format!("\n{}, {}: failed: {}\n", row.front, row.name, row.flaws.join("; "));
    }
    text
}

fn late(calls: &[&(Call, Life)]) -> Duration {
    let mut late: Vec<Duration> =
        calls.iter().filter_map(|(call, life)| life.started?.checked_sub(call.at)).collect();
    late.sort_unstable();
    percentile(&late, 99)
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(at).copied().unwrap_or_default()
}
