use router_core::config::{Quota, RequestRate};
use router_core::dialect::{Dialect, Intent};
use router_core::limit::Outputs;
use router_core::stream::{Summary, Usage};

use super::charge::Spending;
use super::*;
use crate::path::telemetry::{Ending, Facts, Metrics};

const QUOTA: Quota = Quota {
    requests: Some(RequestRate { per_second: 0.001, burst: 10 }),
    tokens_per_minute: Some(1000),
    concurrent: Some(5),
    enforce: true,
};

fn allowance(quota: Quota) -> Arc<Allowance> {
    Allowance::new(Some(quota), Metrics::new().unwrap().limits("s"))
}

/// A chat call that was sent on and answered 200.
fn sent() -> Facts {
    let intent = Intent { dialect: Dialect::OpenAi, operation: Operation::ChatCompletions };
    Facts { intent: Some(intent), attempts: 1, status: 200, ..Facts::default() }
}

fn counted(facts: Facts, prompt_tokens: u64, completion_tokens: u64) -> Facts {
    let usage = Some(Usage { prompt_tokens, completion_tokens });
    Facts { summary: Summary { usage, ..Summary::default() }, ..facts }
}

#[test]
fn each_way_out_has_its_price() {
    // The prompt was estimated at 100.
    let price =
        |facts: &Facts, ending| Spending::of(100, facts, ending).map(|spent| (spent.tokens, spent.answer));
    let stream = Facts { stream: true, content_events: 7, ..sent() };
    let error = Facts { status: 500, bytes_out: 4000, ..sent() };
    let unsent = Facts { attempts: 0, status: 0, ..sent() };
    for (what, facts, ending, expected) in [
        ("counted", counted(sent(), 90, 20), Ending::Complete, Some((110, Some(20)))),
        ("nobody counted", Facts { bytes_out: 400, ..sent() }, Ending::Complete, Some((200, Some(100)))),
        ("a counted stream", counted(stream, 90, 20), Ending::Complete, Some((110, Some(20)))),
        (
            "counted at its beginning",
            counted(Facts { stream: true, content_events: 7, ..sent() }, 90, 1),
            Ending::ClientGone,
            Some((97, None)),
        ),
        (
            "a stream of 7",
            Facts { stream: true, content_events: 7, ..sent() },
            Ending::ClientGone,
            Some((107, None)),
        ),
        (
            "cut by the upstream",
            Facts { stream: true, content_events: 7, ..sent() },
            Ending::UpstreamCut,
            Some((107, None)),
        ),
        (
            "cut by a drain",
            Facts { stream: true, content_events: 7, ..sent() },
            Ending::Stopped,
            Some((107, None)),
        ),
        ("nobody waits for the whole", Facts { status: 0, ..sent() }, Ending::ClientGone, Some((100, None))),
        ("an error", error, Ending::Complete, Some((0, None))),
        ("never sent", unsent, Ending::ClientGone, Some((0, None))),
        ("never sent, and stopped", Facts { attempts: 0, ..sent() }, Ending::Stopped, None),
        ("refused", Facts { attempts: 0, ..sent() }, Ending::Refused, None),
        ("no endpoint answered", sent(), Ending::Refused, None),
        (
            "absurd",
            counted(sent(), u64::MAX, u64::MAX),
            Ending::Complete,
            Some((100 + Outputs::TOKENS_MAX, Some(Outputs::TOKENS_MAX))),
        ),
        (
            "absurd, and no more than 32 bits",
            counted(sent(), 90, u64::from(u32::MAX)),
            Ending::Complete,
            Some((100 + Outputs::TOKENS_MAX, Some(Outputs::TOKENS_MAX))),
        ),
        (
            "a document of a stream that nobody waits for any more",
            Facts { content_events: 7, status: 0, ..sent() },
            Ending::ClientGone,
            Some((107, None)),
        ),
        (
            "such a one that came to its end",
            Facts { content_events: 7, bytes_out: 4000, ..sent() },
            Ending::Complete,
            Some((107, Some(7))),
        ),
    ] {
        assert_eq!(price(&facts, ending), expected, "{what}");
    }
}

#[test]
fn vectors_are_no_answers() {
    let intent = Intent { dialect: Dialect::OpenAi, operation: Operation::Embeddings };
    let facts = Facts { intent: Some(intent), bytes_out: 100_000, ..sent() };
    let spent = Spending::of(100, &facts, Ending::Complete).unwrap();
    assert_eq!((spent.tokens, spent.answer), (100, None));
}

#[test]
fn a_charge_that_nobody_settles_gives_all_back() {
    let (segment, own) = (allowance(QUOTA), allowance(Quota { concurrent: Some(1), ..QUOTA }));
    let left = |one: &Allowance| {
        let (terms, meter) = (one.terms().unwrap(), one.meter());
        let level = |rate: router_core::limit::Rate, cell: &router_core::limit::Cell| {
            cell.level(&rate, one.now()).remaining
        };
        (
            level(terms.requests.unwrap(), meter.requests()),
            level(terms.tokens.unwrap(), meter.tokens()),
            meter.concurrent(),
        )
    };
    let enter = || Charge::enter([Some(&segment), Some(&own)]).unwrap();
    let (mut charge, outcome) = enter();
    outcome.unwrap();
    charge.reserve(100, Makes::AtMost(50)).unwrap();
    assert!(charge.counts_tokens());
    assert_eq!((left(&segment), left(&own)), ((9, 850, 1), (9, 850, 1)));
    let (refused, outcome) = enter();
    assert!(matches!(outcome, Err(Reason::OverQuota { .. })), "{outcome:?}");
    assert_eq!(left(&segment), (9, 850, 1), "what one refuses costs the other nothing");
    drop((refused, charge));
    assert_eq!((left(&segment), left(&own)), ((10, 1000, 0), (10, 1000, 0)));
}

#[test]
fn a_debt_ends_with_its_quota() {
    let quota = Quota { enforce: true, ..QUOTA };
    let segment = allowance(quota);
    let level = || {
        let (terms, cell) = (segment.terms().unwrap(), segment.meter().requests());
        cell.level(&terms.requests.unwrap(), segment.now()).remaining
    };
    segment.meter().requests().charge(&segment.terms().unwrap().requests.unwrap(), 1000, segment.now());
    segment.set(Some(Quota { concurrent: Some(4), ..quota }));
    assert_eq!(level(), 0, "it stays with its rate");
    segment.follow(None);
    assert!(segment.terms().is_none());
    segment.set(Some(quota));
    assert_eq!(level(), 10);
}

#[test]
fn a_quota_of_a_caller_is_small() {
    assert!(size_of::<Allowance>() <= 192, "{} bytes", size_of::<Allowance>());
    let none = Allowance::new(None, Metrics::new().unwrap().limits("s"));
    assert!(Charge::enter([Some(&none), None]).is_none(), "and nothing at all without one");
}
