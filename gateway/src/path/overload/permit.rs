//! An attempt's place at an endpoint.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use prometheus::IntGauge;
use router_core::overload::dispatch::PermitId;
use router_core::overload::limiter::{End, Seen};

use super::group::Group;
use crate::snapshot::{Endpoint, Pool};

/// How often a stream's tokens are reported: the mean time between tokens is looked at each second.
const REPORT: Duration = Duration::from_millis(250);
/// Anthropic's "overloaded".
const OVERLOADED: u16 = 529;
/// How long an endpoint rests that answers 503 or 529 and does not say for how long it takes nothing.
const REST: Duration = Duration::from_secs(1);
/// The same for 429: the limiter has heard of it and asks for less, so no more than a pause, in which calls go to
/// others. With 1 s a server that refuses above 8 calls at a time made a quarter fewer answers than it could. Where
/// callers' own keys go up it is the longest, whatever the endpoint says: it says so of one caller's key.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest rest that an endpoint may ask for. One that means it says so again.
const REST_MAX: Duration = Duration::from_secs(60);

/// An attempt's place at an endpoint, from before dispatch until the answer's body has ended. Dropping it gives the
/// place back without a sample: the attempt was given up.
#[derive(Debug)]
pub(crate) struct Permit {
    group: Arc<Group>,
    id: Option<PermitId>,
    endpoint: Arc<Endpoint>,
    inflight: IntGauge,
    /// Tokens that have not been reported, and since when.
    tokens: u32,
    reported: Option<Instant>,
}

impl Permit {
    pub(super) fn new(group: Arc<Group>, id: PermitId, endpoint: Arc<Endpoint>, inflight: IntGauge) -> Self {
        endpoint.inflight.fetch_add(1, Ordering::Relaxed);
        inflight.inc();
        Self { group, id: Some(id), endpoint, inflight, tokens: 0, reported: None }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The answer's head has come, of an endpoint of this pool. One that takes nothing more gives its place back at
    /// once, and rests.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap, pool: &Pool) {
        if let Some(rest) = rest(status, headers, !pool.passes_credentials)
            && let Some(id) = self.id.take()
        {
            self.group.refused(id, rest);
        }
    }

    /// The answer is no stream, though one was asked for.
    pub(crate) fn comes_whole(&self) {
        if let Some(id) = self.id {
            self.group.observe(id, Seen::Whole);
        }
    }

    /// Tokens have come: the first one of all if `first`.
    pub(crate) fn came(&mut self, tokens: u32, first: bool, now: Instant) {
        let Some(id) = self.id else { return };
        if first {
            self.group.observe(id, Seen::FirstToken);
            self.reported = Some(now);
        }
        self.tokens += tokens;
        if self.reported.is_some_and(|reported| now - reported >= REPORT) {
            self.reported = Some(now);
            self.group.observe(id, Seen::Tokens(std::mem::take(&mut self.tokens)));
        }
    }

    /// The answer came whole, with so many tokens if they were counted.
    pub(crate) fn whole(mut self, output_tokens: Option<u64>) {
        if let Some(id) = self.id.take() {
            let output_tokens = output_tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX));
            self.group.finish(id, self.tokens, End::Whole { output_tokens });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.endpoint.inflight.fetch_sub(1, Ordering::Relaxed);
        self.inflight.dec();
        if let Some(id) = self.id.take() {
            self.group.finish(id, 0, End::Cancelled);
        }
    }
}

/// How long an endpoint is left alone that answers so, if it takes nothing more: for as long as it says, unless that
/// may be about one caller's key. Dates are not read: 1 s is no worse a guess than a clock that differs.
fn rest(status: StatusCode, headers: &HeaderMap, own_key: bool) -> Option<Duration> {
    let (unsaid, longest) = match status {
        StatusCode::TOO_MANY_REQUESTS if own_key => (PAUSE, REST_MAX),
        StatusCode::TOO_MANY_REQUESTS => (PAUSE, PAUSE),
        StatusCode::SERVICE_UNAVAILABLE => (REST, REST_MAX),
        other if other.as_u16() == OVERLOADED => (REST, REST_MAX),
        _ => return None,
    };
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let ms = number("retry-after-ms").map(Duration::from_millis);
    let said = ms.or_else(|| number(RETRY_AFTER.as_str()).map(Duration::from_secs));
    Some(said.unwrap_or(unsaid).min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long an endpoint rests that answers with this status and these headers, without and with the pool's own key.
    fn rests(status: u16, headers: &[(&'static str, &'static str)]) -> [Option<Duration>; 2] {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        [false, true].map(|own_key| rest(StatusCode::from_u16(status).unwrap(), &headers, own_key))
    }

    #[test]
    fn an_endpoint_rests_as_long_as_it_says() {
        for status in [503, 529] {
            let rests = |headers| {
                let [without, with] = rests(status, headers);
                assert_eq!(without, with, "it is about the endpoint, whose key it was or not");
                with.unwrap()
            };
            assert_eq!(rests(&[]), REST);
            assert_eq!(rests(&[("retry-after", "7")]), Duration::from_secs(7));
            assert_eq!(
                rests(&[("retry-after", "7"), ("retry-after-ms", "1500")]),
                Duration::from_millis(1500)
            );
            assert_eq!(rests(&[("retry-after", "86400")]), REST_MAX);
            assert_eq!(rests(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), REST);
        }
        for status in [200, 400, 500, 502, 504, 530] {
            assert_eq!(rests(status, &[("retry-after", "7")]), [None; 2]);
        }
    }

    #[test]
    fn what_one_callers_key_may_not_is_a_pause_for_the_others() {
        assert_eq!(rests(429, &[]), [Some(PAUSE); 2]);
        assert_eq!(rests(429, &[("retry-after", "7")]), [Some(PAUSE), Some(Duration::from_secs(7))]);
        assert_eq!(rests(429, &[("retry-after", "86400")]), [Some(PAUSE), Some(REST_MAX)]);
        assert_eq!(rests(429, &[("retry-after-ms", "20")]), [Some(Duration::from_millis(20)); 2]);
    }
}
