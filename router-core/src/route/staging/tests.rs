use proptest::prelude::*;

use super::*;
use crate::config::load;
use crate::config::weights::divide;

/// A configuration of one route `r` over pools `a`, `b`, … with these weights, and a route `s` over the first two.
fn config(weights: &[&str]) -> Config {
    let pools: Vec<_> =
        names(weights).map(|name| format!("{name}: {{endpoints: [{{url: http://{name}}}]}}")).collect();
    let targets: Vec<_> = names(weights)
        .zip(weights)
        .map(|(name, weight)| format!("{{pool: {name}, weight: {weight}}}"))
        .collect();
    let text = format!(
        "pools: {{{}}}\nroutes: {{r: {{targets: [{}]}}, s: {{targets: [{{pool: a, weight: 0.5}}, {{pool: b, weight: 0.5}}]}}}}",
        pools.join(", "),
        targets.join(", "),
    );
    load(&text, &|_| None).unwrap().config
}

fn names<'a>(weights: &'a [&str]) -> impl Iterator<Item = char> + 'a {
    ('a'..='z').take(weights.len())
}

fn weights(staging: &Staging, route: &str) -> Vec<u32> {
    staging.in_force(route).unwrap().0.iter().map(|one| one.weight).collect()
}

fn staged(staging: &Staging, route: &str) -> Option<Vec<u32>> {
    staging.staged(route).map(|weights| weights.iter().map(|one| one.weight).collect())
}

