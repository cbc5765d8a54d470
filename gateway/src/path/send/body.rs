//! A request body that is already there, sent slice by slice.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use router_core::identify::Rope;

/// A [`Rope`] as an HTTP body.
#[derive(Clone, Debug)]
pub(crate) struct RopeBody {
    /// Boxed, because a request is moved a dozen times on its way to the wire.
    left: Box<Rope>,
}

impl RopeBody {
    pub(crate) fn new(rope: Rope) -> Self {
        Self { left: Box::new(rope) }
    }
}

impl Body for RopeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.left.0.iter_mut().find(|slice| !slice.is_empty());
        Poll::Ready(next.map(|slice| Ok(Frame::data(std::mem::take(slice)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn sends_every_byte_once_and_announces_how_many() {
        let body = Bytes::from_static(br#"{"model":"a"}"#);
        let mut rope = RopeBody::new(Rope::replace(&body, 9..12, Bytes::from_static(b"\"bb\"")));
        assert_eq!(rope.size_hint().exact(), Some(14));
        let mut sent = Vec::new();
        while let Some(frame) = rope.frame().await {
            sent.extend_from_slice(frame.unwrap().data_ref().unwrap());
        }
        assert_eq!(sent, br#"{"model":"bb"}"#);
        assert!(rope.is_end_stream());
    }
}
