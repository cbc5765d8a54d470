//! The configuration as what the dispatcher works with. Topics are numbered as [`Snapshot::topics`] are, everything
//! else as in the configuration.

use router_core::config::{self, Concurrency, Objective, Queue};
use router_core::overload::dispatch::{
    Batch, Bulkhead, Counts, Endpoint, Order, Plan, Pool, QueueBounds, Segment, Target, Topic, WhenFull,
};
use router_core::overload::limiter::{Algorithm, FixedSettings};
use router_core::overload::settings::algorithm;

use crate::snapshot::{Route, Snapshot};

pub(super) fn of(snapshot: &Snapshot) -> Plan {
    let config = &snapshot.config;
    let promised = Objective::strictest(&config.segments);
    Plan {
        topics: snapshot.topics().map(|route| topic(route, snapshot)).collect(),
        segments: config.segments.iter().map(segment).collect(),
        pools: config.pools.iter().map(|one| pool(one, &promised)).collect(),
    }
}

fn topic(route: &Route, snapshot: &Snapshot) -> Topic {
    let configured = snapshot.config.routes.iter().find(|one| one.name == *route.name);
    let queue = configured.map_or_else(Queue::default, |one| one.queue);
    let when_full = match configured.map(|one| one.when_full) {
        Some(config::WhenFull::Wait) => WhenFull::Wait,
        Some(config::WhenFull::Spill) | None => WhenFull::Spill,
    };
    let pools = &snapshot.pools;
    let place = |target: &crate::snapshot::Target| {
        pools.iter().position(|pool| std::sync::Arc::ptr_eq(pool, &target.pool)).unwrap_or(usize::MAX)
    };
    let targets = route.targets.iter().map(|target| Target {
        label: target.label.to_string(),
        pool: place(target),
        weight: target.weight,
    });
    Topic {
        name: route.name.to_string(),
        targets: targets.collect(),
        when_full,
        queue: QueueBounds {
            wait: queue.wait,
            requests: queue.requests,
            tokens: queue.tokens.unwrap_or(u64::MAX),
        },
    }
}

fn segment(segment: &config::Segment) -> Segment {
    Segment {
        name: segment.name.clone(),
        share: segment.share,
        order: match segment.order {
            config::Order::Fair => Order::Fair,
            config::Order::Strict => Order::Strict,
        },
        objective: segment.objective.first_token,
        max_inflight_ratio: (segment.max_inflight_ratio < 1.0).then_some(segment.max_inflight_ratio),
    }
}

fn pool(pool: &config::Pool, promised: &Objective) -> Pool {
    // Where only the bulkhead limits, an endpoint takes whatever comes.
    let unlimited = Algorithm::Fixed(FixedSettings { limit: u32::MAX });
    let chosen = pool.concurrency.as_ref().map_or(unlimited, |concurrency| algorithm(concurrency, promised));
    let counts = match pool.concurrency {
        Some(Concurrency::FirstTokenWindow(_)) => Counts::FirstToken,
        _ => Counts::Inflight,
    };
    let endpoints = pool.endpoints.iter().map(|endpoint| Endpoint {
        // One with other settings begins anew.
        identity: format!("{endpoint:?} {chosen:?}"),
        limiter: Box::new(chosen.build(rand::random())),
    });
    // A call takes a connection of its own, but for HTTP/2.
    let connections = pool.bulkhead.connections.filter(|_| !pool.http2);
    Pool {
        name: pool.name.clone(),
        endpoints: endpoints.collect(),
        balance: pool.balance,
        batch: Batch { reserve: pool.batch.reserve, minimum: pool.batch.minimum },
        bulkhead: Bulkhead {
            inflight: pool.bulkhead.streams.into_iter().chain(connections).min(),
            pending: pool.bulkhead.pending,
        },
        counts,
    }
}
