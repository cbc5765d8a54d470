//! What documents the configuration is what the binary says, and the examples pass its check. That the schema
//! takes and refuses what it should is checked in router-core, where it is made.

mod support;

use std::path::{Path, PathBuf};

use support::outcome::{self, weir};
use support::weir::command;

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

fn printed(format: &str) -> String {
    let outcome = weir(&["schema", "--format", format]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    outcome.stdout
}

#[test]
fn the_committed_reference_and_schema_are_not_stale() {
    for (name, format) in [("reference.md", "markdown"), ("schema.json", "json")] {
        let committed = std::fs::read_to_string(config(name)).unwrap_or_default();
        assert!(
            committed == printed(format),
            "config/{name} is out of date; write it anew with\n  cargo run -q -p weir -- schema --format {format} > config/{name}"
        );
    }
}

#[test]
fn the_schema_is_what_is_printed_without_a_word() {
    let plain = weir(&["schema"]);
    assert_eq!((plain.code, plain.stdout), (0, printed("json")));
    let schema: serde_json::Value = serde_json::from_str(&printed("json")).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["limits"]["properties"]["body"]["default"], "32MiB");
}

#[test]
fn the_guide_has_no_second_table_of_the_keys() {
    let guide = std::fs::read_to_string(config("README.md")).unwrap();
    assert!(guide.contains("(reference.md)"), "the guide leads to the reference");
    for line in guide.lines().filter(|line| line.starts_with("| `")) {
        let shown = line.split('`').nth(1).unwrap();
        assert!(!printed("markdown").contains(&format!("| `{shown}` |")), "{shown} is explained twice");
    }
}

#[test]
fn every_example_passes_the_check_and_is_listed() {
    let guide = std::fs::read_to_string(config("README.md")).unwrap();
    let mut examples = vec![config("weir.yaml")];
    for entry in std::fs::read_dir(config("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(guide.contains(&format!("(examples/{name})")), "{name} is not in the guide");
        examples.push(path);
    }
    assert!(examples.len() > 4, "{examples:?}");
    for path in examples {
        let mut command = command();
        command.arg("check").arg(&path).env("OPENAI_API_KEY", "sk-of-nobody");
        let outcome = outcome::of(command);
        assert!(!outcome.stdout.contains("(warning)"), "{}", outcome.stdout);
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    }
}
