//! Who waits, who is served next, and who hears at once that it will not be: in front of an upstream that answers
//! when the test lets it.

mod support;

use support::client::{Connection, get, post, request};
use support::config::{ASK, ASK_STREAM};
use support::eventually;
use support::held::{Held, ask, ask_at, nothing_left, one_at_a_time, stands, topic, trusting};
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI, assert_refused, assert_shed};
use support::weir::{Folder, Weir};

const BATCH: &[(&str, &str)] = &[("x-weir-priority", "batch")];
const PATHS: [&str; 3] = [OPENAI, ANTHROPIC, "/chain/invoke"];

/// An upstream that holds its answers behind one place, further keys of pool and route, and of the file.
fn start(pool: &str, route: &str, file: &str) -> (Held, Weir, Folder) {
    let held = Held::new();
    let (weir, files) = trusting(&one_at_a_time(&held.url(), pool, route, file));
    (held, weir, files)
}

/// A call of this name and segment.
fn of(weir: &Weir, segment: &str, name: &str) -> Connection {
    ask(weir, name, &[("x-weir-segment", segment)], ASK)
}

/// Lets all go and asserts that all are served, in this order.
fn assert_served(weir: &Weir, held: &Held, calls: &mut [Connection], order: &[&str]) {
    held.let_go(calls.len());
    for call in calls {
        let answer = call.answer();
        assert!(answer.status == 200 && answer.whole, "{answer:?}");
    }
    assert_eq!(held.names(), order);
    nothing_left(weir);
}

fn shed(weir: &Weir, route: &str, reason: &str) -> f64 {
    weir.metric(&format!("weir_shed_total{{reason=\"{reason}\",route=\"{route}\",segment=\"default\"}}"))
}

#[test]
fn calls_wait_their_turn_and_are_served_in_order() {
    let (held, weir, _files) = start("", "", "");
    let mut calls = Vec::new();
    for (waiting, name) in ["one", "two", "three", "four"].into_iter().enumerate() {
        calls.push(ask(&weir, name, &[], if waiting == 2 { ASK_STREAM } else { ASK }));
        stands(&weir, waiting as u64, 1);
    }
    assert_eq!(held.names(), ["one"], "one at a time");
    assert_served(&weir, &held, &mut calls, &["one", "two", "three", "four"]);
    let labels = "{route=\"m\",segment=\"default\"}";
    assert!((weir.metric(&format!("weir_queue_wait_seconds_count{labels}")) - 3.0).abs() < 0.1);
    let admitted = "weir_admission_total{outcome=\"admitted\",route=\"m\",segment=\"default\"}";
    assert!((weir.metric(admitted) - 4.0).abs() < 0.1);
    assert!(weir.call_line("four")["queue_ms"].as_u64().unwrap() > 0);
}

#[test]
fn who_has_waited_as_long_as_any_call_may_is_refused_and_its_connection_goes_on() {
    let passthrough = "passthrough: [{ prefix: /chain, pool: p }]\n";
    let (held, weir, _files) = start("", ", queue: { wait: 200ms }", passthrough);
    let mut first = ask(&weir, "first", &[], ASK);
    stands(&weir, 0, 1);
    let mut kept = Connection::to(&weir.data);
    for path in DIALECTS {
        for body in [ASK, ASK_STREAM] {
            kept.send(request("POST", path, &[], body.as_bytes()));
            assert_shed(&kept.answer(), path, "deadline_unmeetable", "deadline");
        }
    }
    assert!((shed(&weir, "m", "queue_wait") - 4.0).abs() < 0.1);
    assert_eq!(held.names(), ["first"]);
    held.let_go(2);
    assert_eq!(first.answer().status, 200);
    kept.send(request("POST", OPENAI, &[], ASK.as_bytes()));
    assert_eq!(kept.answer().status, 200);
    nothing_left(&weir);
}

