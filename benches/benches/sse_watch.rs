//! Watching an event stream in passing: what one event costs, in nanoseconds.
//!
//! `one_piece` gets the stream as one piece (a burst), `piece_per_event` as a model sends it while it
//! generates, `cut` with every event in two pieces, which is when bytes have to be kept.

use std::hint::black_box;

use benches::{anthropic_stream, openai_stream};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use router_core::dialect::Dialect;
use router_core::stream::{SseWatch, StreamEnd};

fn sse_watch(criterion: &mut Criterion) {
    let usage = r#","usage":{"prompt_tokens":57,"total_tokens":199,"completion_tokens":142}"#;
    let streams = [
        ("openai", openai_stream("")),
        ("openai_usage_on_each", openai_stream(usage)),
        ("anthropic", anthropic_stream()),
    ];
    for (name, stream) in &streams {
        let mut group = criterion.benchmark_group(format!("sse_watch/{name}"));
        group.throughput(Throughput::Elements(stream.events.len() as u64));
        let burst = stream.events.concat();
        let halves = stream.events.iter().flat_map(|event| event.chunks(event.len().div_ceil(2)));
        let ways: [(&str, Vec<&[u8]>); 3] = [
            ("one_piece", vec![&burst]),
            ("piece_per_event", stream.events.iter().map(Vec::as_slice).collect()),
            ("cut", halves.collect()),
        ];
        for (way, pieces) in &ways {
            group.bench_function(*way, |bencher| bencher.iter(|| watch_all(stream.dialect, pieces)));
        }
        group.finish();
    }
}

fn watch_all(dialect: Dialect, pieces: &[&[u8]]) -> StreamEnd {
    let mut watch = SseWatch::new(dialect);
    for piece in pieces {
        black_box(watch.feed(black_box(piece)));
    }
    watch.outcome()
}

criterion_group!(benches, sse_watch);
criterion_main!(benches);
