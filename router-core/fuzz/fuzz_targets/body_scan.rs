//! Request bodies: see `tests/properties/body_scan.rs`.

#![no_main]

#[path = "../../tests/properties/body_scan.rs"]
mod body_scan;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body_scan::check(input));
