//! The way of a request, on one page. The rooms stand in request order, which is alphabetical order: those
//! that every request passes are tower layers, outermost first; from the choice of a target on it is one
//! plain function.
//!
//! | room | question |
//! |---|---|
//! | [`accept`] | is this a sane HTTP request on an open door? |
//! | [`dialect`] | which API shape and operation? (head only) |
//! | [`identify`] | the body, read once and judged; which route? |
//! | [`limit`] | is the caller inside its rates? requests by the head alone, tokens once the body is known |
//! | [`overload`] | is there room now? which target, by weight, and which endpoint? |
//! | [`route`] | which target, if a canary rule binds it to one? |
//! | [`select`] | which endpoint of a pool, for what is no call? |
//! | [`send`] | put it on the wire, with its clocks |
//! | [`stream`] | bring the answer back as it comes |
//! | [`telemetry`] | what happened, at what cost? |

pub(crate) mod accept;
pub(crate) mod dialect;
pub(crate) mod identify;
pub(crate) mod limit;
pub(crate) mod overload;
pub(crate) mod route;
pub(crate) mod select;
pub(crate) mod send;
pub(crate) mod stream;
pub(crate) mod telemetry;

mod failure;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use http::Response;
use router_core::dialect::Reason;
use tower::layer::layer_fn;
use tower::{ServiceBuilder, service_fn};

pub(crate) use failure::Failure;

use self::accept::Arrival;
use self::identify::Call;
use self::overload::{Admitted, Line};
use self::stream::{AnswerBody, Onward};
use self::telemetry::Account;
use crate::gateway::Gateway;

/// What a room says in the end.
pub(crate) type Reply = Result<Response<AnswerBody>, Failure>;
/// A room's future: boxed, because a plain `async` block reads best and costs some 40 ns.
pub(crate) type Walk<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The path from the door to the model and back.
pub(crate) fn build(
    gateway: &Arc<Gateway>,
) -> impl tower::Service<Arrival, Response = Response<AnswerBody>, Error = std::convert::Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let line = gateway.line.clone();
    ServiceBuilder::new()
        // First, so that every answer leaves with an id and every call leaves an account, panics included.
        .layer(layer_fn(|inner| accept::Accept::new(gateway.clone(), inner)))
        // Before anything that can refuse, so that every refusal has the caller's shape.
        .layer(layer_fn(|inner| dialect::Recognise::new(gateway.clone(), inner)))
        // The only room that reads a body, under its limits; behind it, nothing is unknown about the call.
        .layer(layer_fn(|inner| identify::Identify::new(gateway.clone(), inner)))
        .service(service_fn(move |call| exchange(line.clone(), call)))
}

/// One call's exchange with a model, in room order.
async fn exchange(line: Arc<Line>, mut call: Box<Call>) -> Reply {
    let account = call.account.clone();
    // Settled with the account, whatever becomes of the call.
    limit::reserve(&mut call)?;
    // Room, target and endpoint in one decision; in flight from now to the last byte of the answer, on every way out.
    let canary = route::canary_target(&call);
    let admitted = {
        let admission = pin!(overload::admit(&line, &call, canary));
        while_served(&account, admission).await?
    };
    let Admitted { permit, route, target } = admitted;
    {
        let mut facts = account.facts();
        facts.target = Some(target);
        facts.by_turn = canary.is_none();
        facts.route = Some(route.clone());
    }
    call.route = route.clone();
    // One attempt; dropping it at any point closes its connection, which stops the upstream.
    let answer = {
        let attempt = pin!(send::send(&mut call, &route.targets[target], permit));
        while_served(&account, attempt).await?
    };
    match stream::onward(&call, target, answer) {
        // As it arrives, watched in passing.
        Onward::Relayed(response) => Ok(response),
        // A stream in place of the whole answer that the caller waits for.
        Onward::Assembled(document) => while_served(&account, pin!(document)).await,
    }
}

/// Waits for a room, but not longer than the process does for such calls. The doors wake every call when that
/// changes.
async fn while_served<T>(
    account: &Account,
    mut room: Pin<&mut impl Future<Output = Result<T, Failure>>>,
) -> Result<T, Failure> {
    poll_fn(|context| match account.is_stopped() {
        true => Poll::Ready(Err(Reason::Draining.into())),
        false => room.as_mut().poll(context),
    })
    .await
}
