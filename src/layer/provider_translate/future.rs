use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ResponseBody;
use super::answer::{self, Begun, Job, Passing, Reading};
use super::layer::Config;
use super::notes::Notes;
use super::plan::Plan;
use super::prepare::Prepared;
use crate::body::{Collect, CollectError, Collected, DecodeBody, KeepAlive, Refusal, RewriteBody};
use crate::context::{Exchange, Upstream};
use crate::protocol::Protocol;
use crate::protocol::report::TranslationReport;

pin_project! {
    /// The future of [`ProviderTranslate`](super::ProviderTranslate).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, C>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        #[pin]
        state: State<S, B, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, C>
    where
        S: Service<Request<RewriteBody<B>>>,
    {
        Refuse { response: Option<Box<Response<ResponseBody<C>>>> },
        Pass {
            #[pin]
            future: S::Future,
            passing: Passing,
            // What the request lost, if anything; and whether the caller is told in a header.
            lost: Option<Box<(TranslationReport, bool)>>,
        },
        Read { #[pin] collect: Collect<DecodeBody<B>>, call: Option<Box<PendingCall<S>>> },
        Call { #[pin] future: S::Future, job: Option<Box<Job>> },
        Answer {
            // Boxed: it moves into the body where the stream begins before it is done.
            collect: Option<Pin<Box<Collect<DecodeBody<C>>>>>,
            parts: Option<Box<http::response::Parts>>,
            reading: Reading,
            job: Option<Box<Job>>,
            silence: Option<KeepAlive>,
        },
    }
}

/// What waits while the request is read. Boxed, as it is large and used once.
pub(super) struct PendingCall<S> {
    service: S,
    pub(super) parts: request::Parts,
    pub(super) plan: Plan,
    pub(super) config: Arc<Config>,
    pub(super) upstream: Upstream,
    pub(super) exchange: Exchange,
    /// What a request within one protocol loses.
    pub(super) report: TranslationReport,
}

impl<S, B, C> ResponseFuture<S, B, C>
where
    S: Service<Request<RewriteBody<B>>>,
{
    pub(super) fn refuse(caller: Option<Protocol>, refusal: &Refusal) -> Self {
        let response = refusal.response(caller).map(ResponseBody::plain);
        Self { state: State::Refuse { response: Some(Box::new(response)) } }
    }

    pub(super) fn pass(future: S::Future, passing: Passing) -> Self {
        Self { state: State::Pass { future, passing, lost: None } }
    }

    pub(super) fn read(
        service: S,
        request: Request<B>,
        plan: Plan,
        config: Arc<Config>,
        upstream: Upstream,
        exchange: Exchange,
    ) -> Self {
        let (mut parts, body) = request.into_parts();
        let body = match DecodeBody::new(body, &mut parts.headers) {
            Ok(body) => body,
            // It is never passed on unseen.
            Err(encoding) => return Self::refuse(plan.reads(), &encoding.into()),
        };
        let collect = Collect::new(body, config.max_request_bytes);
        let report = TranslationReport::default();
        let call = PendingCall { service, parts, plan, config, upstream, exchange, report };
        Self { state: State::Read { collect, call: Some(Box::new(call)) } }
    }
}

impl<S, B, C> Future for ResponseFuture<S, B, C>
where
    S: Service<Request<RewriteBody<B>>, Response = Response<C>>,
    B: Body<Data = Bytes>,
    C: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<C>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const POLLED_AGAIN: &str = "future polled after completion";
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Refuse { response } => {
                    return Poll::Ready(Ok(*response.take().expect(POLLED_AGAIN)));
                }
                StateProj::Pass { future, passing, lost } => {
                    let response = ready!(future.poll(cx))?;
                    let response = answer::pass(response, passing);
                    let (mut parts, body) = response.into_parts();
                    if let Some((report, in_header)) = lost.take().map(|lost| *lost) {
                        let (headers, extensions) = (&mut parts.headers, &mut parts.extensions);
                        answer::leave_report(report, in_header, headers, extensions);
                    }
                    return Poll::Ready(Ok(Response::from_parts(parts, body)));
                }
                StateProj::Read { collect, call } => {
                    let collected = ready!(collect.poll(cx));
                    (*call.take().expect(POLLED_AGAIN)).begin(collected)
                }
                StateProj::Call { future, job } => {
                    let response = ready!(future.poll(cx))?;
                    let mut job = job.take().expect(POLLED_AGAIN);
                    match answer::begin(response, &mut job) {
                        Begun::Done(response) => return Poll::Ready(Ok(response)),
                        Begun::Read { parts, collect, reading } => State::Answer {
                            collect: Some(collect),
                            parts: Some(Box::new(parts)),
                            reading,
                            silence: answer::patience(reading, &job).map(KeepAlive::new),
                            job: Some(job),
                        },
                    }
                }
                StateProj::Answer { collect, parts, reading, job, silence } => {
                    let polled = collect.as_mut().expect(POLLED_AGAIN).as_mut().poll(cx);
                    if polled.is_pending() {
                        let Some(silence) = silence else { return Poll::Pending };
                        ready!(silence.poll_silence(cx));
                    }
                    let parts = *parts.take().expect(POLLED_AGAIN);
                    let mut job = job.take().expect(POLLED_AGAIN);
                    return Poll::Ready(Ok(match polled {
                        Poll::Ready(collected) => {
                            answer::finish(parts, *reading, collected, &mut job)
                        }
                        Poll::Pending => {
                            let collect = collect.take().expect(POLLED_AGAIN);
                            answer::begin_stream(parts, collect, job)
                        }
                    }));
                }
            };
            state.set(next);
        }
    }
}

impl<S> PendingCall<S> {
    pub(super) fn notes(&self) -> Notes {
        Notes::of(&self.exchange, &self.parts.extensions)
    }

    /// Calls the inner service with the request that was read, or refuses it.
    fn begin<B, C, E>(mut self, collected: Result<Collected, CollectError<E>>) -> State<S, B, C>
    where
        S: Service<Request<RewriteBody<B>>>,
        B: Body<Data = Bytes>,
    {
        let caller = self.plan.reads();
        let prepared = collected.map_err(Refusal::from).and_then(|body| self.prepare(body));
        match prepared {
            Ok(Prepared::Call(body, job)) => {
                let passing = Passing {
                    caller,
                    answers: matches!(self.plan, Plan::Edit(_)),
                    keep_alive: self.config.keep_passed_alive,
                    notes: self.notes(),
                };
                passing.notes.called();
                let future = self.service.call(Request::from_parts(self.parts, body));
                match job {
                    Some(job) => State::Call { future, job: Some(job) },
                    None => {
                        let lost = (!self.report.is_empty())
                            .then(|| Box::new((self.report, self.config.report_header)));
                        State::Pass { future, passing, lost }
                    }
                }
            }
            Ok(Prepared::Answer(response)) => State::Refuse { response: Some(response) },
            Err(refusal) => refused(caller, &refusal),
        }
    }
}

fn refused<S, B, C>(caller: Option<Protocol>, refusal: &Refusal) -> State<S, B, C>
where
    S: Service<Request<RewriteBody<B>>>,
{
    ResponseFuture::refuse(caller, refusal).state
}

impl<S, B, C> fmt::Debug for ResponseFuture<S, B, C>
where
    S: Service<Request<RewriteBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
