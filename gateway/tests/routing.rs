//! Calls are shared out by canary rule and weight, and within a pool by how busy its endpoints are.

#![expect(clippy::expect_used, reason = "a test that cannot go on should fail")]

mod support;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::client::{Connection, post, request};
use support::config::{ASK, one_pool};
use support::refusal::{ANTHROPIC, OPENAI};
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, completion};
use support::weir::Weir;
use support::{eventually, pause};

/// The three targets of the file that everybody starts from, with a canary.
fn letter_writer(upstreams: &[Upstream; 3], more: &str) -> String {
    let [mini, full, vertex] = upstreams;
    format!(
        "pools:\n  mini: {{ endpoints: [{{ url: \"{}\" }}] }}\n  full: {{ endpoints: [{{ url: \"{}\" }}]{more} }}\n  \
         vertex: {{ endpoints: [{{ url: \"{}\" }}] }}\nroutes:\n  letter-writer:\n    targets:\n      \
         - {{ pool: mini, model: gpt-4o-mini, weight: 0.6 }}\n      - {{ pool: full, model: gpt-4o, weight: 0.2 }}\n      \
         - {{ pool: vertex, model: custom-vertex, weight: 0.2 }}\n    canary:\n      \
         - {{ header: x-api-version, equals: v2, target: full/gpt-4o }}\n",
        mini.url(),
        full.url(),
        vertex.url()
    )
}

