use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::answer::{self, Begun, Job, Reading};
use super::layer::Config;
use super::plan::{self, Plan};
use super::{ResponseBody, headers};
use crate::body::{Collect, CollectError, Collected, Refusal, RewriteBody, drop_body_headers};
use crate::context::{Exchange, RequestFacts, Upstream};
use crate::protocol::edit::{Edited, Outline};
use crate::protocol::json::JsonStr;
use crate::protocol::model::FaultKind;
use crate::protocol::translate::{self, RequestOptions, TranslatedRequest};
use crate::protocol::{Answer, Endpoint, Head, Protocol};

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
        Pass { #[pin] future: S::Future, caller: Option<Protocol> },
        Read { #[pin] collect: Collect<B>, call: Option<Box<PendingCall<S>>> },
        Call { #[pin] future: S::Future, job: Option<Box<Job>> },
        Answer {
            #[pin]
            collect: Collect<C>,
            parts: Option<Box<http::response::Parts>>,
            reading: Reading,
            job: Option<Box<Job>>,
        },
    }
}

/// What waits while the request is read. Boxed, as it is large and used once.
struct PendingCall<S> {
    service: S,
    parts: request::Parts,
    plan: Plan,
    config: Arc<Config>,
    upstream: Upstream,
    exchange: Exchange,
}

impl<S, B, C> ResponseFuture<S, B, C>
where
    S: Service<Request<RewriteBody<B>>>,
{
    pub(super) fn refuse(caller: Option<Protocol>, refusal: &Refusal) -> Self {
        let response = refusal.response(caller).map(ResponseBody::plain);
        Self { state: State::Refuse { response: Some(Box::new(response)) } }
    }

    pub(super) fn pass(future: S::Future, caller: Option<Protocol>) -> Self {
        Self { state: State::Pass { future, caller } }
    }

    pub(super) fn read(
        service: S,
        request: Request<B>,
        plan: Plan,
        config: Arc<Config>,
        upstream: Upstream,
        exchange: Exchange,
    ) -> Self {
        let (parts, body) = request.into_parts();
        let collect = Collect::new(body, config.max_request_bytes);
        let call = PendingCall { service, parts, plan, config, upstream, exchange };
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
                StateProj::Pass { future, caller } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(answer::pass(response, *caller)));
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
                            collect,
                            parts: Some(Box::new(parts)),
                            reading,
                            job: Some(job),
                        },
                    }
                }
                StateProj::Answer { collect, parts, reading, job } => {
                    let collected = ready!(collect.poll(cx));
                    let parts = *parts.take().expect(POLLED_AGAIN);
                    let mut job = job.take().expect(POLLED_AGAIN);
                    return Poll::Ready(Ok(answer::finish(parts, *reading, collected, &mut job)));
                }
            };
            state.set(next);
        }
    }
}

impl<S> PendingCall<S> {
    /// Calls the inner service with the request that was read, or refuses it.
    fn begin<B, C>(mut self, collected: Result<Collected, CollectError<B::Error>>) -> State<S, B, C>
    where
        S: Service<Request<RewriteBody<B>>>,
        B: Body<Data = Bytes>,
    {
        let (Plan::Edit(caller) | Plan::Translate { from: caller, .. }) = self.plan else {
            // Only these two are read.
            return refused(None, &Refusal::new(FaultKind::Upstream, "nothing to translate"));
        };
        let prepared = collected.map_err(Refusal::from).and_then(|body| self.prepare(body));
        let (body, job) = match prepared {
            Ok(prepared) => prepared,
            Err(refusal) => return refused(Some(caller), &refusal),
        };
        let future = self.service.call(Request::from_parts(self.parts, body));
        match job {
            Some(job) => State::Call { future, job: Some(job) },
            None => State::Pass { future, caller: Some(caller) },
        }
    }

