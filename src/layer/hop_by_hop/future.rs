use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode, Version};
use http_body::Body;
use pin_project_lite::pin_project;

use super::headers::{self, Keep};

pin_project! {
    /// Response future of [`HopByHopFilter`](super::HopByHopFilter).
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        keep: Keep,
        head: bool,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, keep: Keep, head: bool) -> Self {
        Self { inner, keep, head }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let status = response.status();
        // These two tell the length of a body that they do not have.
        let size = match status {
            _ if *this.head => None,
            StatusCode::NOT_MODIFIED => None,
            _ => response.body().size_hint().exact(),
        };
        let upgrade = this.keep.upgrade && status == StatusCode::SWITCHING_PROTOCOLS;
        headers::strip(response.headers_mut(), Keep { upgrade, ..*this.keep }, size);
        *response.version_mut() = Version::HTTP_11;
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
