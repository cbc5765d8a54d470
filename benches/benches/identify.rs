//! Who calls: what it costs to find a key among those that are known, and to hash it first.

use std::hint::black_box;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use router_core::config::load_keys;
use router_core::identify::{Digest, KeyTable, Rights};

fn sha256(key: &str) -> Digest {
    let mut bytes = [0; Digest::BYTES];
    bytes.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    Digest(bytes)
}

fn key(number: usize) -> String {
    format!("weir-{number:064x}")
}

fn look_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("identify");
    for count in [1, 1_000, 100_000] {
        let table: KeyTable<Arc<usize>> =
            (0..count).map(|number| (sha256(&key(number)), Some(4_000_000_000), Arc::new(number))).collect();
        // Every call another caller's, so that nothing of the table is at hand by chance.
        let asked: Vec<Digest> = (0..8192).map(|index| sha256(&key(index * 7919 % count))).collect();
        let unknown: Vec<Digest> = (0..8192).map(|index| sha256(&format!("unknown-{index}"))).collect();
        for (name, digests) in [("known", &asked), ("unknown", &unknown)] {
            let mut next = 0;
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| {
                    next = (next + 1) % digests.len();
                    black_box(table.judge(black_box(&digests[next]), 1_800_000_000));
                });
            });
        }
    }
    load(&mut group);
    let one = key(1);
    group.bench_function("sha256 of a key", |bencher| bencher.iter(|| sha256(black_box(&one))));
    let routes: Vec<Arc<str>> = (0..8).map(|index| format!("route-{index}").into()).collect();
    let rights = Rights { segment: 1, routes: Some(&routes) };
    group.bench_function("right to the last of 8 routes", |bencher| {
        bencher.iter(|| black_box(rights).cover(black_box("route-7"), Some(&[0, 1, 2])));
    });
    group.finish();
}

/// A file of 100,000 keys.
fn load(group: &mut BenchmarkGroup<'_, WallTime>) {
    let config =
        "pools: {p: {endpoints: [{url: http://h}]}}\nroutes: {m: {targets: [{pool: p}]}}\nsegments: {a: {}}";
    let Ok(loaded) = router_core::config::load(config, &|_| None) else { return };
    let items = (0..100_000).map(|number| {
        format!("- {{ id: caller-{number}, segment: a, sha256: \"{}\" }}\n", sha256(&key(number)))
    });
    let text: String = items.collect();
    group.sample_size(10);
    group.bench_function("read a file of 100,000 keys", |bencher| {
        bencher.iter(|| {
            let mut keys = Vec::new();
            load_keys(&text, &loaded.config, |key| keys.push(key)).map(|()| keys).is_ok()
        });
    });
}

criterion_group!(benches, look_up);
criterion_main!(benches);
