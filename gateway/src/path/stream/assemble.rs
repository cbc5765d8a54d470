//! Makes a stream that Weir asked for in its caller's place the one document that the caller waits for
//! (`non_streaming: stream` of a pool; how is decided in `router_core::stream`). The caller has nothing until the
//! stream has come to its proper end, so whatever breaks it off before is an error and never half an answer.

use std::future::poll_fn;

use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::response::Parts;
use router_core::dialect::Reason;
use router_core::stream::{Assembly, Unassembled};

use super::AnswerBody;
use super::breach::Breach;
use super::relay::Relay;
use crate::path::send::ASSEMBLED_BYTES_MAX;
use crate::path::telemetry::{Account, Ending, Limit};
use crate::path::{Failure, Reply};

/// Waits for the whole of the upstream's stream. Dropping this closes its connection, which stops the upstream.
pub(super) async fn assemble(
    account: &Account,
    mut head: Parts,
    mut relay: Relay,
    assembly: Box<Assembly>,
) -> Reply {
    let document = gather(&mut relay, assembly, account).await;
    // Until now it was the upstream's time.
    account.facts().answered();
    let document = document?;
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
    Ok(Response::from_parts(head, AnswerBody::full(document.into())))
}

async fn gather(
    relay: &mut Relay,
    mut assembly: Box<Assembly>,
    account: &Account,
) -> Result<String, Failure> {
    loop {
        let frame = poll_fn(|context| relay.poll_frame(context)).await;
        // Before what the relay says of it is taken for the upstream's words.
        if let Some(breach) = relay.breach() {
            let cause = account.facts().cause.take().unwrap_or_default();
            return Err(Failure::new(reason(breach), cause));
        }
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| Failure::caused(Reason::BadResponse, &*error))?;
        if let Some(data) = frame.data_ref() {
            assembly.feed(data).map_err(refused)?;
        }
    }
    assembly.finish().map_err(refused)
}

/// Where the caller has nothing yet, a breach is an error like any other before the first byte.
fn reason(breach: &Breach) -> Reason {
    match breach.limit {
        Some(Limit::FirstToken) => Reason::FirstTokenTimeout,
        Some(Limit::UpstreamIdle) => Reason::IdleTimeout,
        Some(Limit::Answer) => Reason::AnswerTimeout,
        _ if breach.ending == Ending::Stopped => Reason::Draining,
        _ => Reason::BadResponse,
    }
}

fn refused(why: Unassembled) -> Failure {
    let reason = match why {
        Unassembled::TooLong => Reason::AnswerTooLarge { limit_bytes: ASSEMBLED_BYTES_MAX as u64 },
        Unassembled::Failed | Unassembled::Unreadable(_) | Unassembled::Unfinished => Reason::BadResponse,
    };
    Failure::caused(reason, &why)
}
