//! The configuration as what the dispatchers work with: groups of routes and pools that are linked, each a plan. In it
//! topics and pools are numbered as in [`Members`], everything else as in the configuration.

use std::sync::Arc;

use router_core::config::{self, Concurrency, Objective, Queue};
use router_core::overload::dispatch::{
    Batch, Bulkhead, Counts, Endpoint, Order, Plan, Pool, QueueBounds, Segment, Target, Topic, WhenFull,
};
use router_core::overload::limiter::{Algorithm, FixedSettings};
use router_core::overload::settings::algorithm;

use super::group::Group;
use crate::snapshot::{self, Route, Snapshot};

/// What belongs to a group, by its place in the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) topics: Vec<usize>,
    pub(super) pools: Vec<usize>,
}

/// The groups of these tables, each with those of `known` that have something of it.
pub(super) fn groups(snapshot: &Snapshot, known: &[Arc<Group>]) -> Vec<(Members, Vec<Arc<Group>>)> {
    let used: Vec<Vec<usize>> = snapshot.topics().map(|route| pools_of(route, snapshot)).collect();
    let held: Vec<Vec<usize>> = known.iter().map(|group| held(group, snapshot, &used)).collect();
    let mut groups: Vec<(Members, Vec<Arc<Group>>)> = Vec::new();
    let mut place = vec![usize::MAX; snapshot.pools.len()];
    for (pool, first) in linked(snapshot.pools.len(), used.iter().chain(&held)).into_iter().enumerate() {
        if pool == first {
            place[pool] = groups.len();
            groups.push(Default::default());
        }
        place[pool] = place[first];
        groups[place[pool]].0.pools.push(pool);
    }
    for (topic, pools) in used.iter().enumerate() {
        if let Some(pool) = pools.first() {
            groups[place[*pool]].0.topics.push(topic);
        }
    }
    for (group, pools) in known.iter().zip(&held) {
        if let Some(pool) = pools.first() {
            groups[place[*pool]].1.push(group.clone());
        }
    }
    groups
}

/// The pools that a route's calls may go to.
fn pools_of(route: &Route, snapshot: &Snapshot) -> Vec<usize> {
    let place = |target: &snapshot::Target| {
        snapshot.pools.iter().position(|pool| Arc::ptr_eq(pool, &target.pool)).unwrap_or(usize::MAX)
    };
    route.targets.iter().map(place).collect()
}

/// The pools of which a group has something, itself or by a route.
fn held(group: &Group, snapshot: &Snapshot, used: &[Vec<usize>]) -> Vec<usize> {
    let pools = snapshot.pools.iter().enumerate();
    let own = pools.filter(|(_, pool)| group.knows_pool(&pool.name)).map(|(index, _)| index);
    let topics = snapshot.topics().zip(used).filter(|(route, _)| group.knows_topic(&route.name));
    own.chain(topics.filter_map(|(_, pools)| pools.first().copied())).collect()
}

/// For each pool, the first of those that it is linked with, itself included, where those of each set are.
fn linked<'s>(pools: usize, sets: impl Iterator<Item = &'s Vec<usize>>) -> Vec<usize> {
    let mut firsts: Vec<usize> = (0..pools).collect();
    for set in sets {
        let Some(least) = set.iter().map(|pool| firsts[*pool]).min() else { continue };
        let joined: Vec<usize> = set.iter().map(|pool| firsts[*pool]).collect();
        firsts.iter_mut().filter(|first| joined.contains(first)).for_each(|first| *first = least);
    }
    firsts
}

/// The plan of a group.
pub(super) fn of(snapshot: &Snapshot, members: &Members) -> Plan {
    let config = &snapshot.config;
    let promised = Objective::strictest(&config.segments);
    let routes = members.topics.iter().filter_map(|topic| snapshot.topics().nth(*topic));
    Plan {
        topics: routes.map(|route| topic(route, snapshot, members)).collect(),
        segments: config.segments.iter().map(segment).collect(),
        pools: members.pools.iter().map(|one| pool(&config.pools[*one], &promised)).collect(),
    }
}