#[test]
fn where_nothing_may_wait_a_call_is_served_or_refused() {
    let (held, weir, _files) = start("", ", queue: { wait: 0s }", "");
    for _ in 0..3 {
        let mut call = ask(&weir, "served", &[], ASK);
        stands(&weir, 0, 1);
        let refused = post(&weir.data, OPENAI, &[], ASK);
        assert_shed(&refused, OPENAI, "deadline_unmeetable", "deadline");
        held.let_go(1);
        assert_eq!(call.answer().status, 200);
        nothing_left(&weir);
    }
    assert_eq!(held.names(), ["served"; 3]);
}

#[test]
fn a_full_queue_takes_no_more() {
    // Some 260 tokens each, most of them of the answer that is expected.
    for bound in ["requests: 1", "tokens: 400"] {
        let (held, weir, _files) = start("", &format!(", queue: {{ {bound} }}"), "");
        let mut calls = vec![ask(&weir, "first", &[], ASK)];
        stands(&weir, 0, 1);
        calls.push(ask(&weir, "second", &[], ASK));
        stands(&weir, 1, 1);
        for path in DIALECTS {
            assert_shed(&post(&weir.data, path, &[], ASK), path, "queue_full", "queue-full");
        }
        assert!((shed(&weir, "m", "queue_full") - 2.0).abs() < 0.1);
        stands(&weir, 1, 1);
        assert_served(&weir, &held, &mut calls, &["first", "second"]);
    }
    let (held, weir, _files) = start("", ", queue: { requests: 0 }", "");
    let mut calls = [ask(&weir, "first", &[], ASK)];
    stands(&weir, 0, 1);
    assert_shed(&post(&weir.data, OPENAI, &[], ASK), OPENAI, "queue_full", "queue-full");
    assert_served(&weir, &held, &mut calls, &["first"]);
}

#[test]
fn a_better_call_takes_the_place_of_a_lesser_one_in_a_full_queue() {
    let segments = "segments: { gold: { share: 5 }, free: { share: 1 } }\nanonymous: free\n";
    for path in DIALECTS {
        let (held, weir, _files) = start("", ", queue: { requests: 1 }", segments);
        let mut first = of(&weir, "free", "first");
        stands(&weir, 0, 1);
        let mut lesser = ask_at(&weir, path, "lesser", &[], ASK);
        stands(&weir, 1, 1);
        let mut better = of(&weir, "gold", "better");
        assert_shed(&lesser.answer(), path, "displaced", "displaced");
        stands(&weir, 1, 1);
        // The other way round nobody gives way, nor to one's equals.
        for segment in ["free", "gold"] {
            let answer = post(&weir.data, path, &[("x-weir-segment", segment)], ASK);
            assert_shed(&answer, path, "queue_full", "queue-full");
        }
        held.let_go(2);
        assert_eq!((first.answer().status, better.answer().status), (200, 200));
        assert_eq!(held.names(), ["first", "better"]);
        nothing_left(&weir);
    }
}

#[test]
fn a_deadline_that_cannot_be_met_is_refused_on_arrival() {
    let (held, weir, _files) = start("", "", "passthrough: [{ prefix: /chain, pool: p }]\n");
    let mut calls: Vec<_> = (0..20).map(|_| ask(&weir, "patient", &[], ASK)).collect();
    stands(&weir, 19, 1);
    // The pace of starts is known once nothing has moved for a while.
    eventually("a slow pace", || (topic(&weir, "m")["totals"]["drain_ms"].as_u64()? > 15_000).then_some(()));
    let deadlines =
        [("x-weir-deadline-ms", "5000"), ("x-stainless-timeout", "5"), ("x-stainless-read-timeout", "5.5")];
    for (name, value) in deadlines {
        for path in PATHS {
            for body in [ASK, ASK_STREAM] {
                let answer = post(&weir.data, path, &[(name, value)], body);
                assert_shed(&answer, path, "deadline_unmeetable", "deadline");
            }
        }
    }
    assert!((shed(&weir, "m", "would_miss") - 12.0).abs() < 0.1);
    assert!((shed(&weir, "passthrough:/chain", "would_miss") - 6.0).abs() < 0.1);
    assert_eq!(topic(&weir, "m")["partitions"][0]["log_end_offset"], 20, "none of them was ever in line");
    let names: Vec<_> = (0..20).map(|_| "patient").collect();
    assert_served(&weir, &held, &mut calls, &names);
}

