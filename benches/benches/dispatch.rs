//! Admission: what a call's way through the dispatcher costs, alone and behind a lock that two threads want.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use parking_lot::Mutex;
use router_core::config::Balance;
use router_core::dialect::{Dialect, DialectSet};
use router_core::overload::dispatch::{
    Admission, Arrival, Batch, Bulkhead, Counts, Decision, Demand, Dispatcher, Endpoint, Order, PermitId,
    Plan, Pool, Priority, QueueBounds, Segment, Target, Targets, Topic, WhenFull,
};
use router_core::overload::limiter::{Attempt, End, Limiter, Place, Reading, Seen};

/// So many at a time: the cheapest limiter there is, so that the dispatcher's own cost shows.
#[derive(Debug)]
struct Slots {
    limit: u32,
    held: u32,
}

impl Limiter for Slots {
    fn admit(&mut self, _: Duration, _: Attempt) -> Option<Place> {
        (self.held < self.limit).then(|| {
            self.held += 1;
            Place::new(0)
        })
    }

    fn observe(&mut self, _: Duration, _: &Place, _: Seen) {}

    fn release(&mut self, _: Duration, _: Place, _: End) {
        self.held -= 1;
    }

    fn tick(&mut self, _: Duration) {}

    fn read(&self, _: Duration) -> Reading {
        Reading { inflight: self.held, free: self.limit - self.held, ..Reading::default() }
    }
}

const NOW: Duration = Duration::from_secs(1);
const END: End = End::Whole { output_tokens: Some(190) };

fn dispatcher(limit: u32, segments: usize, requests: u32) -> Dispatcher {
    let segment = |index| Segment {
        name: format!("s{index}"),
        share: 1.0,
        order: Order::Fair,
        objective: Some(Duration::from_secs(2)),
        max_inflight_ratio: None,
    };
    let topic = Topic {
        name: "t".into(),
        targets: vec![Target { label: "p".into(), pool: 0, weight: 1_000_000, dialects: DialectSet::ALL }],
        when_full: WhenFull::Spill,
        queue: QueueBounds { wait: Duration::from_secs(60), requests, tokens: u64::MAX },
    };
    let pool = Pool {
        name: "p".into(),
        endpoints: vec![Endpoint { identity: "e".into(), limiter: Box::new(Slots { limit, held: 0 }) }],
        balance: Balance::LeastRequest,
        batch: Batch { reserve: 0.2, minimum: 0 },
        bulkhead: Bulkhead::default(),
        counts: Counts::Inflight,
    };
    let plan =
        Plan { topics: vec![topic], segments: (0..segments).map(segment).collect(), pools: vec![pool] };
    Dispatcher::new(NOW, plan)
}

fn arrival(segment: usize) -> Arrival {
    Arrival {
        topic: 0,
        segment,
        priority: Priority::Realtime,
        targets: Targets::ALL,
        dialect: Dialect::OpenAi,
        bound: None,
        prompt_tokens: 300,
        tokens: 500,
        stream: true,
        patience: None,
        answer_within: None,
        demand: Demand::New,
        random: 0x9e37_79b9_7f4a_7c15,
    }
}

fn permit(admission: Admission) -> Option<PermitId> {
    if let Admission::Started(start) = admission { Some(start.permit) } else { None }
}

/// Calls that are under way before they end: so that the clock is not what is measured, and the slab is of a real
/// size.
const BATCH: usize = 200;

/// What `rounds` calls cost that come one after the other; that they end again is not counted in.
fn admit(rounds: u64, mut run: impl FnMut(&mut dyn FnMut(&mut Dispatcher))) -> Duration {
    let (mut out, arrival, mut spent) = (Vec::new(), arrival(0), Duration::ZERO);
    let mut permits = Vec::with_capacity(BATCH);
    let mut left = usize::try_from(rounds).unwrap_or(usize::MAX);
    while left > 0 {
        let batch = left.min(BATCH);
        let start = Instant::now();
        for _ in 0..batch {
            run(&mut |dispatcher| {
                permits.extend(permit(dispatcher.arrive(NOW, black_box(&arrival), &mut out)));
            });
        }
        spent += start.elapsed();
        for permit in permits.drain(..) {
            run(&mut |dispatcher| {
                dispatcher.finish(NOW, permit, END, &mut out);
            });
        }
        left -= batch;
    }
    spent
}

