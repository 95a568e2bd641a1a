//! An inner service that follows a script, and requests for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};

use crate::BoxError;
use crate::body::{Collect, RewriteBody};
use crate::context::{Attempt, AttemptId, ChannelId, Exchange, ExchangeFacts};
use crate::layer::failover::{Failover, FailoverLayer};
use crate::protocol::Protocol;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin, StopReason, Usage};
use crate::test_helpers::{DropProbe, Frames};

/// How the inner service answers one attempt.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) after: Duration,
    status: u16,
    fault: Option<Fault>,
    fails: bool,
    retry_after: Option<u64>,
    /// What the layers inside tell of the attempt: a channel, and whether others are left.
    channel: Option<(&'static str, bool)>,
    /// The model that its answer names, where a layer inside reads it.
    reads: Option<&'static str>,
}

pub(super) fn status(status: u16) -> Act {
    Act {
        after: Duration::ZERO,
        status,
        fault: None,
        fails: false,
        retry_after: None,
        channel: None,
        reads: None,
    }
}

pub(super) fn fault(kind: FaultKind, origin: FaultOrigin) -> Act {
    let fault = Fault::new(kind, kind.status(), origin);
    Act { fault: Some(fault), ..status(kind.status().as_u16()) }
}

pub(super) fn error() -> Act {
    Act { fails: true, ..status(0) }
}

/// One that never answers.
pub(super) fn hang() -> Act {
    status(200).after(u64::MAX >> 24)
}

impl Act {
    pub(super) fn after(self, seconds: u64) -> Self {
        Self { after: Duration::from_secs(seconds), ..self }
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(super) fn told(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// What is in its answer is left in the exchange as it ends, also where it is dropped.
    pub(super) fn reads(self, model: &'static str) -> Self {
        Self { reads: Some(model), ..self }
    }

    pub(super) fn on(self, channel: &'static str, more: bool) -> Self {
        Self { channel: Some((channel, more)), ..self }
    }
}

/// A call as the inner service saw it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) at: Instant,
    pub(super) body: Bytes,
    pub(super) id: AttemptId,
    pub(super) path: String,
    pub(super) headers: http::HeaderMap,
    /// As it stood when the call was made.
    pub(super) attempt: Attempt,
}

#[derive(Debug, Default)]
struct Shared {
    script: VecDeque<Act>,
    calls: Vec<Call>,
    /// Attempts that ended, by an answer or dropped.
    ended: usize,
    /// The bodies of its answers.
    bodies: Vec<DropProbe>,
    ready_after: VecDeque<Duration>,
}

/// The inner service; clones share the script. After its last act it repeats nothing: it panics.
#[derive(Debug, Default)]
pub(super) struct Script {
    shared: Arc<Mutex<Shared>>,
    ready: bool,
    waking: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl Clone for Script {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ready: false, waking: None }
    }
}

struct Ended {
    shared: Arc<Mutex<Shared>>,
    exchange: Exchange,
    reads: Option<&'static str>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.shared.lock().unwrap().ended += 1;
        let Some(model) = self.reads else { return };
        self.exchange.update(|facts| {
            facts.response_model = Some(model.into());
            facts.usage = Some(Usage { input: 1, ..Usage::default() });
            (facts.stop, facts.first_event) = (Some(StopReason::End), true);
        });
    }
}

impl Script {
    pub(super) fn new(script: impl IntoIterator<Item = Act>) -> Self {
        let new = Self::default();
        new.shared.lock().unwrap().script.extend(script);
        new
    }

    /// How long each becoming ready takes.
    pub(super) fn ready_after(self, seconds: impl IntoIterator<Item = u64>) -> Self {
        let waits = seconds.into_iter().map(Duration::from_secs);
        self.shared.lock().unwrap().ready_after.extend(waits);
        self
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.shared.lock().unwrap().calls.clone()
    }

    pub(super) fn statuses_left(&self) -> usize {
        self.shared.lock().unwrap().script.len()
    }

    /// Attempts that are still on their way.
    pub(super) fn flying(&self) -> usize {
        let shared = self.shared.lock().unwrap();
        shared.calls.len() - shared.ended
    }

    /// Bodies of answers that somebody still holds.
    pub(super) fn bodies(&self) -> usize {
        let shared = self.shared.lock().unwrap();
        shared.bodies.iter().filter(|probe| !probe.is_dropped()).count()
    }
}

