//! The simulator as its users meet it: over a real socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

mod api;
mod command;
mod faults;
mod lifetime;
mod wire;
