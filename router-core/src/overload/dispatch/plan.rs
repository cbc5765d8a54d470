//! What a dispatcher works with: the routes, customer classes and pools of one connected group, as plain data. Built
//! by the gateway from the checked configuration, taken whole on start and on reload.

use std::time::Duration;

use crate::config::Balance;
use crate::dialect::DialectSet;
use crate::overload::limiter::Limiter;

/// Routes and pools that are linked, and the segments that call them.
#[derive(Debug)]
pub struct Plan {
    /// What clients ask for, in the order in which the caller will number them.
    pub topics: Vec<Topic>,
    /// Customer classes, in the order in which the caller will number them.
    pub segments: Vec<Segment>,
    /// Endpoints that serve the same thing.
    pub pools: Vec<Pool>,
}

/// A route, or `passthrough:<prefix>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// The name under which it is reported, and found again after a reload.
    pub name: String,
    /// Where its calls may go; at most [`Targets::MOST`](super::Targets::MOST) of them are used.
    pub targets: Vec<Target>,
    /// What a call does when the target whose turn it is has no room.
    pub when_full: WhenFull,
    /// Bounds of its queue.
    pub queue: QueueBounds,
}

/// One destination of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name under which it is found again after a reload.
    pub label: String,
    /// Index into [`Plan::pools`].
    pub pool: usize,
    /// Its share, in any unit common to the topic. With 0 only a call that is bound to it goes there.
    pub weight: u32,
    /// The dialects that are spoken there.
    pub dialects: DialectSet,
}

/// What a call does when the target whose turn it is has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It goes to another target that has.
    Spill,
    /// It waits: calls are bound to a target when they arrive.
    Wait,
}

/// How long and how full a topic's queue may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueBounds {
    /// Longest wait of any call.
    pub wait: Duration,
    /// Most calls.
    pub requests: u32,
    /// Most estimated tokens.
    pub tokens: u64,
}

/// A customer class.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The name under which it is reported, and found again after a reload.
    pub name: String,
    /// Its part of a contended pool, relative to the others'; over 0.
    pub share: f64,
    /// Whether it goes by shares or before all others.
    pub order: Order,
    /// The first token that it was promised; used for reporting ([`Arrival::patience`](super::Arrival::patience)
    /// rules each call).
    pub objective: Option<Duration>,
    /// Most of a pool's places that it may have at once, 0..1, but always one.
    pub max_inflight_ratio: Option<f64>,
}

/// How a segment stands to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By shares.
    Fair,
    /// Before all that are not strict.
    Strict,
}

/// Endpoints that serve the same thing.
#[derive(Debug)]
pub struct Pool {
    /// The name under which it is reported, and found again after a reload.
    pub name: String,
    /// Its servers.
    pub endpoints: Vec<Endpoint>,
    /// How one of them is chosen.
    pub balance: Balance,
    /// What batch calls leave to the others.
    pub batch: Batch,
    /// Hard bounds.
    pub bulkhead: Bulkhead,
    /// What its limiters count.
    pub counts: Counts,
}

/// One server.
#[derive(Debug)]
pub struct Endpoint {
    /// What tells it from others of the pool and from itself under other settings: an endpoint with the same
    /// identity keeps its limiter over a reload.
    pub identity: String,
    /// Decides how many attempts it gets at a time.
    pub limiter: Box<dyn Limiter>,
}

/// What batch calls leave to the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Batch {
    /// Part of each endpoint's window that they do not touch, 0..1.
    pub reserve: f64,
    /// So many of them may be under way at the pool whatever else waits.
    pub minimum: u32,
}

/// Hard bounds of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bulkhead {
    /// Attempts under way.
    pub inflight: Option<u32>,
    /// Calls that wait for it.
    pub pending: Option<u32>,
}

/// What a limiter's limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Attempts without a first token, and a cap on all of them.
    FirstToken,
    /// Attempts under way.
    Inflight,
}
