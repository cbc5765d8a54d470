//! Bearer tokens and the keys of their issuers: see `tests/properties/jwt.rs`.

#![no_main]

#[path = "../../tests/properties/jwt.rs"]
mod jwt;

libfuzzer_sys::fuzz_target!(|input: &[u8]| jwt::check(input));
