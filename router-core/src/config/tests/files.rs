//! The files that come with Weir say what its documents promise.

use std::path::PathBuf;

use crate::config::{Config, load};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config")
}

#[expect(clippy::disallowed_methods, reason = "a test may look at the repository's files")]
fn read(path: &PathBuf) -> Config {
    let text = std::fs::read_to_string(path).unwrap();
    let env = |name: &str| (name == "OPENAI_API_KEY").then(|| "a key".to_owned());
    let loaded = load(&text, &env).unwrap_or_else(|problems| panic!("{}: {problems:#?}", path.display()));
    assert_eq!(loaded.warnings, [], "{}", path.display());
    super::schema::assert_takes(&text);
    loaded.config
}

#[test]
fn the_file_that_everybody_starts_from() {
    let config = read(&folder().join("weir.yaml"));
    let [route] = config.routes.as_slice() else { panic!("{:?}", config.routes) };
    assert_eq!(route.name, "letter-writer");
    let targets: Vec<_> = route
        .targets
        .iter()
        .map(|target| {
            (config.target_label(target), target.weight, config.pools[target.pool].endpoints[0].authority())
        })
        .collect();
    let expected = [
        ("mini/gpt-4o-mini", 600_000, "127.0.0.1:9001"),
        ("full/gpt-4o", 200_000, "127.0.0.1:9002"),
        ("vertex/custom-vertex", 200_000, "127.0.0.1:9003"),
    ];
    assert_eq!(targets, expected.map(|(label, weight, at)| (label.to_owned(), weight, at.to_owned())));
    let [rule] = route.canary.as_slice() else { panic!("{:?}", route.canary) };
    assert_eq!((&*rule.header, &*rule.equals, rule.target), ("x-api-version", "v2", 1));
}

/// The first block of the guide in this language.
fn block<'g>(guide: &'g str, language: &str) -> &'g str {
    let (_, rest) = guide.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_guide_shows_the_report_that_weir_prints() {
    let guide = include_str!("../../../../config/README.md");
    let problems = load(block(guide, "yaml"), &|_| None).unwrap_err();
    let report: String = problems.iter().map(|problem| format!("broken.yaml:{problem}\n")).collect();
    assert_eq!(block(guide, "text"), report);
    assert!(problems.len() > 10);
}

#[test]
fn every_example_loads_without_warning() {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        read(&path);
        seen.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    for name in ["canary.yaml", "edge.yaml", "hosted.yaml", "passthrough.yaml"] {
        assert!(seen.iter().any(|seen| seen == name), "{name} is missing: {seen:?}");
    }
}
