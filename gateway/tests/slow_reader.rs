//! A caller that does not read costs no memory: what Weir holds for it is bounded, so that the upstream has to
//! wait; when the caller goes on, it gets every byte.

mod support;

use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::client::{Connection, request};
use support::config::{ASK_STREAM, one_pool};
use support::events::finish;
use support::refusal::OPENAI;
use support::socket::narrow_connection;
use support::upstream::{LAST_CHUNK, SSE_HEAD, Upstream, chunk};
use support::weir::Weir;
use support::{eventually, pause};

const EVENTS: usize = 50_000;
/// Above what the system takes in for Weir's side towards the upstream before Weir reads it more slowly, and
/// below what it takes in for both sides by itself (8 MB), well below the whole answer of 50 MB.
const WRITTEN_MAX: usize = 6 * 1024 * 1024;
const GROWTH_KIB_MAX: u64 = 4 * 1024;

/// The event with this number: 1 KiB, and no two are the same.
fn event(number: usize) -> Vec<u8> {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{number:>0960}\"}}}}]}}\n\n")
        .into_bytes()
}

/// Two seconds, or for longer runs what the environment says.
fn stall() -> Duration {
    let seconds = std::env::var("WEIR_TEST_STALL_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

#[test]
fn a_caller_that_does_not_read_holds_the_upstream_up_and_gets_everything_later() {
    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    let upstream = Upstream::with(move |_, socket| {
        let mut write = |bytes: &[u8]| {
            let sent = socket.write_all(bytes).is_ok();
            counter.fetch_add(bytes.len(), Ordering::SeqCst);
            sent
        };
        write(SSE_HEAD)
            && (0..EVENTS).all(|number| write(&chunk(&event(number))))
            && write(&[&chunk(finish(OPENAI)), LAST_CHUNK].concat())
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    // A first call, so that what Weir needs for any call is there.
    drop(support::client::chat(&weir.data, "{}"));
    let before_kib = weir.rss_kib();

    let mut socket = narrow_connection(&weir.data, 64 * 1024);
    socket.write_all(&request("POST", OPENAI, &[("x-request-id", "slow")], ASK_STREAM.as_bytes())).unwrap();
    let stalled_at = eventually("the upstream held up", || {
        let now = written.load(Ordering::SeqCst);
        pause(Duration::from_secs(1));
        (now > 0 && now == written.load(Ordering::SeqCst)).then_some(now)
    });
    pause(stall());
    assert_eq!(written.load(Ordering::SeqCst), stalled_at, "the upstream is still held up");
    assert!(stalled_at < WRITTEN_MAX, "{stalled_at} bytes went somewhere");
    let growth_kib = weir.rss_kib().saturating_sub(before_kib);
    assert!(growth_kib < GROWTH_KIB_MAX, "{growth_kib} KiB more");

    let mut connection = Connection::over(socket);
    let answer = connection.answer();
    assert!(answer.whole && answer.status == 200);
    let mut body = BufReader::new(answer.body.as_slice());
    for number in 0..EVENTS {
        let mut found = vec![0; event(number).len()];
        body.read_exact(&mut found).unwrap();
        assert!(found == event(number), "event {number} was changed");
    }
    let mut rest = Vec::new();
    body.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, finish(OPENAI));
    assert_eq!(weir.call_line("slow")["end"], "complete");
}
