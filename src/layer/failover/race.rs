use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower_service::Service;
use tracing::field::Empty;
use tracing::instrument::{Instrument, Instrumented};

use super::policy::Next;
use super::run::Run;
use crate::body::RewriteBody;
use crate::context::AttemptId;

/// The attempts of one request: one after the other, or two at once where one is hedged.
pub(super) struct Race<S, F, R, E> {
    flights: [Option<Flight<F>>; 2],
    service: S,
    run: Run<R, E>,
    plan: Plan,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// An attempt that is on its way.
struct Flight<F> {
    /// Boxed, as all layers outside of this one move the race, and it is the largest part of it.
    future: Pin<Box<Instrumented<F>>>,
    id: AttemptId,
    began: Instant,
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
        // Who chooses channel and key says which in the span that it finds.
        let span =
            tracing::info_span!("attempt", number = id.index() + 1, channel = Empty, key = Empty);
        let call = span.in_scope(|| service.call(request));
        Self { future: Box::pin(call.instrument(span)), id, began: Instant::now() }
    }

    /// The outcome of one that has landed; its place is free then.
    fn poll_landed(
        place: &mut Option<Self>,
        cx: &mut Context<'_>,
    ) -> Option<(AttemptId, Instant, F::Output)> {
        let Self { future, id, began } = place.as_mut()?;
        let Poll::Ready(outcome) = future.as_mut().poll(cx) else { return None };
        let landed = (*id, *began, outcome);
        *place = None;
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
            flights: [Some(Flight::launch(&mut service, &mut run, request)), None],
            plan: Plan::hedge(&run),
            deadline: run.deadline().map(|at| Box::pin(sleep_until(at))),
            service,
            run,
        }
    }

    /// The answer for the caller; attempts that are still on their way are dropped with the race.
    pub(super) fn poll<B>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RewriteBody<C>>, E>>
    where
        S: Service<Request<RewriteBody<B>>, Response = Response<C>, Error = E, Future = F>,
        F: Future<Output = Result<Response<C>, E>>,
    {
        loop {
            let mut answer = None;
            for place in &mut self.flights {
                let Some((id, began, outcome)) = Flight::poll_landed(place, cx) else { continue };
                answer = self.run.landed(id, began, outcome);
                if answer.is_some() {
                    break;
                }
            }
            let mut up = self.flights.iter().flatten().map(|flight| (flight.id, flight.began));
            if let Some(answer) = answer {
                self.run.outrun(up.map(|(id, _)| id));
                return Poll::Ready(answer);
            }
            if self.deadline.as_mut().is_some_and(|at| at.as_mut().poll(cx).is_ready()) {
                self.run.too_late(up);
                // What they leave as they are dropped comes before what the answer says.
                self.flights = [None, None];
                return Poll::Ready(self.run.late_answer());
            }
            let slow = up.next().map(|(id, _)| id);
            if slow.is_none() && matches!(self.plan, Plan::Wait | Plan::Hedge(_)) {
                self.plan = match self.run.next() {
                    Next::Now => Plan::Launch,
                    Next::After(pause) => Plan::Pause(Box::pin(sleep(pause))),
                    Next::Stop => return Poll::Ready(self.run.last_answer()),
                };
            }
            self.plan = match &mut self.plan {
                Plan::Wait => return Poll::Pending,
                Plan::Hedge(timer) => {
                    ready!(timer.as_mut().poll(cx));
                    match slow {
                        Some(slow) if self.run.may_hedge(slow) => Plan::Launch,
                        _ => Plan::Wait,
                    }
                }
                Plan::Pause(timer) => {
                    ready!(timer.as_mut().poll(cx));
                    Plan::Launch
                }
                Plan::Launch => {
                    if let Err(error) = ready!(self.service.poll_ready(cx)) {
                        self.run.broke(error);
                    } else if let Some(request) = self.run.request() {
                        let flight = Flight::launch(&mut self.service, &mut self.run, request);
                        let [first, second] = &mut self.flights;
                        let place = if first.is_none() { first } else { second };
                        *place = Some(flight);
                    }
                    if slow.is_none() { Plan::hedge(&self.run) } else { Plan::Wait }
                }
            };
        }
    }
}
