use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::ask::{Asking, Refused};
use super::observe::ResponseObserver;
use super::shared::{Lease, Ticket};
use super::state::Given;
use crate::body::{Collect, CollectError, Collected, ObserveBody, RewriteBody};

pin_project! {
    /// Response future of [`ChannelService`](super::ChannelService).
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
        Read { #[pin] collect: Collect<B>, call: Option<Box<PendingCall<S>>> },
        Wait { wait: Wait, call: Option<Box<(PendingCall<S>, RewriteBody<B>)>> },
        Call { #[pin] future: F, observer: Option<ResponseObserver> },
        Refuse { asking: Asking, refused: Refused },
    }
}

/// A call that has no channel yet.
pub(super) struct PendingCall<S> {
    pub(super) service: S,
    pub(super) parts: request::Parts,
    pub(super) asking: Asking,
}

/// A place in the queue, and when it is lost.
struct Wait {
    ticket: Ticket,
    sleep: Pin<Box<Sleep>>,
}

impl Wait {
    /// `None` when it took too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Lease>> {
        // A place that is given at the last moment is not thrown away.
        if let Poll::Ready(given) = self.ticket.poll(cx) {
            return Poll::Ready(given);
        }
        self.sleep.as_mut().poll(cx).map(|()| None)
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<RewriteBody<B>>>,
{
    pub(super) fn read(service: S, request: Request<B>, asking: Asking) -> Self {
        let (parts, body) = request.into_parts();
        let collect = Collect::new(body, asking.config.max_body_bytes);
        let call = Box::new(PendingCall { service, parts, asking });
        Self { state: State::Read { collect, call: Some(call) } }
    }

    pub(super) fn called((future, observer): (S::Future, ResponseObserver)) -> Self {
        Self { state: State::called((future, observer)) }
    }

    pub(super) fn given(call: PendingCall<S>, body: RewriteBody<B>, given: Given) -> Self {
        Self { state: call.given(body, given) }
    }

    pub(super) fn refuse(asking: Asking, refused: Refused) -> Self {
        Self { state: State::Refuse { asking, refused } }
    }
}

impl<S, F, B> State<S, F, B> {
    fn called((future, observer): (F, ResponseObserver)) -> Self {
        Self::Call { future, observer: Some(observer) }
    }
}

impl<S> PendingCall<S> {
    /// The body was read: chooses by what it says.
    fn begin<B: Body>(
        self,
        collected: Result<Collected, CollectError<B::Error>>,
    ) -> State<S, S::Future, B>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        let learnt = collected.map_err(Into::into).and_then(|collected| {
            self.asking.learn(&self.parts, &collected.bytes)?;
            Ok(collected)
        });
        match learnt {
            Ok(collected) => {
                let given = self.asking.give(&self.parts.headers);
                self.given(RewriteBody::collected(collected), given)
            }
            Err(refusal) => {
                State::Refuse { asking: self.asking, refused: Refused::Request(refusal) }
            }
        }
    }

    /// Does as it was given.
    fn given<B>(self, body: RewriteBody<B>, given: Given) -> State<S, S::Future, B>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        let shared = self.asking.channels.shared.clone();
        let refused = match given {
            Given::Channel(choice) => return self.call(body, Lease::new(shared, choice)),
            Given::Wait(number) => {
                let sleep = Box::pin(tokio::time::sleep(self.asking.config.max_wait));
                let wait = Wait { ticket: Ticket::new(shared, number), sleep };
                return State::Wait { wait, call: Some(Box::new((self, body))) };
            }
            Given::Crowded => Refused::Full,
            Given::Nobody(why) => Refused::Nobody(why),
        };
        State::Refuse { asking: self.asking, refused }
    }

    fn call<B>(mut self, body: RewriteBody<B>, lease: Lease) -> State<S, S::Future, B>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        let request = Request::from_parts(self.parts, body);
        State::called(ResponseObserver::call(&self.asking, lease, &mut self.service, request))
    }
}

impl<S, B, C> Future for ResponseFuture<S, B>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>>,
    B: Body<Data = Bytes>,
    C: Body<Data = Bytes>,
{
    type Output = Result<Response<ObserveBody<RewriteBody<C>, ResponseObserver>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Read { collect, call } => {
                    let collected = ready!(collect.poll(cx));
                    call.take().expect("future polled after completion").begin(collected)
                }
                StateProj::Wait { wait, call } => {
                    let lease = ready!(wait.poll(cx));
                    let (call, body) = *call.take().expect("future polled after completion");
                    match lease {
                        Some(lease) => call.call(body, lease),
                        None => State::Refuse { asking: call.asking, refused: Refused::Full },
                    }
                }
                StateProj::Call { future, observer } => {
                    let result = ready!(future.poll(cx));
                    let observer = observer.take().expect("future polled after completion");
                    return Poll::Ready(match result {
                        Ok(response) => {
                            let observer = observer.answered(&response);
                            Ok(response.map(RewriteBody::untouched).map(|body| match observer {
                                Some(observer) => ObserveBody::new(body, observer),
                                None => ObserveBody::unobserved(body),
                            }))
                        }
                        Err(error) => {
                            observer.failed();
                            Err(error)
                        }
                    });
                }
                StateProj::Refuse { asking, refused } => {
                    let response = asking.refuse(refused);
                    return Poll::Ready(Ok(response.map(ObserveBody::unobserved)));
                }
            };
            state.set(next);
        }
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
