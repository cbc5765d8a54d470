//! How much work does each model server get, who waits for it in which order, and who hears at once that it will
//! not be served in time? Finds each server's safe concurrency by itself ([`limiter`]), orders what waits
//! ([`dispatch`]) and tells what it sees in Kafka's terms ([`lag`]).
//!
//! Time is the [`Duration`](std::time::Duration) since an origin that the caller chooses and keeps; it never goes
//! back.

pub mod ask;
pub mod dispatch;
pub mod estimate;
pub mod gauges;
pub mod lag;
pub mod limiter;
pub mod settings;
