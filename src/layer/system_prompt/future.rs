use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::layer::Config;
use crate::body::{
    Collect, CollectError, Collected, DecodeBody, Refusal, RewriteBody, change_body,
};
use crate::context::Exchange;
use crate::protocol::edit::Edited;
use crate::protocol::{Protocol, Route};

pin_project! {
    /// Response future of [`SystemPrompt`](super::SystemPrompt).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        #[pin]
        state: State<S, S::Future, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B> {
        Read { #[pin] collect: Collect<DecodeBody<B>>, call: Option<Box<PendingCall<S>>> },
        Call { #[pin] future: F },
        Refuse { protocol: Protocol, refusal: Refusal },
    }
}

/// What waits while the body is read. Boxed, as it is large beside the other states.
struct PendingCall<S> {
    service: S,
    parts: request::Parts,
    route: Route,
    exchange: Exchange,
    config: Arc<Config>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<RewriteBody<B>>>,
{
    pub(super) fn call(future: S::Future) -> Self {
        Self { state: State::Call { future } }
    }

    pub(super) fn refuse(protocol: Protocol, refusal: Refusal) -> Self {
        Self { state: State::Refuse { protocol, refusal } }
    }

    pub(super) fn read(
        service: S,
        request: Request<B>,
        route: Route,
        exchange: Exchange,
        config: Arc<Config>,
    ) -> Self {
        let (mut parts, body) = request.into_parts();
        let body = match DecodeBody::new(body, &mut parts.headers) {
            Ok(body) => body,
            Err(encoding) => return Self::refuse(route.protocol, encoding.into()),
        };
        let collect = Collect::new(body, config.max_body_bytes);
        let call = Box::new(PendingCall { service, parts, route, exchange, config });
        Self { state: State::Read { collect, call: Some(call) } }
    }
}

impl<S, B, C> Future for ResponseFuture<S, B>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<RewriteBody<C>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Read { collect, call } => {
                    let collected = ready!(collect.poll(cx));
                    let call = *call.take().expect("future polled after completion");
                    let protocol = call.route.protocol;
                    match call.begin(collected) {
                        Ok(future) => State::Call { future },
                        Err(refusal) => State::Refuse { protocol, refusal },
                    }
                }
                StateProj::Call { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(response.map(RewriteBody::untouched)));
                }
                StateProj::Refuse { protocol, refusal } => {
                    return Poll::Ready(Ok(refusal.response(Some(*protocol))));
                }
            };
            state.set(next);
        }
    }
}

impl<S> PendingCall<S> {
    /// Calls the inner service with the body as it should be.
    fn begin<B: Body, E>(
        mut self,
        collected: Result<Collected, CollectError<E>>,
    ) -> Result<S::Future, Refusal>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        let mut collected = collected?;
        let bytes = &collected.bytes;
        match self.config.apply(self.route, &self.parts, &self.exchange, bytes)? {
            Edited::Unchanged => {}
            Edited::Changed(bytes) => {
                change_body(&mut self.parts.headers, bytes.len());
                collected.bytes = bytes;
            }
        }
        let request = Request::from_parts(self.parts, RewriteBody::collected(collected));
        Ok(self.service.call(request))
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<RewriteBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