#[test]
fn a_deadline_that_passes_in_line_ends_the_wait() {
    let (held, weir, _files) = start("", "", "");
    let mut calls = [ask(&weir, "first", &[], ASK)];
    stands(&weir, 0, 1);
    let deadlines =
        [("x-weir-deadline-ms", "300"), ("x-stainless-timeout", "0.3"), ("x-stainless-read-timeout", "0.3")];
    for (name, value) in deadlines {
        for path in DIALECTS {
            for body in [ASK, ASK_STREAM] {
                let answer = post(&weir.data, path, &[(name, value)], body);
                assert_shed(&answer, path, "deadline_unmeetable", "deadline");
            }
        }
    }
    assert!((shed(&weir, "m", "expired") - 12.0).abs() < 0.1);
    assert_served(&weir, &held, &mut calls, &["first"]);
}

#[test]
fn deadlines_that_can_be_met_and_what_an_sdk_says_amiss_refuse_nothing() {
    let (held, weir, _files) = start("", "", "");
    let headers = [
        ("x-weir-deadline-ms", "60000"),
        ("x-weir-deadline-ms", "18446744073709551615"),
        ("x-stainless-timeout", "NaN"),
        ("x-stainless-timeout", "-1"),
        ("x-stainless-read-timeout", "600"),
        ("x-stainless-read-timeout", "None"),
    ];
    let mut calls = Vec::new();
    for (waiting, header) in headers.into_iter().enumerate() {
        calls.push(ask(&weir, "one", &[header], ASK));
        stands(&weir, waiting as u64, 1);
    }
    assert_served(&weir, &held, &mut calls, &["one"; 6]);
}

#[test]
fn a_deadline_or_priority_that_is_none_is_refused_by_name() {
    let (held, weir, _files) = start("", "", "");
    let cases = [
        ("x-weir-deadline-ms", vec!["abc", "-1", "0", "1.5", "99999999999999999999999999"]),
        ("x-weir-priority", vec!["high", "REALTIME", "batch, realtime"]),
    ];
    for path in DIALECTS {
        for (name, values) in &cases {
            for value in values {
                let answer = post(&weir.data, path, &[(name, value)], ASK);
                let message = assert_refused(&answer, path, 400, "invalid_header");
                assert!(message.contains(name), "{message}");
                if path == OPENAI {
                    assert_eq!(answer.json()["error"]["param"], *name);
                }
                assert_eq!(answer.header("retry-after"), None);
            }
        }
    }
    assert!(held.names().is_empty());
    nothing_left(&weir);
}

#[test]
fn strict_segments_come_before_all_others_and_shares_share() {
    let segments = "segments: { vip: { order: strict, share: 0.001 }, many: { share: 1000 }, few: {} }
anonymous: few\n";
    let (held, weir, _files) = start("", "", segments);
    let mut calls = Vec::new();
    let order = ["few-1", "few-2", "few-3", "many-1", "many-2", "vip-1", "vip-2"];
    for (waiting, name) in order.into_iter().enumerate() {
        calls.push(of(&weir, name.split('-').next().unwrap(), name));
        stands(&weir, waiting as u64, 1);
    }
    let expected = ["few-1", "vip-1", "vip-2", "many-1", "many-2", "few-2", "few-3"];
    assert_served(&weir, &held, &mut calls, &expected);
}

