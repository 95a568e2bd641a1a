use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tracing::instrument::Instrumented;

use super::observe::ResponseObserver;
use super::{RecordBody, Sink};

pin_project! {
    /// Response future of [`RecordService`](super::RecordService).
    pub struct ResponseFuture<F, K>
    where
        K: Sink,
    {
        #[pin]
        inner: Instrumented<F>,
        // None once the response has taken it.
        observer: Option<ResponseObserver<K>>,
    }
}

impl<F, K: Sink> ResponseFuture<F, K> {
    pub(super) fn new(inner: Instrumented<F>, observer: ResponseObserver<K>) -> Self {
        Self { inner, observer: Some(observer) }
    }
}

impl<F, K, B, E> Future for ResponseFuture<F, K>
where
    F: Future<Output = Result<Response<B>, E>>,
    K: Sink,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<RecordBody<B, K>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = ready!(this.inner.as_mut().poll(cx));
        let mut observer = this.observer.take();
        Poll::Ready(match result {
            Ok(mut response) => {
                if let Some(observer) = &mut observer {
                    observer.answered(&mut response);
                }
                let span = this.inner.span().clone();
                Ok(response.map(|body| RecordBody::new(body, observer, span)))
            }
            Err(error) => {
                if let Some(observer) = observer {
                    observer.refused();
                }
                Err(error)
            }
        })
    }
}

impl<F, K: Sink> fmt::Debug for ResponseFuture<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
