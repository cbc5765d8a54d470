//! README's tour is true: every command that it shows is run against the demo, and prints what it shows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::process::Command;

use support::eventually;
use support::weir::{Weir, command};

/// A command and the lines that it should print, `…` standing for anything.
struct Step {
    command: String,
    lines: Vec<String>,
}

#[test]
fn the_tour_prints_what_the_readme_shows() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let steps = steps(&readme);
    assert!(steps.len() >= 6, "the tour is gone");
    let mut demo = command();
    demo.arg("demo");
    let weir = Weir::start(demo, None);
    for step in &steps {
        let command =
            step.command.replace("127.0.0.1:8080", &weir.data).replace("127.0.0.1:9901", &weir.admin);
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        let same = printed.len() == step.lines.len()
            && step.lines.iter().zip(&printed).all(|(shown, printed)| matches(shown, printed));
        assert!(same, "{}\nprints\n{}\nnot\n{}", step.command, printed.join("\n"), step.lines.join("\n"));
    }
    let shown = readme.lines().find(|line| line.starts_with("{\"ts\":")).unwrap();
    let logged = eventually("the log line of a call", || {
        let log = weir.log();
        log.lines().find(|line| line.contains("\"prompt_tokens\"")).map(str::to_owned)
    });
    assert_eq!(names(shown), names(&logged), "the tour's log line has other fields than a call's");
}

/// The `console` blocks: a line that begins with `$ ` is a command, what follows is its output.
fn steps(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            steps.push(Step { command: command.to_owned(), lines: Vec::new() });
        } else if let (true, Some(step)) = (inside, steps.last_mut()) {
            step.lines.push(line.to_owned());
        }
    }
    steps
}

/// Whether a printed line is the shown one, up to what `…` stands for.
fn matches(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut open = false;
    for part in parts {
        open = part.is_empty();
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    open || rest.is_empty()
}

/// The fields of a JSON line.
fn names(line: &str) -> Vec<String> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
    fields.keys().cloned().collect()
}
