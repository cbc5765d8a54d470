//! One file with many different mistakes, and the whole report about it.

use super::{problem, problems};

const MANY_MISTAKES: &str = "\
listen: [{ address: 8080 }]
admin: { address: 0.0.0.0:9901 }
drain: 30
lmits: { body: 8MiB }
limits: { body: 8 megabytes }
log: { format: xml, headers: [authorization] }
segments: { b2b: { share: 0 } }
pools:
  mini: { endpoints: [{ url: 127.0.0.1:9001 }], balance: least-request }
  full:
    endpoints: [{ url: http://127.0.0.1:9002 }]
    key: sk-live-1234567890
    endpoints: []
routes:
  letter-writer:
    weight: 0.5
    targets:
      - { pool: mini, model: gpt-4o-mini, wieght: 0.6 }
      - { pool: ful,  model: gpt-4o, weight: 1.2 }
    retry: { attempts: 3 }
  gpt-4.1:
    targets:
      - { pool: mini, weight: 0.6 }
      - { pool: full, weight: 0.3 }
    canary: [{ header: x-api-version, target: full/gpt-4o }]
  stream: { targets: [{ pool: mini, model: '${MODEL}' }] }
passthrough:
  - { prefix: /v1/chain, pool: mini }
  - { prefix: /chain, pool: mni, timeout: 2h, retry: { attempts: 3 } }
";

/// Mistakes in the settings of limits, clocks and listeners, among them those that only two keys make together.
const UNFIT: &str = "\
listen: [{ address: 'unix:weir.sock' }, { address: 127.0.0.1:9101 }]
admin:
  metrics: { address: 0.0.0.0:9901 }
limits:
  head: 8KiB
  uri: 16KiB
  body: 64MiB
  body_memory: 32MiB
  connections: none
  header_read: 1ms
  body_rate: 10Mbit
drain: { requests: 1m, streams: 30s }
pools:
  a: { endpoints: [{ url: http://h }], http2: yes, usage: sometimes, timeouts: { first_token: 0s, answer: 2d } }
routes:
  r: { targets: [{ pool: a }], timeouts: { connect: 1s, idle: 1.5 } }
";

#[test]
fn settings_that_do_not_fit_together_are_reported_in_one_go() {
    let expected = [
        "1:21: listen[0].address: a Unix socket is `unix:` and the absolute path of a file; as in unix:/run/weir.sock",
        "3:23: admin.metrics.address: 0.0.0.0:9901 is also where operators are listened for; the admin listener serves `/metrics` anyway",
        "6:8: limits.uri: `uri` (16KiB) is larger than `head` (8KiB); `head` has to be at least what `uri` is",
        "8:16: limits.body_memory: `body` (64MiB) is larger than `body_memory` (32MiB); `body_memory` has to be at least what `body` is",
        "9:16: limits.connections: expected a whole number, found `none`",
        "10:16: limits.header_read: `1ms` is out of range; 10ms to 1h",
        "11:14: limits.body_rate: expected a size, found `10Mbit`; bytes, or a whole number and its unit, as in 64KiB, 32MiB or 1GiB",
        "12:33: drain.streams: streams get 30s, other answers 1m; a stream takes longer: at least what `requests` has",
        "14:47: pools.a.http2: expected true or false, found `yes`",
        "14:59: pools.a.usage: expected auto, always or never, found `sometimes`",
        "14:95: pools.a.timeouts.first_token: `0s` is out of range; 1ms to 1h",
        "14:107: pools.a.timeouts.answer: expected a duration, found `2d`; a number and its unit, as in 800ms, 1.5s, 10m or 1h",
        "16:44: routes.r.timeouts.connect: unknown key `connect` here; it belongs to `pools.NAME.timeouts`",
        "16:63: routes.r.timeouts.idle: expected a duration, found `1.5`; a number and its unit, as in 800ms, 1.5s, 10m or 1h",
    ];
    let found = problems(UNFIT);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn every_mistake_is_reported_in_one_go() {
    let expected = [
        "1:21: listen[0].address: expected an IP address and a port, found `8080`; as in 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080, localhost:8080 or unix:/run/weir.sock",
        "2:19: admin.address: without admin keys the admin listener binds to loopback only; as in 127.0.0.1:9901 or unix:/run/weir/admin.sock",
        "3:8: drain: expected a duration, found `30`; a number and its unit, as in 800ms, 1.5s, 10m or 1h",
        "4:1: lmits: unknown key `lmits`, did you mean `limits`?",
        "5:17: limits.body: expected a size, found `8 megabytes`; bytes, or a whole number and its unit, as in 64KiB, 32MiB or 1GiB",
        "6:16: log.format: expected auto, json or human, found `xml`",
        "6:31: log.headers[0]: `authorization` carries credentials and is never looked at here",
        "7:27: segments.b2b.share: `0` is out of range; 0.001 to 1000",
        "9:30: pools.mini.endpoints[0].url: expected a URL with a scheme and a host; as in http://127.0.0.1:9001 or https://api.example.com",
        "9:58: pools.mini.balance: expected least_request or round_robin, found `least-request`; did you mean `least_request`?",
        "12:10: pools.full.key: secrets are only ever { env: NAME } or { file: PATH }",
        "13:5: pools.full.endpoints: key `endpoints` stands here twice; first on line 11",
        "16:5: routes.letter-writer.weight: unknown key `weight` here; it belongs to `routes.NAME.targets[]`",
        "18:43: routes.letter-writer.targets[0].wieght: unknown key `wieght`, did you mean `weight`?",
        "19:17: routes.letter-writer.targets[1].pool: no pool `ful`, did you mean `full`?",
        "19:46: routes.letter-writer.targets[1].weight: `1.2` is not between 0 and 1; a weight is a number from 0 to 1, as in 0.6",
        "20:5: routes.letter-writer.retry: `retry` is not supported by this version",
        "23:7: routes.\"gpt-4.1\".targets: weights sum to 0.9 instead of 1; 0.666667, 0.333333 would do",
        "25:14: routes.\"gpt-4.1\".canary[0]: missing key `equals`",
        "26:3: routes.stream: `stream` cannot be the name of a route; `/weir/backpressure/stream` and `/weir/backpressure/pools` have a meaning of their own",
        "26:44: routes.stream.targets[0].model: environment variable `MODEL` is not set; set it, or give a default: `${MODEL:-default}`",
        "28:15: passthrough[0].prefix: `/v1` and what is below it are answered by Weir itself; as in /chain or /apps/letters",
        "29:29: passthrough[1].pool: no pool `mni`, did you mean `mini`?",
        "29:43: passthrough[1].timeout: `2h` is out of range; 1ms to 1h",
        "29:47: passthrough[1].retry: `retry` is not supported by this version",
    ];
    let found = problems(MANY_MISTAKES);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_problem_has_parts_for_programs() {
    let found = problem(&super::with_route("{pool: mini, weight: 0.6}, {pool: full, weight: 0.5}", ""));
    assert_eq!((found.line, found.column), (2, 23));
    assert_eq!(found.path, "routes.r.targets");
    assert_eq!(found.message, "weights sum to 1.1 instead of 1");
    assert_eq!(found.help.as_deref(), Some("0.545455, 0.454545 would do"));
}
