//! No call waits for an acknowledgement.
//!
//! A kernel holds back a small piece of data while an earlier one is unacknowledged (Nagle's algorithm), and on
//! a connection where question and answer alternate the other side acknowledges only after some 40 ms. Who
//! writes in pieces and does not turn this off (`TCP_NODELAY`) pays that for the second piece of every call.
//!
//! These are the only tests that measure time: without the option each takes above 1.6 s, with it 0.1 s.

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use support::client::{Connection, request};
use support::config::{ASK, one_pool};
use support::pause;
use support::refusal::OPENAI;
use support::upstream::{Upstream, completion};
use support::weir::Weir;

const CALLS: u32 = 40;
/// Half of what acknowledgements would cost.
const PATIENCE: Duration = Duration::from_millis(40 * 40 / 2);

/// The time for that many calls on one connection.
fn time(weir: &Weir, body: &str) -> Duration {
    let mut connection = Connection::to(&weir.data);
    let start = Instant::now();
    for _ in 0..CALLS {
        connection.send(request("POST", OPENAI, &[], body.as_bytes()));
        assert_eq!(connection.answer().status, 200);
    }
    start.elapsed()
}

#[test]
fn the_second_piece_of_an_answer_does_not_wait() {
    let upstream = Upstream::with(|_, socket| {
        let answer = completion();
        let (piece, rest) = answer.split_at(answer.len() - 50);
        socket.write_all(piece).unwrap_or_default();
        pause(Duration::from_millis(1));
        socket.write_all(rest).is_ok()
    });
    let weir = Weir::configured(&one_pool(&[upstream.url()], ""));
    let took = time(&weir, ASK);
    assert!(took < PATIENCE, "{took:?}");
}

#[test]
fn the_second_piece_of_a_request_does_not_wait() {
    let upstream = Upstream::new();
    let pools = format!("pools: {{ p: {{ endpoints: [{{ url: \"{}\" }}] }} }}\n", upstream.url());
    let weir =
        Weir::configured(&format!("{pools}routes: {{ m: {{ targets: [{{ pool: p, model: real }}] }} }}\n"));
    // Too large for one write, and cut at the model.
    let words = "word ".repeat(6_000);
    let took = time(&weir, &format!(r#"{{"messages":["{words}"],"model":"m","user":"{words}"}}"#));
    assert!(took < PATIENCE, "{took:?}");
}
