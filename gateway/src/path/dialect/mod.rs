//! Finds the API and the operation of a request by its head, and turns every refusal of the rooms behind it
//! into that API's shape. What it recognises is decided in `router_core::dialect`.

use std::task::{Context, Poll};

use http::Response;
use http::request::Parts;
use hyper::body::Incoming;
use router_core::dialect::{Dialect, Intent};
use tower::Service;

use super::accept::{self, Admitted};
use super::stream::AnswerBody;
use super::telemetry::Account;
use super::{Failure, Reply, Walk};
use crate::gateway::Gateway;
use crate::snapshot::Route;
use std::convert::Infallible;
use std::sync::Arc;

/// A request of a known API.
pub(crate) struct Known {
    pub(crate) account: Arc<Account>,
    pub(crate) intent: Intent,
    /// Where the path leads if it goes to its pool as it is.
    pub(crate) passthrough: Option<Arc<Route>>,
    pub(crate) head: Box<Parts>,
    pub(crate) body: Incoming,
}

/// The room.
#[derive(Clone, Debug)]
pub(crate) struct Recognise<S> {
    gateway: Arc<Gateway>,
    inner: S,
}

impl<S> Recognise<S> {
    pub(crate) fn new(gateway: Arc<Gateway>, inner: S) -> Self {
        Self { gateway, inner }
    }
}

impl<S> Service<Admitted> for Recognise<S>
where
    S: Service<Known, Response = Response<AnswerBody>, Error = Failure, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Walk<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The rooms behind are always ready: waiting for room is one of them.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Admitted) -> Self::Future {
        let gateway = self.gateway.clone();
        let mut inner = self.inner.clone();
        Box::pin(async move {
            let account = request.account.clone();
            let recognised = gateway.snapshot().recognise(&request.head);
            let (dialect, reply): (Dialect, Reply) = match recognised {
                Ok((intent, passthrough)) => {
                    account.facts().intent = Some(intent);
                    let Admitted { account, head, body } = request;
                    let known = Known { account, intent, passthrough, head, body };
                    (intent.dialect, inner.call(known).await)
                }
                Err(reason) => {
                    account.facts().unknown = Some(accept::method_and_path(&request.head));
                    accept::discard(request.body, &request.head);
                    (gateway.snapshot().guess(&request.head), Err(reason.into()))
                }
            };
            Ok(reply.unwrap_or_else(|failure| failure.answer(dialect, &account)))
        })
    }
}
