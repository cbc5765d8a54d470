//! Fetches a page for Weir itself: within a time and a size, over the connections that calls take.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use router_core::dialect::Reason;
use router_core::identify::Rope;

use super::{Clocks, Connections, request};
use crate::path::Failure;
use crate::snapshot::Endpoint;

/// What a page may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageBounds {
    /// Connecting included.
    pub(crate) patience: Duration,
    pub(crate) bytes: usize,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfetched {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Unreachable(String),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("its page is longer than {} MiB", .0 >> 20)]
    TooLong(usize),
}

impl Unfetched {
    /// The word for it in metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Status(_) => "status",
            Self::TooLong(_) => "unreadable",
        }
    }

    fn of(failure: &Failure, patience: Duration) -> Self {
        match failure.reason {
            Reason::ConnectTimeout | Reason::AnswerTimeout => Self::Timeout(patience),
            _ => Self::Unreachable(failure.cause().to_owned()),
        }
    }
}

/// The headers and the body of a page that is there.
pub(crate) async fn fetch(
    at: &Arc<Endpoint>,
    path: PathAndQuery,
    headers: HeaderMap,
    bounds: PageBounds,
) -> Result<(HeaderMap, Bytes), Unfetched> {
    let PageBounds { patience, bytes } = bounds;
    let failed = |failure: Failure| Unfetched::of(&failure, patience);
    let request = request(Method::GET, at, path, headers, Rope::default()).map_err(failed)?;
    let exchange = async {
        let mut clocks = Clocks::whole(patience);
        let (response, mut lease) =
            Connections::exchange(at, &mut Some(request), &mut clocks).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(lease.driving(body), bytes).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => Unfetched::TooLong(bytes),
            false => Unfetched::Unreachable(error.to_string()),
        })?;
        lease.give_back();
        if head.status != StatusCode::OK {
            return Err(Unfetched::Status(head.status));
        }
        Ok((head.headers, body.to_bytes()))
    };
    tokio::time::timeout(patience, exchange).await.unwrap_or(Err(Unfetched::Timeout(patience)))
}
