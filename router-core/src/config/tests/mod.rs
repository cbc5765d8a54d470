//! What authors of a configuration rely on: every mistake is found in one go, at its place, and nothing else
//! is called a mistake.

mod callers;
mod files;
mod gauges;
mod golden;
mod jwt;
mod operators;
mod overload;
mod passthrough;
mod properties;
mod quota;
mod reference;
mod refusals;
mod render;
mod running;
mod scalars;
mod schema;
mod secrets;
mod structure;
mod tls;
mod upstreams;

use super::{Config, Problem, load};

/// An environment without variables.
fn unset(_: &str) -> Option<String> {
    None
}

/// The problems of `text`, as they are printed.
fn problems(text: &str) -> Vec<String> {
    load(text, &unset).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// The only problem of `text`.
fn problem(text: &str) -> Problem {
    let problems = load(text, &unset).expect_err("the text should be refused");
    let [problem] = problems.as_slice() else { panic!("one problem expected: {problems:#?}") };
    problem.clone()
}

fn loaded(text: &str) -> Config {
    let loaded = load(text, &unset).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
    assert_eq!(loaded.warnings, [], "{text}");
    schema::assert_takes(text);
    loaded.config
}

/// Asserts that this is the only problem, at this place.
fn refused(text: &str, path: &str, message: &str) {
    let found = problem(text);
    assert_eq!(found.path, path, "{text}: {found}");
    assert!(found.to_string().contains(message), "{text}: {found}");
}

/// A file with `extra` lines at the top level and nothing wrong in the rest.
fn with_top(extra: &str) -> String {
    format!(
        "{extra}\npools: {{a: {{endpoints: [{{url: http://h:1}}]}}}}\nroutes: {{r: {{targets: [{{pool: a}}]}}}}\n"
    )
}

/// A file whose only pool has `fields` besides its endpoint.
fn with_pool(fields: &str) -> String {
    format!(
        "pools: {{a: {{endpoints: [{{url: https://h}}], {fields}}}}}\nroutes: {{r: {{targets: [{{pool: a}}]}}}}\n"
    )
}

/// A file whose only endpoint has this URL.
fn with_url(url: &str) -> String {
    format!("pools: {{a: {{endpoints: [{{url: '{url}'}}]}}}}\nroutes: {{r: {{targets: [{{pool: a}}]}}}}\n")
}

/// A file with pools `mini` and `full`, whose only route has these targets and rules.
fn with_route(targets: &str, canary: &str) -> String {
    format!(
        "pools: {{mini: {{endpoints: [{{url: http://h:1}}]}}, full: {{endpoints: [{{url: http://h:2}}]}}}}\n\
         routes: {{r: {{targets: [{targets}], canary: [{canary}]}}}}\n"
    )
}
