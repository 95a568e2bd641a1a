use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::body::{RewriteBody, refuse_with_status};
use crate::error::{BoxError, TransportKind};
use crate::protocol::Protocol;
use crate::protocol::model::{ApiError, Fault};

pin_project! {
    /// Response future of [`CatchError`](super::CatchError).
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
        protocol: Option<Protocol>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Call { #[pin] future: F },
        Refuse { kind: TransportKind },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn call(future: F, protocol: Option<Protocol>) -> Self {
        Self { state: State::Call { future }, protocol }
    }

    pub(super) fn refuse(kind: TransportKind, protocol: Option<Protocol>) -> Self {
        Self { state: State::Refuse { kind }, protocol }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<RewriteBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let kind = match this.state.project() {
            StateProj::Refuse { kind } => *kind,
            StateProj::Call { future } => match ready!(future.poll(cx)) {
                Ok(response) => return Poll::Ready(Ok(response.map(RewriteBody::untouched))),
                Err(error) => TransportKind::of(&*error.into()),
            },
        };
        tracing::warn!(cause = %kind, "no answer of the upstream");
        Poll::Ready(Ok(answer(kind, *this.protocol)))
    }
}

fn answer<B>(kind: TransportKind, protocol: Option<Protocol>) -> Response<RewriteBody<B>> {
    let fault = Fault::transport(kind);
    let error = ApiError::new(fault.kind, kind.to_string());
    let mut response = refuse_with_status(protocol, fault.status, &error);
    response.extensions_mut().insert(fault);
    response
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
