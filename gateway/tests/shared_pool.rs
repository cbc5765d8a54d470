//! Gateways that share a pool are told when they are too many for it.

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::client::chat;
use support::config::{ASK, one_pool};
use support::upstream::{Upstream, completion};
use support::weir::Weir;
use support::{eventually, pause};

const RATIO: &str = "weir_shared_queue_ratio{pool=\"p\"}";

fn weir(upstream: &Upstream, gateways: u32) -> Weir {
    Weir::configured(&one_pool(&[upstream.url()], &format!(", concurrency: {{ gateways: {gateways} }}")))
}

fn slow() -> Upstream {
    Upstream::with(|_, socket| {
        pause(Duration::from_millis(50));
        socket.write_all(&completion()).is_ok()
    })
}

#[test]
fn more_gateways_than_an_endpoint_has_first_tokens_for_show_in_a_metric() {
    let upstream = slow();
    let weir = weir(&upstream, 900);
    assert!(weir.metric(RATIO).abs() < f64::EPSILON, "nobody is held back");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(chat(&weir.data, ASK).status, 200);
                }
            });
        }
        let ratio = eventually("the warning", || Some(weir.metric(RATIO)).filter(|ratio| *ratio > 0.25));
        stop.store(true, Ordering::Relaxed);
        // An attempt of each of 900 gateways, at no more than what a server does that takes 50 ms for each.
        assert!(ratio > 900.0 / (1_000.0 * 2.0), "{ratio}");
    });
}

#[test]
fn one_that_is_alone_has_no_such_metric() {
    let upstream = Upstream::new();
    let weir = weir(&upstream, 1);
    assert!(!support::client::get(&weir.admin, "/metrics").text().contains("weir_shared_queue_ratio"));
}
