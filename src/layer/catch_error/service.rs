use std::convert::Infallible;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use crate::body::RewriteBody;
use crate::context::Exchange;
use crate::error::{BoxError, TransportKind};
use crate::protocol::{Protocol, Route};

/// Middleware of [`CatchErrorLayer`](super::CatchErrorLayer).
#[derive(Debug)]
pub struct CatchError<S> {
    inner: S,
    /// Why the inner service is not ready, to be told at the next call.
    broken: Option<TransportKind>,
}

impl<S> CatchError<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, broken: None }
    }

    inner_accessors!();
}

impl<S: Clone> Clone for CatchError<S> {
    fn clone(&self) -> Self {
        // A clone asks the inner service itself whether it is ready.
        Self::new(self.inner.clone())
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CatchError<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<RewriteBody<ResBody>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let ready = ready!(self.inner.poll_ready(cx));
        self.broken = ready.err().map(|error| TransportKind::of(&*error.into()));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let protocol = upstream_protocol(&request);
        match self.broken.take() {
            Some(kind) => ResponseFuture::refuse(kind, protocol),
            None => ResponseFuture::call(self.inner.call(request), protocol),
        }
    }
}

fn upstream_protocol<B>(request: &Request<B>) -> Option<Protocol> {
    let exchange = request.extensions().get::<Exchange>();
    let told = exchange.and_then(|exchange| exchange.read(|facts| facts.upstream_protocol));
    told.or_else(|| {
        let route = Route::detect(request.method(), request.uri().path(), request.headers())?;
        Some(route.protocol)
    })
}
