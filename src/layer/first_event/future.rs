use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::body::{Hold, ResponseBody, kind_of};
use super::layer::Config;
use super::watch::{End, Watch};
use crate::context::Observed;

pin_project! {
    /// Response future of [`FirstEvent`](super::FirstEvent).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, C>
    where
        C: Body,
    {
        #[pin]
        state: State<F, C>,
        config: Arc<Config>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C>
    where
        C: Body,
    {
        Call { #[pin] future: F, watch: Option<Box<Watch>> },
        Hold { answer: Option<Box<Answer<C>>>, within: Duration, #[pin] sleep: Option<Sleep> },
    }
}

/// An answer that is held.
struct Answer<C: Body> {
    parts: response::Parts,
    hold: Hold<C>,
}

impl<F, C: Body> ResponseFuture<F, C> {
    pub(super) fn new(future: F, watch: Box<Watch>, config: Arc<Config>) -> Self {
        Self { state: State::Call { future, watch: Some(watch) }, config }
    }
}

impl<F, C, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<Response<C>, E>>,
    C: Body<Data = Bytes>,
    C::Error: 'static,
    E: 'static,
{
    type Output = Result<Response<ResponseBody<C>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut state = this.state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Call { future, watch } => {
                    let called = ready!(future.poll(cx));
                    let mut watch = watch.take().expect("future polled after completion");
                    let response = match called {
                        Ok(response) => response,
                        Err(error) => {
                            watch.end(End::Broken(kind_of(&error)));
                            return Poll::Ready(Err(error));
                        }
                    };
                    if !watch.answered(&response) {
                        return Poll::Ready(Ok(pass(response, watch)));
                    }
                    let failed = !response.status().is_success();
                    let within = if failed {
                        this.config.error_body_timeout
                    } else {
                        this.config.commit_after
                    };
                    let (parts, body) = response.into_parts();
                    let answer = Answer { parts, hold: Hold::new(body, watch) };
                    State::Hold { answer: Some(Box::new(answer)), within, sleep: None }
                }
                StateProj::Hold { answer, within, mut sleep } => {
                    let held = answer.as_mut().expect("future polled after completion");
                    if held.hold.poll_settled(cx, this.config.max_held_bytes).is_pending() {
                        // Most answers never wait: only here is a timer needed.
                        if sleep.is_none() {
                            sleep.set(Some(tokio::time::sleep(*within)));
                        }
                        if let Some(sleep) = sleep.as_pin_mut() {
                            ready!(sleep.poll(cx));
                        }
                    }
                    let held = answer.take().expect("future polled after completion");
                    return Poll::Ready(Ok(held.release()));
                }
            };
            state.set(next);
        }
    }
}

impl<C> Answer<C>
where
    C: Body<Data = Bytes>,
    C::Error: 'static,
{
    /// Lets the answer go, with its fault if it has one.
    fn release(mut self) -> Response<ResponseBody<C>> {
        let fault = self.hold.settle(self.parts.status, &self.parts.headers);
        if let Some(fault) = fault {
            self.parts.extensions.insert(fault);
        }
        if self.hold.is_observing() {
            self.parts.extensions.insert(Observed);
        }
        Response::from_parts(self.parts, self.hold.into_body())
    }
}

/// Hands on an answer that is not held.
fn pass<C: Body>(mut response: Response<C>, mut watch: Box<Watch>) -> Response<ResponseBody<C>> {
    if response.body().is_end_stream() {
        watch.end(End::Whole);
    }
    if let Some(fault) = watch.fault() {
        response.extensions_mut().insert(fault);
    }
    if watch.is_observing() {
        response.extensions_mut().insert(Observed);
    }
    response.map(|body| ResponseBody::passing(body, watch))
}

impl<F, C: Body> fmt::Debug for ResponseFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