#[test]
fn batch_calls_start_only_while_no_realtime_call_waits() {
    let (held, weir, _files) = start(", batch: { reserve: 0 }", "", "");
    let mut calls = vec![ask(&weir, "first", &[], ASK)];
    stands(&weir, 0, 1);
    for (waiting, name) in ["batch-1", "batch-2", "now-1", "now-2"].into_iter().enumerate() {
        calls.push(ask(&weir, name, if name.starts_with('b') { BATCH } else { &[] }, ASK));
        stands(&weir, waiting as u64 + 1, 1);
    }
    assert_served(&weir, &held, &mut calls, &["first", "now-1", "now-2", "batch-1", "batch-2"]);
}

#[test]
fn batch_calls_get_their_minimum_whoever_waits() {
    let (held, weir, _files) = start(", batch: { minimum: 1 }", "", "");
    let mut calls = vec![ask(&weir, "first", &[], ASK), ask(&weir, "now", &[], ASK)];
    stands(&weir, 1, 1);
    calls.push(ask(&weir, "batch", BATCH, ASK));
    stands(&weir, 2, 1);
    held.let_go(1);
    eventually("the second", || held.names().get(1).map(|name| assert_eq!(name, "batch")));
    held.let_go(2);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    nothing_left(&weir);
}

#[test]
fn batch_calls_leave_the_reserve_free() {
    let held = Held::new();
    let config =
        one_at_a_time(&held.url(), ", batch: { reserve: 0.5 }", "", "").replace("limit: 1", "limit: 4");
    let (weir, _files) = trusting(&config);
    let mut calls: Vec<_> = (0..4).map(|_| ask(&weir, "batch", BATCH, ASK)).collect();
    stands(&weir, 2, 2);
    calls.extend((0..2).map(|_| ask(&weir, "now", &[], ASK)));
    stands(&weir, 2, 4);
    held.let_go(6);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    nothing_left(&weir);
}

#[test]
fn a_segment_gets_no_more_of_a_pool_than_its_ratio_even_if_others_stand_empty() {
    let held = Held::new();
    let segments = "segments: { burst: { max_inflight_ratio: 0.5 }, other: {} }\nanonymous: other\n";
    let config = one_at_a_time(&held.url(), "", "", segments).replace("limit: 1", "limit: 4");
    let (weir, _files) = trusting(&config);
    let mut calls: Vec<_> = (0..4).map(|_| of(&weir, "burst", "burst")).collect();
    stands(&weir, 2, 2);
    calls.extend((0..3).map(|_| of(&weir, "other", "other")));
    stands(&weir, 3, 4);
    held.let_go(7);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    nothing_left(&weir);
}

#[test]
fn a_bulkhead_bounds_what_is_under_way_and_what_waits() {
    for cap in ["streams: 2", "connections: 2"] {
        let held = Held::new();
        let bulkhead = format!(", bulkhead: {{ {cap}, pending: 1 }}");
        let config = one_at_a_time(&held.url(), &bulkhead, "", "").replace("limit: 1", "limit: 10");
        let (weir, _files) = trusting(&config);
        let mut calls: Vec<_> = (0..2).map(|_| ask(&weir, "one", &[], ASK)).collect();
        stands(&weir, 0, 2);
        calls.push(ask(&weir, "one", &[], ASK));
        stands(&weir, 1, 2);
        for path in DIALECTS {
            assert_shed(&post(&weir.data, path, &[], ASK), path, "queue_full", "queue-full");
        }
        assert!((shed(&weir, "m", "bulkhead") - 2.0).abs() < 0.1);
        assert_served(&weir, &held, &mut calls, &["one"; 3]);
    }
    let (held, weir, _files) = start(", bulkhead: { pending: 0 }", "", "");
    let mut calls = [ask(&weir, "first", &[], ASK)];
    stands(&weir, 0, 1);
    assert_shed(&post(&weir.data, OPENAI, &[], ASK), OPENAI, "queue_full", "queue-full");
    assert_served(&weir, &held, &mut calls, &["first"]);
}

