//! Streams that are put together into one document: see `tests/properties/assemble.rs`.

#![no_main]

#[path = "../../tests/properties/assemble.rs"]
mod assemble;

libfuzzer_sys::fuzz_target!(|input: &[u8]| assemble::check(input));
