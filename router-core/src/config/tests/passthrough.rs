//! Paths that lead to a pool as they are.

use std::time::Duration;

use super::{loaded, problem, problems, refused, with_top};

const POOL: &str = "pools: {a: {endpoints: [{url: http://h:1}]}}\n";

#[test]
fn prefixes_lead_to_pools_with_or_without_routes() {
    let entries = "passthrough: [{prefix: /chain, pool: a, timeout: 5s}, {prefix: /chain/b.c:d, pool: a}, {prefix: /v10, pool: a}]";
    for text in [format!("{POOL}{entries}"), format!("{POOL}routes: {{}}\n{entries}"), with_top(entries)] {
        let found: Vec<_> =
            loaded(&text).passthrough.into_iter().map(|one| (one.prefix, one.pool, one.timeout)).collect();
        let expected = [("/chain", Some(Duration::from_secs(5))), ("/chain/b.c:d", None), ("/v10", None)];
        assert_eq!(found, expected.map(|(prefix, timeout)| (prefix.to_owned(), 0, timeout)));
    }
}

#[test]
fn what_no_prefix_can_be() {
    let long = format!("/{}", "x".repeat(256));
    let cases = [
        ("chain", "begins with `/`"),
        ("/", "does not end with one"),
        ("/chain/", "does not end with one"),
        ("''", "begins with `/`"),
        ("/a%2Fb", "visible ASCII"),
        ("/a?b", "visible ASCII"),
        ("'/a#b'", "visible ASCII"),
        ("/a;b", "visible ASCII"),
        ("/a\\b", "visible ASCII"),
        ("/a b", "visible ASCII"),
        ("/ä", "visible ASCII"),
        (&*long, "up to 256"),
        ("/a//b", "no `//`"),
        ("/a/../b", "no `//`, `.` or `..`"),
        ("/.", "no `//`, `.` or `..`"),
        ("/v1", "`/v1` and what is below it"),
        ("/v1/chat", "`/v1` and what is below it"),
        ("/health", "`/health` and what is below it"),
        ("/weir/x", "`/weir` and what is below it"),
    ];
    for (prefix, message) in cases {
        let text = with_top(&format!("passthrough: [{{prefix: {prefix}, pool: a}}]"));
        refused(&text, "passthrough[0].prefix", message);
    }
}

#[test]
fn entries_that_are_refused() {
    let cases = [
        ("{pool: a}", "[0]", "missing key `prefix`"),
        ("{prefix: /x}", "[0]", "missing key `pool`"),
        ("{prefix: /x, pool: aa}", "[0].pool", "no pool `aa`, did you mean `a`?"),
        ("{prefix: /x, pool: a, timeout: 0}", "[0].timeout", "out of range; 1ms to 1h"),
        ("{prefix: /x, pool: a, retry: {}}", "[0].retry", "not supported by this version"),
        ("{prefix: /x, pool: a}, {prefix: /x, pool: a}", "[1].prefix", "`/x` is taken by an earlier entry"),
        ("/x", "[0]", "expected a mapping, found a text"),
    ];
    for (entries, place, message) in cases {
        refused(&with_top(&format!("passthrough: [{entries}]")), &format!("passthrough{place}"), message);
    }
    refused(&with_top("passthrough: {prefix: /x}"), "passthrough", "expected a list, found a mapping");
}

#[test]
fn without_prefixes_there_are_routes() {
    assert_eq!(problem(&format!("{POOL}passthrough: []")).message, "missing key `routes`");
    assert_eq!(
        problem(&format!("{POOL}passthrough: []\nroutes: {{}}")).message,
        "at least one route is needed"
    );
    assert_eq!(
        problems(&format!("{POOL}passthrough: [{{prefix: x, pool: a}}]")).len(),
        1,
        "one cause, one report"
    );
    assert_eq!(loaded(&with_top("passthrough: []")).passthrough, []);
}
