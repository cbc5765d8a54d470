//! What `weir demo` prints, done: each line that it says to try, with the outcome that it promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::fs::{File, read_to_string};
use std::process::Command;
use std::thread;

use support::outcome::{Outcome, of};
use support::weir::{Folder, Weir, command};

/// A command line to try, and the comment above it.
#[derive(Clone)]
struct Step {
    promise: String,
    line: String,
}

/// A running demo and what it says to try.
struct Demo {
    weir: Weir,
    tour: String,
    steps: Vec<Step>,
}

impl Demo {
    fn new() -> Self {
        let files = Folder::new();
        let stdout = files.0.join("stdout");
        let mut command = command();
        command.args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.stdout(File::create(&stdout).unwrap());
        let weir = Weir::start_as_is(command, Some(files));
        let tour = support::eventually("the end of the tour", || {
            read_to_string(&stdout).ok().filter(|text| text.ends_with("logged below.\n"))
        });
        let steps = steps(&tour);
        Self { weir, tour, steps }
    }

    /// Does what the comment with `words` says to try: all its lines, which must succeed.
    fn follow(&self, words: &str) -> Vec<Outcome> {
        let steps: Vec<_> = self.steps.iter().filter(|step| step.promise.contains(words)).collect();
        assert!(!steps.is_empty(), "nothing to try says {words:?}:\n{}", self.tour);
        steps.into_iter().map(perform).collect()
    }
}

/// The steps that a tour has: comments, and below each of them lines that go on after a backslash.
fn steps(tour: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut promise, mut goes_on) = ("", false);
    for line in tour.lines().map(str::trim) {
        if goes_on {
            let step = steps.last_mut().unwrap();
            step.line = format!("{}\n{line}", step.line);
        } else if let Some(comment) = line.strip_prefix("# ") {
            promise = comment;
        } else if line.starts_with("curl ") {
            steps.push(Step { promise: promise.to_owned(), line: line.to_owned() });
        }
        goes_on = line.ends_with('\\');
    }
    steps
}

fn perform(step: &Step) -> Outcome {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(&step.line);
    let outcome = of(shell);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{}\n{}", step.line, outcome.stdout);
    outcome
}

/// The value of a header in what `curl -i` prints.
fn header<'a>(printed: &'a str, name: &str) -> Option<&'a str> {
    printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn the_tour_names_the_real_ports() {
    let demo = Demo::new();
    let Weir { data, admin, .. } = &demo.weir;
    assert!(demo.tour.contains(&format!("http://{data}/v1/")), "{}", demo.tour);
    assert!(demo.tour.contains(&format!("http://{admin}/metrics")), "{}", demo.tour);
    assert_eq!(demo.steps.len(), 6, "{}", demo.tour);
    for pool in ["mini", "full", "vertex"] {
        let line = demo.tour.lines().find(|line| line.trim_start().starts_with(pool)).unwrap();
        let (_, server) = line.split_once("http://").unwrap();
        assert_eq!(support::client::get(server, "/v1/models").status, 200, "{line}");
    }
}

#[test]
fn ten_answers_come_from_6_2_and_2() {
    let demo = Demo::new();
    let step = demo.steps.iter().find(|step| step.promise.contains("6, 2 and 2 of every ten")).unwrap();
    let calls: Vec<_> =
        (0..10).map(|_| step.clone()).map(|step| thread::spawn(move || perform(&step))).collect();
    let mut targets = Vec::new();
    for call in calls {
        let printed = call.join().unwrap().stdout;
        assert!(printed.starts_with("HTTP/1.1 200 OK"), "{printed}");
        targets.push(header(&printed, "x-weir-target").unwrap().to_owned());
        let (_, body) = printed.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(!body["choices"][0]["message"]["content"].as_str().unwrap().is_empty(), "{body}");
    }
    targets.sort();
    let expected =
        [vec!["full/gpt-4o"; 2], vec!["mini/gpt-4o-mini"; 6], vec!["vertex/custom-vertex"; 2]].concat();
    assert_eq!(targets, expected);
}

#[test]
fn every_other_line_does_what_it_says() {
    let demo = Demo::new();

    let stream = &demo.follow("through Anthropic's API")[0].stdout;
    let events: Vec<_> = stream.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(events.first(), Some(&"message_start"), "{stream}");
    assert!(events.iter().filter(|&&event| event == "content_block_delta").count() > 5, "{stream}");
    assert_eq!(events.last(), Some(&"message_stop"), "{stream}");

    assert_eq!(demo.follow("the canary")[0].stdout.trim(), "x-weir-target: full/gpt-4o");

    let cut = &demo.follow("an error event, and no [DONE]")[0].stdout;
    let last = cut.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    let event: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(event["error"]["code"], "upstream_disconnected", "{cut}");
    assert!(!cut.contains("[DONE]"), "{cut}");

    let seen = demo.follow("what operators see");
    let [metrics, routes] = &seen[..] else { panic!("{} lines", seen.len()) };
    let counted = |line: &str| line.starts_with("weir_requests_total{") && line.contains("full/gpt-4o");
    assert!(metrics.stdout.lines().any(counted), "{}", metrics.stdout);
    let routes: serde_json::Value = serde_json::from_str(&routes.stdout).unwrap();
    assert_eq!(routes["routes"][0]["route"], "letter-writer", "{routes}");
    assert_eq!(routes["routes"][0]["targets"].as_array().unwrap().len(), 3, "{routes}");
}

#[test]
fn the_demo_ends_like_any_gateway() {
    let mut demo = Demo::new();
    demo.weir.signal("INT");
    assert_eq!(demo.weir.wait(), 0);
}
