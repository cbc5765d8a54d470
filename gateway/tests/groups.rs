//! Routes that share no pool know nothing of each other; a reload that links them loses no call of either.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use support::client::{Connection, chat, get, post, request};
use support::config::ASK;
use support::refusal::OPENAI;
use support::upstream::{Upstream, completion};
use support::weir::{Folder, Weir, command};
use support::{eventually, pause};

/// An upstream that answers once it is told to.
fn held(release: &Arc<AtomicBool>) -> Upstream {
    let release = release.clone();
    Upstream::with(move |_, socket| {
        while !release.load(Ordering::SeqCst) {
            pause(Duration::from_millis(1));
        }
        socket.write_all(&completion()).is_ok()
    })
}

/// Pools `a` and `b` that take one call at a time, before them routes with these targets.
fn config(upstreams: &[Upstream; 2], routes: &str) -> String {
    let pool = |name: &str, upstream: &Upstream| {
        let url = upstream.url();
        format!(
            "{name}: {{ endpoints: [{{ url: \"{url}\" }}], concurrency: {{ algorithm: fixed, limit: 1 }} }}"
        )
    };
    let [a, b] = upstreams;
    format!("pools: {{ {}, {} }}\nroutes: {{ {routes} }}\n", pool("a", a), pool("b", b))
}

const APART: &str = "r: { targets: [{ pool: a }] }, s: { targets: [{ pool: b }] }";
const LINKED: &str = "s: { targets: [{ pool: b }] }, \
                      r: { targets: [{ pool: a, weight: 0.5 }, { pool: b, weight: 0.5 }] }";

fn send(weir: &Weir, route: &str) -> Connection {
    let mut connection = Connection::to(&weir.data);
    let body = ASK.replace(r#""m""#, &format!("{route:?}"));
    connection.send(request("POST", OPENAI, &[], body.as_bytes()));
    connection
}

/// Of each topic: calls under way, and those that wait.
fn standing(weir: &Weir) -> Vec<(String, u64, u64)> {
    let state = get(&weir.admin, "/weir/backpressure").json();
    let number = |topic: &Value, name: &str| topic["totals"][name].as_u64().unwrap();
    let topics = state["topics"].as_array().unwrap().iter();
    topics
        .map(|topic| {
            (topic["topic"].as_str().unwrap().into(), number(topic, "inflight"), number(topic, "queued"))
        })
        .collect()
}

fn stands(weir: &Weir, expected: [(&str, u64, u64); 2]) {
    let expected: Vec<_> =
        expected.map(|(name, inflight, queued)| (name.to_owned(), inflight, queued)).into();
    eventually("calls under way and waiting", || (standing(weir) == expected).then_some(()));
}

#[test]
fn calls_of_both_go_on_when_a_reload_links_them_and_parts_them_again() {
    let release: [Arc<AtomicBool>; 2] = Default::default();
    let upstreams = [held(&release[0]), held(&release[1])];
    let files = Folder::new();
    let path = files.write("weir.yaml", &config(&upstreams, APART));
    let mut command = command();
    command.arg("run").arg("--config").arg(&path);
    let weir = Weir::start(command, None);

    let mut calls = vec![send(&weir, "r"), send(&weir, "s")];
    stands(&weir, [("r", 1, 0), ("s", 1, 0)]);
    calls.extend([send(&weir, "r"), send(&weir, "s"), send(&weir, "s")]);
    stands(&weir, [("r", 1, 1), ("s", 1, 2)]);
    let leaves = calls.pop().unwrap();

    files.write("weir.yaml", &config(&upstreams, LINKED));
    assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    stands(&weir, [("s", 1, 2), ("r", 1, 1)]);
    // Who waited before the reload is still found.
    drop(leaves);
    stands(&weir, [("s", 1, 1), ("r", 1, 1)]);
    let abandoned = "weir_admission_total{outcome=\"abandoned\",route=\"s\",segment=\"default\"}";
    eventually("the count of who left", || (weir.metric(abandoned) > 0.5).then_some(()));
    // A new call may go to either pool by now, and waits as both are full.
    calls.push(send(&weir, "r"));
    stands(&weir, [("s", 1, 1), ("r", 1, 2)]);
    release[1].store(true, Ordering::SeqCst);
    // Pool `a` still has what it had before: the one that waits can only start at `b`.
    stands(&weir, [("s", 0, 0), ("r", 1, 1)]);

    files.write("weir.yaml", &config(&upstreams, APART));
    assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], b"").status, 200);
    stands(&weir, [("r", 1, 1), ("s", 0, 0)]);
    release[0].store(true, Ordering::SeqCst);
    for mut call in calls {
        assert_eq!(call.answer().status, 200);
    }
    stands(&weir, [("r", 0, 0), ("s", 0, 0)]);
    eventually("every place given back", || (weir.inflight() == 0).then_some(()));
    assert_eq!([upstreams[0].got().len(), upstreams[1].got().len()], [2, 3]);
    for route in ["r", "s"] {
        assert_eq!(chat(&weir.data, ASK.replace(r#""m""#, &format!("{route:?}"))).status, 200);
    }
}
