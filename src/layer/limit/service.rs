use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::{LimitedBody, ResponseBody};
use super::future::ResponseFuture;
use super::layer::Config;
use crate::BoxError;
use crate::protocol::Route;

/// The service of [`LimitLayer`](super::LimitLayer).
#[derive(Debug, Clone)]
pub struct Limit<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Limit<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    inner_accessors!();
}

impl<S, B, C> Service<Request<B>> for Limit<S>
where
    S: Service<Request<LimitedBody<B>>, Response = Response<C>> + Clone,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
    C: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let route = Route::detect(request.method(), request.uri().path(), request.headers());
        let protocol = route.map(|route| route.protocol);
        let config = Arc::clone(&self.config);
        if let Err(error) = config.check(&request) {
            return ResponseFuture::refuse(config, protocol, *error);
        }
        let gates = config.gates(&request);
        if let Some(permits) = gates.try_enter() {
            return ResponseFuture::call(config, protocol, permits, &mut self.inner, request);
        }
        // The ready service goes with the request; its clone waits for the next.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        ResponseFuture::wait(config, protocol, gates, ready, request)
    }
}