fn topic(route: &Route, snapshot: &Snapshot, members: &Members) -> Topic {
    let configured = snapshot.config.routes.iter().find(|one| one.name == *route.name);
    let queue = configured.map_or_else(Queue::default, |one| one.queue);
    let when_full = match configured.map(|one| one.when_full) {
        Some(config::WhenFull::Wait) => WhenFull::Wait,
        Some(config::WhenFull::Spill) | None => WhenFull::Spill,
    };
    let local = |pool| members.pools.iter().position(|member| *member == pool).unwrap_or(usize::MAX);
    let targets = route.targets.iter().zip(pools_of(route, snapshot)).map(|(target, pool)| Target {
        label: target.label.to_string(),
        pool: local(pool),
        weight: target.weight,
        dialects: target.pool.dialects,
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
        limiter: chosen.build(rand::random()),
    });
    Pool {
        name: pool.name.clone(),
        endpoints: endpoints.collect(),
        balance: pool.balance,
        batch: Batch { reserve: pool.batch.reserve, minimum: pool.batch.minimum },
        bulkhead: Bulkhead {
            // A call takes a connection of its own: no file caps those of HTTP/2.
            inflight: pool.bulkhead.streams.into_iter().chain(pool.bulkhead.connections).min(),
            pending: pool.bulkhead.pending,
        },
        counts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::telemetry::Metrics;

    fn snapshot(routes: &str) -> Snapshot {
        let pools: Vec<_> = ["a", "b", "c", "d"]
            .map(|name| format!("{name}: {{endpoints: [{{url: http://{name}}}]}}"))
            .into();
        let text = format!("pools: {{{}}}\nroutes: {{{routes}}}", pools.join(", "));
        let config = config::load(&text, &|_| None).unwrap().config;
        Snapshot::build(config, &Metrics::new().unwrap(), None).unwrap()
    }

    fn members(topics: &[usize], pools: &[usize]) -> Members {
        Members { topics: topics.to_vec(), pools: pools.to_vec() }
    }

    #[test]
    fn routes_that_share_a_pool_are_one_group_and_others_are_not() {
        let half = |one: &str, other: &str| {
            format!("{{targets: [{{pool: {one}, weight: 0.5}}, {{pool: {other}, weight: 0.5}}]}}")
        };
        let routes = format!("r: {}, s: {{targets: [{{pool: b}}]}}, t: {}", half("c", "a"), half("c", "d"));
        let groups: Vec<_> =
            groups(&snapshot(&routes), &[]).into_iter().map(|(members, _)| members).collect();
        assert_eq!(groups, [members(&[0, 2], &[0, 2, 3]), members(&[1], &[1])]);
    }

    #[test]
    fn whatever_the_file_says_is_in_the_plan() {
        let text = "pools:\n  a:\n    endpoints: [{url: http://a}]\n    balance: round_robin\n    \
                    concurrency: {gateways: 3, base_time: 2s}\n    bulkhead: {connections: 9, pending: 4, streams: 7}\n    \
                    batch: {reserve: 0.3, minimum: 2}\nroutes:\n  r:\n    targets: [{pool: a}]\n    when_full: wait\n    \
                    queue: {wait: 3s, requests: 5, tokens: 6}\nsegments:\n  gold: {share: 5, order: strict, \
                    objective: {first_token: 800ms, inter_token: 60ms}, max_inflight_ratio: 0.5}\n  free: {}\nanonymous: free\n";
        let config = config::load(text, &|_| None).unwrap().config;
        let snapshot = Snapshot::build(config, &Metrics::new().unwrap(), None).unwrap();
        let plan = of(&snapshot, &members(&[0], &[0]));
        let ms = std::time::Duration::from_millis;
        let gold = Segment {
            name: "gold".into(),
            share: 5.0,
            order: Order::Strict,
            objective: Some(ms(800)),
            max_inflight_ratio: Some(0.5),
        };
        let free = Segment {
            name: "free".into(),
            share: 1.0,
            order: Order::Fair,
            objective: None,
            max_inflight_ratio: None,
        };
        assert_eq!(plan.segments, [gold, free]);
        assert_eq!(plan.topics[0].when_full, WhenFull::Wait);
        assert_eq!(plan.topics[0].queue, QueueBounds { wait: ms(3000), requests: 5, tokens: 6 });
        let pool = &plan.pools[0];
        assert_eq!((pool.balance, pool.counts), (config::Balance::RoundRobin, Counts::FirstToken));
        assert_eq!(pool.batch, Batch { reserve: 0.3, minimum: 2 });
        assert_eq!(
            pool.bulkhead,
            Bulkhead { inflight: Some(7), pending: Some(4) },
            "the lesser of the two caps"
        );
        // What a limiter works with is told by what tells it from another.
        for setting in
            ["first_token_objective: Some(800ms)", "inter_token_objective: Some(60ms)", "gateways: 3", "2s"]
        {
            assert!(pool.endpoints[0].identity.contains(setting), "{}", pool.endpoints[0].identity);
        }
    }

    #[test]
    fn a_plan_numbers_its_own_topics_and_pools() {
        let snapshot = snapshot("r: {targets: [{pool: a}]}, s: {targets: [{pool: d}]}");
        let plan = of(&snapshot, &members(&[1], &[1, 3]));
        let topics: Vec<_> = plan.topics.iter().map(|topic| topic.name.as_str()).collect();
        let pools: Vec<_> = plan.pools.iter().map(|pool| pool.name.as_str()).collect();
        assert_eq!((topics, pools, plan.topics[0].targets[0].pool), (vec!["s"], vec!["b", "d"], 1));
    }
}
