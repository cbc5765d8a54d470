//! Quotas: what they may say, and what is told whoever says something else.

use serde_json::json;

use super::{loaded, refused, with_top};
use crate::config::{Quota, RequestRate, quota, quota_to_json, to_json};

fn of(quota: &str) -> Quota {
    loaded(&with_top(&format!("segments: {{s: {{quota: {quota}}}}}"))).segments[0].quota.unwrap()
}

#[test]
fn a_quota_counts_requests_tokens_or_calls_at_a_time() {
    let all = of(
        "{requests_per_second: 200, burst: 300, tokens_per_minute: 400000, concurrent: 8, enforce: false}",
    );
    let requests = Some(RequestRate { per_second: 200.0, burst: 300 });
    assert_eq!(
        all,
        Quota { requests, tokens_per_minute: Some(400_000), concurrent: Some(8), enforce: false }
    );
    let one = of("{concurrent: 1}");
    assert_eq!(one, Quota { requests: None, tokens_per_minute: None, concurrent: Some(1), enforce: true });
    assert_eq!(loaded(&with_top("segments: {s: {}}")).segments[0].quota, None);
}

#[test]
fn without_a_burst_it_is_two_seconds_of_the_rate() {
    for (rate, burst) in [("200", 400), ("1.5", 3), ("0.7", 2), ("0.001", 1), ("1e6", 2_000_000)] {
        assert_eq!(of(&format!("{{requests_per_second: {rate}}}")).requests.unwrap().burst, burst, "{rate}");
    }
}

#[test]
fn quotas_that_are_refused() {
    let cases = [
        (
            "{}",
            "",
            "a quota has to count something; one of `requests_per_second`, `tokens_per_minute`, `concurrent`",
        ),
        ("{enforce: false}", "", "a quota has to count something"),
        ("100", "", "expected a mapping"),
        ("{requests_per_second: 0}", ".requests_per_second", "`0` is out of range; 0.001 to 1000000"),
        ("{requests_per_second: -5}", ".requests_per_second", "out of range"),
        ("{requests_per_second: .nan}", ".requests_per_second", "expected a number, found `.nan`"),
        ("{requests_per_second: .inf}", ".requests_per_second", "expected a number"),
        ("{requests_per_second: 100/s}", ".requests_per_second", "expected a number, found `100/s`"),
        ("{requests_per_second: }", ".requests_per_second", "expected a number, found nothing"),
        ("{burst: 10}", ".burst", "`burst` without `requests_per_second`"),
        ("{burst: 10, concurrent: 5}", ".burst", "`burst` without `requests_per_second`"),
        ("{requests_per_second: 1, burst: 0}", ".burst", "`0` is out of range; 1 to 1000000"),
        ("{requests_per_second: 1, burst: 0.5}", ".burst", "expected a whole number"),
        ("{requests_per_second: 1, burst: -1}", ".burst", "expected a whole number"),
        ("{tokens_per_minute: 0}", ".tokens_per_minute", "out of range; 1 to 4000000000"),
        ("{tokens_per_minute: 1.5}", ".tokens_per_minute", "expected a whole number"),
        ("{concurrent: 0}", ".concurrent", "out of range; 1 to 1000000"),
        ("{concurrent: 1, enforce: shadow}", ".enforce", "expected true or false"),
        ("{tokens_per_minutes: 5}", ".tokens_per_minutes", "did you mean `tokens_per_minute`?"),
        ("{request_per_second: 5, burst: 9}", ".request_per_second", "did you mean `requests_per_second`?"),
    ];
    for (quota, path, message) in cases {
        let text = with_top(&format!("segments: {{s: {{quota: {quota}}}}}"));
        refused(&text, &format!("segments.s.quota{path}"), message);
    }
}

#[test]
fn what_is_in_force_reads_as_what_was_written() {
    let text = with_top("segments: {s: {quota: {requests_per_second: 0.5}}}");
    let shown = to_json(&loaded(&text))["segments"]["s"]["quota"].clone();
    assert_eq!(shown, json!({ "requests_per_second": 0.5, "burst": 1, "enforce": true }));
    let all = json!({ "requests_per_second": 7, "burst": 9, "tokens_per_minute": 5, "concurrent": 2, "enforce": false });
    assert_eq!(quota_to_json(&quota(&all.to_string()).unwrap()), all);
}

#[test]
fn a_quota_on_its_own_is_read_by_the_same_rules() {
    assert_eq!(quota(r#"{"concurrent": 1}"#), Ok(of("{concurrent: 1}")));
    for (text, path, message) in [
        (r#"{"requests_per_second": -1, "burst": 0}"#, "burst", "out of range"),
        (r#"{"concurrent": "${HOME}"}"#, "concurrent", "HOME"),
        (r#"{"rate": 1}"#, "rate", "unknown"),
        ("{}", "", "a quota has to count something"),
        ("[]", "", "expected a mapping"),
        ("", "", ""),
        ("{", "", ""),
    ] {
        let problems = quota(text).unwrap_err();
        assert!(problems.iter().any(|problem| problem.path == path), "{text}: {problems:?}");
        assert!(problems.iter().any(|problem| problem.to_string().contains(message)), "{text}: {problems:?}");
    }
}
