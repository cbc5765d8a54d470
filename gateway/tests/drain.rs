//! How a Weir ends: it says first that it will, finishes what it has begun, and does not wait for ever.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use support::client::{Connection, chat, get, request};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::outcome;
use support::upstream::{FINISH, LAST_CHUNK, SSE_HEAD, Upstream, chunk, completion, delta};
use support::weir::Weir;
use support::{eventually, pause};

/// An upstream that answers calls at once and keeps streams going until it is told to finish them.
struct Slow {
    upstream: Upstream,
    finish: Arc<AtomicBool>,
}

impl Slow {
    fn new() -> Self {
        let finish = Arc::new(AtomicBool::new(false));
        let told = finish.clone();
        let upstream = Upstream::with(move |got, socket| {
            if !got.body.ends_with(br#""stream":true}"#) {
                return socket.write_all(&completion()).is_ok();
            }
            let mut write = |bytes: &[u8]| socket.write_all(bytes).is_ok();
            let mut alive = write(SSE_HEAD);
            while alive && !told.load(Ordering::SeqCst) {
                alive = write(&chunk(&delta("word ")));
                pause(Duration::from_millis(10));
            }
            alive && write(&chunk(FINISH)) && write(LAST_CHUNK)
        });
        Self { upstream, finish }
    }

    fn finish(&self) {
        self.finish.store(true, Ordering::SeqCst);
    }
}

/// A stream whose first event has come, and its id.
fn begin(weir: &Weir) -> (Connection, String) {
    let mut stream = Connection::to(&weir.data);
    stream.send(request("POST", "/v1/chat/completions", &[], ASK_STREAM.as_bytes()));
    let head = stream.head();
    assert_eq!(head.status, 200);
    assert!(stream.chunk().is_some());
    (stream, head.header("x-request-id").unwrap().to_owned())
}

/// The rest of a stream, and whether it came to its proper end.
fn rest(stream: &mut Connection) -> (String, bool) {
    let mut body = Vec::new();
    let whole = stream.chunks(&mut body);
    (String::from_utf8(body).unwrap(), whole)
}

fn status(address: &str, path: &str) -> u16 {
    get(address, path).status
}

/// Asserts that these are the messages of the log's events, in the end.
fn assert_events(weir: &Weir, expected: [&str; 2]) {
    eventually(&format!("{expected:?}"), || {
        let log = weir.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let events: Vec<_> = lines.filter_map(|line| line["message"].as_str().map(str::to_owned)).collect();
        (events == expected).then_some(())
    });
}

#[test]
fn sigterm_lets_traffic_move_away_and_finishes_what_is_in_flight() {
    let slow = Slow::new();
    let mut weir = Weir::before(&[slow.upstream.url()]);
    let (mut stream, _) = begin(&weir);
    let mut kept = Connection::to(&weir.data);
    kept.send(request("POST", "/v1/chat/completions", &[], ASK.as_bytes()));
    assert_eq!(kept.answer().header("connection"), None);

    weir.signal("TERM");
    for address in [&weir.data, &weir.admin] {
        eventually("not ready", || (status(address, "/health/ready") == 503).then_some(()));
        assert_eq!(status(address, "/health"), 503);
        assert_eq!(status(address, "/health/live"), 200);
    }
    let health = outcome::weir(&["health", "--admin", &weir.admin]);
    assert_eq!((health.code, health.stdout.as_str(), health.stderr.as_str()), (1, "", "not ready\n"));
    let answer = chat(&weir.data, ASK);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    kept.send(request("POST", "/v1/chat/completions", &[], ASK.as_bytes()));
    let answer = kept.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(kept.is_closed());

    eventually("a closed door", || TcpStream::connect(&weir.data).is_err().then_some(()));
    assert_eq!(status(&weir.admin, "/health/ready"), 503);
    assert!(stream.chunk().is_some(), "the stream goes on behind the closed door");

    slow.finish();
    let (events_left, whole) = rest(&mut stream);
    assert!(whole && events_left.ends_with("data: [DONE]\n\n"), "{events_left}");
    assert_eq!(weir.wait(), 0);
    assert_events(&weir, ["draining", "drained"]);
}

#[test]
fn sigint_has_no_grace() {
    let upstream = Upstream::new();
    let (mut with_grace, mut without) = (Weir::before(&[upstream.url()]), Weir::before(&[upstream.url()]));
    let mut idle = Connection::to(&without.data);
    idle.send(request("POST", "/v1/chat/completions", &[], ASK.as_bytes()));
    assert_eq!(idle.answer().status, 200);
    with_grace.signal("TERM");
    eventually("not ready", || (status(&with_grace.admin, "/health/ready") == 503).then_some(()));

    without.signal("INT");
    assert_eq!(without.wait(), 0);
    assert_events(&without, ["draining", "drained"]);
    assert!(idle.is_closed());
    assert_eq!(status(&with_grace.data, "/health/live"), 200, "the grace of the other goes on");
    with_grace.signal("TERM");
    assert_eq!(with_grace.wait(), 0);
}

/// Asserts that a stream ended in an error event that says why, and that its call's line does too.
fn assert_stopped(weir: &Weir, slow: &Slow, stream: &mut Connection, id: &str) {
    let (events_left, whole) = rest(stream);
    let last = events_left.trim_end().rsplit("\n\n").next().unwrap().strip_prefix("data: ").unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(
        (&last["error"]["type"], &last["error"]["code"]),
        (&"server_error".into(), &"draining".into())
    );
    assert!(whole && !events_left.contains("[DONE]"), "{events_left}");
    assert!(stream.is_closed());
    let line = weir.call_line(id);
    assert_eq!((&line["end"], &line["reason"]), (&"stopped".into(), &"draining".into()), "{line}");
    eventually("an upstream that is free", || (slow.upstream.gone() == 1).then_some(()));
}

