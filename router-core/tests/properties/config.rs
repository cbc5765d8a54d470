//! Holds for any text as a configuration file: it is refused with problems that have a place in it, or accepted as
//! something whole that can be written and loaded again. As a file of keys it is refused likewise, or has keys of
//! segments that there are.

use router_core::config::{Config, Problem, WEIGHT_SUM, load, load_keys, to_json};

/// The bytes are the file. What is not UTF-8 never gets here.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    keys(text);
    match load(text, &variable) {
        Ok(loaded) => {
            whole(&loaded.config);
            loads_again(&loaded.config);
            in_place(text, &loaded.warnings);
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "a refusal has a reason");
            in_place(text, &problems);
        }
    }
}

/// The text is a file of keys.
fn keys(text: &str) {
    let config =
        "pools: {p: {endpoints: [{url: http://h}]}}\nroutes: {m: {targets: [{pool: p}]}}\nsegments: {s: {}}";
    let config = load(config, &|_| None).expect("nothing is wrong with it").config;
    let mut segments = Vec::new();
    match load_keys(text, &config, |found| segments.push(found.segment)) {
        Ok(()) => assert!(segments.iter().all(|segment| *segment < config.segments.len())),
        Err(problems) => {
            assert!(!problems.is_empty(), "a refusal has a reason");
            in_place(text, &problems);
        }
    }
}

/// The environment of every input.
fn variable(name: &str) -> Option<String> {
    let value = match name {
        "HOST" => "127.0.0.1",
        "WEIGHT" => "0.25",
        "YAML" => "x: [y",
        "VARIABLE" => "${HOST}",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

/// What the rest of Weir relies on.
fn whole(config: &Config) {
    assert!(!config.listen.is_empty() && !config.routes.is_empty());
    assert!(config.pools.iter().all(|pool| !pool.endpoints.is_empty()));
    for route in &config.routes {
        assert_eq!(route.targets.iter().map(|target| target.weight).sum::<u32>(), WEIGHT_SUM);
        assert!(route.targets.iter().all(|target| target.pool < config.pools.len()));
        assert!(route.canary.iter().all(|rule| rule.target < route.targets.len()));
    }
}

/// What is written of a configuration loads as the same one.
fn loads_again(config: &Config) {
    let written = to_json(config);
    let unset = |_: &str| None;
    let again = |text: &str| load(text, &unset).expect("what is written can be loaded").config;
    let second = again(&written.to_string());
    assert_eq!(to_json(&second), written);
    // Objects are written in alphabetical order, so pools and routes may stand in another one the first time.
    let is_sorted = config.pools.is_sorted_by_key(|pool| &pool.name)
        && config.routes.is_sorted_by_key(|route| &route.name);
    if is_sorted {
        assert_eq!(second, *config);
    }
    assert_eq!(again(&to_json(&second).to_string()), second);
}

/// Problems stand in the file's order, each once, at a place that the file has, and print as one line.
fn in_place(text: &str, problems: &[Problem]) {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(problems.is_sorted_by_key(|problem| (problem.line, problem.column)));
    assert!(problems.windows(2).all(|pair| pair[0] != pair[1]));
    for problem in problems {
        assert!(!problem.to_string().contains(char::is_control), "{problem:?}");
        let line = problem.line.checked_sub(1).and_then(|index| lines.get(index));
        let line = line.unwrap_or_else(|| panic!("no such line: {problem:?}"));
        assert!((1..=line.chars().count() + 1).contains(&problem.column), "no such column: {problem:?}");
    }
}
