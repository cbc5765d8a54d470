//! What Weir decides. `router-core` opens no socket and no file, starts no task, holds no lock and reads
//! neither clock nor environment: the time (`now`), random numbers and looked-up values are arguments, and
//! every decision is a returned value. So each of them can be simulated, replayed and fuzzed.
//!
//! The modules are the rooms of a request's path that decide something, in the order in which a request
//! walks through them (which is alphabetical order). The doing half of each stands in the `weir` package
//! under `gateway/src/path/` by the same name.

pub mod config;
pub mod dialect;
pub mod identify;
pub mod limit;
pub mod overload;
pub mod route;
pub mod select;
pub mod stream;
