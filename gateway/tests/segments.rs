//! Of which segment is a caller? What it says counts only where the operator believes it, and nobody can make its
//! own call more urgent.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use support::client::{Answer, get, post, request, send};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::eventually;
use support::held::{HOW, Held, ask, nothing_left, one_at_a_time, stands, trusting, write};
use support::http2::Client;
use support::refusal::{DIALECTS, OPENAI, assert_refused, assert_shed};
use support::upstream::Upstream;
use support::weir::{Folder, Weir, command};

const SEGMENT: &str = "x-weir-segment";
const SEGMENTS: &str = "segments: { gold: { share: 5 }, free: {} }\nanonymous: free\n";
const CHAIN: &str = "passthrough: [{ prefix: /chain, pool: p }]\n";
const PATHS: [&str; 3] = [DIALECTS[0], DIALECTS[1], "/chain/invoke"];

/// A Weir with two listeners, of which the second believes its callers.
struct TwoDoors {
    weir: Weir,
    open: String,
    trusting: String,
    _files: Folder,
}

impl TwoDoors {
    fn before(upstream: &Upstream) -> Self {
        let files = Folder::new();
        let doors =
            "listen: [{ address: \"127.0.0.1:0\" }, { address: \"127.0.0.2:0\", trust_headers: true }]
admin: { address: \"127.0.0.1:0\" }\n";
        let config = format!("{doors}{}{SEGMENTS}{CHAIN}", one_pool(&[upstream.url()], ""));
        let mut command = command();
        command.arg("run").arg("--config").arg(files.write("weir.yaml", &config));
        let weir = Weir::start_as_is(command, None);
        let (open, trusting) = weir.data.split_once(",http://").unwrap();
        let (open, trusting) = (open.to_owned(), trusting.to_owned());
        Self { weir, open, trusting, _files: files }
    }
}

/// How many calls a segment had, by status and route.
fn calls(weir: &Weir, segment: &str, code: u16, route: &str) -> f64 {
    let text = get(&weir.admin, "/metrics").text();
    let labels = [format!("code=\"{code}\""), format!("route=\"{route}\""), format!("segment=\"{segment}\"")];
    let lines = text.lines().filter(|line| line.starts_with("weir_requests_total{"));
    let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn assert_calls(weir: &Weir, segment: &str, code: u16, route: &str, expected: u32) {
    eventually(&format!("{expected} × {code} of {segment} at {route}"), || {
        (calls(weir, segment, code, route) - f64::from(expected)).abs().lt(&0.1).then_some(())
    });
}

fn from(address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    post(address, path, headers, ASK)
}

#[test]
fn what_a_caller_says_counts_only_where_it_is_believed() {
    let upstream = Upstream::new();
    let doors = TwoDoors::before(&upstream);
    for (address, segment) in [(&doors.open, "free"), (&doors.trusting, "gold")] {
        for path in PATHS {
            assert_eq!(from(address, path, &[(SEGMENT, "gold"), ("x-request-id", segment)]).status, 200);
        }
        assert_calls(&doors.weir, segment, 200, "m", 2);
        assert_calls(&doors.weir, segment, 200, "passthrough:/chain", 1);
        assert_eq!(doors.weir.call_line(segment)["segment"], segment);
    }
    for path in PATHS {
        assert_eq!(from(&doors.trusting, path, &[]).status, 200, "who says nothing is anonymous");
    }
    assert_calls(&doors.weir, "free", 200, "m", 4);
    let names: Vec<_> =
        upstream.got().iter().flat_map(|got| got.headers.clone()).map(|(name, _)| name).collect();
    assert!(names.iter().all(|name| !name.starts_with("x-weir-")), "no upstream hears of it: {names:?}");
}

#[test]
fn a_name_that_is_none_is_refused_where_it_counts_and_ignored_elsewhere() {
    let upstream = Upstream::new();
    let doors = TwoDoors::before(&upstream);
    let mut refused = 0;
    for name in ["platinum", "Gold", "", "gold,free", "anonymous", "refuse", "default"] {
        for path in DIALECTS {
            let answer = from(&doors.trusting, path, &[(SEGMENT, name)]);
            let message = assert_refused(&answer, path, 400, "invalid_header");
            assert!(message.contains(SEGMENT), "{message}");
            assert!(!message.contains("gold"), "the names are nobody's business: {message}");
            refused += 1;
        }
        let answer = from(&doors.trusting, "/chain/invoke", &[(SEGMENT, name)]);
        assert!(answer.status == 400 && answer.json()["detail"].is_string(), "{}", answer.text());
    }
    assert!(upstream.got().is_empty());
    for path in PATHS {
        assert_eq!(from(&doors.open, path, &[(SEGMENT, "platinum")]).status, 200);
    }
    assert_calls(&doors.weir, "free", 400, "none", refused + 7);
    assert_calls(&doors.weir, "free", 200, "m", 2);
}

/// Two readers could take two different ones: a proxy that adds its word to its caller's does not replace it.
#[test]
fn a_word_that_is_said_twice_is_refused() {
    let upstream = Upstream::new();
    let doors = TwoDoors::before(&upstream);
    let twice = [
        (SEGMENT, ["gold", "free"]),
        ("x-weir-priority", ["batch", "realtime"]),
        ("x-weir-deadline-ms", ["60000", "70000"]),
    ];
    for (name, [first, second]) in twice {
        for path in DIALECTS {
            let answer = from(&doors.trusting, path, &[(name, first), (name, second)]);
            let message = assert_refused(&answer, path, 400, "invalid_header");
            assert!(message.contains(name), "{message}");
        }
    }
    assert!(upstream.got().is_empty());
    let believed = from(&doors.open, OPENAI, &[(SEGMENT, "gold"), (SEGMENT, "free")]);
    assert_eq!(believed.status, 200, "where it does not count");
}

#[test]
fn without_segments_everybody_is_of_the_default_one() {
    let upstream = Upstream::new();
    let weir = Weir::before(&[upstream.url()]);
    for path in DIALECTS {
        assert_eq!(from(&weir.data, path, &[(SEGMENT, "gold")]).status, 200);
    }
    assert_calls(&weir, "default", 200, "*", 2);
}

#[test]
fn a_caller_of_http2_is_of_the_segment_that_it_says() {
    let upstream = Upstream::new();
    let doors = TwoDoors::before(&upstream);
    assert_eq!(Client::to(&doors.trusting).send("POST", OPENAI, &[(SEGMENT, "gold")], ASK).status, 200);
    assert_eq!(Client::to(&doors.open).send("POST", OPENAI, &[(SEGMENT, "gold")], ASK).status, 200);
    assert_calls(&doors.weir, "gold", 200, "m", 1);
    assert_calls(&doors.weir, "free", 200, "m", 1);
}

#[test]
fn whether_callers_are_believed_can_be_changed_while_it_runs() {
    let upstream = Upstream::new();
    let config = format!("{}{SEGMENTS}", one_pool(&[upstream.url()], ""));
    let (weir, files) = trusting(&config);
    assert_eq!(from(&weir.data, OPENAI, &[(SEGMENT, "gold")]).status, 200);
    let path = write(&files, &config);
    let doubting =
        std::fs::read_to_string(&path).unwrap().replace("trust_headers: true", "trust_headers: false");
    std::fs::write(&path, doubting).unwrap();
    let reloaded = post(&weir.admin, "/admin/v1/reload", &[], b"");
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    assert_eq!(from(&weir.data, OPENAI, &[(SEGMENT, "gold")]).status, 200);
    assert_calls(&weir, "gold", 200, "m", 1);
    assert_calls(&weir, "free", 200, "m", 1);
}

#[test]
fn nobody_can_make_its_own_call_more_urgent() {
    let held = Held::new();
    let segments = "segments: { day: {}, night: { priority: batch } }\nanonymous: day\n";
    let (weir, _files) = trusting(&one_at_a_time(&held.url(), ", batch: { reserve: 0 }", "", segments));
    let words = [
        ("first", "day", None),
        ("night", "night", None),
        ("night, urgent", "night", Some("realtime")),
        ("day, lowered", "day", Some("batch")),
        ("day", "day", None),
        ("day, as it is", "day", Some("realtime")),
    ];
    let mut calls = Vec::new();
    for (waiting, (name, segment, priority)) in words.into_iter().enumerate() {
        let mut headers = vec![(SEGMENT, segment)];
        headers.extend(priority.map(|priority| ("x-weir-priority", priority)));
        calls.push(ask(&weir, name, &headers, ASK));
        stands(&weir, waiting as u64, 1);
    }
    held.let_go(6);
    assert!(calls.iter_mut().all(|call| call.answer().status == 200));
    let order = held.names();
    assert_eq!(order[..3], ["first", "day", "day, as it is"]);
    let nights: Vec<_> = order.iter().filter(|name| name.starts_with("night")).collect();
    assert_eq!(nights, ["night", "night, urgent"], "among equals first come, first served");
}

/// Whatever becomes of a call, it is counted for its own segment.
#[test]
fn a_call_is_counted_for_its_segment_however_it_ends() {
    let held = Held::new();
    let (weir, _files) = trusting(&one_at_a_time(&held.url(), "", ", queue: { requests: 1 }", SEGMENTS));
    let gold = |how: &'static str| [(SEGMENT, "gold"), (HOW, how)];
    let mut stream = ask(&weir, "streams", &gold("begun"), ASK_STREAM);
    stands(&weir, 0, 1);
    let leaves = ask(&weir, "leaves", &gold(""), ASK);
    stands(&weir, 1, 1);
    let shed = from(&weir.data, OPENAI, &[(SEGMENT, "gold")]);
    assert_shed(&shed, OPENAI, "queue_full", "queue-full");
    let unknown = r#"{"model":"other","messages":[]}"#;
    assert_eq!(post(&weir.data, OPENAI, &[(SEGMENT, "gold")], unknown).status, 404);
    let label = |metric: &str| weir.metric(&format!("{metric}{{route=\"m\",segment=\"gold\"}}"));
    assert!((label("weir_queued") - 1.0).abs() < 0.1 && (label("weir_log_end_offset") - 2.0).abs() < 0.1);
    assert!((weir.metric("weir_lag{route=\"m\",segment=\"gold\",unit=\"requests\"}") - 2.0).abs() < 0.1);
    drop(leaves);
    stands(&weir, 0, 1);
    held.let_go(1);
    assert_eq!(stream.answer().status, 200);
    for (code, route) in [(200, "m"), (429, "m"), (499, "m"), (404, "none")] {
        assert_calls(&weir, "gold", code, route, 1);
    }
    let refused = "weir_shed_total{reason=\"queue_full\",route=\"m\",segment=\"gold\"}";
    assert!((weir.metric(refused) - 1.0).abs() < 0.1);
    let text = get(&weir.admin, "/metrics").text();
    let others =
        text.lines().filter(|line| line.starts_with("weir_requests_total{") && !line.contains("gold"));
    assert_eq!(others.count(), 0, "nothing for another segment");
    let tokens = "weir_first_token_seconds_count{route=\"m\",segment=\"gold\",target=\"p\"}";
    assert!((weir.metric(tokens) - 1.0).abs() < 0.1);
    nothing_left(&weir);
}

#[test]
fn the_words_of_a_call_are_read_before_its_body() {
    let upstream = Upstream::new();
    let doors = TwoDoors::before(&upstream);
    // The body never comes: who waited for it would wait for ever.
    let mut bytes = request("POST", OPENAI, &[(SEGMENT, "platinum")], &[b'x'; 10]);
    bytes.truncate(bytes.len() - 10);
    assert_refused(&send(&doors.trusting, bytes), OPENAI, 400, "invalid_header");
}
