//! Answers, cut into pieces: see `tests/properties/sse_watch.rs`.

#![no_main]

#[path = "../../tests/properties/sse_watch.rs"]
mod sse_watch;

libfuzzer_sys::fuzz_target!(|input: &[u8]| sse_watch::check(input));