impl Service<Request<RewriteBody<Frames>>> for Script {
    type Response = Response<Frames>;
    type Error = BoxError;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Frames>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.ready {
            return Poll::Ready(Ok(()));
        }
        let shared = &self.shared;
        let waking = self.waking.get_or_insert_with(|| {
            let wait = shared.lock().unwrap().ready_after.pop_front();
            Box::pin(sleep(wait.unwrap_or_default()))
        });
        if waking.deadline() > Instant::now() {
            std::task::ready!(waking.as_mut().poll(cx));
        }
        (self.ready, self.waking) = (true, None);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RewriteBody<Frames>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        let exchange = Exchange::of(request.extensions_mut());
        let id = *request.extensions().get::<AttemptId>().expect("an attempt has begun");
        let act = self.shared.lock().unwrap().script.pop_front().expect("the script has ended");
        exchange.update_attempt(id, |attempt| {
            let (channel, more) = act.channel.unzip();
            attempt.channel = channel.map(ChannelId::new);
            attempt.more_channels = more.unwrap_or_default();
            // Each channel has a model of its own, of its name.
            attempt.upstream_protocol = channel.map(|_| Protocol::OpenAiChat);
            attempt.upstream_model = channel.map(Into::into);
            attempt.provider = channel.map(Into::into);
        });
        let model = act.channel.map(|(channel, _)| channel.into());
        exchange.update(|facts| facts.upstream_model = model);
        let at = Instant::now();
        let attempt = exchange.read(|facts| facts.attempts[id.index()].clone());
        let shared = Arc::clone(&self.shared);
        let (parts, body) = request.into_parts();
        // Bodies of these tests are at hand.
        let body = futures_now(Collect::new(body, usize::MAX)).map(|c| c.bytes).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let headers = parts.headers;
        shared.lock().unwrap().calls.push(Call { at, body, id, path, headers, attempt });
        let ended = Ended { shared: Arc::clone(&shared), exchange, reads: act.reads };
        Box::pin(async move {
            let _ended = ended;
            if act.after > Duration::ZERO {
                sleep(act.after).await;
            }
            if act.fails {
                return Err("broken".into());
            }
            let text = if act.status < 400 { "good" } else { "bad" };
            let body = Frames::new([text]);
            shared.lock().unwrap().bodies.push(body.probe());
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::from_u16(act.status).unwrap();
            response.headers_mut().insert("x-upstream", act.status.into());
            if let Some(wait) = act.retry_after {
                response.headers_mut().insert("retry-after", wait.into());
            }
            if let Some(fault) = act.fault {
                let retry_after = act.retry_after.map(Duration::from_secs);
                response.extensions_mut().insert(Fault { retry_after, ..fault });
            }
            Ok(response)
        })
    }
}

/// The outcome of a future that is ready after a few polls.
fn futures_now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

pub(super) const BODY: &str = r#"{"model":"m","stream":true}"#;

pub(super) fn post(path: &str, body: &'static str) -> Request<Frames> {
    Request::post(path).header("x-caller", "1").body(Frames::new([body])).unwrap()
}

pub(super) type Answer = Response<RewriteBody<Frames>>;

/// Sends a request through the layer; the exchange is left to look at.
pub(super) async fn send(
    layer: &FailoverLayer,
    script: &Script,
    mut request: Request<Frames>,
) -> (Result<Answer, BoxError>, Exchange) {
    let exchange = Exchange::of(request.extensions_mut());
    let service: Failover<Script> = layer.layer(script.clone());
    (service.oneshot(request).await, exchange)
}

/// The same for a request of Messages.
pub(super) async fn ask(layer: &FailoverLayer, script: &Script) -> (Answer, Exchange) {
    let (answer, exchange) = send(layer, script, post("/v1/messages", BODY)).await;
    (answer.unwrap(), exchange)
}

pub(super) async fn text(answer: Answer) -> String {
    let collected = Collect::new(answer.into_body(), 1 << 16).await.unwrap();
    String::from_utf8(collected.bytes.to_vec()).unwrap()
}

/// Kinds of the faults of the attempts.
pub(super) fn faults(exchange: &Exchange) -> Vec<Option<FaultKind>> {
    exchange.read(|facts| {
        facts.attempts.iter().map(|attempt| attempt.fault.map(|fault| fault.kind)).collect()
    })
}

/// The attempt whose answer the caller got.
pub(super) fn chosen(exchange: &Exchange) -> Vec<bool> {
    exchange.read(|facts| facts.attempts.iter().map(|attempt| attempt.chosen).collect())
}

/// Whether nothing is left of what answers said.
pub(super) fn knows_no_answer(exchange: &Exchange) -> bool {
    exchange.read(|facts| {
        let ExchangeFacts { response_model, first_event, usage, stop, .. } = facts;
        response_model.is_none() && !first_event && usage.is_none() && stop.is_none()
    })
}
