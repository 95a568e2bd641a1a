use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::future::ResponseFuture;
use super::layer::Config;
use crate::body::RewriteBody;
use crate::context::Exchange;
use crate::protocol::Route;

/// The service of [`FailoverLayer`](super::FailoverLayer).
#[derive(Debug, Clone)]
pub struct Failover<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Failover<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    inner_accessors!();
}

impl<S, B, C> Service<Request<B>> for Failover<S>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>> + Clone,
    B: Body<Data = Bytes> + Unpin,
{
    type Response = Response<RewriteBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let route = Route::detect(request.method(), request.uri().path(), request.headers());
        let Some(route) = route else {
            return ResponseFuture::pass(self.inner.call(request.map(RewriteBody::untouched)));
        };
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| {
            facts.client_protocol.get_or_insert(route.protocol);
        });
        // The ready service goes with the request; its clone waits for the next.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        ResponseFuture::read(ready, request, route, exchange, Arc::clone(&self.config))
    }
}
