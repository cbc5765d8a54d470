//! A configuration that is read again while calls wait: they go on waiting, move to where there is room now, or are
//! told clearly that what they wait for is gone. None is lost.

mod support;

use support::client::{Connection, post};
use support::config::{ASK, ASK_STREAM};
use support::eventually;
use support::held::{Held, ask, ask_at, nothing_left, one_at_a_time, stands, topic, trusting, write};
use support::refusal::{ANTHROPIC, DIALECTS, OPENAI, assert_refused};
use support::weir::{Folder, Weir};

fn reload(weir: &Weir, files: &Folder, config: &str) {
    write(files, config);
    let answer = post(&weir.admin, "/admin/v1/reload", &[], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A Weir with one call under way and two in line.
fn start(config: &str) -> (Weir, Folder, Vec<Connection>) {
    let (weir, files) = trusting(config);
    let mut calls = Vec::new();
    for (waiting, name) in ["one", "two", "three"].into_iter().enumerate() {
        calls.push(ask(&weir, name, &[("x-weir-segment", "default")], ASK_STREAM));
        stands(&weir, waiting as u64, 1);
    }
    (weir, files, calls)
}

fn assert_all_served(weir: &Weir, calls: &mut [Connection]) {
    for call in calls {
        let answer = call.answer();
        assert!(answer.status == 200 && answer.text().ends_with("[DONE]\n\n"), "{answer:?}");
    }
    nothing_left(weir);
    assert!(weir.metric("weir_panics_total") < 0.5);
}

const DEFAULT: &str = "segments: { default: {} }\nanonymous: default\n";

#[test]
fn calls_keep_their_places_where_nothing_of_theirs_changes() {
    let held = Held::new();
    let config = |route: &str| one_at_a_time(&held.url(), "", route, DEFAULT);
    let (weir, files, mut calls) = start(&config(""));
    for route in [", queue: { wait: 5m }", ", queue: { requests: 1 }", ", when_full: wait"] {
        reload(&weir, &files, &config(route));
        stands(&weir, 2, 1);
    }
    assert_eq!(topic(&weir, "m")["partitions"][0]["log_end_offset"], 3, "the offsets go on");
    held.let_go(3);
    assert_all_served(&weir, &mut calls);
    assert_eq!(held.names(), ["one", "two", "three"]);
    assert_eq!(topic(&weir, "m")["partitions"][0]["committed_offset"], 3);
}

#[test]
fn calls_start_where_there_is_more_room_now() {
    let held = Held::new();
    let config = one_at_a_time(&held.url(), "", "", DEFAULT);
    let (weir, files, mut calls) = start(&config);
    reload(&weir, &files, &config.replace("limit: 1", "limit: 3"));
    eventually("all three", || (held.names().len() == 3).then_some(()));
    stands(&weir, 0, 3);
    reload(&weir, &files, &config);
    held.let_go(3);
    assert_all_served(&weir, &mut calls);
}

#[test]
fn calls_move_to_the_endpoint_that_is_there_now() {
    let (before, after) = (Held::new(), Held::new());
    let (weir, files, mut calls) = start(&one_at_a_time(&before.url(), "", "", DEFAULT));
    reload(&weir, &files, &one_at_a_time(&after.url(), "", "", DEFAULT));
    eventually("the second", || (after.names() == ["two"]).then_some(()));
    before.let_go(1);
    after.let_go(2);
    assert_all_served(&weir, &mut calls);
    assert_eq!(before.names(), ["one"]);
}

/// One place at each of two upstreams, with these weights.
fn two_pools(held: &[Held; 2], targets: &str) -> String {
    let pool = |held: &Held| {
        let url = held.url();
        format!("{{ endpoints: [{{ url: \"{url}\" }}], concurrency: {{ algorithm: fixed, limit: 1 }} }}")
    };
    let (a, b) = (pool(&held[0]), pool(&held[1]));
    format!("pools: {{ a: {a}, b: {b} }}\nroutes: {{ m: {{ targets: [{targets}] }} }}\n{DEFAULT}")
}

#[test]
fn calls_in_line_keep_their_targets_and_new_ones_go_by_the_new_weights() {
    let held = [Held::new(), Held::new()];
    let (weir, files, mut calls) = start(&two_pools(&held, "{ pool: a, weight: 1 }, { pool: b, weight: 0 }"));
    reload(&weir, &files, &two_pools(&held, "{ pool: a, weight: 0.5 }, { pool: b, weight: 0.5 }"));
    stands(&weir, 2, 1);
    calls.push(ask(&weir, "four", &[], ASK_STREAM));
    eventually("the fourth", || (held[1].names() == ["four"]).then_some(()));
    held[1].let_go(1);
    held[0].let_go(3);
    assert_all_served(&weir, &mut calls);
    assert_eq!(held[0].names(), ["one", "two", "three"]);
}

#[test]
fn calls_in_line_go_to_the_targets_that_are_left() {
    let held = [Held::new(), Held::new()];
    let (weir, files) = trusting(&two_pools(&held, "{ pool: a, weight: 0.5 }, { pool: b, weight: 0.5 }"));
    let mut calls: Vec<_> = (0..4).map(|_| ask(&weir, "one", &[], ASK_STREAM)).collect();
    stands(&weir, 2, 2);
    reload(&weir, &files, &two_pools(&held, "{ pool: b }"));
    held[0].let_go(1);
    stands(&weir, 2, 1);
    held[1].let_go(3);
    assert_all_served(&weir, &mut calls);
    assert_eq!((held[0].names().len(), held[1].names().len()), (1, 3));
}

#[test]
fn calls_hear_that_their_route_is_gone() {
    let held = Held::new();
    let config = one_at_a_time(&held.url(), "", "", DEFAULT);
    let (weir, files, mut calls) = start(&config);
    calls.extend(DIALECTS.iter().map(|path| ask_at(&weir, path, "more", &[], ASK)));
    stands(&weir, 4, 1);
    reload(&weir, &files, &config.replace("{ m: {", "{ other: {"));
    for (call, path) in calls[1..].iter_mut().zip([OPENAI, OPENAI, DIALECTS[0], DIALECTS[1]]) {
        let answer = call.answer();
        if path == OPENAI {
            assert_refused(&answer, path, 503, "no_endpoint");
        }
        assert_eq!((answer.status, answer.header("x-weir-reason")), (503, Some("no-endpoint")));
        assert!(answer.header("retry-after").is_some() && answer.header("retry-after-ms").is_some());
    }
    assert_refused(&post(&weir.data, OPENAI, &[], ASK), OPENAI, 404, "model_not_found");
    held.let_go(1);
    assert_all_served(&weir, &mut calls[..1]);
    assert_eq!(held.names(), ["one"]);
}

#[test]
fn calls_hear_that_their_pool_is_gone() {
    let held = Held::new();
    let config = one_at_a_time(&held.url(), "", "", DEFAULT);
    let (weir, files, mut calls) = start(&config);
    reload(&weir, &files, &config.replace("{ p: {", "{ q: {").replace("pool: p", "pool: q"));
    for call in &mut calls[1..] {
        assert_refused(&call.answer(), OPENAI, 503, "no_endpoint");
    }
    let mut next = [ask(&weir, "next", &[], ASK_STREAM)];
    let mut names = Vec::new();
    let both = || {
        names = held.names();
        (names.len() == 2).then_some(())
    };
    eventually("the next, at once", both);
    // Over connections of their own: either may be read first.
    names.sort_unstable();
    assert_eq!(names, ["next", "one"]);
    held.let_go(2);
    assert_all_served(&weir, &mut calls[..1]);
    assert_all_served(&weir, &mut next);
}

#[test]
fn calls_are_counted_for_their_own_segment_wherever_it_stands_now() {
    let held = Held::new();
    let config = |segments: &str| one_at_a_time(&held.url(), "", "", segments);
    let all = config("segments: { a: {}, b: {}, default: {} }\nanonymous: default\n");
    let (weir, files, mut calls) = start(&all);
    reload(&weir, &files, &config("segments: { default: {}, a: {} }\nanonymous: a\n"));
    held.let_go(3);
    assert_all_served(&weir, &mut calls);
    let labels = "route=\"m\",segment=\"default\",target=\"p\"";
    let served = format!("weir_requests_total{{code=\"200\",dialect=\"openai\",{labels}}}");
    assert!((weir.metric(&served) - 3.0).abs() < 0.1);
    for metric in ["request_duration_seconds_count", "first_token_seconds_count"] {
        let counted = weir.metric(&format!("weir_{metric}{{{labels}}}"));
        assert!((counted - 3.0).abs() < 0.1, "{metric}: {counted}");
    }
}

#[test]
fn calls_of_a_segment_that_is_gone_are_served() {
    let held = Held::new();
    let config = |segments: &str| one_at_a_time(&held.url(), "", "", segments);
    let (weir, files, mut calls) =
        start(&config("segments: { a: {}, b: {}, default: {} }\nanonymous: default\n"));
    reload(&weir, &files, &config("segments: { a: {} }\nanonymous: a\n"));
    held.let_go(3);
    assert_all_served(&weir, &mut calls);
    let served =
        "weir_requests_total{code=\"200\",dialect=\"openai\",route=\"m\",segment=\"default\",target=\"p\"}";
    assert!((weir.metric(served) - 3.0).abs() < 0.1);
}

/// Limits, pools and segments come and go while calls arrive, wait and run: each of them is served, or told that its
/// place is gone.
#[test]
fn no_call_is_lost_however_often_it_is_read_again() {
    let held = [Held::new(), Held::new()];
    held.iter().for_each(|held| held.let_go(1_000_000));
    let both = two_pools(&held, "{ pool: a, weight: 0.5 }, { pool: b, weight: 0.5 }");
    let configs = [
        both.clone(),
        both.replace("limit: 1", "limit: 2"),
        two_pools(&held, "{ pool: b }").replace(DEFAULT, "segments: { x: {}, default: {} }\nanonymous: x\n"),
        one_at_a_time(&held[0].url(), "", ", when_full: wait", DEFAULT),
    ];
    let (weir, files) = trusting(&both);
    let done = std::sync::atomic::AtomicBool::new(false);
    let is_done = || done.load(std::sync::atomic::Ordering::SeqCst);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (weir, is_done) = (&weir, &is_done);
            let body = if number % 2 == 0 { ASK } else { ASK_STREAM };
            scope.spawn(move || {
                while !is_done() {
                    let answer = ask(weir, "any", &[], body).answer();
                    let gone = answer.status == 503 && answer.header("x-weir-reason") == Some("no-endpoint");
                    assert!(answer.whole && (answer.status == 200 || gone), "{answer:?}");
                }
            });
        }
        for round in 1..60 {
            reload(&weir, &files, &configs[round % configs.len()]);
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    nothing_left(&weir);
    assert!(weir.metric("weir_panics_total") < 0.5, "{}", weir.log());
}

/// A call is never sent in a dialect that its endpoint does not speak any more.
#[test]
fn calls_go_on_where_their_dialect_is_still_spoken_and_hear_where_it_is_not() {
    let held = Held::new();
    let config = one_at_a_time(&held.url(), "", "", DEFAULT);
    let (weir, files, mut calls) = start(&config);
    let mut other = ask_at(&weir, ANTHROPIC, "other", &[], ASK_STREAM);
    stands(&weir, 3, 1);
    reload(&weir, &files, &config.replace("limit: 1 }", "limit: 1 }, dialects: [openai]"));
    let answer = other.answer();
    assert_eq!((answer.status, answer.header("x-weir-reason")), (503, Some("no-endpoint")), "{answer:?}");
    assert_eq!(answer.json()["type"], "error", "in its own dialect");
    held.let_go(3);
    assert_all_served(&weir, &mut calls);
    assert_eq!(held.names(), ["one", "two", "three"]);
}

#[test]
fn calls_go_to_another_target_where_theirs_does_not_speak_their_dialect_any_more() {
    let held = [Held::new(), Held::new()];
    let both = two_pools(&held, "{ pool: a, weight: 0.5 }, { pool: b, weight: 0.5 }");
    let (weir, files) = trusting(&both);
    let mut calls: Vec<_> = (0..2).map(|_| ask(&weir, "first", &[], ASK_STREAM)).collect();
    stands(&weir, 0, 2);
    calls.push(ask_at(&weir, ANTHROPIC, "other", &[], ASK));
    stands(&weir, 1, 2);
    reload(&weir, &files, &both.replacen("limit: 1 }", "limit: 1 }, dialects: [openai]", 1));
    held[0].let_go(1);
    stands(&weir, 1, 1);
    held[1].let_go(2);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    assert_eq!((held[0].names().len(), held[1].names()), (1, vec!["first".into(), "other".into()]));
    nothing_left(&weir);
}
