use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::facts;
use super::layer::Config;
use super::policy::Repeats;
use super::race::Race;
use super::run::{Kept, Run};
use crate::body::{Collect, CollectError, Collected, Refusal, RewriteBody};
use crate::context::Exchange;
use crate::protocol::{Protocol, Route};

pin_project! {
    /// Response future of [`Failover`](super::Failover).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        state: State<S, S::Future, B, S::Response, S::Error>,
    }
}

#[expect(clippy::large_enum_variant, reason = "nearly every request comes to its race")]
enum State<S, F, B, R, E> {
    /// Boxed like the attempts of a race.
    Pass(Pin<Box<F>>),
    Read(Option<Box<PendingCall<S, B>>>),
    Run(Race<S, F, R, E>),
    Refuse(Protocol, Refusal),
}

/// What waits while the body is read. Boxed, as it is large beside the other states.
struct PendingCall<S, B> {
    collect: Collect<B>,
    service: S,
    parts: request::Parts,
    route: Route,
    /// Nobody has left the facts of the body yet.
    missing: bool,
    /// It may not pass unseen.
    must_see: bool,
    exchange: Exchange,
    config: Arc<Config>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<RewriteBody<B>>>,
{
    pub(super) fn pass(future: S::Future) -> Self {
        Self { state: State::Pass(Box::pin(future)) }
    }

    pub(super) fn read(
        service: S,
        request: Request<B>,
        route: Route,
        exchange: Exchange,
        config: Arc<Config>,
    ) -> Self {
        let (parts, body) = request.into_parts();
        let missing = facts::are_missing(route, &exchange);
        let must_see = missing && exchange.is_limited();
        let limit = if must_see { config.max_body_bytes } else { config.max_replay };
        let collect = Collect::new(body, limit);
        let call =
            PendingCall { collect, service, parts, route, missing, must_see, exchange, config };
        Self { state: State::Read(Some(Box::new(call))) }
    }
}

impl<S, B, C> Future for ResponseFuture<S, B>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>>,
    B: Body<Data = Bytes> + Unpin,
{
    type Output = Result<Response<RewriteBody<C>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let state = self.project().state;
        loop {
            *state = match state {
                State::Read(call) => {
                    let reading = call.as_mut().expect("future polled after completion");
                    let collected = ready!(Pin::new(&mut reading.collect).poll(cx));
                    let call = call.take().expect("it was there");
                    let protocol = call.route.protocol;
                    match call.begin(collected) {
                        Ok(race) => State::Run(race),
                        Err(refusal) => State::Refuse(protocol, refusal),
                    }
                }
                State::Pass(future) => {
                    let response = ready!(future.as_mut().poll(cx))?;
                    return Poll::Ready(Ok(response.map(RewriteBody::untouched)));
                }
                State::Run(race) => return race.poll(cx),
                State::Refuse(protocol, refusal) => {
                    return Poll::Ready(Ok(refusal.response(Some(*protocol))));
                }
            };
        }
    }
}

/// The attempts of a request to `S`.
type Attempts<S, B, C> = Race<
    S,
    <S as Service<Request<RewriteBody<B>>>>::Future,
    Response<C>,
    <S as Service<Request<RewriteBody<B>>>>::Error,
>;

impl<S, B, C> PendingCall<S, B>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>>,
    B: Body<Data = Bytes>,
{
    /// Makes the first attempt, with all of the body or with what was read of it.
    fn begin(
        self,
        collected: Result<Collected, CollectError<B::Error>>,
    ) -> Result<Attempts<S, B, C>, Refusal> {
        let Self { collect, service, parts, route, missing, must_see, exchange, config } = self;
        let repeats = Repeats::of(route, &parts.method);
        let body = match collected {
            Err(CollectError::TooLarge) if !must_see => Err(collect.resume()),
            collected => {
                let collected = collected?;
                if missing {
                    facts::leave(route, &parts, &exchange, &collected.bytes)?;
                }
                let small = collected.bytes.len() <= config.max_replay;
                if small { Ok(collected) } else { Err(RewriteBody::collected(collected)) }
            }
        };
        let (kept, request) = match body {
            Ok(body) => {
                let first = Kept { parts, body };
                // The copy is kept: it has no room for the headers that layers inside add.
                (Some(first.clone()), first.request())
            }
            Err(body) => (None, Request::from_parts(parts, body)),
        };
        let run = Run::new(config, exchange, route, repeats, kept);
        Ok(Race::new(service, run, request))
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
