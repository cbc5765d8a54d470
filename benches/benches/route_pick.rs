//! Picking a target of a route and an endpoint of its pool: what one call's decisions cost.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use router_core::config::Canary;
use router_core::route::{Rotation, canary};
use router_core::select::{least_request, round_robin};

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for count in [1_u32, 3, 16] {
        let mut rotation = Rotation::new((1..=count).map(|weight| weight * 1_000).collect());
        group.bench_function(BenchmarkId::new("rotation", count), |bencher| {
            bencher.iter(|| rotation.pick(|index| black_box(index) != usize::MAX));
        });
    }
    let rules: Vec<_> = (0..4)
        .map(|target| Canary { header: "x-api-version".into(), equals: format!("v{target}"), target })
        .collect();
    for (name, value) in [("last_rule_matches", "v3"), ("none_matches", "v9")] {
        group.bench_function(BenchmarkId::new("canary", name), |bencher| {
            bencher.iter(|| canary(&rules, |_| Some(black_box(value.as_bytes()))));
        });
    }
    group.finish();
}

fn select(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("select");
    for count in [1, 3, 100] {
        let inflight: Vec<u32> = (0..count).map(|index| index * 7 % 13).collect();
        // A plain sequence stands in for the generator, whose cost is not the decision's.
        let mut random = 0_u64;
        group.bench_function(BenchmarkId::new("least_request", count), |bencher| {
            bencher.iter(|| {
                random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
                least_request(inflight.len(), |index| inflight[index], black_box(random))
            });
        });
    }
    group.bench_function("round_robin", |bencher| {
        bencher.iter(|| round_robin(black_box(3), black_box(7)));
    });
    group.finish();
}

criterion_group!(benches, route, select);
criterion_main!(benches);
