//! How far behind is each segment of each route? The ledger and the levels, in Kafka's terms: a topic is a route, a
//! partition one of its segments, a record a call. And the JSON in which operators, autoscalers and clients read it.
//!
//! Both offsets only grow; `lag = log_end_offset − committed_offset` is what is queued and what is under way.

mod ledger;
mod level;
mod report;

pub use self::ledger::{Ledger, Service};
pub use self::level::{DWELL, Gauge, Level};
pub use self::report::{Backpressure, PartitionState, PoolState, TopicState, Totals};
