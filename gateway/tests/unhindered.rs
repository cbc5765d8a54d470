//! With nothing configured Weir is not in the way: it holds nothing back from an upstream that has room, refuses
//! nothing that the upstream would have served, and comes back with an upstream that was dead.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::client::{Answer, chat};
use support::config::{ASK, ASK_STREAM, one_pool};
use support::held::nothing_left;
use support::pause;
use support::upstream::{FINISH, Got, LAST_CHUNK, SSE_HEAD, Upstream, chunk, completion, delta};
use support::weir::Weir;

fn is_stream(got: &Got) -> bool {
    got.body.ends_with(br#""stream":true}"#)
}

fn answer(got: &Got, socket: &mut TcpStream) -> bool {
    let stream = [SSE_HEAD, &chunk(&delta("Dear")), &chunk(&delta(" reader")), &chunk(FINISH), LAST_CHUNK];
    let bytes = if is_stream(got) { stream.concat() } else { completion() };
    socket.write_all(&bytes).is_ok()
}

fn is_good(answer: &Answer) -> bool {
    answer.status == 200 && answer.whole
}

/// An upstream with any number of slots: it never queues, and its first token comes after 1.5 s.
fn endless() -> Upstream {
    Upstream::with(|got, socket| {
        pause(Duration::from_millis(1500));
        answer(got, socket)
    })
}

/// Callers that always ask again, until in the time in which so many answers come nobody has to wait.
fn assert_unhindered(body: &str) {
    const CALLERS: usize = 100;
    const ANSWERS: usize = 3 * CALLERS;
    let upstream = endless();
    let weir = Weir::before(&[upstream.url()]);
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let waits = || weir.metric("weir_queue_wait_seconds_count{route=\"*\",segment=\"default\"}");
    let all_under_way = || weir.metric_sum("weir_inflight") > 0.98 * CALLERS as f64;
    let unhindered = std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let answer = chat(&weir.data, body);
                    assert!(is_good(&answer), "{answer:?}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let (begun, mut unhindered) = (Instant::now(), false);
        while !unhindered && begun.elapsed() < Duration::from_secs(60) {
            pause(Duration::from_millis(100));
            let (waited, so_far) = (waits(), served.load(Ordering::SeqCst));
            let warm = all_under_way();
            while warm && waits() <= waited && !unhindered {
                pause(Duration::from_millis(100));
                unhindered = served.load(Ordering::SeqCst) >= so_far + ANSWERS;
            }
        }
        done.store(true, Ordering::SeqCst);
        unhindered
    });
    assert!(unhindered, "calls are held back for ever");
    assert!(weir.metric_sum("weir_shed_total") < 0.5, "nobody is refused at any time");
    nothing_left(&weir);
}

#[test]
fn streams_are_not_held_back_from_an_upstream_that_never_queues() {
    assert_unhindered(ASK_STREAM);
}

#[test]
fn whole_answers_are_not_held_back_from_an_upstream_that_never_queues() {
    assert_unhindered(ASK);
}

/// An upstream with one slot: everybody else waits in its own queue, as long as it takes.
fn one_slot(slot_time: Duration) -> Upstream {
    let slot = Mutex::new(());
    Upstream::with(move |got, socket| {
        let _held = slot.lock().unwrap();
        pause(slot_time);
        answer(got, socket)
    })
}

#[test]
fn a_slow_server_with_a_queue_of_its_own_serves_all_that_it_would_have_served() {
    for body in [ASK_STREAM, ASK] {
        let upstream = one_slot(Duration::from_millis(60));
        let weir = Weir::before(&[upstream.url()]);
        std::thread::scope(|scope| {
            for _ in 0..60 {
                scope.spawn(|| {
                    let answer = chat(&weir.data, body);
                    assert!(is_good(&answer), "{answer:?}");
                });
            }
        });
        assert_eq!(upstream.got().len(), 60);
        assert!(weir.metric_sum("weir_shed_total") < 0.5);
        nothing_left(&weir);
    }
}

/// An upstream that takes calls and never answers, until it is revived.
struct Dead {
    upstream: Upstream,
    alive: Arc<AtomicBool>,
    /// Most calls that it had at once.
    most: Arc<AtomicUsize>,
}

impl Dead {
    fn new() -> Self {
        let (alive, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (revived, peak, now) = (alive.clone(), most.clone(), AtomicUsize::new(0));
        let upstream = Upstream::with(move |got, socket| {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let answered = revived.load(Ordering::SeqCst) && answer(got, socket);
            if !answered {
                while socket.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
            }
            now.fetch_sub(1, Ordering::SeqCst);
            answered
        });
        Self { upstream, alive, most }
    }
}

fn at_once(weir: &Weir, callers: usize, body: &str) -> Vec<u16> {
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..callers).map(|_| scope.spawn(|| chat(&weir.data, body).status)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    })
}

#[test]
fn an_upstream_that_is_dead_gets_few_calls_and_all_of_them_once_it_lives() {
    for body in [ASK_STREAM, ASK] {
        let dead = Dead::new();
        let timeouts = ", timeouts: { headers: 300ms, first_token: 300ms, answer: 300ms }";
        let weir = Weir::configured(&one_pool(&[dead.upstream.url()], timeouts));
        let statuses = at_once(&weir, 100, body);
        assert!(statuses.iter().all(|status| *status == 504), "{statuses:?}");
        let most = dead.most.load(Ordering::SeqCst);
        assert!(most < 50, "{most} at once went to an upstream that never answered any");
        nothing_left(&weir);
        dead.alive.store(true, Ordering::SeqCst);
        let statuses = at_once(&weir, 200, body);
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        nothing_left(&weir);
    }
}

/// Whichever algorithm finds the limit, calls wait for their turn and are all served.
#[test]
fn every_algorithm_serves_all_calls_that_have_the_time() {
    let algorithms = ["first_token_window", "gradient", "gradient2", "aimd", "fixed, limit: 2"];
    std::thread::scope(|scope| {
        for algorithm in algorithms {
            scope.spawn(move || {
                let upstream = Upstream::with(|got, socket| {
                    pause(Duration::from_millis(20));
                    answer(got, socket)
                });
                let pool = format!(", concurrency: {{ algorithm: {algorithm} }}");
                let weir = Weir::configured(&one_pool(&[upstream.url()], &pool));
                for body in [ASK_STREAM, ASK] {
                    let statuses = at_once(&weir, 100, body);
                    assert!(statuses.iter().all(|status| *status == 200), "{algorithm}: {statuses:?}");
                }
                nothing_left(&weir);
            });
        }
    });
}
