//! An upstream that answers only when a test says so, and how the calls that wait for it stand.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::client::{Connection, get, request};
use super::events::{finish, token};
use super::eventually;
use super::metrics::{Family, parse};
use super::refusal::OPENAI;
use super::socket::reset_on_close;
use super::upstream::{Got, LAST_CHUNK, SSE_HEAD, Upstream, chunk, completion};
use super::weir::{Folder, Weir, command};

/// The header by which a test knows a call again.
pub const NAME: &str = "x-test-name";
/// The header that says how the upstream treats a call: `begun` streams have their first token at once, those that
/// are to be `reset` break when they are let go.
pub const HOW: &str = "x-test";

/// An upstream that holds every answer until it is told to let one go.
pub struct Held {
    pub upstream: Upstream,
    tickets: Arc<AtomicUsize>,
}

impl Held {
    pub fn new() -> Self {
        let tickets = Arc::new(AtomicUsize::new(0));
        let left = tickets.clone();
        Self { upstream: Upstream::with(move |got, socket| answer(got, socket, &left)), tickets }
    }

    pub fn url(&self) -> String {
        self.upstream.url()
    }

    /// So many more answers go on.
    pub fn let_go(&self, answers: usize) {
        self.tickets.fetch_add(answers, Ordering::SeqCst);
    }

    /// The calls that it got, by name, in order.
    pub fn names(&self) -> Vec<String> {
        self.upstream.got().iter().map(|got| got.header(NAME).unwrap_or_default().to_owned()).collect()
    }
}

fn answer(got: &Got, socket: &mut TcpStream, tickets: &AtomicUsize) -> bool {
    let path = got.line.split(' ').nth(1).unwrap_or_default();
    let how = got.header(HOW).unwrap_or_default();
    let stream = got.body.ends_with(br#""stream":true}"#);
    let begin = [SSE_HEAD, &chunk(&token(path, "Dear"))].concat();
    let begun = how.contains("begun");
    if begun && socket.write_all(&begin).is_err() || !is_let_go(socket, tickets) {
        return false;
    }
    if how.contains("reset") {
        reset_on_close(socket);
        return false;
    }
    let end = [&chunk(finish(path)), LAST_CHUNK].concat();
    let rest = match (stream, begun) {
        (false, _) => completion(),
        (true, false) => [begin, end].concat(),
        (true, true) => end,
    };
    socket.write_all(&rest).is_ok()
}

/// Waits for a ticket; `false` if the other side goes away first.
fn is_let_go(socket: &TcpStream, tickets: &AtomicUsize) -> bool {
    socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap_or_default();
    loop {
        // First, so that whose call is gone takes nobody's ticket.
        match socket.peek(&mut [0]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return false,
        }
        let take = |left: usize| left.checked_sub(1);
        if tickets.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            socket.set_read_timeout(None).unwrap_or_default();
            return true;
        }
    }
}

/// One route `m` before one pool `p` of one endpoint that takes one call at a time. The others are further keys of
/// the pool, of the route (both with a comma before them), and of the file.
pub fn one_at_a_time(url: &str, pool: &str, route: &str, file: &str) -> String {
    format!(
        "pools: {{ p: {{ endpoints: [{{ url: \"{url}\" }}], concurrency: {{ algorithm: fixed, limit: 1 }}{pool} }} }}
routes: {{ m: {{ targets: [{{ pool: p }}]{route} }} }}
{file}"
    )
}

/// A Weir with this configuration on free ports that believes what callers say of their segment, and its folder, in
/// which `weir.yaml` may be changed.
pub fn trusting(config: &str) -> (Weir, Folder) {
    let files = Folder::new();
    let path = write(&files, config);
    let mut command = command();
    command.arg("run").arg("--config").arg(path);
    (Weir::start_as_is(command, None), files)
}

/// Writes the configuration of such a Weir.
pub fn write(files: &Folder, config: &str) -> std::path::PathBuf {
    let doors = "listen: [{ address: 127.0.0.1:0, trust_headers: true }]\nadmin: { address: 127.0.0.1:0 }\n";
    files.write("weir.yaml", &format!("{doors}{config}"))
}

/// Sends a call and does not wait for its answer.
pub fn ask(weir: &Weir, name: &str, headers: &[(&str, &str)], body: &str) -> Connection {
    ask_at(weir, OPENAI, name, headers, body)
}

/// The same in the dialect of `path`.
pub fn ask_at(weir: &Weir, path: &str, name: &str, headers: &[(&str, &str)], body: &str) -> Connection {
    let mut connection = Connection::to(&weir.data);
    let headers = [&[(NAME, name), ("x-request-id", name)], headers].concat();
    connection.send(request("POST", path, &headers, body.as_bytes()));
    connection
}

/// What Weir says of a route.
pub fn topic(weir: &Weir, route: &str) -> Value {
    get(&weir.admin, &format!("/weir/backpressure/{route}")).json()["topics"][0].clone()
}

/// Waits until so many calls of the route `m` wait, and so many are under way.
pub fn stands(weir: &Weir, queued: u64, inflight: u64) {
    let mut last = Value::Null;
    let what = format!("{queued} in line and {inflight} under way");
    let seen = || {
        last = topic(weir, "m")["totals"].clone();
        (last["queued"] == queued && last["inflight"] == inflight && last["lag"] == queued + inflight)
            .then_some(())
    };
    eventually(&what, seen);
}

/// Waits until nothing is left of any call, by everything that Weir says of it.
pub fn nothing_left(weir: &Weir) {
    const GAUGES: [&str; 4] = ["weir_queued", "weir_inflight", "weir_awaiting_first_token", "weir_lag"];
    let sum = |family: Option<&Family>| -> f64 {
        family.map_or(0.0, |family| family.samples.iter().map(|sample| sample.value).sum())
    };
    eventually("lag 0", || {
        let topics = get(&weir.admin, "/weir/backpressure").json()["topics"].clone();
        let idle = |topic: &Value| {
            let totals = &topic["totals"];
            let keys = ["lag", "queued", "inflight", "lag_tokens", "drain_ms", "oldest_age_ms"];
            keys.iter().all(|key| totals[*key] == 0)
                && topic["partitions"].as_array().unwrap().iter().all(|one| {
                    one["log_end_offset"] == one["committed_offset"]
                        && one["log_end_offset"] == one["low_watermark"]
                })
        };
        let families = parse(&get(&weir.admin, "/metrics").text());
        let committed = sum(families.get("weir_committed_offset"));
        (topics.as_array().unwrap().iter().all(idle)
            && GAUGES.iter().all(|name| sum(families.get(*name)) == 0.0)
            && (sum(families.get("weir_log_end_offset")) - committed).abs() < 0.5
            && weir.inflight() == 0)
            .then_some(())
    });
}

/// Asserts that the one place is free: the next call gets it and is served.
pub fn the_next_is_served(weir: &Weir, held: &Held) {
    nothing_left(weir);
    let mut next = ask(weir, "next", &[], super::config::ASK_STREAM);
    held.let_go(1);
    let answer = next.answer();
    assert!(answer.status == 200 && answer.whole && answer.text().ends_with("[DONE]\n\n"), "{answer:?}");
    nothing_left(weir);
}
