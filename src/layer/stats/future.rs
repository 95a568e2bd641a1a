use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::observe::ResponseObserver;
use crate::body::ObserveBody;

pin_project! {
    /// Response future of [`StatsService`](super::StatsService).
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        // None once the response has taken it.
        observer: Option<ResponseObserver>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, observer: ResponseObserver) -> Self {
        Self { inner, observer: Some(observer) }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<ObserveBody<B, ResponseObserver>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let observer = this.observer.take();
        Poll::Ready(match (result, observer) {
            (Ok(response), Some(mut observer)) => {
                observer.answered(&response);
                Ok(response.map(|body| ObserveBody::new(body, observer)))
            }
            (Ok(response), None) => Ok(response.map(ObserveBody::unobserved)),
            (Err(error), observer) => {
                if let Some(observer) = observer {
                    observer.refused();
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
