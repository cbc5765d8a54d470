//! Replays every input of the fuzz corpora through the properties that the fuzz targets hold (`fuzz/README.md`):
//! what was once found stays mended, without a fuzzer.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on should fail")]
#![expect(clippy::disallowed_methods, reason = "a test may read files; the core does not")]
#![expect(clippy::string_slice, reason = "a slice that is wrong should fail")]

use std::path::Path;

#[path = "properties/assemble.rs"]
mod assemble;
#[path = "properties/body_scan.rs"]
mod body_scan;
#[path = "properties/config.rs"]
mod config;
#[path = "properties/gauges.rs"]
mod gauges;
#[path = "properties/head_to_route.rs"]
mod head_to_route;
#[path = "properties/jwt.rs"]
mod jwt;
#[path = "properties/sse_watch.rs"]
mod sse_watch;

/// Feeds all of a target's inputs to its property, and says which one fails.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("the corpus can be read").path();
        let input = std::fs::read(&path).expect("an input can be read");
        assert!(input.len() <= 4096, "{} is longer than 4 KiB", path.display());
        let failed = std::panic::catch_unwind(|| check(&input)).is_err();
        assert!(!failed, "{} fails", path.display());
        count += 1;
    }
    assert!(count >= 10, "the corpus of {target} is elsewhere now");
}

#[test]
fn request_bodies() {
    replay("body_scan", body_scan::check);
}

#[test]
fn answers_put_together() {
    replay("assemble", assemble::check);
}

#[test]
fn answers() {
    replay("sse_watch", sse_watch::check);
}

#[test]
fn configurations() {
    replay("config", config::check);
}

#[test]
fn request_heads() {
    replay("head_to_route", head_to_route::check);
}

#[test]
fn bearer_tokens() {
    replay("jwt", jwt::check);
}

#[test]
fn metrics_pages() {
    replay("gauges", gauges::check);
}
