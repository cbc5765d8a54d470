//! Reading a request body for routing, and editing its model in place: what a body of 1 KiB to 1 MiB costs.

use std::hint::black_box;

use benches::chat_body;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use router_core::identify::{Rope, scan};

fn body_scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body_scan");
    for (name, length) in [("1KiB", 1024), ("64KiB", 64 * 1024), ("1MiB", 1024 * 1024)] {
        let body = Bytes::from(chat_body(length));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::new("scan", name), &body, |bencher, body| {
            bencher.iter(|| black_box(scan(black_box(body)).is_ok()));
        });
        group.bench_with_input(BenchmarkId::new("scan_and_edit", name), &body, |bencher, body| {
            bencher.iter(|| scan_and_edit(black_box(body)));
        });
    }
    group.finish();
}

fn scan_and_edit(body: &Bytes) -> Option<Rope> {
    let found = scan(body).ok()?;
    Some(Rope::replace(body, found.model_span, Bytes::from_static(b"\"qwen3-32b\"")))
}

criterion_group!(benches, body_scan);
criterion_main!(benches);
