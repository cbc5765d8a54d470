//! What callers are told of their quota, in the headers that their libraries read: OpenAI's, Anthropic's, and those of
//! the IETF's draft (draft-ietf-httpapi-ratelimit-headers).

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use router_core::dialect::Dialect;
use router_core::limit::{Kind, Level, Rate};

use super::{Allowance, Charge};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// An upstream speaks of another quota, which is not the caller's.
const THEIRS: [&str; 3] = ["x-ratelimit-", "anthropic-ratelimit-", "ratelimit"];

/// Names of the limit, what remains and the reset, of requests and of tokens.
type Names = [[HeaderName; 3]; 2];

const OPENAI: Names = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];
const ANTHROPIC: Names = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
];

/// How a caller stands with one of its quotas, the one of which there is least left.
struct Standing {
    rate: Rate,
    level: Level,
}

/// Tells the caller how it stands, in place of what the upstream says. Of a quota that is only tried out it hears
/// nothing.
pub(crate) fn tell(headers: &mut HeaderMap, charge: &Charge, dialect: Dialect) {
    let enforced =
        || charge.allowances().filter(|allowance| allowance.terms().is_some_and(|terms| terms.enforce));
    if enforced().next().is_none() {
        return;
    }
    remove_theirs(headers);
    let (mut policy, mut left) = (String::with_capacity(96), String::with_capacity(96));
    let names = if dialect == Dialect::Anthropic { &ANTHROPIC } else { &OPENAI };
    for (kind, names) in [Kind::Requests, Kind::Tokens].into_iter().zip(names) {
        let Some(Standing { rate, level }) = least(enforced(), kind) else { continue };
        let [limit, remaining, reset] = names;
        headers.insert(limit, HeaderValue::from(rate.bucket()));
        headers.insert(remaining, HeaderValue::from(level.remaining));
        headers.insert(reset, reset_value(level.full_in, dialect));
        let (units, seconds) = per_window(&rate);
        begin(&mut policy, kind, ";q=", units);
        number(&mut policy, ";w=", seconds);
        if kind == Kind::Tokens {
            policy.push_str(";qu=\"tokens\"");
        }
        begin(&mut left, kind, ";r=", level.remaining);
        number(&mut left, ";t=", whole_seconds(level.full_in));
    }
    if let Some((most, free)) = places(enforced()) {
        begin(&mut policy, Kind::Concurrency, ";q=", most.into());
        policy.push_str(";qu=\"concurrent-requests\"");
        begin(&mut left, Kind::Concurrency, ";r=", free.into());
    }
    for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

/// What comes back in how many whole seconds. The time in which a small bucket fills may be less than a second, which
/// the draft cannot say: then it is what a second brings, and not the bucket, which would be a far lower rate.
fn per_window(rate: &Rate) -> (u64, u64) {
    match rate.window() < Duration::from_secs(1) {
        true => (rate.units_per_second(), 1),
        false => (rate.bucket(), whole_seconds(rate.window())),
    }
}

fn least<'a>(allowances: impl Iterator<Item = &'a Arc<Allowance>>, kind: Kind) -> Option<Standing> {
    let standing = |allowance: &'a Arc<Allowance>| {
        let (terms, meter) = (allowance.terms()?, allowance.meter());
        let (rate, cell) = match kind {
            Kind::Requests => (terms.requests?, meter.requests()),
            Kind::Tokens => (terms.tokens?, meter.tokens()),
            Kind::Concurrency => return None,
        };
        Some(Standing { rate, level: cell.level(&rate, allowance.now()) })
    };
    allowances.filter_map(standing).min_by_key(|standing| standing.level.remaining)
}

/// Calls at a time, and how many more there may be.
fn places<'a>(allowances: impl Iterator<Item = &'a Arc<Allowance>>) -> Option<(u32, u32)> {
    let places = |allowance: &'a Arc<Allowance>| {
        let most = allowance.terms()?.concurrent?;
        Some((most, most.saturating_sub(allowance.meter().concurrent())))
    };
    allowances.filter_map(places).min_by_key(|(_, free)| *free)
}

fn remove_theirs(headers: &mut HeaderMap) {
    let theirs = |name: &HeaderName| THEIRS.iter().any(|prefix| name.as_str().starts_with(prefix));
    if headers.keys().any(theirs) {
        let names: Vec<_> = headers.keys().filter(|name| theirs(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// Begins an item of a structured-field list.
fn begin(list: &mut String, kind: Kind, key: &str, value: u64) {
    list.push_str(if list.is_empty() { "\"" } else { ", \"" });
    list.push_str(kind.name());
    list.push('"');
    number(list, key, value);
}

fn number(text: &mut String, key: &str, value: u64) {
    text.push_str(key);
    text.push_str(itoa::Buffer::new().format(value));
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn reset_value(full_in: Duration, dialect: Dialect) -> HeaderValue {
    let text = match dialect {
        // Rounded up: then it is full for certain.
        Dialect::Anthropic => {
            let full = SystemTime::now() + Duration::from_secs(whole_seconds(full_in));
            humantime::format_rfc3339_seconds(full).to_string()
        }
        Dialect::OpenAi | Dialect::Passthrough => go_duration(full_in),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0s"))
}

/// As OpenAI writes it: `0s`, `12ms`, `1.5s`, `6m0s`, `1h0m5s`.
fn go_duration(time: Duration) -> String {
    // Rounded up: then it is full for certain.
    let ms = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    let mut text = String::with_capacity(12);
    if (1..1000).contains(&ms) {
        number(&mut text, "", ms);
        text.push_str("ms");
        return text;
    }
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    if hours > 0 {
        number(&mut text, "", hours);
        text.push('h');
    }
    if hours > 0 || minutes > 0 {
        number(&mut text, "", minutes);
        text.push('m');
    }
    number(&mut text, "", seconds);
    let rest = ms % 1000;
    if rest > 0 {
        let mut fraction = String::with_capacity(4);
        // Writing to a string cannot fail.
        write!(fraction, ".{rest:03}").unwrap_or_default();
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_bucket_does_not_hide_its_rate() {
        let told = |per_second, burst| per_window(&Rate::new(per_second, Duration::from_secs(1), burst));
        assert_eq!([told(50.0, 1.0), told(50.0, 49.0), told(50.0, 50.0)], [(50, 1), (50, 1), (50, 1)]);
        assert_eq!([told(50.0, 100.0), told(0.01, 5.0)], [(100, 2), (5, 500)]);
    }

    #[test]
    fn times_are_written_as_openai_writes_them() {
        let text = |ms| go_duration(Duration::from_micros(ms));
        for (micros, expected) in [
            (0, "0s"),
            (1, "1ms"),
            (12_000, "12ms"),
            (999_001, "1s"),
            (1_500_000, "1.5s"),
            (8_640_000, "8.64s"),
            (59_999_000, "59.999s"),
            (60_000_000, "1m0s"),
            (360_000_000, "6m0s"),
            (3_605_000_000, "1h0m5s"),
        ] {
            assert_eq!(text(micros), expected);
        }
    }
}
