use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::answer::{ClaimStream, OpenTurn};
use crate::body::{DecodeBody, RewriteBody, TranscodeBody};

pin_project! {
    /// An answer: passed on, written whole, or a stream that is kept as it passes.
    #[derive(Debug)]
    pub struct ResponseBody<C> {
        #[pin]
        inner: Inner<C>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = InnerProj]
    enum Inner<C> {
        Plain { #[pin] body: RewriteBody<C> },
        // Boxed, as it is large and most bodies pass without one.
        Stream { body: Pin<Box<TranscodeBody<DecodeBody<C>, ClaimStream>>> },
    }
}

impl<C> ResponseBody<C> {
    pub(super) fn plain(body: RewriteBody<C>) -> Self {
        Self { inner: Inner::Plain { body } }
    }

    pub(super) fn stream(body: DecodeBody<C>, turn: OpenTurn) -> Self {
        let body = TranscodeBody::new(body, ClaimStream::new(turn));
        Self { inner: Inner::Stream { body: Box::pin(body) } }
    }
}

impl<C: Body<Data = Bytes>> Body for ResponseBody<C> {
    type Data = Bytes;
    type Error = C::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, C::Error>>> {
        match self.project().inner.project() {
            InnerProj::Plain { body } => body.poll_frame(cx),
            InnerProj::Stream { body } => {
                body.as_mut().poll_frame(cx).map_err(|never| match never {})
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Plain { body } => body.is_end_stream(),
            Inner::Stream { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Plain { body } => body.size_hint(),
            Inner::Stream { body } => body.size_hint(),
        }
    }
}