    fn prepare<B>(
        &mut self,
        collected: Collected,
    ) -> Result<(RewriteBody<B>, Option<Box<Job>>), Refusal> {
        match self.plan {
            Plan::Translate { from, to } => {
                let (body, job) = self.translate(from, to, &collected.bytes)?;
                Ok((RewriteBody::full(body), Some(Box::new(job))))
            }
            Plan::Edit(protocol) => Ok((self.edit(protocol, collected)?, None)),
            Plan::Pass | Plan::Refuse(_) => Ok((RewriteBody::collected(collected), None)),
        }
    }

    /// Leaves the facts and splices the mapped model; all other bytes stay.
    fn edit<B>(
        &mut self,
        protocol: Protocol,
        collected: Collected,
    ) -> Result<RewriteBody<B>, Refusal> {
        let outline = Outline::read(protocol, &collected.bytes)?;
        let facts = outline.facts(&self.parts.uri, &self.parts.headers)?;
        self.leave(RequestFacts::from(&facts))?;
        let asked = facts.model.as_ref().map(JsonStr::decode).unwrap_or_default();
        let mapped = self.upstream.model_map().resolve(&asked);
        let model = mapped.unwrap_or(&asked);
        self.exchange.update(|facts| facts.upstream_model = Some(model.into()));
        let edited = match mapped {
            Some(model) => outline.set_model(&mut self.parts.uri, model)?,
            None => Edited::Unchanged,
        };
        let Edited::Changed(bytes) = edited else { return Ok(RewriteBody::collected(collected)) };
        drop_body_headers(&mut self.parts.headers);
        Ok(RewriteBody::collected(Collected { bytes, trailers: collected.trailers }))
    }

    fn translate(
        &mut self,
        from: Protocol,
        to: Protocol,
        body: &[u8],
    ) -> Result<(Bytes, Job), Refusal> {
        let map_model = |model: &str| self.upstream.model_map().resolve(model).map(str::to_owned);
        let head = Head {
            path: self.parts.uri.path(),
            query: self.parts.uri.query(),
            headers: &self.parts.headers,
        };
        let options = RequestOptions {
            head: Some(head),
            target: self.upstream.target_profile(),
            mode: self.config.mode,
            map_model: &map_model,
        };
        let translated = translate::request(from, to, body, &options)
            .map_err(|error| Refusal::new(FaultKind::BadRequest, error.to_string()))?;
        self.leave_facts(&translated)?;
        self.address(to, &translated.endpoint)?;
        headers::ask_for_identity(&mut self.parts.headers);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut answer = Answer::new(translated.model, created, fastrand::u64(..));
        answer.include_usage = translated.include_usage;
        answer.layout = translated.layout;
        answer.echo = translated.echo;
        answer.restore = translated.restore;
        let job = Job {
            caller: from,
            upstream: to,
            stream: translated.stream,
            answer,
            report: translated.report,
            exchange: self.exchange.clone(),
            config: Arc::clone(&self.config),
        };
        Ok((translated.body.freeze(), job))
    }

    /// Sends the request to its endpoint.
    fn address(&mut self, to: Protocol, endpoint: &Endpoint) -> Result<(), Refusal> {
        let uri = self.upstream.uri_for(&endpoint.path, endpoint.query);
        self.parts.uri = uri.map_err(|_| plan::bad_path())?;
        headers::translate_request(&mut self.parts.headers, to);
        for (name, value) in &endpoint.headers {
            self.parts.headers.insert(name, value.clone());
        }
        Ok(())
    }

    fn leave_facts(&self, translated: &TranslatedRequest) -> Result<(), Refusal> {
        let text = |text: &Option<String>| text.as_deref().map(Into::into);
        self.leave(RequestFacts {
            model: Some(translated.model.as_str().into()),
            stream: translated.stream,
            user: text(&translated.user),
            cache_key: text(&translated.cache_key),
            previous_response_id: None,
        })?;
        let model = translated.upstream_model.as_str();
        self.exchange.update(|facts| facts.upstream_model = Some(model.into()));
        Ok(())
    }

    /// Leaves the facts for others, unless the principal may not use this model.
    fn leave(&self, request: RequestFacts) -> Result<(), Refusal> {
        if self.exchange.admit(request) {
            return Ok(());
        }
        Err(Refusal::new(FaultKind::Permission, "this key may not use this model"))
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
