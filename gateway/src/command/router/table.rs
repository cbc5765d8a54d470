//! Routes as a terminal shows them.

use std::fmt::Write as _;

use router_core::config::render_weight;
use serde_json::Value;

use super::fleet::{Fleet, Replica};
use super::state::{RouteState, State, TargetState};

const HEAD: [&str; 11] = [
    "TARGET", "WEIGHT", "STAGED", "SHARE", "CALLS", "INFLIGHT", "LIMIT", "P50 MS", "P95 MS", "ERRORS",
    "STATE",
];
/// What is not known.
const NONE: &str = "-";

/// Every route of every replica.
pub(super) fn status(fleet: &Fleet) -> String {
    let mut out = String::new();
    for Replica { admin, state } in &fleet.replicas {
        // Writing to a string cannot fail.
        write!(out, "{}: revision {}", admin.name, state.revision).unwrap_or_default();
        if let Some(earlier) = &state.rollback {
            write!(out, "; a rollback restores the weights of revision {}", earlier.revision)
                .unwrap_or_default();
        }
        out.push('\n');
        for route in &state.routes {
            writeln!(out, "\nroute {} ({})", route.route, route.origin()).unwrap_or_default();
            let rows = route.targets.iter().map(row);
            out += &columns(&[HEAD.map(str::to_owned)].into_iter().chain(rows).collect::<Vec<_>>());
        }
        out.push('\n');
    }
    out += "SHARE, CALLS, P50, P95 (to the first token) and ERRORS are of the last minute; SHARE since the weights were set.\n";
    out
}

/// Where something is changed, if that is several.
pub(super) fn on(fleet: &Fleet) -> String {
    match fleet.replicas.len() {
        1 => String::new(),
        count => format!("on all {count}:\n"),
    }
}

/// What a change does to the weights that `of` looks at, for each route that it changes.
pub(super) fn change(
    before: &State,
    after: &State,
    of: impl Fn(&RouteState) -> Vec<(String, u32)>,
) -> String {
    let mut out = String::new();
    for after in &after.routes {
        let Some(before) = before.route(&after.route).map(&of) else { continue };
        let after_weights = of(after);
        if before == after_weights {
            continue;
        }
        writeln!(out, "route {}", after.route).unwrap_or_default();
        let mut rows = vec![["TARGET", "BEFORE", "AFTER"].map(str::to_owned)];
        for ((target, was), (_, is)) in before.into_iter().zip(after_weights) {
            rows.push([target, render_weight(was), render_weight(is)]);
        }
        out += &columns(&rows);
    }
    out
}

fn row(target: &TargetState) -> [String; HEAD.len()] {
    let more = |key: &str| match target.more.get(key) {
        Some(Value::Null) | None => NONE.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let skewed = target.more.get("skewed") == Some(&Value::Bool(true));
    let mark = if skewed { " skewed" } else { "" };
    [
        target.target.clone(),
        target.weight.to_string(),
        target.staged_weight.map_or_else(|| NONE.to_owned(), |weight| weight.to_string()),
        more("observed_share") + mark,
        more("calls"),
        more("inflight"),
        more("concurrency_limit"),
        more("first_token_p50_ms"),
        more("first_token_p95_ms"),
        more("error_ratio"),
        more("state"),
    ]
}

/// Cells in columns as wide as their widest.
pub(in crate::command) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            write!(line, "  {cell:<width$}", width = width(column)).unwrap_or_default();
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}
