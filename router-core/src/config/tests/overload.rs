//! Overload control: who is served before whom, how much an endpoint gets at a time, how much may wait.

use std::time::Duration;

use proptest::prelude::*;

use super::{loaded, problems, refused, with_pool, with_top};
use crate::config::{
    Aimd, Batch, Bulkhead, Concurrency, Config, FirstTokenWindow, Gradient, Gradient2, MinRtt, MinRttSource,
    NonStreaming, Objective, Order, Priority, Queue, Segment, Span, WhenFull,
};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn without_segments_there_is_one() {
    let config = loaded(&with_top(""));
    assert_eq!(config.segments, [Segment::new("default")]);
    let segment = &config.segments[config.anonymous.unwrap()];
    assert_eq!((segment.share, segment.order, segment.priority), (1.0, Order::Fair, Priority::Realtime));
    assert_eq!((segment.objective, segment.max_inflight_ratio), (Objective::default(), 1.0));
    assert_eq!(loaded(&with_top("anonymous: default")).anonymous, Some(0));
}

#[test]
fn segments_are_promised_things_and_share_what_there_is() {
    let config = loaded(&with_top(
        "segments:\n  gold: {share: 5, order: strict, objective: {first_token: 800ms, inter_token: 60ms}}\n\
         \x20 jobs: {share: 0.5, priority: batch, max_inflight_ratio: 0.25}\n  free: {}\nanonymous: free\n\
         listen: [{address: 'localhost:1', trust_headers: true}, {address: 'localhost:2'}]",
    ));
    let [gold, jobs, free] = config.segments.as_slice() else { panic!("{:?}", config.segments) };
    assert_eq!((gold.share, gold.order, gold.priority), (5.0, Order::Strict, Priority::Realtime));
    let promised = Objective { first_token: Some(ms(800)), inter_token: Some(ms(60)) };
    assert_eq!(gold.objective, promised);
    assert_eq!(Objective::strictest(&config.segments), promised);
    assert_eq!(Objective::strictest(&config.segments[1..]), Objective::default());
    assert_eq!((jobs.share, jobs.priority, jobs.max_inflight_ratio), (0.5, Priority::Batch, 0.25));
    assert_eq!((free, config.anonymous), (&Segment::new("free"), Some(2)));
    assert_eq!(config.listen.iter().map(|one| one.trust_headers).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn segments_that_are_refused() {
    let cases = [
        ("share: 0", "segments.s.share", "`0` is out of range; 0.001 to 1000"),
        ("share: -1", "segments.s.share", "out of range"),
        ("share: .nan", "segments.s.share", "expected a number"),
        ("share: half", "segments.s.share", "expected a number, found `half`"),
        ("order: strickt", "segments.s.order", "did you mean `strict`?"),
        ("priority: bulk", "segments.s.priority", "expected realtime or batch, found `bulk`"),
        ("objective: 2s", "segments.s.objective", "expected a mapping"),
        ("objective: {first_token: 2}", "segments.s.objective.first_token", "expected a duration"),
        ("objective: {first_token: 0s}", "segments.s.objective.first_token", "out of range; 10ms to 1h"),
        ("objective: {total: 30s}", "segments.s.objective.total", "not supported by this version"),
        ("max_inflight_ratio: 1.01", "segments.s.max_inflight_ratio", "out of range; 0.001 to 1"),
        ("max_inflight_ratio: 0", "segments.s.max_inflight_ratio", "out of range"),
        ("max_inflight_ratio: 50%", "segments.s.max_inflight_ratio", "expected a number"),
        ("quota: {}", "segments.s.quota", "not supported by this version"),
        ("shares: 2", "segments.s.shares", "did you mean `share`?"),
    ];
    for (field, path, message) in cases {
        refused(&with_top(&format!("segments: {{s: {{{field}}}}}")), path, message);
    }
    refused(&with_top("segments: {}"), "segments", "at least one segment");
    refused(&with_top("segments: [s]"), "segments", "expected a mapping");
    refused(&with_top("segments: {refuse: {}}"), "segments.refuse", "cannot be the name of a segment");
    refused(&with_top("segments: {'a b': {}}"), "segments.\"a b\"", "cannot be the name of a segment");
}

#[test]
fn callers_of_no_segment_have_one() {
    assert_eq!(loaded(&with_top("segments: {only: {}}")).anonymous, Some(0));
    assert_eq!(loaded(&with_top("anonymous: refuse")).anonymous, None);
    let cases = [
        ("segments: {a: {}, b: {}}", "segments", "`anonymous` names it, as in `anonymous: a`"),
        ("segments: {b2b: {}}\nanonymous: b2c", "anonymous", "no segment `b2c`, did you mean `b2b`?"),
        ("segments: {b2b: {}}\nanonymous: others", "anonymous", "the segments are `b2b`"),
        ("anonymous: gold", "anonymous", "no segment `gold`; the segments are `default`"),
        ("segments: {a: {}, b: {}}\nanonymus: a", "anonymus", "did you mean `anonymous`?"),
    ];
    for (top, path, message) in cases {
        refused(&with_top(top), path, message);
    }
}

fn concurrency(settings: &str) -> Option<Concurrency> {
    loaded(&with_pool(&format!("concurrency: {{{settings}}}"))).pools.remove(0).concurrency
}

#[test]
fn each_algorithm_has_its_settings() {
    let window = |gateways, base_time| FirstTokenWindow { gateways, base_time };
    let default = Some(Concurrency::FirstTokenWindow(window(1, None)));
    assert_eq!(loaded(&with_top("")).pools[0].concurrency, default);
    assert_eq!(concurrency(""), default);
    assert_eq!(
        concurrency("gateways: 3, base_time: 1.5s"),
        Some(Concurrency::FirstTokenWindow(window(3, Some(ms(1500)))))
    );
    assert_eq!(concurrency("algorithm: fixed, limit: 8"), Some(Concurrency::Fixed { limit: 8 }));
    let span = Span { min: 1, max: 8, initial: 8 };
    let aimd = Aimd { span, timeout: ms(2000), ..Aimd::default() };
    assert_eq!(concurrency("algorithm: aimd, min: 1, max: 8, timeout: 2s"), Some(Concurrency::Aimd(aimd)));
    let gradient2 = Gradient2 { queue_size: 8, span: Span::default(), ..Gradient2::default() };
    assert_eq!(concurrency("algorithm: gradient2, queue_size: 8"), Some(Concurrency::Gradient2(gradient2)));
    assert_eq!(concurrency("algorithm: gradient"), Some(Concurrency::Gradient(Gradient::default())));
}

#[test]
fn the_gradient_has_envoys_names_and_defaults() {
    let written = "algorithm: gradient, sample_aggregate_percentile: 90, \
                   concurrency_limit_params: {max_concurrency_limit: 400, concurrency_update_interval: 0.1s}, \
                   min_rtt_calc_params: {interval: 30s, request_count: 20, jitter: 10, min_concurrency: 5, buffer: 50}";
    let source = MinRttSource::Measured { interval: ms(30_000), jitter_percent: 10, request_count: 20 };
    let expected = Gradient {
        sample_aggregate_percentile: 90,
        max_concurrency_limit: 400,
        concurrency_update_interval: ms(100),
        min_rtt: MinRtt { source, min_concurrency: 5, buffer_percent: 50 },
    };
    assert_eq!(concurrency(written), Some(Concurrency::Gradient(expected)));
    let default = Gradient::default();
    assert_eq!((default.sample_aggregate_percentile, default.max_concurrency_limit), (50, 1000));
    assert_eq!((default.min_rtt.min_concurrency, default.min_rtt.buffer_percent), (3, 25));
    let fixed = concurrency("algorithm: gradient, min_rtt_calc_params: {fixed_value: 4.5s}");
    let Some(Concurrency::Gradient(fixed)) = fixed else { panic!("{fixed:?}") };
    assert_eq!(fixed.min_rtt.source, MinRttSource::Fixed(ms(4500)));
}

#[test]
fn concurrency_that_is_refused() {
    let cases = [
        ("algorithm: vegas", ".algorithm", "expected first_token_window, gradient, gradient2, aimd or fixed"),
        ("algorithm: first_token_windw", ".algorithm", "did you mean `first_token_window`?"),
        ("algorithm: fixed", "", "missing key `limit`"),
        ("algorithm: fixed, limit: 0", ".limit", "out of range; 1 to 1000000"),
        (
            "limit: 8",
            ".limit",
            "`limit` does nothing with the algorithm `first_token_window`; it belongs to fixed",
        ),
        ("algorithm: fixed, limit: 8, min: 2", ".min", "it belongs to gradient2 and aimd"),
        ("gateways: 0", ".gateways", "out of range; 1 to 1000"),
        ("base_time: 0", ".base_time", "out of range; 1ms to 10m"),
        ("algorithm: aimd, min: 30, max: 20", ".min", "`min` (30) is above `max` (20)"),
        ("algorithm: aimd, min: 300", ".min", "`min` (300) is above `max` (200 by default)"),
        ("algorithm: aimd, max: 10", ".max", "`min` (20 by default) is above `max` (10)"),
        ("algorithm: aimd, initial: 500", ".initial", "`initial` (500) is above `max` (200 by default)"),
        ("algorithm: aimd, min: 5, initial: 2", ".min", "`min` (5) is above `initial` (2)"),
        ("algorithm: aimd, backoff_ratio: 1", ".backoff_ratio", "out of range; 0.5 to 0.99"),
        ("algorithm: gradient2, smoothing: 0", ".smoothing", "out of range"),
    ];
    for (settings, key, message) in cases {
        refused_concurrency(settings, key, message);
    }
    let many = "concurrency: {algorithm: vegas, gateways: 0, min: 9, max: 8}, batch: {reserve: 2}";
    assert_eq!(
        problems(&with_pool(many)).len(),
        4,
        "all of them in one go: {:#?}",
        problems(&with_pool(many))
    );
}

fn refused_concurrency(settings: &str, key: &str, message: &str) {
    let text = with_pool(&format!("concurrency: {{{settings}}}"));
    refused(&text, &format!("pools.a.concurrency{key}"), message);
}

#[test]
fn a_gradient_that_envoy_would_not_take_either() {
    let params = "algorithm: gradient, concurrency_limit_params";
    let fractional = format!("{params}: {{concurrency_limit_fractional_percent: 90}}");
    let low = format!("{params}: {{max_concurrency_limit: 2}}");
    let cases = [
        (
            "algorithm: gradient, sample_aggregate_percentile: 0.9",
            ".sample_aggregate_percentile",
            "whole number",
        ),
        (&fractional, ".concurrency_limit_params.concurrency_limit_fractional_percent", "Envoy, whose names"),
        (
            "concurrency_limit_fractional_percent: 90",
            ".concurrency_limit_fractional_percent",
            "no such field",
        ),
        (
            &low,
            ".concurrency_limit_params.max_concurrency_limit",
            "`min_concurrency` (3 by default) is above",
        ),
        (
            "algorithm: gradient, min_rtt_calc_params: {interval: 1s, fixed_value: 1s}",
            ".min_rtt_calc_params.interval",
            "this does nothing beside a `fixed_value`",
        ),
    ];
    for (settings, key, message) in cases {
        refused_concurrency(settings, key, message);
    }
}

#[test]
fn bulkheads_batch_and_calls_that_do_not_stream() {
    let pool = loaded(&with_pool(
        "bulkhead: {connections: 10, pending: 0}, batch: {reserve: 1, minimum: 2}, non_streaming: estimate",
    ))
    .pools
    .remove(0);
    assert_eq!(pool.bulkhead, Bulkhead { connections: Some(10), pending: Some(0), streams: None });
    assert_eq!(pool.batch, Batch { reserve: 1.0, minimum: 2 });
    assert_eq!(pool.non_streaming, NonStreaming::Estimate);
    let pool = loaded(&with_pool("non_streaming: stream")).pools.remove(0);
    assert_eq!(pool.non_streaming, NonStreaming::Stream);
    let cases = [
        ("batch: {reserve: 1.5}", "pools.a.batch.reserve", "out of range; 0 to 1"),
        ("batch: {minimum: -1}", "pools.a.batch.minimum", "expected a whole number"),
        ("bulkhead: {connections: 0}", "pools.a.bulkhead.connections", "out of range; 1 to 1000000"),
        ("bulkhead: {stream: 1}", "pools.a.bulkhead.stream", "did you mean `streams`?"),
        ("non_streaming: guess", "pools.a.non_streaming", "expected estimate or stream, found `guess`"),
    ];
    for (field, path, message) in cases {
        refused(&with_pool(field), path, message);
    }
}

#[test]
fn a_cap_on_connections_that_calls_share_is_refused() {
    refused(
        &with_pool("http2: true, bulkhead: {connections: 10}"),
        "pools.a.bulkhead.connections",
        "`http2: true`: calls share connections there; `streams` caps",
    );
    let pool = loaded(&with_pool("http2: true, bulkhead: {streams: 10}")).pools.remove(0);
    assert_eq!(pool.bulkhead.streams, Some(10));
    let by_path = loaded(&with_path(", http2: true")).pools.remove(1);
    assert_eq!(by_path.bulkhead, Bulkhead { connections: None, pending: Some(50), streams: Some(100) });
}

/// A file whose route `r` has so many targets, one of them for each of as many models, and so many canary rules to
/// further ones.
fn with_targets(count: usize, canaries: usize) -> String {
    let weight = |index| if index == 0 { 1 } else { 0 };
    let targets: Vec<_> =
        (0..count).map(|index| format!("{{pool: a, model: m{index}, weight: {}}}", weight(index))).collect();
    let canary = |index| format!("{{header: x-try, equals: '{index}', target: a/c{index}}}");
    let canaries: Vec<_> = (0..canaries).map(canary).collect();
    format!(
        "pools: {{a: {{endpoints: [{{url: http://h:1}}]}}}}\nroutes: {{r: {{targets: [{}], canary: [{}]}}}}\n",
        targets.join(", "),
        canaries.join(", ")
    )
}

#[test]
fn a_route_with_more_targets_than_a_call_can_choose_among_is_refused() {
    assert_eq!(loaded(&with_targets(64, 0)).routes[0].targets.len(), 64);
    assert_eq!(loaded(&with_targets(60, 4)).routes[0].targets.len(), 64);
    refused(&with_targets(65, 0), "routes.r.targets", "65 targets of one route, more than 64");
    // The rule that names one too many, and only that one.
    refused(&with_targets(62, 5), "routes.r.canary[2]", "65 targets of one route, more than 64");
    let same = with_targets(64, 1).replace("a/c0", "a/m5");
    assert_eq!(loaded(&same).routes[0].targets.len(), 64);
}

/// A file with a pool `a` behind a route and a pool `b` behind a path.
pub(super) fn with_path(pool: &str) -> String {
    let pools =
        format!("{{a: {{endpoints: [{{url: http://h:1}}]}}, b: {{endpoints: [{{url: http://h:2}}]{pool}}}}}");
    format!(
        "pools: {pools}\nroutes: {{r: {{targets: [{{pool: a}}]}}}}\npassthrough: [{{prefix: /x, pool: b}}]\n"
    )
}

#[test]
fn a_pool_that_only_paths_lead_to_has_its_bulkhead_for_a_limiter() {
    let by_path = |pool: &str| loaded(&with_path(pool)).pools.remove(1);
    let pool = by_path("");
    assert_eq!(pool.bulkhead, Bulkhead { connections: Some(100), pending: Some(50), streams: Some(100) });
    assert_eq!(pool.concurrency, None);
    let pool = by_path(", bulkhead: {streams: 7}, concurrency: {algorithm: fixed, limit: 3}");
    assert_eq!(pool.bulkhead, Bulkhead { connections: Some(100), pending: Some(50), streams: Some(7) });
    assert_eq!(pool.concurrency, Some(Concurrency::Fixed { limit: 3 }));
    let other = &loaded(&with_path("")).pools[0];
    assert_eq!((other.bulkhead, other.concurrency), (Bulkhead::default(), Some(Concurrency::default())));
    let both = with_path("").replace("pool: b", "pool: a").replace("pool: a}]}}\np", "pool: b}]}}\np");
    let pools = loaded(&both).pools;
    assert_eq!((pools[0].concurrency, pools[0].bulkhead.streams), (None, Some(100)));
    assert_eq!((pools[1].concurrency, pools[1].bulkhead.streams), (Some(Concurrency::default()), None));
    refused(&with_path(", concurrency: {}"), "pools.b.concurrency", "no route leads to this pool");
}

#[test]
fn routes_say_what_waits() {
    let route = |fields: &str| with_top("").replace("{targets", &format!("{{{fields}, targets"));
    let loaded = |fields: &str| loaded(&route(fields)).routes.remove(0);
    assert_eq!(
        (loaded("canary: []").when_full, loaded("canary: []").queue),
        (WhenFull::Spill, Queue::default())
    );
    assert_eq!((Queue::default().wait, Queue::default().requests), (ms(60_000), 10_000));
    let one = loaded("when_full: wait, queue: {wait: 0, requests: 0, tokens: 1}");
    assert_eq!(one.when_full, WhenFull::Wait);
    assert_eq!(one.queue, Queue { wait: ms(0), requests: 0, tokens: Some(1) });
    let cases = [
        ("when_full: drop", "routes.r.when_full", "expected spill or wait, found `drop`"),
        ("queue: 60s", "routes.r.queue", "expected a mapping"),
        ("queue: {wait: 60}", "routes.r.queue.wait", "expected a duration"),
        ("queue: {wait: 2h}", "routes.r.queue.wait", "out of range; 0s to 1h"),
        ("queue: {requests: many}", "routes.r.queue.requests", "expected a whole number"),
        ("queue: {tokens: 0}", "routes.r.queue.tokens", "out of range"),
        ("queue: {max: 5}", "routes.r.queue.max", "it belongs to `pools.NAME.concurrency`"),
    ];
    for (fields, path, message) in cases {
        refused(&route(fields), path, message);
    }
}

/// A number with a few digits.
fn ratio(least: u32, most: u32) -> impl Strategy<Value = f64> {
    (least..=most).prop_map(|thousandths| f64::from(thousandths) / 1000.0)
}

fn time() -> impl Strategy<Value = Duration> {
    (1_000..=60_000_u64).prop_map(ms)
}

fn span() -> impl Strategy<Value = Span> {
    let two = (1..=1_000_u32, 1..=1_000_u32, 0..=1_000_u32);
    two.prop_map(|(one, other, between)| {
        let (min, max) = (one.min(other), one.max(other));
        Span { min, max, initial: (min + between).min(max) }
    })
}

pub(super) fn segments() -> impl Strategy<Value = (Vec<Segment>, Option<usize>)> {
    let objective = (prop::option::of(time()), prop::option::of(time()))
        .prop_map(|(first_token, inter_token)| Objective { first_token, inter_token });
    let words = (prop::sample::select(Order::ALL.to_vec()), prop::sample::select(Priority::ALL.to_vec()));
    let one = (ratio(1, 1_000_000), words, objective, ratio(1, 1000));
    let anonymous = prop::option::of(any::<prop::sample::Index>());
    (prop::collection::vec(one, 1..5), anonymous).prop_map(|(parts, anonymous)| {
        let named = parts.into_iter().enumerate();
        let segments: Vec<_> = named
            .map(|(index, (share, (order, priority), objective, max_inflight_ratio))| Segment {
                name: format!("segment-{}", 9 - index),
                share,
                order,
                priority,
                objective,
                max_inflight_ratio,
                keys: Vec::new(),
            })
            .collect();
        let anonymous = anonymous.map(|place| place.index(segments.len()));
        (segments, anonymous)
    })
}

pub(super) fn concurrency_of_any_kind() -> impl Strategy<Value = Concurrency> {
    let window = (1..=1000_u32, prop::option::of(time())).prop_map(|(gateways, base_time)| {
        Concurrency::FirstTokenWindow(FirstTokenWindow { gateways, base_time })
    });
    let source = prop_oneof![
        time().prop_map(MinRttSource::Fixed),
        (time(), 0..=1000_u32, 1..=10_000_u32).prop_map(|(interval, jitter_percent, request_count)| {
            MinRttSource::Measured { interval, jitter_percent, request_count }
        }),
    ];
    let gradient = (1..=100_u32, span(), time(), source, 0..=1000_u32).prop_map(
        |(percentile, span, interval, source, buffer_percent)| {
            Concurrency::Gradient(Gradient {
                sample_aggregate_percentile: percentile,
                max_concurrency_limit: span.max,
                concurrency_update_interval: interval,
                min_rtt: MinRtt { source, min_concurrency: span.min, buffer_percent },
            })
        },
    );
    let gradient2 = (span(), ratio(1000, 10_000), ratio(10, 1000), 1..=10_000_u32, 1..=10_000_u32).prop_map(
        |(span, rtt_tolerance, smoothing, queue_size, long_window)| {
            Concurrency::Gradient2(Gradient2 { span, rtt_tolerance, smoothing, queue_size, long_window })
        },
    );
    let aimd = (span(), time(), ratio(500, 990))
        .prop_map(|(span, timeout, backoff_ratio)| Concurrency::Aimd(Aimd { span, timeout, backoff_ratio }));
    let fixed = (1..=1_000_000_u32).prop_map(|limit| Concurrency::Fixed { limit });
    prop_oneof![Just(Concurrency::default()), window, gradient, gradient2, aimd, fixed]
}

pub(super) fn bulkhead() -> impl Strategy<Value = Bulkhead> {
    let cap = |least: u32| prop::option::of(least..=1_000_000);
    (cap(1), cap(0), cap(1)).prop_map(|(connections, pending, streams)| Bulkhead {
        connections,
        pending,
        streams,
    })
}

pub(super) fn batch() -> impl Strategy<Value = Batch> {
    (ratio(0, 1000), 0..=1_000_000_u32).prop_map(|(reserve, minimum)| Batch { reserve, minimum })
}

pub(super) fn queue() -> impl Strategy<Value = Queue> {
    (0..=3_600_000_u64, 0..=1_000_000_u32, prop::option::of(1..=1_u64 << 40))
        .prop_map(|(wait, requests, tokens)| Queue { wait: ms(wait), requests, tokens })
}

/// Every algorithm with everything that it can have.
pub(super) fn each_algorithm() -> [&'static str; 6] {
    [
        r#"{"algorithm":"first_token_window","gateways":2,"base_time":"1s"}"#,
        r#"{"algorithm":"gradient"}"#,
        r#"{"algorithm":"gradient","min_rtt_calc_params":{"fixed_value":"1s"}}"#,
        r#"{"algorithm":"gradient2"}"#,
        r#"{"algorithm":"aimd"}"#,
        r#"{"algorithm":"fixed","limit":1}"#,
    ]
}

#[test]
fn a_whole_file_reads_as_it_is_meant() {
    let config: Config = loaded(include_str!("../../../../config/examples/overload.yaml"));
    assert!(config.segments.len() > 2 && config.listen.iter().any(|listen| listen.trust_headers));
    assert_eq!(config.segments[config.anonymous.unwrap()].order, Order::Fair);
    assert!(config.segments.iter().any(|segment| segment.priority == Priority::Batch));
}
