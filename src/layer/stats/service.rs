use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::counters::Shared;
use super::future::ResponseFuture;
use super::observe::{RequestObserver, ResponseObserver};
use crate::body::ObserveBody;

/// Middleware of [`StatsLayer`](super::StatsLayer).
#[derive(Debug, Clone)]
pub struct StatsService<S> {
    inner: S,
    shared: Arc<Shared>,
    capture: bool,
}

impl<S> StatsService<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>, capture: bool) -> Self {
        Self { inner, shared, capture }
    }

    inner_accessors!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for StatsService<S>
where
    S: Service<Request<ObserveBody<ReqBody, RequestObserver>>, Response = Response<ResBody>>,
    ReqBody: Body,
    ResBody: Body,
{
    type Response = Response<ObserveBody<ResBody, ResponseObserver>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let shared = self.shared.clone();
        let (response, body) = ResponseObserver::begin(shared, self.capture, &mut request);
        let request = request.map(|inner| ObserveBody::new(inner, body));
        ResponseFuture::new(self.inner.call(request), response)
    }
}
