//! Brings an answer back as it arrives: never collected, never edited (but for what Weir asked for in its caller's
//! place: token counts, `usage` of a pool, and streams, `non_streaming`), watched in passing by
//! `router_core::stream`. An event stream that breaks ends with an error event in the caller's dialect and
//! without the dialect's terminator: a cut stream is never dressed as complete.

mod assemble;
mod body;
mod breach;
mod clock;
mod gathered;
mod relay;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::time::Instant;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderName, Response, StatusCode, Version};
use router_core::dialect::Dialect;
use router_core::stream::{SseWatch, WholeWatch};

use assemble::assemble;
pub(crate) use body::AnswerBody;
use clock::Clock;
use gathered::Turn;
use relay::{Relay, State, Tokens, Watch};

use super::Reply;
use super::identify::Call;
use super::send::{Answer, add_via, is_events, is_of_type, strip_hop_by_hop, strip_ours};

const TARGET: HeaderName = HeaderName::from_static("x-weir-target");

/// How an answer goes on to its caller.
pub(crate) enum Onward<'c> {
    Relayed(Response<AnswerBody>),
    /// Once it is whole. What is rare is kept apart, so that every call's future stays small.
    Assembled(Pin<Box<dyn Future<Output = Reply> + Send + 'c>>),
}

/// Turns the upstream's answer into the caller's.
pub(crate) fn onward(call: &Call, target: usize, mut answer: Answer) -> Onward<'_> {
    let assembly = answer.assembly.take();
    let (head, relay) = begin(call, target, answer);
    match assembly {
        None => Onward::Relayed(Response::from_parts(head, AnswerBody::relay(relay))),
        Some(assembly) => Onward::Assembled(Box::pin(assemble(&call.account, head, relay, assembly))),
    }
}

/// The head of the caller's answer, and what watches the body of the upstream's.
fn begin(call: &Call, target: usize, answer: Answer) -> (Parts, Relay) {
    let Answer { response, early, lease, permit, term, withhold_usage, assembly: _ } = answer;
    let (mut head, upstream) = response.into_parts();
    let unframed = head.version != Version::HTTP_2
        && !head.headers.contains_key(CONTENT_LENGTH)
        && !head.headers.contains_key(TRANSFER_ENCODING);
    strip_hop_by_hop(&mut head.headers);
    // What only Weir may say of an answer, an upstream cannot.
    strip_ours(&mut head.headers);
    let target = &call.route.targets[target];
    head.headers.insert(TARGET, target.header.clone());
    add_via(&mut head.headers, head.version);
    head.version = Version::HTTP_11;

    let dialect = call.intent.dialect;
    let watch = match head.status {
        StatusCode::OK if is_events(&head.headers) => Watch::Events(Box::new(SseWatch::new(dialect))),
        // Of an API that is not known a document need not be an object.
        StatusCode::OK
            if dialect != Dialect::Passthrough && is_of_type(&head.headers, "application/json") =>
        {
            Watch::Whole(Box::new(WholeWatch::new(dialect)))
        }
        _ => Watch::Nothing,
    };
    let events = matches!(watch, Watch::Events(_));
    let filter = events && withhold_usage;
    if events {
        // Less may come if the token counts are withheld, and more if it breaks off: an event that says so.
        head.headers.remove(CONTENT_LENGTH);
    }
    let clock = Clock::new(term, events, Instant::now());
    let relay = Relay {
        upstream,
        early,
        filter: filter.then(Box::default),
        held: Some((lease, permit)),
        succeeded: head.status.is_success(),
        watch,
        dialect,
        // Nothing can be added to an answer whose length is announced.
        extensible: !head.headers.contains_key(CONTENT_LENGTH),
        unframed,
        clock,
        last_byte: 0,
        account: call.account.clone(),
        tokens: Tokens::new(target.metrics_of(&call.segment).map(|metrics| metrics.inter_token.clone())),
        turn: Turn::default(),
        state: State::Flowing,
        breach: None,
    };
    (head, relay.settle_if_empty())
}