#[test]
fn a_second_signal_ends_it_there_and_then() {
    for [first, second] in [["TERM", "TERM"], ["TERM", "INT"], ["INT", "INT"]] {
        let slow = Slow::new();
        let mut weir = Weir::before(&[slow.upstream.url()]);
        let (mut stream, id) = begin(&weir);
        weir.signal(first);
        eventually("draining", || (status(&weir.admin, "/health/ready") == 503).then_some(()));
        weir.signal(second);
        // With the default of 30 s, the drain would last longer than this waits.
        assert_eq!(weir.wait(), 0);
        assert_events(&weir, ["draining", "stopped before the end of the drain"]);
        assert_stopped(&weir, &slow, &mut stream, &id);
    }
}

#[test]
fn an_endless_stream_does_not_keep_it_from_ending() {
    let slow = Slow::new();
    let mut weir = Weir::configured(&format!("drain: 1s\n{}", one_pool(&[slow.upstream.url()], "")));
    let (mut stream, id) = begin(&weir);
    weir.signal("TERM");
    assert_eq!(weir.wait(), 0);
    assert_events(&weir, ["draining", "stopped before the end of the drain"]);
    assert_stopped(&weir, &slow, &mut stream, &id);
}

#[test]
fn a_call_that_nobody_answers_does_not_keep_it_from_ending() {
    let upstream = Upstream::with(|_, socket| socket.read(&mut [0]).is_ok_and(|bytes| bytes > 0));
    let mut weir = Weir::configured(&format!("drain: 0s\n{}", one_pool(&[upstream.url()], "")));
    let mut call = Connection::to(&weir.data);
    call.send(request("POST", "/v1/chat/completions", &[("x-request-id", "mine-1")], ASK.as_bytes()));
    eventually("the call", || (upstream.got().len() == 1).then_some(()));
    weir.signal("INT");
    assert_eq!(weir.wait(), 0);
    let answer = call.answer();
    assert_eq!(
        (answer.status, answer.header("x-weir-reason"), answer.json()["error"]["code"].as_str()),
        (503, Some("draining"), Some("draining"))
    );
    assert!(answer.header("retry-after").is_some() && call.is_closed());
    let line = weir.call_line("mine-1");
    assert_eq!((&line["end"], &line["reason"]), (&"stopped".into(), &"draining".into()), "{line}");
    eventually("an upstream that is free", || (upstream.gone() == 1).then_some(()));
}

#[test]
fn streams_may_take_longer_than_whole_answers() {
    let slow = Slow::new();
    let silent = Upstream::with(|_, socket| socket.read(&mut [0]).is_ok_and(|bytes| bytes > 0));
    let mut weir = Weir::configured(&format!(
        "drain: {{ grace: 0s, requests: 500ms, streams: 10m }}
pools:
  slow: {{ endpoints: [{{ url: \"{}\" }}] }}
  silent: {{ endpoints: [{{ url: \"{}\" }}] }}
routes:
  m: {{ targets: [{{ pool: slow }}] }}
  n: {{ targets: [{{ pool: silent }}] }}
",
        slow.upstream.url(),
        silent.url()
    ));
    let (mut stream, _) = begin(&weir);
    let mut call = Connection::to(&weir.data);
    call.send(request("POST", "/v1/chat/completions", &[], br#"{"model":"n","messages":[]}"#));
    eventually("the call", || (silent.got().len() == 1).then_some(()));

    weir.signal("TERM");
    let answer = call.answer();
    assert_eq!((answer.status, answer.header("x-weir-reason")), (503, Some("draining")));
    assert!(stream.chunk().is_some(), "the stream goes on");
    slow.finish();
    let (events_left, whole) = rest(&mut stream);
    assert!(whole && events_left.ends_with("data: [DONE]\n\n"), "{events_left}");
    assert_eq!(weir.wait(), 0);
    assert_events(&weir, ["draining", "drained"]);
}

#[test]
fn a_killed_process_cuts_its_streams_on_both_sides() {
    let slow = Slow::new();
    let mut weir = Weir::before(&[slow.upstream.url()]);
    let (mut stream, _) = begin(&weir);
    weir.signal("KILL");
    assert_eq!(weir.wait(), -1);
    let (events_left, whole) = rest(&mut stream);
    assert!(!whole && !events_left.contains("[DONE]"));
    eventually("an upstream that is free", || (slow.upstream.gone() == 1).then_some(()));
}

/// A log that nobody reads must not keep the process from ending.
#[test]
fn a_full_log_does_not_keep_it_from_ending() {
    let upstream = Upstream::new();
    let mut command = support::weir::command();
    command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &upstream.url()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut ready = String::new();
    stderr.read_line(&mut ready).unwrap();
    let address = ready.split("data http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    // Long lines, and more of them than the pipe and the hand-over hold together.
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let address = address.clone();
            std::thread::spawn(move || {
                let mut connection = Connection::to(&address);
                let bytes = request("GET", &format!("/{}", "x".repeat(250)), &[], b"");
                for _ in 0..6_000 {
                    connection.send(&bytes);
                    assert_eq!(connection.answer().status, 404);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    let interrupted = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let status = eventually("the end of the process", || child.try_wait().unwrap());
    assert!(status.success());
}
