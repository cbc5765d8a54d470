//! What becomes of a body that nobody will read.

use std::time::Duration;

use http::header::EXPECT;
use http::request::Parts;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// How much of an unwanted body is read and thrown away: twice the largest that is taken by default.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long that may take.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Reads an unwanted body to its end, within bounds, while the refusal is on its way: a caller that is still
/// sending would otherwise meet a reset connection (in HTTP/2 a reset stream, which curl 7.88 takes for a failure)
/// and never read why it was refused. Past the bounds the connection is closed.
pub(crate) fn discard(body: Incoming, head: &Parts) {
    // A caller that waits for "100 Continue" has sent nothing, and must not be asked to.
    if !head.headers.contains_key(EXPECT) {
        discard_rest(body);
    }
}

/// The same for a body of which some has come.
pub(crate) fn discard_rest(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let drain = async {
            let mut left = BYTES_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, bytes::Bytes::len);
                let Some(rest) = left.checked_sub(length) else { return };
                left = rest;
            }
        };
        tokio::time::timeout(TIME_MAX, drain).await.unwrap_or_default();
    });
}
