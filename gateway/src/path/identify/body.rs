//! Reads a request body whole: it must be judged before a byte of it goes on. It is bounded in size, in memory
//! together with all others, and in time.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::request::Parts;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use router_core::config::Limits;
use router_core::dialect::Reason;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::memory::{BodyMemory, Reservation};
use crate::path::accept::{discard, discard_rest};
use crate::path::telemetry::Limit;

/// Memory that an announced length is taken on trust for; beyond it grows with what really comes.
const TRUSTED_BYTES: u64 = 1024 * 1024;
/// From when on a body's average rate is judged: before, a slow start is no fault.
const RATE_AFTER: Duration = Duration::from_secs(10);
/// How long a call waits to be told by hyper that its caller has reset it.
const RESET_SEEN: Duration = Duration::from_secs(1);

/// A body, and the memory that is reserved for it.
pub(super) type Held = (Bytes, Reservation);

/// Why there is no body.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) reason: Reason,
    /// The bound that it ran into.
    pub(super) limit: Option<Limit>,
}

/// Whether the body cannot be judged as it is.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let encoded = |encoding: &HeaderValue| !encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get(CONTENT_ENCODING).is_some_and(encoded)
}

/// The body, if it is within its limits and whole.
pub(super) async fn read(
    mut body: Incoming,
    head: &Parts,
    memory: &Arc<BodyMemory>,
    limits: &Limits,
) -> Result<Held, Unread> {
    let announced = announced(&head.headers);
    if let Err(unread) = fits(announced.unwrap_or(0), limits) {
        discard(body, head);
        return Err(unread);
    }
    let mut held = memory.part();
    if let Err(reason) = held.grow_to(announced.unwrap_or(0), limits.body_memory_bytes) {
        discard(body, head);
        return Err(Unread::at(reason, Limit::BodyMemory));
    }
    let gathered = match gather(&mut body, announced, limits, &mut held).await {
        // hyper takes a call that was reset with `NO_ERROR` for one whose body has ended.
        Ok(_) if head.version == Version::HTTP_2 && !body.is_end_stream() => {
            Err(Unread { reason: Reason::BodyIncomplete, limit: None })
        }
        gathered => gathered,
    };
    match gathered {
        Ok(bytes) => Ok((bytes, held)),
        Err(unread) => {
            match unread.reason {
                // The caller reset its call: nobody reads a refusal, and hyper is about to drop this future.
                Reason::BodyIncomplete if head.version == Version::HTTP_2 => {
                    timeout(RESET_SEEN, pending::<()>()).await.unwrap_or_default();
                }
                // What comes too slowly is not waited for once more.
                Reason::BodyIncomplete | Reason::BodyTimeout => {}
                _ => discard_rest(body),
            }
            Err(unread)
        }
    }
}

fn fits(bytes: u64, limits: &Limits) -> Result<(), Unread> {
    let limit_bytes = limits.body_bytes;
    if bytes > limit_bytes {
        return Err(Unread::at(Reason::BodyTooLarge { limit_bytes }, Limit::Body));
    }
    Ok(())
}

async fn gather(
    body: &mut Incoming,
    announced: Option<u64>,
    limits: &Limits,
    held: &mut Reservation,
) -> Result<Bytes, Unread> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut clock = Clock::default();
    while let Some(frame) = clock.frame(body, (first.len() + whole.len()) as u64, limits).await? {
        let frame = frame.map_err(|_| Unread { reason: Reason::BodyIncomplete, limit: None })?;
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len() + whole.len() + data.len();
        fits(length as u64, limits)?;
        held.grow_to(length as u64, limits.body_memory_bytes)
            .map_err(|reason| Unread::at(reason, Limit::BodyMemory))?;
        if first.is_empty() && whole.is_empty() {
            // Most bodies come in one piece and are never copied.
            first = data;
            if body.is_end_stream() {
                return Ok(first);
            }
            continue;
        }
        if !first.is_empty() {
            let expected = announced.unwrap_or(0).min(TRUSTED_BYTES);
            whole.reserve(usize::try_from(expected).unwrap_or(0).max(length));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Unread {
    fn at(reason: Reason, limit: Limit) -> Self {
        Self { reason, limit: Some(limit) }
    }
}

/// How long a body takes. It begins to run when a body has to be waited for, which most never have.
#[derive(Default)]
struct Clock {
    running: Option<Running>,
}

struct Running {
    since: Instant,
    /// When the last piece came.
    last: Instant,
    /// Fires at the end of this pause or of an earlier one.
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    /// The body's next frame; `bytes` of it have come so far.
    async fn frame(
        &mut self,
        body: &mut Incoming,
        bytes: u64,
        limits: &Limits,
    ) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, Unread> {
        let mut next = body.frame();
        let mut waited = false;
        std::future::poll_fn(move |context| {
            if let Poll::Ready(frame) = Pin::new(&mut next).poll(context) {
                if let Some(running) = &mut self.running
                    && waited
                {
                    running.last = Instant::now();
                }
                return Poll::Ready(Ok(frame));
            }
            waited = true;
            let running = self.running.get_or_insert_with(|| Running::start(limits.body_read));
            while running.timer.as_mut().poll(context).is_ready() {
                if let Some(limit) = running.over(Instant::now(), bytes, limits) {
                    return Poll::Ready(Err(Unread::at(Reason::BodyTimeout, limit)));
                }
                let next = running.next_look(limits.body_read);
                running.timer.as_mut().reset(next);
            }
            Poll::Pending
        })
        .await
    }
}

impl Running {
    fn start(pause: Duration) -> Self {
        let now = Instant::now();
        Self { since: now, last: now, timer: Box::pin(sleep_until(now + pause.min(RATE_AFTER))) }
    }

    /// The bound that the body has run into, if any.
    fn over(&self, now: Instant, bytes: u64, limits: &Limits) -> Option<Limit> {
        if now - self.last >= limits.body_read {
            return Some(Limit::BodyRead);
        }
        let taken = now - self.since;
        let least = u128::from(limits.body_rate_bytes) * taken.as_millis() / 1000;
        (taken >= RATE_AFTER && u128::from(bytes) < least).then_some(Limit::BodyRate)
    }

    /// When the pause may be over, or the rate is to be judged again.
    fn next_look(&self, pause: Duration) -> Instant {
        let now = Instant::now();
        (self.last + pause).min(now + RATE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_drips_is_as_bad_as_one_that_stops() {
        let limits = Limits::default();
        let mut running = Running::start(limits.body_read);
        let at = |seconds| running.since + Duration::from_secs(seconds);
        let (early, late, paused) = (at(9), at(10), at(30));
        running.last = late;
        assert!(running.over(early, 0, &limits).is_none(), "a slow start is no fault");
        assert!(matches!(running.over(late, 10 * 1024 - 1, &limits), Some(Limit::BodyRate)));
        assert!(running.over(late, 10 * 1024, &limits).is_none());
        running.last = running.since;
        assert!(matches!(running.over(paused, 1 << 30, &limits), Some(Limit::BodyRead)));
        let unbounded = Limits { body_rate_bytes: 0, ..limits };
        running.last = late;
        assert!(running.over(paused, 0, &unbounded).is_none());
    }
}
