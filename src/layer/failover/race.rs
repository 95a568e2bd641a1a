use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower_service::Service;

use super::policy::Next;
use super::run::Run;
use crate::body::RewriteBody;
use crate::context::AttemptId;

pin_project! {
    /// The attempts of one request: one after the other, or two at once where one is hedged.
    pub(super) struct Race<S, F, R, E> {
        #[pin]
        first: Flight<F>,
        #[pin]
        second: Flight<F>,
        service: S,
        run: Run<R, E>,
        plan: Plan,
        deadline: Option<Pin<Box<Sleep>>>,
    }
}

pin_project! {
    /// Place for an attempt that is on its way.
    #[project = FlightProj]
    enum Flight<F> {
        Free,
        Up { #[pin] future: F, id: AttemptId, began: Instant },
    }
}

/// What is to happen beside the attempts on their way.
enum Plan {
    /// Nothing.
    Wait,
    /// A second attempt, unless the first lands before.
    Hedge(Pin<Box<Sleep>>),
    /// A repeat, after a pause.
    Pause(Pin<Box<Sleep>>),
    /// An attempt, as soon as the service is ready. It is paid.
    Launch,
}

impl<F: Future> Flight<F> {
    fn launch<S, B, C, E>(
        service: &mut S,
        run: &mut Run<Response<C>, E>,
        mut request: Request<RewriteBody<B>>,
    ) -> Self
    where
        S: Service<Request<RewriteBody<B>>, Future = F>,
    {
        let id = run.begin(request.extensions_mut());
        Self::Up { future: service.call(request), id, began: Instant::now() }
    }

    /// The attempt, and when it began.
    fn up(&self) -> Option<(AttemptId, Instant)> {
        match self {
            Self::Free => None,
            Self::Up { id, began, .. } => Some((*id, *began)),
        }
    }

    /// The outcome of one that has landed; its place is free then.
    fn poll_landed(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Option<(AttemptId, Instant, F::Output)> {
        let FlightProj::Up { future, id, began } = self.as_mut().project() else { return None };
        let Poll::Ready(outcome) = future.poll(cx) else { return None };
        let landed = (*id, *began, outcome);
        self.set(Self::Free);
        Some(landed)
    }
}

impl Plan {
    /// After a launch with no other attempt on its way.
    fn hedge<C, E>(run: &Run<Response<C>, E>) -> Self {
        run.hedge_delay().map_or(Self::Wait, |delay| Self::Hedge(Box::pin(sleep(delay))))
    }
}

impl<S, F, C, E> Race<S, F, Response<C>, E> {
    /// Makes the first attempt with a service that is ready.
    pub(super) fn new<B>(
        mut service: S,
        mut run: Run<Response<C>, E>,
        request: Request<RewriteBody<B>>,
    ) -> Self
    where
        S: Service<Request<RewriteBody<B>>, Response = Response<C>, Error = E, Future = F>,
        F: Future<Output = Result<Response<C>, E>>,
    {
        Self {
            first: Flight::launch(&mut service, &mut run, request),
            second: Flight::Free,
            plan: Plan::hedge(&run),
            deadline: run.deadline().map(|at| Box::pin(sleep_until(at))),
            service,
            run,
        }
    }

    /// The answer for the caller; attempts that are still on their way are dropped with the race.
    pub(super) fn poll<B>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RewriteBody<C>>, E>>
    where
        S: Service<Request<RewriteBody<B>>, Response = Response<C>, Error = E, Future = F>,
        F: Future<Output = Result<Response<C>, E>>,
    {
        let mut this = self.project();
        loop {
            let mut answer = None;
            for flight in [this.first.as_mut(), this.second.as_mut()] {
                let Some((id, began, outcome)) = flight.poll_landed(cx) else { continue };
                answer = this.run.landed(id, began, outcome);
                if answer.is_some() {
                    break;
                }
            }
            let mut up = this.first.up().into_iter().chain(this.second.up());
            if let Some(answer) = answer {
                this.run.outrun(up.map(|(id, _)| id));
                return Poll::Ready(answer);
            }
            if this.deadline.as_mut().is_some_and(|at| at.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(this.run.too_late(up));
            }
            let slow = up.next().map(|(id, _)| id);
            if slow.is_none() && matches!(this.plan, Plan::Wait | Plan::Hedge(_)) {
                *this.plan = match this.run.next() {
                    Next::Now => Plan::Launch,
                    Next::After(pause) => Plan::Pause(Box::pin(sleep(pause))),
                    Next::Stop => return Poll::Ready(this.run.last_answer()),
                };
            }
            *this.plan = match this.plan {
                Plan::Wait => return Poll::Pending,
                Plan::Hedge(timer) => {
                    ready!(timer.as_mut().poll(cx));
                    match slow {
                        Some(slow) if this.run.may_hedge(slow) => Plan::Launch,
                        _ => Plan::Wait,
                    }
                }
                Plan::Pause(timer) => {
                    ready!(timer.as_mut().poll(cx));
                    Plan::Launch
                }
                Plan::Launch => {
                    if let Err(error) = ready!(this.service.poll_ready(cx)) {
                        this.run.broke(error);
                    } else if let Some(request) = this.run.request() {
                        let flight = Flight::launch(this.service, this.run, request);
                        let first_is_free = this.first.up().is_none();
                        let place = if first_is_free { &mut this.first } else { &mut this.second };
                        place.set(flight);
                    }
                    if slow.is_none() { Plan::hedge(this.run) } else { Plan::Wait }
                }
            };
        }
    }
}
