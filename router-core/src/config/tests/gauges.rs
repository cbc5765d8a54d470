//! Pools whose servers are asked for their own queues.

use proptest::prelude::*;

use super::overload::with_path;
use super::{loaded, refused, with_pool};
use crate::config::{Concurrency, Endpoint, GaugesSource, Pool};

#[test]
fn each_endpoint_is_asked_or_one_page() {
    let gauges = |fields: &str| loaded(&with_pool(fields)).pools.remove(0).gauges;
    assert_eq!(gauges("http2: false"), None);
    assert_eq!(gauges("gauges: {}"), Some(GaugesSource { url: None }));
    let page = Endpoint { tls: false, host: "h".into(), port: 9, path_prefix: "/m".into() };
    assert_eq!(gauges("gauges: {url: http://h:9/m}"), Some(GaugesSource { url: Some(page) }));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let cases = [
        ("gauges: on", "pools.a.gauges", "expected a mapping"),
        ("gauges: {path: /m}", "pools.a.gauges.path", "unknown key `path`"),
        ("gauges: {url: h}", "pools.a.gauges.url", "expected a URL"),
        ("gauges: {url: 'http://h?x'}", "pools.a.gauges.url", "no query"),
        ("concurrency: {algorithm: aimd}, gauges: {}", "pools.a.gauges", "`aimd` has no use for them"),
    ];
    for (field, path, message) in cases {
        refused(&with_pool(field), path, message);
    }
    let two = "[{url: http://a}, {url: http://b}]";
    refused(
        &with_pool("gauges: {url: http://h:9}").replace("[{url: https://h}]", two),
        "pools.a.gauges.url",
        "one page cannot tell of several servers",
    );
    loaded(&with_pool("gauges: {}").replace("[{url: https://h}]", two));
    refused(&with_path(", gauges: {}"), "pools.b.gauges", "only its `bulkhead` limits it");
}

/// A pool that may have gauges, if it is one that can.
pub(super) fn with_gauges(pool: Pool, page: Endpoint) -> impl Strategy<Value = Pool> {
    let can = matches!(pool.concurrency, Some(Concurrency::FirstTokenWindow(_)));
    let url = (pool.endpoints.len() == 1).then_some(page);
    let gauges = prop::sample::select(vec![None, Some(None), Some(url)]);
    gauges.prop_map(move |gauges| {
        let gauges = gauges.filter(|_| can).map(|url| GaugesSource { url });
        Pool { gauges, ..pool.clone() }
    })
}
