//! What holds for any text, however wrong.

use proptest::prelude::*;

use crate::config::{Problem, WEIGHT_SUM, load};

const EXAMPLE: &str = include_str!("../../../../config/weir.yaml");
/// Pieces that mean something to YAML or to the checker.
const PIECES: [&str; 24] = [
    "{", "}", "[", "]", ":", ": ", "- ", "\n", "  ", "#", "&a ", "*a", "!x ", "!!str ", "? ", "'", "\"",
    "|\n", "${", "${X:-y}", "weight", "~", "\u{feff}", "\t",
];

/// Checks what every result has in common.
fn judge(text: &str) {
    let env = |name: &str| (name == "X").then(|| "x: [y".to_owned());
    match load(text, &env) {
        Ok(loaded) => {
            for route in &loaded.config.routes {
                let sum: u32 = route.targets.iter().map(|target| target.weight).sum();
                assert_eq!(sum, WEIGHT_SUM, "{text}");
                assert!(route.targets.iter().all(|target| target.pool < loaded.config.pools.len()), "{text}");
                assert!(route.canary.iter().all(|rule| rule.target < route.targets.len()), "{text}");
            }
            let config = &loaded.config;
            assert!(!config.routes.is_empty() || !config.passthrough.is_empty(), "{text}");
            assert!(config.passthrough.iter().all(|one| one.pool < config.pools.len()), "{text}");
            assert!(!config.listen.is_empty(), "{text}");
            assert!(loaded.config.pools.iter().all(|pool| !pool.endpoints.is_empty()), "{text}");
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "{text}");
            let position = |problem: &Problem| (problem.line, problem.column);
            assert!(problems.is_sorted_by_key(position), "{text}");
            assert!(problems.windows(2).all(|pair| pair[0] != pair[1]), "{text}");
            assert!(problems.iter().all(|problem| problem.line > 0 && problem.column > 0), "{text}");
            let printed = problems.iter().map(ToString::to_string);
            assert!(printed.into_iter().all(|line| !line.chars().any(char::is_control)), "{text}");
        }
    }
}

/// A change to a text: at a place, so many characters are replaced by a piece.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, String)>> {
    let piece = prop_oneof![
        prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        Just(String::new()),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize, piece), 1..8)
}

proptest! {
    #[test]
    fn any_text_is_judged_without_panic(text in any::<String>()) {
        judge(&text);
    }

    #[test]
    fn any_pieces_of_yaml_are_judged_without_panic(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..60)) {
        judge(&pieces.concat());
    }

    #[test]
    fn a_changed_example_is_judged_without_panic(changes in changes()) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (place, length, piece) in changes {
            let start = place.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        judge(&text.into_iter().collect::<String>());
    }

    #[test]
    fn a_cut_example_is_judged_without_panic(place in any::<prop::sample::Index>()) {
        let text: String = EXAMPLE.chars().take(place.index(EXAMPLE.chars().count())).collect();
        judge(&text);
    }
}
