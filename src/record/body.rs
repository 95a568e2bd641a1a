use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tracing::Span;

use super::Sink;
use super::observe::ResponseObserver;
use crate::body::ObserveBody;

pin_project! {
    /// The body of an answer that is watched to its end, within the span of its request.
    pub struct RecordBody<B, K>
    where
        K: Sink,
    {
        // None only while it is dropped: that too happens within the span.
        #[pin]
        inner: Option<ObserveBody<B, ResponseObserver<K>>>,
        span: Span,
    }

    impl<B, K> PinnedDrop for RecordBody<B, K>
    where
        K: Sink,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = this.span.enter();
            this.inner.set(None);
        }
    }
}

impl<B: Body<Data = Bytes>, K: Sink> RecordBody<B, K> {
    pub(super) fn new(inner: B, observer: Option<ResponseObserver<K>>, span: Span) -> Self {
        let inner = match observer {
            Some(observer) => ObserveBody::new(inner, observer),
            None => ObserveBody::unobserved(inner),
        };
        Self { inner: Some(inner), span }
    }
}

impl<B: Body<Data = Bytes>, K: Sink> Body for RecordBody<B, K> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let _entered = this.span.enter();
        this.inner.as_pin_mut().map_or(Poll::Ready(None), |inner| inner.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B, K: Sink> fmt::Debug for RecordBody<B, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBody").finish_non_exhaustive()
    }
}
