use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::verify::{VerifyError, VerifyKey};
use crate::body::{RewriteBody, refuse_with_status};
use crate::context::Exchange;
use crate::protocol::model::{ApiError, Fault, FaultKind};
use crate::protocol::{Protocol, Route};

pin_project! {
    /// Response future of [`ApiKeyAuth`](super::ApiKeyAuth).
    pub struct ResponseFuture<S, V, B>
    where
        S: Service<Request<B>>,
        V: VerifyKey,
    {
        #[pin]
        state: State<S, S::Future, V::Future, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, V, B> {
        Verify {
            #[pin]
            verifying: V,
            call: Option<(S, Request<B>)>,
            caller: Caller,
        },
        Call { #[pin] future: F },
        Refuse { caller: Caller, refusal: Refusal },
    }
}

/// Whom to answer.
pub(super) struct Caller {
    exchange: Exchange,
    protocol: Option<Protocol>,
}

/// What to answer.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    Missing,
    Key(VerifyError),
}

impl<S, V, B> ResponseFuture<S, V, B>
where
    S: Service<Request<B>>,
    V: VerifyKey,
{
    pub(super) fn call(future: S::Future) -> Self {
        Self { state: State::Call { future } }
    }

    pub(super) fn verify(
        verifying: V::Future,
        ready_inner: S,
        request: Request<B>,
        caller: Caller,
    ) -> Self {
        Self { state: State::Verify { verifying, call: Some((ready_inner, request)), caller } }
    }

    pub(super) fn refuse(caller: Caller, refusal: Refusal) -> Self {
        Self { state: State::Refuse { caller, refusal } }
    }
}

impl<S, V, B, ResBody> Future for ResponseFuture<S, V, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    V: VerifyKey,
{
    type Output = Result<Response<RewriteBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Verify { verifying, call, caller } => {
                    let principal = match ready!(verifying.poll(cx)) {
                        Ok(principal) => principal,
                        Err(error) => return Poll::Ready(Ok(caller.refuse(Refusal::Key(error)))),
                    };
                    let (mut inner, mut request) =
                        call.take().expect("future polled after completion");
                    caller.exchange.update(|facts| facts.principal = Some(principal.clone()));
                    request.extensions_mut().insert(principal);
                    state.set(State::Call { future: inner.call(request) });
                }
                StateProj::Call { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(response.map(RewriteBody::untouched)));
                }
                StateProj::Refuse { caller, refusal } => {
                    return Poll::Ready(Ok(caller.refuse(*refusal)));
                }
            }
        }
    }
}

impl Caller {
    pub(super) fn of<B>(request: &mut Request<B>) -> Self {
        let route = Route::detect(request.method(), request.uri().path(), request.headers());
        let exchange = Exchange::of(request.extensions_mut());
        let protocol = exchange.update(|facts| {
            // Told here because the key, soon stripped, may be what tells the protocol.
            facts.client_protocol = facts.client_protocol.or(route.map(|route| route.protocol));
            facts.client_protocol
        });
        Self { exchange, protocol }
    }

    fn refuse<B>(&self, refusal: Refusal) -> Response<RewriteBody<B>> {
        let (status, error) = refusal.error();
        let mut response = refuse_with_status(self.protocol, status, &error);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let fault = response.extensions().get::<Fault>().copied();
        self.exchange.update(|facts| facts.fault = fault);
        response
    }
}

impl Refusal {
    fn error(self) -> (StatusCode, ApiError<'static>) {
        let Self::Key(error) = self else {
            let error = ApiError::new(FaultKind::Auth, "missing access key");
            return (StatusCode::UNAUTHORIZED, error);
        };
        let (status, kind) = match error {
            VerifyError::Unknown => (StatusCode::UNAUTHORIZED, FaultKind::Auth),
            VerifyError::Forbidden => (StatusCode::FORBIDDEN, FaultKind::Permission),
            VerifyError::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, FaultKind::Overloaded),
        };
        (status, ApiError::new(kind, error.to_string()))
    }
}

impl<S, V, B> fmt::Debug for ResponseFuture<S, V, B>
where
    S: Service<Request<B>>,
    V: VerifyKey,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