/// A route with a half of its weight at each of two upstreams of one place.
fn halves(when_full: &str) -> ([Held; 2], Weir, Folder) {
    let held = [Held::new(), Held::new()];
    let pool = |held: &Held| {
        format!(
            "{{ endpoints: [{{ url: \"{}\" }}], concurrency: {{ algorithm: fixed, limit: 1 }} }}",
            held.url()
        )
    };
    let targets = "[{ pool: a, weight: 0.5 }, { pool: b, weight: 0.5 }]";
    let (weir, files) = trusting(&format!(
        "pools: {{ a: {}, b: {} }}\nroutes: {{ m: {{ when_full: {when_full}, targets: {targets} }} }}\n",
        pool(&held[0]),
        pool(&held[1])
    ));
    (held, weir, files)
}

#[test]
fn a_call_spills_to_the_target_that_has_room() {
    let ([a, b], weir, _files) = halves("spill");
    let mut calls: Vec<_> = (0..4).map(|_| ask(&weir, "one", &[], ASK)).collect();
    stands(&weir, 2, 2);
    b.let_go(3);
    eventually("three calls at b", || (b.names().len() == 3).then_some(()));
    a.let_go(1);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    assert_eq!((a.names().len(), b.names().len()), (1, 3));
    nothing_left(&weir);
}

#[test]
fn a_call_waits_for_its_own_target_if_weights_are_to_hold() {
    let ([a, b], weir, _files) = halves("wait");
    let mut calls: Vec<_> = (0..4).map(|_| ask(&weir, "one", &[], ASK)).collect();
    stands(&weir, 2, 2);
    b.let_go(2);
    eventually("two calls at b", || (b.names().len() == 2).then_some(()));
    stands(&weir, 1, 1);
    assert_eq!(a.names().len(), 1, "who waits for a does not go to b, which has nothing to do");
    a.let_go(2);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    assert_eq!((a.names().len(), b.names().len()), (2, 2));
    nothing_left(&weir);
}

#[test]
fn an_objective_ends_the_wait_of_its_own_segment_only() {
    let segments = "segments: { gold: { objective: { first_token: 300ms } }, free: {} }\nanonymous: free\n";
    let (held, weir, _files) = start("", "", segments);
    let mut calls = vec![of(&weir, "free", "first")];
    stands(&weir, 0, 1);
    calls.push(of(&weir, "free", "patient"));
    stands(&weir, 1, 1);
    for body in [ASK, ASK_STREAM] {
        let answer = post(&weir.data, OPENAI, &[("x-weir-segment", "gold")], body);
        assert_shed(&answer, OPENAI, "deadline_unmeetable", "deadline");
    }
    stands(&weir, 1, 1);
    assert_served(&weir, &held, &mut calls, &["first", "patient"]);
}

#[test]
fn routes_share_a_pool_first_come_first_served() {
    let held = Held::new();
    let config = one_at_a_time(&held.url(), "", "", "");
    let (weir, _files) = trusting(&config.replace("{ m: {", "{ n: { targets: [{ pool: p }] }, m: {"));
    let to_n = ASK.replace("\"m\"", "\"n\"");
    let mut calls = vec![ask(&weir, "m-1", &[], ASK)];
    stands(&weir, 0, 1);
    for (waiting, name) in ["n-1", "m-2", "n-2"].into_iter().enumerate() {
        calls.push(ask(&weir, name, &[], if name.starts_with('n') { &to_n } else { ASK }));
        let queued = || (weir.metric_sum("weir_queued") > waiting as f64 + 0.5).then_some(());
        eventually("one more in line", queued);
    }
    assert_eq!(topic(&weir, "n")["totals"]["queued"], 2);
    let pool = get(&weir.admin, "/weir/backpressure/pools/p").json();
    assert_eq!((pool["queued"].as_f64(), pool["inflight"].as_u64()), (Some(3.0), Some(1)));
    assert_served(&weir, &held, &mut calls, &["m-1", "n-1", "m-2", "n-2"]);
}
