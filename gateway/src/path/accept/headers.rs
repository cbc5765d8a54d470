//! The headers that every answer gets.

use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::path::limit::tell;
use crate::path::stream::AnswerBody;
use crate::path::telemetry::Account;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-weir-attempts");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// An upstream's own id for the call, for talking to its operator.
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-weir-upstream-request-id");

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Longest caller's id that is taken over.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// What a refused caller is asked to wait where nothing better is known.
const RETRY_AFTER_MS_DEFAULT: u64 = 1000;

/// The caller's id for the call if it is sane, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
        let mut id = [0; 32];
        for (pair, byte) in id.chunks_exact_mut(2).zip(rand::random::<[u8; 16]>()) {
            pair.copy_from_slice(&[byte >> 4, byte & 0xf].map(|digit| HEX_DIGITS[usize::from(digit)]));
        }
        HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("0"))
    })
}

/// Id, attempts, times, and how long to wait where waiting is asked for.
pub(super) fn finish(response: &mut Response<AnswerBody>, account: &Account, last: bool) {
    let status = response.status();
    let headers = response.headers_mut();
    let id = &account.origin.request_id;
    if let Some(theirs) = headers.insert(REQUEST_ID, id.clone())
        && theirs != *id
    {
        headers.insert(UPSTREAM_REQUEST_ID, theirs);
    }
    if asks_to_wait(status) && !headers.contains_key(RETRY_AFTER) {
        hint(headers);
    }
    if last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let mut facts = account.facts();
    facts.status = status.as_u16();
    if let (Some(charge), Some(intent)) = (&facts.charge, facts.intent) {
        tell(headers, charge, intent.dialect);
    }
    let upstream = facts.upstream.unwrap_or_default();
    let overhead = account.started.elapsed().saturating_sub(upstream + facts.body_wait + facts.queued);
    facts.overhead = facts.upstream.map(|_| overhead);
    headers.insert(ATTEMPTS, HeaderValue::from(u16::from(facts.attempts)));
    let mut timing = String::with_capacity(64);
    timing.push_str("weir;dur=");
    push_ms(&mut timing, overhead);
    timing.push_str(", queue;dur=");
    // Nearly always.
    if facts.queued.is_zero() {
        timing.push('0');
    } else {
        push_ms(&mut timing, facts.queued);
    }
    timing.push_str(", upstream;dur=");
    push_ms(&mut timing, upstream);
    if let Ok(timing) = HeaderValue::try_from(timing) {
        // Weir's own comes first; an upstream's goes on behind it.
        if let Some(theirs) = headers.insert(SERVER_TIMING, timing) {
            headers.append(SERVER_TIMING, theirs);
        }
    }
}

/// The same for an answer that has no account.
pub(super) fn finish_probe(response: &mut Response<AnswerBody>, id: HeaderValue) {
    let ready = response.status() == StatusCode::OK;
    let headers = response.headers_mut();
    if !ready {
        hint(headers);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(REQUEST_ID, id);
    headers.insert(ATTEMPTS, HeaderValue::from_static("0"));
    headers.insert(SERVER_TIMING, HeaderValue::from_static("weir;dur=0, queue;dur=0, upstream;dur=0"));
}

/// Milliseconds with three decimals, without the cost of a floating-point number or of a formatter.
fn push_ms(text: &mut String, time: Duration) {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    text.push_str(itoa::Buffer::new().format(ms));
    // With a 1 in front for the zeros.
    let micros = 1000 + time.subsec_micros() % 1000;
    text.push('.');
    text.push_str(itoa::Buffer::new().format(micros).get(1..).unwrap_or_default());
}

/// 529 is Anthropic's "overloaded".
fn asks_to_wait(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 503 | 529)
}

/// Whole seconds for clients that read only those, milliseconds with ±20 % for those that can, so that they
/// do not all come back at once. An upstream's own milliseconds stand.
fn hint(headers: &mut HeaderMap) {
    let theirs = headers.get(RETRY_AFTER_MS).and_then(|ms| ms.to_str().ok()?.parse::<u64>().ok());
    let wait_ms = theirs.unwrap_or_else(|| {
        let jitter = rand::random::<u64>() % (RETRY_AFTER_MS_DEFAULT * 2 / 5 + 1);
        RETRY_AFTER_MS_DEFAULT * 4 / 5 + jitter
    });
    headers.insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000).clamp(1, 30)));
    headers.insert(RETRY_AFTER_MS, HeaderValue::from(wait_ms));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_kept_and_another_replaced() {
        let with = |id: &[u8]| HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_bytes(id).unwrap())]);
        assert_eq!(request_id(&with(b"abc-1")), "abc-1");
        for bad in [&b""[..], b"a b", "\u{e9}".as_bytes(), &[b'x'; 129]] {
            let made = request_id(&with(bad));
            assert_eq!(made.len(), 32);
            assert_ne!(made, request_id(&with(bad)));
        }
    }

    #[test]
    fn times_are_milliseconds_with_three_decimals() {
        let text = |micros| {
            let mut text = String::new();
            push_ms(&mut text, Duration::from_micros(micros));
            text
        };
        assert_eq!([0, 7, 1_100, 12_345_678].map(text), ["0.000", "0.007", "1.100", "12345.678"]);
    }

    #[test]
    fn the_hint_is_jittered_and_in_whole_seconds_too() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut headers = HeaderMap::new();
            hint(&mut headers);
            let ms: u64 = headers[RETRY_AFTER_MS].to_str().unwrap().parse().unwrap();
            let seconds: u64 = headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
            assert!((800..=1200).contains(&ms) && (1..=2).contains(&seconds), "{ms} {seconds}");
            seen.insert(ms);
        }
        assert!(seen.len() > 20);
    }

    #[test]
    fn an_upstreams_own_milliseconds_stand() {
        let mut headers = HeaderMap::from_iter([(RETRY_AFTER_MS, HeaderValue::from_static("20000"))]);
        hint(&mut headers);
        assert_eq!(
            (&headers[RETRY_AFTER_MS], &headers[RETRY_AFTER]),
            (&"20000".parse().unwrap(), &"20".parse().unwrap())
        );
    }
}
