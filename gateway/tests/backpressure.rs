//! How far behind is Weir? What `/weir/backpressure` says, field by field, of situations that the test makes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::client::{Answer, Connection, get, post, request, send};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::held::{HOW, Held, ask, nothing_left, one_at_a_time, stands, topic, trusting, write};
use support::refusal::{OPENAI, assert_shed};
use support::upstream::Upstream;
use support::weir::{Folder, Weir};
use support::{eventually, pause};

const SEGMENTS: &str = "segments: { gold: { share: 5 }, free: {}, nightly: { priority: batch } }
anonymous: free
passthrough: [{ prefix: /chain, pool: p }]\n";

/// An upstream that holds its answers, before it one place, three segments, a prefix.
fn start(route: &str) -> (Held, Weir, Folder) {
    let held = Held::new();
    let (weir, files) = trusting(&one_at_a_time(&held.url(), "", route, SEGMENTS));
    (held, weir, files)
}

/// One call of `free` under way and two of `gold` in line.
fn three(weir: &Weir) -> Vec<Connection> {
    let mut calls = Vec::new();
    for (waiting, segment) in ["free", "gold", "gold"].into_iter().enumerate() {
        calls.push(ask(weir, segment, &[("x-weir-segment", segment)], ASK));
        stands(weir, waiting as u64, 1);
    }
    calls
}

