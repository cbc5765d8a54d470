//! Overload control against the engine of modelsim, in simulated time: every file in `scenarios` comes out as it
//! says, in the mean of three sets of callers.
//! `OVERLOAD_SEEDS=5 cargo test -p loadtest --test overload_sim -- --nocapture` tries more of them, and with
//! `OVERLOAD_SEED=1` others: those that constants may be tuned on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]
#![expect(clippy::print_stdout, reason = "the table is what one runs it for")]

use loadtest::overload::sim::{Line, Scenario, judge};
use std::path::Path;

/// Callers that no constant was tuned on: the first set.
const SEED: u64 = 4001;
/// Two minutes of one set differ from two minutes of another by as much as a change for the worse costs.
const SEEDS: u64 = 3;

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name).with_extension("yaml");
    let scenario = Scenario::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let seeds = std::env::var("OVERLOAD_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let first = std::env::var("OVERLOAD_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let sets: Vec<Vec<Line>> = (first..first + seeds).map(|seed| judge(&scenario, seed)).collect();
    let same = |at: usize| sets.iter().map(|set| set[at].clone()).collect::<Vec<_>>();
    let means: Vec<Line> = (0..sets[0].len()).filter_map(|at| Line::mean(&same(at))).collect();
    let table: String = means.iter().map(|line| format!("{line}\n")).collect();
    println!("\n{name}: {}\n{}\n{table}", scenario.about, Line::HEAD);
    assert!(means.iter().all(|line| line.misses.is_empty()), "{name} misses what it promises");
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        #[test]
        fn every_scenario_file_is_tried() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
            let mut files: Vec<String> = std::fs::read_dir(folder).unwrap()
                .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            files.sort();
            let mut tried = vec![$(stringify!($name)),*];
            tried.sort_unstable();
            assert_eq!(files, tried);
        }
    };
}

scenarios!(
    bursts,
    capacity_step,
    eight_slots,
    falling_first_token,
    flash,
    hard_cap,
    long_prompts,
    longer_answers,
    many_replicas,
    mixed_prompts,
    no_queue_first_token_10s,
    no_queue_first_token_1s5,
    no_queue_hopeless_objective,
    no_queue_thousand,
    no_queue_wide_spread,
    rising_first_token,
    server_a,
    server_b,
    server_c,
    slow_first_token,
    some_long_prompts
);