/// Who answers `count` calls in a row on one connection.
fn targets(weir: &Weir, path: &str, headers: &[(&str, &str)], count: usize) -> Vec<String> {
    let mut connection = Connection::to(&weir.data);
    let call = |_| {
        connection.send(request("POST", path, headers, br#"{"model":"letter-writer"}"#));
        let answer = connection.answer();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("x-weir-target").expect("an answer from an upstream names its target").to_owned()
    };
    (0..count).map(call).collect()
}

fn counts(targets: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for target in targets {
        *counts.entry(target.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn every_ten_calls_in_a_row_are_shared_six_two_two() {
    let upstreams = [Upstream::new(), Upstream::new(), Upstream::new()];
    let weir = Weir::configured(&letter_writer(&upstreams, ""));
    let targets = targets(&weir, OPENAI, &[], 100);
    let due = HashMap::from([("mini/gpt-4o-mini", 6), ("full/gpt-4o", 2), ("vertex/custom-vertex", 2)]);
    for ten in targets.windows(10) {
        assert_eq!(counts(ten), due, "{ten:?}");
    }
    for three in targets.windows(3) {
        assert!(
            three.iter().any(|target| target != "mini/gpt-4o-mini"),
            "the heavy target's turns are bunched"
        );
    }
    for (upstream, (count, model)) in
        upstreams.iter().zip([(60, "gpt-4o-mini"), (20, "gpt-4o"), (20, "custom-vertex")])
    {
        let got = upstream.got();
        assert_eq!(got.len(), count, "{model}");
        assert!(got.iter().all(|got| got.body == format!(r#"{{"model":"{model}"}}"#).as_bytes()), "{model}");
    }
}

#[test]
fn shares_are_as_exact_over_many_connections() {
    let upstreams = [Upstream::new(), Upstream::new(), Upstream::new()];
    let weir = Weir::configured(&letter_writer(&upstreams, ""));
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| targets(&weir, OPENAI, &[], 20));
        }
    });
    assert_eq!(upstreams.each_ref().map(|upstream| upstream.got().len()), [120, 40, 40]);
}

#[test]
fn a_canary_header_comes_before_the_weights_and_takes_no_turn() {
    let upstreams = [Upstream::new(), Upstream::new(), Upstream::new()];
    let weir = Weir::configured(&letter_writer(&upstreams, ""));
    let before = targets(&weir, OPENAI, &[], 10);
    assert_eq!(
        counts(&targets(&weir, OPENAI, &[("X-Api-Version", "v2")], 7)),
        HashMap::from([("full/gpt-4o", 7)])
    );
    // Another value, or only a part of it, is no match.
    let others = [
        targets(&weir, OPENAI, &[("x-api-version", "v1")], 5),
        targets(&weir, OPENAI, &[("x-api-version", "v2 b")], 5),
    ];
    assert_eq!(others.concat(), before);
}

#[test]
fn a_pool_that_does_not_speak_the_callers_api_is_passed_over() {
    let upstreams = [Upstream::new(), Upstream::new(), Upstream::new()];
    let weir = Weir::configured(&letter_writer(&upstreams, ", dialects: [anthropic]"));
    let openai = targets(&weir, OPENAI, &[], 40);
    assert_eq!(counts(&openai), HashMap::from([("mini/gpt-4o-mini", 30), ("vertex/custom-vertex", 10)]));
    // Not even a canary rule sends a call where it would only fail.
    assert_eq!(counts(&targets(&weir, OPENAI, &[("x-api-version", "v2")], 4)).get("full/gpt-4o"), None);
    let anthropic = targets(&weir, ANTHROPIC, &[], 10);
    assert_eq!(counts(&anthropic)["full/gpt-4o"], 2);
    assert!(upstreams[1].got().iter().all(|got| got.line.starts_with("POST /v1/messages ")));
}

#[test]
fn round_robin_takes_each_endpoint_in_turn() {
    let upstreams = [Upstream::new(), Upstream::new(), Upstream::new()];
    let urls = upstreams.each_ref().map(Upstream::url);
    let weir = Weir::configured(&one_pool(&urls, ", balance: round_robin"));
    for round in 1..=10 {
        for _ in &upstreams {
            assert_eq!(post(&weir.data, OPENAI, &[], ASK).status, 200);
        }
        assert_eq!(upstreams.each_ref().map(|upstream| upstream.got().len()), [round; 3]);
    }
}

#[test]
fn the_less_busy_endpoint_is_preferred() {
    let released = Arc::new(AtomicBool::new(false));
    let upstreams: [Upstream; 2] = std::array::from_fn(|_| {
        let released = released.clone();
        Upstream::with(move |got, socket| {
            if got.header("x-hold").is_none() {
                return socket.write_all(&completion()).is_ok();
            }
            socket.write_all(SSE_HEAD).unwrap_or_default();
            while !released.load(Ordering::SeqCst) {
                pause(std::time::Duration::from_millis(1));
            }
            socket.write_all(LAST_CHUNK).is_ok()
        })
    });
    let weir = Weir::configured(&one_pool(&upstreams.each_ref().map(Upstream::url), ""));
    let mut held = Connection::to(&weir.data);
    held.send(request("POST", OPENAI, &[("x-hold", "1")], ASK.as_bytes()));
    assert_eq!(held.head().status, 200);
    let [busy, idle] = if upstreams[0].got().is_empty() { [1, 0] } else { [0, 1] };
    let mut connection = Connection::to(&weir.data);
    for _ in 0..30 {
        connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
        assert_eq!(connection.answer().status, 200);
        eventually("the place given back", || (weir.inflight() == 1).then_some(()));
    }
    assert_eq!((upstreams[busy].got().len(), upstreams[idle].got().len()), (1, 30));

    released.store(true, Ordering::SeqCst);
    eventually("the held place given back", || (weir.inflight() == 0).then_some(()));
    for _ in 0..60 {
        connection.send(request("POST", OPENAI, &[], ASK.as_bytes()));
        assert_eq!(connection.answer().status, 200);
    }
    // A fair coin that shows one side sixty times in a row is none.
    assert!(upstreams[busy].got().len() > 1, "an endpoint that is idle again gets calls again");
}

/// A target that never takes part in a dialect's turns must not lose its own by them.
#[test]
fn the_shares_of_one_api_do_not_depend_on_the_calls_of_another() {
    let upstreams = [Upstream::new(), Upstream::new(), Upstream::new()];
    let [a, b, c] = &upstreams;
    let weir = Weir::configured(&format!(
        "pools:\n  a: {{ endpoints: [{{ url: \"{}\" }}], dialects: [openai] }}\n  \
         b: {{ endpoints: [{{ url: \"{}\" }}], dialects: [openai] }}\n  c: {{ endpoints: [{{ url: \"{}\" }}] }}\n\
         routes:\n  letter-writer:\n    targets:\n      - {{ pool: a, weight: 0.2 }}\n      \
         - {{ pool: b, weight: 0.2 }}\n      - {{ pool: c, weight: 0.6 }}\n",
        a.url(),
        b.url(),
        c.url()
    ));
    let mut turns = Vec::new();
    for _ in 0..50 {
        turns.extend(targets(&weir, OPENAI, &[], 1));
        assert_eq!(targets(&weir, ANTHROPIC, &[], 1), ["c"]);
    }
    assert_eq!(counts(&turns), HashMap::from([("a", 10), ("b", 10), ("c", 30)]));
}