fn read(weir: &Weir, path: &str) -> Value {
    let answer = get(&weir.admin, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn partition(weir: &Weir, name: &str) -> Value {
    let topic = topic(weir, "m");
    let mut partitions = topic["partitions"].as_array().unwrap().iter();
    partitions.find(|one| one["partition"] == name).unwrap().clone()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn assert_keys(value: &Value, expected: &[&str]) {
    let (mut found, mut expected) = (keys(value), expected.to_vec());
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{value}");
}

fn assert_whole(value: &Value, fields: &[&str]) {
    fields.iter().for_each(|field| assert!(value[*field].is_u64(), "{field}: {value}"));
}

#[test]
fn it_has_the_fields_that_scripts_read_and_no_others() {
    let (held, weir, _files) = start("");
    let mut calls = three(&weir);
    let whole = read(&weir, "/weir/backpressure");
    assert_keys(&whole, &["epoch", "replica", "level", "topics"]);
    assert!(!whole["replica"].as_str().unwrap().is_empty());
    let names: Vec<_> = whole["topics"].as_array().unwrap().iter().map(|one| one["topic"].clone()).collect();
    assert_eq!(names, ["m", "passthrough:/chain"]);
    for one in whole["topics"].as_array().unwrap() {
        let fields = ["topic", "level", "saturation", "limit", "endpoints_ready", "totals", "partitions"];
        assert_keys(one, &fields);
        assert!(one["saturation"].is_number());
        assert_whole(one, &["limit", "endpoints_ready"]);
        let totals =
            ["lag", "queued", "inflight", "lag_tokens", "unmet", "scale_lag", "drain_ms", "oldest_age_ms"];
        assert_keys(&one["totals"], &totals);
        assert_whole(&one["totals"], &totals);
        let partitions: Vec<_> =
            one["partitions"].as_array().unwrap().iter().map(|one| one["partition"].clone()).collect();
        assert_eq!(partitions, ["gold", "free", "nightly"], "in the file's order");
        for partition in one["partitions"].as_array().unwrap() {
            let numbers = [
                "log_end_offset",
                "committed_offset",
                "low_watermark",
                "lag",
                "queued",
                "lag_tokens",
                "retry_after_ms",
            ];
            assert_keys(partition, &[&numbers[..], &["partition", "level"]].concat());
            assert_whole(partition, &numbers);
        }
    }
    let pool = read(&weir, "/weir/backpressure/pools/p");
    assert_keys(&pool, &["pool", "limit", "endpoints_ready", "inflight", "queued", "lag", "drain_ms"]);
    held.let_go(3);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Offsets begin at 0 with each process and go on over reloads; a reader tells the two apart by the epoch.
#[test]
fn its_epoch_is_the_start_of_the_process() {
    let epoch = |weir: &Weir, path: &str| read(weir, path)["epoch"].as_u64().unwrap();
    let before = now_ms();
    let (held, weir, files) = start("");
    let ready = now_ms();
    pause(Duration::from_millis(20));
    let first = epoch(&weir, "/weir/backpressure");
    assert!((before..=ready).contains(&first), "{before} ≤ {first} ≤ {ready}");
    for route in [", queue: { requests: 9 }", ", queue: { requests: 8 }"] {
        write(&files, &one_at_a_time(&held.url(), "", route, SEGMENTS));
        assert_eq!(post(&weir.admin, "/admin/v1/reload", &[], "").status, 200);
        pause(Duration::from_millis(20));
        for path in ["/weir/backpressure", "/weir/backpressure/m"] {
            assert_eq!(epoch(&weir, path), first, "{path}");
        }
    }
    let (_other_held, other, _other_files) = start("");
    assert!(epoch(&other, "/weir/backpressure") > ready, "another process");
}

#[test]
fn its_numbers_are_right() {
    let (held, weir, _files) = start("");
    assert_eq!(topic(&weir, "m")["limit"], 1);
    let mut calls = three(&weir);
    let topic = topic(&weir, "m");
    let totals = &topic["totals"];
    assert_eq!((&totals["lag"], &totals["queued"], &totals["inflight"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!((&totals["unmet"], &totals["scale_lag"]), (&json!(0), &json!(3)));
    assert!(totals["drain_ms"].as_u64().unwrap() > 0);
    assert_eq!((&topic["limit"], &topic["endpoints_ready"]), (&json!(1), &json!(1)));
    for (name, end, queued) in [("gold", 2, 2), ("free", 1, 0), ("nightly", 0, 0)] {
        let one = partition(&weir, name);
        assert_eq!((&one["log_end_offset"], &one["committed_offset"]), (&json!(end), &json!(0)), "{name}");
        assert_eq!((&one["lag"], &one["queued"]), (&json!(end), &json!(queued)), "{name}");
        assert_eq!(one["low_watermark"], 0);
        let label = format!("{{route=\"m\",segment=\"{name}\"}}");
        let expected = [("log_end_offset", end), ("committed_offset", 0), ("queued", queued)];
        for (metric, value) in expected {
            let told = weir.metric(&format!("weir_{metric}{label}"));
            assert!((told - f64::from(value)).abs() < 0.1, "{metric}{label}: {told}");
        }
    }
    let tokens = |segment| partition(&weir, segment)["lag_tokens"].as_u64().unwrap();
    assert_eq!(tokens("gold") + tokens("free"), totals["lag_tokens"].as_u64().unwrap());
    assert!(tokens("gold") == 2 * tokens("free") && tokens("free") > 0);
    let pool = read(&weir, "/weir/backpressure/pools/p");
    assert_eq!((&pool["pool"], &pool["inflight"], &pool["limit"]), (&json!("p"), &json!(1), &json!(1)));
    assert_eq!((pool["queued"].as_f64(), pool["lag"].as_f64()), (Some(2.0), Some(3.0)), "{pool}");
    let age = |weir| support::held::topic(weir, "m")["totals"]["oldest_age_ms"].as_u64().unwrap();
    let before = age(&weir);
    eventually("an older call", || (age(&weir) > before + 20).then_some(()));
    assert!(weir.metric("weir_oldest_age_seconds{route=\"m\"}") > 0.0);
    held.let_go(3);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    nothing_left(&weir);
}

/// As a consumer group commits: by how many, not up to which; the watermark is the oldest that is unfinished.
#[test]
fn offsets_only_grow_and_commit_as_calls_end() {
    let (held, weir, _files) = start("");
    let mut first = ask(&weir, "first", &[], ASK);
    stands(&weir, 0, 1);
    let leaves = ask(&weir, "leaves", &[], ASK);
    stands(&weir, 1, 1);
    let mut last = ask(&weir, "last", &[], ASK);
    stands(&weir, 2, 1);
    let offsets = |weir: &Weir| {
        let one = partition(weir, "free");
        ["log_end_offset", "committed_offset", "low_watermark"].map(|key| one[key].as_u64().unwrap())
    };
    assert_eq!(offsets(&weir), [3, 0, 0]);
    drop(leaves);
    stands(&weir, 1, 1);
    assert_eq!(offsets(&weir), [3, 1, 0], "the first is still the oldest");
    held.let_go(1);
    assert_eq!(first.answer().status, 200);
    stands(&weir, 0, 1);
    assert_eq!(offsets(&weir), [3, 2, 2], "the second has gone before");
    held.let_go(1);
    assert_eq!(last.answer().status, 200);
    nothing_left(&weir);
    assert_eq!(offsets(&weir), [3, 3, 3]);
}

#[test]
fn tokens_are_done_as_a_stream_runs() {
    let (held, weir, _files) = start("");
    let long = ASK_STREAM.replace("[]", &format!("[{:?}]", "word ".repeat(2_000)));
    let mut call = ask(&weir, "one", &[(HOW, "")], &long);
    stands(&weir, 0, 1);
    let whole = partition(&weir, "free")["lag_tokens"].as_u64().unwrap();
    drop(call);
    stands(&weir, 0, 0);
    call = ask(&weir, "two", &[(HOW, "begun")], &long);
    assert_eq!(call.head().status, 200);
    let left =
        || partition(&weir, "free")["lag_tokens"].as_u64().filter(|left| *left > 0 && *left < whole / 2);
    eventually("the prompt done", left);
    held.let_go(1);
    assert!(call.chunks(&mut Vec::new()));
    nothing_left(&weir);
}

#[test]
fn a_part_of_it_is_at_a_path_of_its_own() {
    let (held, weir, _files) = start("");
    let mut calls = three(&weir);
    let names = |value: &Value, list: &str, name: &str| -> Vec<String> {
        value[list].as_array().unwrap().iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
    };
    let one = read(&weir, "/weir/backpressure/m");
    assert_eq!(names(&one, "topics", "topic"), ["m"]);
    for (segments, expected) in [("gold", &["gold"][..]), ("free,gold", &["gold", "free"])] {
        let some = read(&weir, &format!("/weir/backpressure/m/segments/{segments}"));
        assert_keys(&some, &["epoch", "replica", "level", "topics"]);
        assert_eq!(names(&some["topics"][0], "partitions", "partition"), expected);
        assert_eq!(some["topics"][0]["totals"]["lag"], 3, "the totals are the route's");
    }
    let chain = read(&weir, "/weir/backpressure/passthrough:%2Fchain");
    assert_eq!(names(&chain, "topics", "topic"), ["passthrough:/chain"]);
    assert_eq!(chain["topics"][0]["totals"]["lag"], 0);
    let unknown = [
        "/weir/backpressure/other",
        "/weir/backpressure/M",
        "/weir/backpressure/other/segments/gold",
        "/weir/backpressure/m/segments/platinum",
        "/weir/backpressure/m/segments/gold,platinum",
        "/weir/backpressure/m/segments/gold,",
        "/weir/backpressure/m/segments/",
        "/weir/backpressure/pools/q",
        "/weir/backpressure/pools",
        "/weir/backpressure/m/other",
        "/weir/backpressure/",
    ];
    for path in unknown {
        let answer = get(&weir.admin, path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(answer.json()["error"]["message"].is_string(), "{path}");
    }
    assert_eq!(post(&weir.admin, "/weir/backpressure", &[], "").status, 405);
    assert_eq!(get(&weir.data, "/weir/backpressure").status, 404, "callers are not told");
    held.let_go(3);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
}

#[test]
fn names_may_be_escaped() {
    let upstream = Upstream::new();
    let routes = "routes: { \"org/model\": { targets: [{ pool: p }] }, \"a%b\": { targets: [{ pool: p }] }, \
                  \"ä,ö\": { targets: [{ pool: p }] }, \"*\": { targets: [{ pool: p }] } }\n";
    let config = one_pool(&[upstream.url()], "");
    let weir = Weir::configured(&format!("{}\n{routes}", config.lines().next().unwrap()));
    let paths = [
        ("org%2Fmodel", "org/model"),
        ("org%2fmodel", "org/model"),
        ("a%25b", "a%b"),
        ("%C3%A4%2C%C3%B6", "ä,ö"),
        ("*", "*"),
        ("%2A", "*"),
    ];
    for (path, name) in paths {
        assert_eq!(read(&weir, &format!("/weir/backpressure/{path}"))["topics"][0]["topic"], name);
        let some = read(&weir, &format!("/weir/backpressure/{path}/segments/d%65fault"));
        assert_eq!(some["topics"][0]["partitions"][0]["partition"], "default");
    }
    for path in ["org/model", "%FF", "a%ZZb"] {
        let answer = get(&weir.admin, &format!("/weir/backpressure/{path}"));
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
    }
}

fn with_tag(weir: &Weir, path: &str, tag: &str) -> Answer {
    // A 304 has no length: its connection's end is its end.
    send(&weir.admin, request("GET", path, &[("if-none-match", tag), ("connection", "close")], b""))
}

#[test]
fn who_asks_often_is_told_when_nothing_has_changed() {
    let (held, weir, _files) = start("");
    for path in ["/weir/backpressure", "/weir/backpressure/m", "/weir/backpressure/pools/p"] {
        let answer = get(&weir.admin, path);
        assert_eq!(answer.header("cache-control"), Some("max-age=1"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let tag = answer.header("etag").unwrap().to_owned();
        assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        for same in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = with_tag(&weir, path, &same);
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{same}");
            assert_eq!(answer.header("etag"), Some(tag.as_str()));
            assert_eq!(answer.header("cache-control"), Some("max-age=1"));
        }
        assert_eq!(with_tag(&weir, path, "\"other\"").status, 200);
        let mut call = ask(&weir, "one", &[], ASK);
        stands(&weir, 0, 1);
        let changed = with_tag(&weir, path, &tag);
        assert!(changed.status == 200 && changed.header("etag") != Some(tag.as_str()), "{path}");
        held.let_go(1);
        assert_eq!(call.answer().status, 200);
        nothing_left(&weir);
    }
}

/// Refuses a call of `gold`, with `x-stainless-retry-count` where there is one.
fn refuse(weir: &Weir, retry: Option<&str>) {
    let mut headers = vec![("x-weir-segment", "gold")];
    headers.extend(retry.map(|count| ("x-stainless-retry-count", count)));
    let answer = post(&weir.data, OPENAI, &headers, ASK);
    assert_shed(&answer, OPENAI, "queue_full", "queue-full");
}

#[test]
fn demand_that_is_turned_away_shows_once() {
    for (retry, counts) in [(None, true), (Some("0"), true), (Some("1"), false), (Some("2"), false)] {
        let (held, weir, _files) = start(", queue: { requests: 0 }");
        let mut call = ask(&weir, "one", &[], ASK);
        stands(&weir, 0, 1);
        for _ in 0..30 {
            refuse(&weir, retry);
        }
        let totals = topic(&weir, "m")["totals"].clone();
        let unmet = totals["unmet"].as_u64().unwrap();
        // 30 in ten seconds or less, of a second each as long as nothing is known.
        assert_eq!(unmet > 0, counts, "{retry:?}: {totals}");
        assert!(unmet <= 3 && totals["scale_lag"] == 1 + unmet && totals["lag"] == 1, "{totals}");
        assert_eq!(partition(&weir, "gold")["log_end_offset"], 0, "refused at the door");
        assert!((weir.metric("weir_unmet{route=\"m\"}") > 0.5) == counts);
        held.let_go(1);
        assert_eq!(call.answer().status, 200);
    }
}

#[test]
fn levels_tell_how_near_the_set_point_is() {
    let (held, weir, _files) = start(", queue: { requests: 1 }");
    let level = |what: &str| {
        eventually(&format!("level {what}"), || {
            let all = read(&weir, "/weir/backpressure");
            (all["level"] == what && all["topics"][0]["level"] == what).then(|| all["topics"][0].clone())
        })
    };
    assert_eq!(level("normal")["saturation"].as_f64(), Some(0.0));
    let mut calls = vec![ask(&weir, "one", &[("x-weir-segment", "gold")], ASK)];
    let elevated = level("elevated");
    assert_eq!(elevated["saturation"].as_f64(), Some(0.7), "full, and nobody waits");
    calls.push(ask(&weir, "two", &[("x-weir-segment", "gold")], ASK));
    stands(&weir, 1, 1);
    // Refused as long as it takes: a level stays for two seconds at least.
    let critical = || {
        refuse(&weir, Some("1"));
        let all = read(&weir, "/weir/backpressure");
        (all["level"] == "critical").then(|| all["topics"][0].clone())
    };
    let critical = eventually("level critical", critical);
    assert_eq!(critical["level"], "critical");
    let gold = critical["partitions"][0].clone();
    assert_eq!((&gold["partition"], &gold["level"]), (&json!("gold"), &json!("critical")), "{gold}");
    assert!(gold["retry_after_ms"].as_u64().unwrap() >= 1000, "the queue is full: {gold}");
    assert_eq!(critical["partitions"][1]["level"], "normal", "nobody of it calls");
    assert!(weir.metric("weir_level{route=\"m\"}") > 2.5);
    held.let_go(2);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    let normal = level("normal");
    assert_eq!(normal["partitions"][0]["retry_after_ms"], 0);
    nothing_left(&weir);
}