/// The same behind a lock that another thread wants as often.
fn contended(dispatcher: &Mutex<Dispatcher>, rounds: u64) -> Duration {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                admit(BATCH as u64, |run| lock(dispatcher, |dispatcher| run(dispatcher)));
            }
        });
        let spent = admit(rounds, |run| lock(dispatcher, |dispatcher| run(dispatcher)));
        stop.store(true, Ordering::Relaxed);
        spent
    })
}

fn lock<T>(dispatcher: &Mutex<Dispatcher>, run: impl FnOnce(&mut Dispatcher) -> T) -> T {
    run(&mut dispatcher.lock())
}

fn fast_path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispatch/admit");
    group.bench_function("alone", |bencher| {
        let mut dispatcher = dispatcher(u32::MAX, 3, 1_000);
        bencher.iter_custom(|rounds| admit(rounds, |run| run(&mut dispatcher)));
    });
    let shared = Mutex::new(dispatcher(u32::MAX, 3, 1_000));
    group.bench_function("one_thread", |bencher| {
        bencher.iter_custom(|rounds| admit(rounds, |run| lock(&shared, |dispatcher| run(dispatcher))));
    });
    group.bench_function("two_threads", |bencher| {
        bencher.iter_custom(|rounds| contended(&shared, rounds));
    });
    group.bench_function("at_capacity", |bencher| {
        let (mut out, mut dispatcher) = (Vec::new(), dispatcher(1, 3, u32::MAX));
        dispatcher.arrive(NOW, &arrival(0), &mut out);
        bencher.iter(|| {
            if let Admission::Queued(call) = dispatcher.arrive(NOW, black_box(&arrival(1)), &mut out) {
                dispatcher.cancel(NOW, call, &mut out);
            }
        });
    });
    group.finish();
}

/// A dispatcher with a hundred calls under way and a thousand that wait, of so many segments.
fn full(segments: usize) -> (Dispatcher, Vec<PermitId>) {
    let (mut out, mut dispatcher) = (Vec::new(), dispatcher(100, segments, u32::MAX));
    let running = (0..100).filter_map(|_| permit(dispatcher.arrive(NOW, &arrival(0), &mut out))).collect();
    for index in 0..1_000 {
        dispatcher.arrive(NOW, &arrival(index % segments), &mut out);
    }
    (dispatcher, running)
}

/// What it costs that calls end for which others wait; that yet others take their place in the queue is not counted in.
fn finish_with_waiter(segments: usize, rounds: u64) -> Duration {
    let (mut dispatcher, mut running) = full(segments);
    let (mut out, mut spent) = (Vec::new(), Duration::ZERO);
    for turn in 0..usize::try_from(rounds).unwrap_or(usize::MAX) {
        let place = turn % running.len();
        let start = Instant::now();
        dispatcher.finish(NOW, running[place], END, &mut out);
        spent += start.elapsed();
        if let Some(Decision::Start(start)) = out.pop() {
            running[place] = start.permit;
        }
        dispatcher.arrive(NOW, &arrival(turn % segments), &mut out);
    }
    spent
}

fn queued(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispatch");
    for segments in [3_usize, 64] {
        group.bench_function(BenchmarkId::new("finish_with_waiter", segments), |bencher| {
            bencher.iter_custom(|rounds| finish_with_waiter(segments, rounds));
        });
        group.bench_function(BenchmarkId::new("queue", segments), |bencher| {
            let (mut dispatcher, _running) = full(segments);
            let (mut out, mut turn) = (Vec::new(), 0);
            bencher.iter(|| {
                turn += 1;
                let arrival = arrival(turn % segments);
                if let Admission::Queued(call) = dispatcher.arrive(NOW, black_box(&arrival), &mut out) {
                    dispatcher.cancel(NOW, call, &mut out);
                }
            });
        });
        group.bench_function(BenchmarkId::new("tick", segments), |bencher| {
            let (mut dispatcher, _running) = full(segments);
            let mut out = Vec::new();
            bencher.iter(|| dispatcher.tick(black_box(NOW), &mut out));
        });
    }
    group.finish();
}

criterion_group!(benches, fast_path, queued);
criterion_main!(benches);
