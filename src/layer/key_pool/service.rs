use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::ResponseBody;
use super::future::ResponseFuture;
use super::guard::Trying;
use super::layer::Source;
use crate::protocol::Route;

/// The service of [`KeyPoolLayer`](super::KeyPoolLayer).
#[derive(Debug, Clone)]
pub struct KeyPoolService<S> {
    inner: S,
    source: Source,
}

impl<S> KeyPoolService<S> {
    pub(super) fn new(inner: S, source: Source) -> Self {
        Self { inner, source }
    }

    inner_accessors!();
}

impl<S, B, C> Service<Request<B>> for KeyPoolService<S>
where
    S: Service<Request<B>, Response = Response<C>> + Clone,
    C: Body<Data = bytes::Bytes>,
{
    type Response = Response<ResponseBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(pool) = self.source.pool(request.extensions().get()) else {
            return ResponseFuture::call(self.inner.call(request), None);
        };
        let trying = Trying::new(request.extensions_mut());
        let tried = trying.tried();
        if let Ok(lease) = pool.try_lease_but(&tried) {
            let guard = trying.begin(lease, request.extensions_mut());
            return ResponseFuture::call(self.inner.call(request), Some(guard));
        }
        let route = Route::detect(request.method(), request.uri().path(), request.headers());
        let told = trying.exchange().read(|facts| facts.client_protocol);
        let protocol = told.or_else(|| route.map(|route| route.protocol));
        // The ready service goes with the request; its clone waits for the next.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        ResponseFuture::wait(ready, request, pool.lease(tried), trying, protocol)
    }
}
