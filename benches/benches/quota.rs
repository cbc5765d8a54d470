//! Quotas: what it costs a call to be judged, alone and while another thread wants the same quota.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use router_core::config::{Quota, RequestRate};
use router_core::limit::{Meter, Outputs, Rate, Terms};

fn terms() -> Terms {
    Terms::of(&Quota {
        requests: Some(RequestRate { per_second: 1e6, burst: 1_000_000 }),
        tokens_per_minute: Some(4_000_000_000),
        concurrent: Some(1_000_000),
        enforce: true,
    })
}

fn cell(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cell");
    let (since, rate) = (Instant::now(), Rate::new(1e6, Duration::from_secs(1), 1e6));
    let one = router_core::limit::Cell::default();
    group.bench_function("take", |bencher| {
        bencher.iter(|| one.take(&rate, black_box(1), since.elapsed()));
    });
    let spent = router_core::limit::Cell::default();
    spent.charge(&rate, u32::MAX, since.elapsed());
    group.bench_function("take_refused", |bencher| {
        bencher.iter(|| spent.take(&rate, black_box(1), since.elapsed()));
    });
    group.bench_function("level", |bencher| bencher.iter(|| one.level(&rate, since.elapsed())));
    group.finish();
}

/// All three kinds, from the head of a call to its end.
fn call(meter: &Meter, terms: &Terms, since: Instant) {
    let Ok(mut hold) = meter.enter(terms, since.elapsed()) else { return };
    let reserved = meter.reserve(terms, &mut hold, black_box(500), since.elapsed());
    black_box(reserved).unwrap_or_default();
    meter.settle(terms, hold, black_box(350), since.elapsed());
}

fn meter(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("quota");
    let (since, terms) = (Instant::now(), terms());
    let alone = Meter::default();
    group.bench_function("call", |bencher| bencher.iter(|| call(&alone, &terms, since)));
    let (shared, over) = (Arc::new(Meter::default()), Arc::new(AtomicBool::new(false)));
    let (others, ended) = (shared.clone(), over.clone());
    let other = thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            call(&others, &terms, since);
        }
    });
    group.bench_function("call_beside_another_thread", |bencher| {
        bencher.iter(|| call(&shared, &terms, since));
    });
    over.store(true, Ordering::Relaxed);
    other.join().unwrap_or_default();
    let outputs = Outputs::default();
    group.bench_function("observe_output", |bencher| {
        bencher.iter(|| outputs.observe(black_box(350), since.elapsed()));
    });
    group.finish();
}

criterion_group!(benches, cell, meter);
criterion_main!(benches);
