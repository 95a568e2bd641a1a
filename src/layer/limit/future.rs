use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::{Exceeded, Held, LimitedBody, ResponseBody};
use super::counters::Counted;
use super::gate::{Busy, Gates, Permits};
use super::layer::Config;
use crate::body::{ObserveBody, RewriteBody, refuse_with_status};
use crate::protocol::Protocol;
use crate::protocol::model::ApiError;

pin_project! {
    /// Response future of [`Limit`](super::Limit).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<LimitedBody<B>>>,
    {
        #[pin]
        state: State<S, S::Future, B>,
        config: Arc<Config>,
        protocol: Option<Protocol>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B> {
        Wait { entering: Entering, call: Option<Box<(S, Request<B>)>> },
        Call { #[pin] future: F, held: Option<Held>, exceeded: Option<Exceeded> },
        Refuse { error: ApiError<'static> },
    }
}

/// Boxed only where one has to wait: tokio's future of a permit has no name.
type Entering = Pin<Box<dyn Future<Output = Result<Permits, Busy>> + Send>>;

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<LimitedBody<B>>>,
{
    pub(super) fn refuse(
        config: Arc<Config>,
        protocol: Option<Protocol>,
        error: ApiError<'static>,
    ) -> Self {
        Self { state: State::Refuse { error }, config, protocol }
    }

    /// Calls the inner service, which is ready.
    pub(super) fn call(
        config: Arc<Config>,
        protocol: Option<Protocol>,
        permits: Permits,
        service: &mut S,
        request: Request<B>,
    ) -> Self {
        Self { state: State::begin(&config, permits, service, request), config, protocol }
    }

    /// Calls it as soon as there are permits.
    pub(super) fn wait(
        config: Arc<Config>,
        protocol: Option<Protocol>,
        gates: Gates,
        service: S,
        request: Request<B>,
    ) -> Self {
        let entering = Box::pin(gates.enter(Arc::clone(&config.limits.0)));
        let call = Some(Box::new((service, request)));
        Self { state: State::Wait { entering, call }, config, protocol }
    }
}

impl<S: Service<Request<LimitedBody<B>>>, B> State<S, S::Future, B> {
    fn begin(config: &Config, permits: Permits, service: &mut S, request: Request<B>) -> Self {
        let in_flight = Counted::in_flight(&config.limits.0);
        let held = Some(Held { _permits: permits, _in_flight: in_flight });
        let exceeded = config.max_body_bytes.map(|_| Exceeded::default());
        let request = request.map(|body| match (config.max_body_bytes, &exceeded) {
            (Some(bytes), Some(exceeded)) => LimitedBody::new(body, bytes, exceeded.clone()),
            _ => LimitedBody::unlimited(body),
        });
        Self::Call { future: service.call(request), held, exceeded }
    }
}

impl<S, B, C> Future for ResponseFuture<S, B>
where
    S: Service<Request<LimitedBody<B>>, Response = Response<C>>,
    B: Body<Data = Bytes>,
    C: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<C>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Wait { entering, call } => match ready!(entering.as_mut().poll(cx)) {
                    Ok(permits) => {
                        let call = call.take().expect("future polled after completion");
                        let (mut service, request) = *call;
                        State::begin(this.config, permits, &mut service, request)
                    }
                    Err(busy) => State::Refuse { error: this.config.busy(busy) },
                },
                StateProj::Call { future, held, exceeded } => {
                    let outcome = ready!(future.poll(cx));
                    let held = held.take().expect("future polled after completion");
                    // Whatever the inner service made of the broken body.
                    if exceeded.as_ref().is_some_and(Exceeded::is_set) {
                        State::Refuse { error: this.config.too_large() }
                    } else {
                        let answer = outcome?.map(RewriteBody::untouched);
                        return Poll::Ready(Ok(answer.map(|body| ObserveBody::new(body, held))));
                    }
                }
                StateProj::Refuse { error } => {
                    // Not the 529 of Messages, by which a vendor is known to be overloaded.
                    let refusal = refuse_with_status(*this.protocol, error.kind.status(), error);
                    return Poll::Ready(Ok(refusal.map(ObserveBody::unobserved)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<LimitedBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
