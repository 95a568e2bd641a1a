use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ResponseBody;
use super::guard::{LeaseGuard, Trying};
use super::lease::{Lease, NoKey};
use super::leasing::Leasing;
use crate::body::{ObserveBody, RewriteBody, refuse_with_status};
use crate::protocol::Protocol;
use crate::protocol::model::{ApiError, Fault, FaultKind};

pin_project! {
    /// Response future of [`KeyPoolService`](super::KeyPoolService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, S::Future, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B> {
        Wait { leasing: Leasing, call: Option<Box<PendingCall<S, B>>> },
        Call { #[pin] future: F, guard: Option<LeaseGuard> },
    }
}

/// What waits for a key. Boxed, as it is large and seldom.
struct PendingCall<S, B> {
    service: S,
    request: Request<B>,
    trying: Trying,
    protocol: Option<Protocol>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn call(future: S::Future, guard: Option<LeaseGuard>) -> Self {
        Self { state: State::Call { future, guard } }
    }

    pub(super) fn wait(
        service: S,
        request: Request<B>,
        leasing: Leasing,
        trying: Trying,
        protocol: Option<Protocol>,
    ) -> Self {
        let call = Box::new(PendingCall { service, request, trying, protocol });
        Self { state: State::Wait { leasing, call: Some(call) } }
    }
}

impl<S, B, C> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<C>>,
    C: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<C>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Wait { leasing, call } => {
                    let leased = ready!(Pin::new(leasing).poll(cx));
                    let call = *call.take().expect("future polled after completion");
                    match leased {
                        Ok(lease) => call.begin(lease),
                        Err(no_key) => return Poll::Ready(Ok(call.refuse(no_key))),
                    }
                }
                StateProj::Call { future, guard } => {
                    let result = ready!(future.poll(cx));
                    return Poll::Ready(finish(result, guard.take()));
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> PendingCall<S, B> {
    fn begin(mut self, lease: Lease) -> State<S, S::Future, B>
    where
        S: Service<Request<B>>,
    {
        let guard = self.trying.begin(lease, self.request.extensions_mut());
        State::Call { future: self.service.call(self.request), guard: Some(guard) }
    }

    fn refuse<C>(self, no_key: NoKey) -> Response<ResponseBody<C>> {
        let mut error = ApiError::new(FaultKind::Overloaded, no_key.to_string());
        error.retry_after = no_key.retry_after();
        // Whatever the protocol's own status for it is: no vendor has said that it is overloaded.
        let response = refuse_with_status(self.protocol, error.kind.status(), &error);
        self.trying.note(&response, response.extensions().get::<Fault>().copied());
        response.map(ObserveBody::unobserved)
    }
}

fn finish<C, E>(
    result: Result<Response<C>, E>,
    guard: Option<LeaseGuard>,
) -> Result<Response<ResponseBody<C>>, E>
where
    C: Body<Data = Bytes>,
{
    let Some(guard) = guard else {
        return result.map(|response| response.map(pass));
    };
    match result {
        Ok(response) => Ok(match guard.answered(&response) {
            Some(guard) => {
                response.map(|body| ObserveBody::new(RewriteBody::untouched(body), guard))
            }
            None => response.map(pass),
        }),
        Err(error) => {
            guard.broke();
            Err(error)
        }
    }
}

fn pass<C>(body: C) -> ResponseBody<C> {
    ObserveBody::unobserved(RewriteBody::untouched(body))
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
