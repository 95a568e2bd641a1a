use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tracing::{Instrument, Span};

use super::future::ResponseFuture;
use super::layer::{Keep, Shared};
use super::observe::{RequestObserver, ResponseObserver};
use super::{RecordBody, Sink};
use crate::body::ObserveBody;

/// Middleware of [`RecordLayer`](super::RecordLayer).
pub struct RecordService<S, K> {
    inner: S,
    shared: Arc<Shared<K>>,
    keep: Keep,
}

impl<S, K> RecordService<S, K> {
    pub(super) fn new(inner: S, shared: Arc<Shared<K>>, keep: Keep) -> Self {
        Self { inner, shared, keep }
    }

    inner_accessors!();
}

impl<S, K, ReqBody, ResBody> Service<Request<ReqBody>> for RecordService<S, K>
where
    S: Service<Request<ObserveBody<ReqBody, RequestObserver>>, Response = Response<ResBody>>,
    K: Sink,
    ReqBody: Body<Data = Bytes>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<RecordBody<ResBody, K>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, K>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let (response, body) = ResponseObserver::begin(&self.shared, self.keep, &mut request);
        let span = span(&response);
        let request = request.map(|inner| ObserveBody::new(inner, body));
        let call = span.in_scope(|| self.inner.call(request));
        ResponseFuture::new(call.instrument(span), response)
    }
}

/// Whatever is said of this request, by whichever layer, is said within it.
fn span<K: Sink>(observer: &ResponseObserver<K>) -> Span {
    let begun = observer.begun();
    let span = tracing::info_span!(
        "llm_request",
        request_id = %begun.request_id,
        protocol = tracing::field::Empty,
    );
    if let Some(route) = begun.route {
        span.record("protocol", route.protocol.as_str());
    }
    span
}

// Not derived: the sink is shared, not cloned.
impl<S: Clone, K> Clone for RecordService<S, K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone(), keep: self.keep }
    }
}

impl<S: fmt::Debug, K> fmt::Debug for RecordService<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
