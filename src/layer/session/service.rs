use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::ResponseBody;
use super::future::ResponseFuture;
use super::layer::Config;
use super::stored;
use crate::body::RewriteBody;
use crate::context::Exchange;
use crate::protocol::{Operation, Protocol, Route};

/// The service of [`SessionLayer`](super::SessionLayer).
#[derive(Debug, Clone)]
pub struct Session<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Session<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    inner_accessors!();
}

impl<S, B, C> Service<Request<B>> for Session<S>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>> + Clone,
    B: Body<Data = Bytes>,
    C: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let route = Route::detect(request.method(), request.uri().path(), request.headers());
        let Some(route) = route.filter(|route| {
            route.protocol == Protocol::OpenAiResponses && !self.config.passthrough
        }) else {
            return ResponseFuture::pass(self.inner.call(request.map(RewriteBody::untouched)));
        };
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| {
            facts.client_protocol.get_or_insert(route.protocol);
        });
        match route.operation {
            Operation::Generate | Operation::CountTokens => {}
            _ => match stored::asked(request.method(), request.uri().path()) {
                Some(asked) => {
                    let query = request.uri().query();
                    return ResponseFuture::recall(&self.config, &exchange, asked, query);
                }
                None => {
                    let inner = self.inner.call(request.map(RewriteBody::untouched));
                    return ResponseFuture::pass(inner);
                }
            },
        }
        // What is kept must be read.
        let identity = HeaderValue::from_static("identity");
        request.headers_mut().insert(ACCEPT_ENCODING, identity);
        // The ready service goes with the request; its clone waits for the next.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        ResponseFuture::read(ready, request, route, exchange, Arc::clone(&self.config))
    }
}
