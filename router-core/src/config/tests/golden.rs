//! One file with many different mistakes, and the whole report about it.

use super::{problem, problems};

const MANY_MISTAKES: &str = "\
listen: [{ address: 8080 }]
admin: { address: 0.0.0.0:9901 }
drain: 30
lmits: { body: 8MiB }
limits: { body: 8 megabytes }
log: { format: xml, headers: [authorization] }
segments: { b2b: { share: 3 } }
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
";

#[test]
fn every_mistake_is_reported_in_one_go() {
    let expected = [
        "1:21: listen[0].address: expected an IP address and a port, found `8080`; as in 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080 or localhost:8080",
        "2:19: admin.address: without admin keys the admin listener binds to loopback only; as in 127.0.0.1:9901",
        "3:8: drain: expected a duration, found `30`; a number and its unit, as in 800ms, 1.5s, 10m or 1h",
        "4:1: lmits: unknown key `lmits`, did you mean `limits`?",
        "5:17: limits.body: expected a size, found `8 megabytes`; bytes, or a whole number and its unit, as in 64KiB, 32MiB or 1GiB",
        "6:16: log.format: expected auto, json or human, found `xml`",
        "6:31: log.headers[0]: `authorization` carries credentials and is never looked at here",
        "7:1: segments: `segments` is not supported by this version",
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
