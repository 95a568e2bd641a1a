use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::ResponseBody;
use super::future::ResponseFuture;
use super::layer::Config;
use super::watch::Watch;
use crate::context::Exchange;
use crate::protocol::{Operation, Route};

/// The service of [`FirstEventLayer`](super::FirstEventLayer).
#[derive(Debug, Clone)]
pub struct FirstEvent<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> FirstEvent<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    inner_accessors!();
}

impl<S, B, C> Service<Request<B>> for FirstEvent<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    S::Error: 'static,
    C: Body<Data = Bytes>,
    C::Error: 'static,
{
    type Response = Response<ResponseBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let route = Route::detect(request.method(), request.uri().path(), request.headers());
        let exchange = Exchange::of(request.extensions_mut());
        let attempt = exchange.attempt_of(request.extensions_mut());
        let told = exchange.read(|facts| facts.upstream_protocol);
        // Only what a model answers to is read as its answer.
        let answers = route.filter(|route| route.operation == Operation::Generate);
        let watch = Watch::new(
            Arc::clone(&self.config.classify),
            (exchange, attempt),
            told.or(route.map(|route| route.protocol)),
            answers.map(|route| route.protocol),
        );
        let config = Arc::clone(&self.config);
        ResponseFuture::new(self.inner.call(request), Box::new(watch), config)
    }
}
