//! Metrics pages of model servers: see `tests/properties/gauges.rs`.

#![no_main]

#[path = "../../tests/properties/gauges.rs"]
mod gauges;

libfuzzer_sys::fuzz_target!(|input: &[u8]| gauges::check(input));
