//! Request heads, up to the target of a canary rule: see `tests/properties/head_to_route.rs`.

#![no_main]

#[path = "../../tests/properties/head_to_route.rs"]
mod head_to_route;

libfuzzer_sys::fuzz_target!(|input: &[u8]| head_to_route::check(input));