#[test]
fn nothing_is_in_force_before_it_is_deployed() {
    let mut staging = Staging::new(&config(&["0.6", "0.2", "0.2"]), 1);
    staging.stage("r", "b", 500_000).unwrap();
    assert_eq!(weights(&staging, "r"), [600_000, 200_000, 200_000]);
    assert_eq!(staged(&staging, "r"), Some(vec![375_000, 500_000, 125_000]));
    assert_eq!((staging.revision(), staging.tag().as_str()), (1, "1+1"));
    staging.deploy().unwrap();
    assert_eq!(weights(&staging, "r"), [375_000, 500_000, 125_000]);
    assert_eq!((staged(&staging, "r"), staging.tag().as_str()), (None, "2"));
    assert_eq!(staging.in_force("r").unwrap().1, Origin::RunTime(2));
    assert_eq!(staging.in_force("s").unwrap().1, Origin::File);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let mut staging = Staging::new(&config(&["1", "0", "0"]), 1);
    let told = |refused: Result<(), Refusal>| refused.unwrap_err().to_string();
    assert_eq!(told(staging.stage("q", "a", 1)), r#"there is no route "q"; the routes are r, s"#);
    assert_eq!(told(staging.stage("r", "z", 1)), r#"route "r" has no target "z"; its targets are a, b, c"#);
    assert!(told(staging.stage("r", "a", 1)).contains("give one of b, c a weight instead"));
    assert_eq!(told(staging.deploy()), "nothing is staged");
    assert_eq!(told(staging.discard("r")), "nothing is staged");
    assert!(told(staging.expect("0")).starts_with("stale revision: this was asked of 0, but 1 is current"));
    assert_eq!(staging.rollback(), Err(Refusal::NothingEarlier));
    let mut alone = Staging::new(&config(&["1", "0"]), 1);
    alone.stage("r", "a", 700_000).unwrap();
    assert_eq!(staged(&alone, "r"), Some(vec![700_000, 300_000]), "there is one who can take the rest");
}

#[test]
fn a_route_with_one_target_has_nothing_to_adjust() {
    let text = "pools: {a: {endpoints: [{url: http://a}]}}\nroutes: {r: {targets: [{pool: a}]}}";
    let mut staging = Staging::new(&load(text, &|_| None).unwrap().config, 1);
    assert_eq!(staging.stage("r", "a", 1), Err(Refusal::SingleTarget { route: "r".into() }));
}

#[test]
fn what_is_in_force_anyway_is_not_staged() {
    let mut staging = Staging::new(&config(&["0.6", "0.4"]), 1);
    staging.stage("r", "a", 700_000).unwrap();
    staging.stage("r", "a", 600_000).unwrap();
    assert_eq!(staged(&staging, "r"), None);
    assert_eq!(staging.tag(), "1+2", "somebody who saw the weight staged must not go on from that");
    assert_eq!(staging.deploy(), Err(Refusal::NothingStaged));
}

#[test]
fn rollbacks_walk_back_one_deployment_each() {
    let mut staging = Staging::new(&config(&["0.6", "0.4"]), 1);
    for weight in [700_000, 800_000] {
        staging.stage("r", "a", weight).unwrap();
        staging.deploy().unwrap();
    }
    staging.stage("s", "a", 0).unwrap();
    assert_eq!(staging.rollback(), Ok(2));
    assert_eq!((weights(&staging, "r"), staging.revision()), (vec![700_000, 300_000], 4));
    assert_eq!(staged(&staging, "s"), None);
    assert_eq!(staging.rollback(), Ok(1));
    assert_eq!((weights(&staging, "r"), staging.revision()), (vec![600_000, 400_000], 5));
    assert_eq!(staging.in_force("r").unwrap().1, Origin::File);
    assert_eq!(staging.rollback(), Err(Refusal::NothingEarlier));
}

#[test]
fn a_reload_keeps_what_the_file_did_not_change() {
    let mut staging = Staging::new(&config(&["0.6", "0.4"]), 1);
    staging.stage("r", "a", 700_000).unwrap();
    staging.stage("s", "a", 100_000).unwrap();
    staging.deploy().unwrap();
    staging.stage("s", "a", 200_000).unwrap();
    assert_eq!(staging.reload(&config(&["0.6", "0.4"])), Voided::default());
    assert_eq!((weights(&staging, "r"), staging.revision()), (vec![700_000, 300_000], 3));
    assert_eq!(staged(&staging, "s"), Some(vec![200_000, 800_000]));

    let mut config = config(&["0.5", "0.5"]);
    let voided = staging.reload(&config);
    assert_eq!(voided, Voided { deployed: vec!["r".into()], staged: Vec::new() });
    assert_eq!(weights(&staging, "r"), [500_000, 500_000], "the file changed that very key");
    assert_eq!(weights(&staging, "s"), [100_000, 900_000], "and not this one");
    staging.overlay(&mut config);
    assert_eq!((config.routes[0].targets[0].weight, config.routes[1].targets[0].weight), (500_000, 100_000));

    assert_eq!(staging.rollback(), Ok(1));
    assert_eq!(
        weights(&staging, "r"),
        [500_000, 500_000],
        "nothing brings back what was made for another file"
    );
    assert_eq!(weights(&staging, "s"), [500_000, 500_000]);
    staging.overlay(&mut config);
    let (r, s) = (&config.routes[0], &config.routes[1]);
    assert_eq!((r.targets[0].weight, s.targets[0].weight), (500_000, 500_000), "not those of before");
}

#[test]
fn a_rollback_passes_over_what_a_new_file_has_undone() {
    let mut staging = Staging::new(&config(&["0.6", "0.4"]), 1);
    staging.stage("r", "a", 700_000).unwrap();
    staging.deploy().unwrap();
    staging.reload(&config(&["0.7", "0.3"]));
    assert_eq!(staging.in_force("r").unwrap().1, Origin::File);
    assert_eq!(staging.rollback(), Err(Refusal::NothingEarlier));
}

#[test]
fn staged_weights_give_way_to_a_file_that_changes_theirs() {
    let mut staging = Staging::new(&config(&["0.6", "0.4"]), 1);
    staging.stage("r", "a", 700_000).unwrap();
    let voided = staging.reload(&config(&["0.4", "0.6"]));
    assert_eq!(voided, Voided { deployed: Vec::new(), staged: vec!["r".into()] });
    assert_eq!(staging.tag(), "2");
}

#[test]
fn all_weights_of_a_route_can_be_staged_as_they_were() {
    let mut staging = Staging::new(&config(&["0.6", "0.4"]), 1);
    let given =
        |a, b| [("b", b), ("a", a)].map(|(label, weight)| TargetWeight { label: label.into(), weight });
    assert_eq!(staging.stage_all("r", &given(1, 2)), Err(Refusal::Sum { route: "r".into() }));
    staging.stage_all("r", &given(123_456, 876_544)).unwrap();
    assert_eq!(staged(&staging, "r"), Some(vec![123_456, 876_544]));
    staging.discard("r").unwrap();
    assert_eq!((staged(&staging, "r"), staging.tag().as_str()), (None, "1+2"));
}

proptest! {
    /// Whatever is staged: it is exact, the sum is exact, the others keep their order and nobody with more gets less.
    #[test]
    fn rescaling_is_exact_and_keeps_the_order(
        parts in prop::collection::vec(0..=1_000_000_u64, 2..12),
        index in any::<prop::sample::Index>(),
        weight in 0..=WEIGHT_SUM,
    ) {
        prop_assume!(parts.iter().any(|&part| part > 0));
        let before = divide(WEIGHT_SUM, &parts);
        let index = index.index(before.len());
        let Some(after) = rescaled(&before, index, weight) else {
            prop_assert!(before[index] == WEIGHT_SUM && before.len() > 2 && weight < WEIGHT_SUM);
            return Ok(());
        };
        prop_assert_eq!(after[index], weight);
        prop_assert_eq!(after.iter().sum::<u32>(), WEIGHT_SUM);
        for one in (0..before.len()).filter(|one| *one != index) {
            for other in (0..before.len()).filter(|other| *other != index) {
                // One millionth may be left over for the earlier of two.
                prop_assert!(before[one] >= before[other] || after[one] <= after[other] + 1);
                prop_assert!(before[one] != before[other] || one > other || after[one] >= after[other]);
            }
        }
    }

    /// Whatever was done before, a rollback of a deployment restores what was in force before it.
    #[test]
    fn a_rollback_undoes_a_deployment(edits in prop::collection::vec((0..3_usize, 0..=WEIGHT_SUM), 1..8)) {
        let mut staging = Staging::new(&config(&["0.6", "0.3", "0.1"]), 1);
        for (target, weight) in edits {
            // What is refused changes nothing.
            staging.stage("r", ["a", "b", "c"][target], weight).unwrap_or_default();
            let before = weights(&staging, "r");
            if staging.deploy().is_ok() {
                let mut back = staging.clone();
                back.rollback().unwrap();
                prop_assert_eq!(weights(&back, "r"), before);
                prop_assert_eq!(back.revision(), staging.revision() + 1);
            }
        }
    }
}
