//! The layer between a caller and an upstream that the test holds in its hands.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, request};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_llm_gateway::body::RewriteBody;
use tower_llm_gateway::context::{Exchange, Upstream};
use tower_llm_gateway::layer::provider_translate::ResponseBody;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::report::TranslationReport;
use tower_llm_gateway::{BoxError, ProviderTranslateLayer};

#[derive(Default)]
struct State {
    pieces: VecDeque<Result<Bytes, String>>,
    ended: bool,
    dropped: bool,
    waker: Option<Waker>,
}

/// The sending half of an upstream's body.
#[derive(Clone, Default)]
pub(crate) struct Feeder(Arc<Mutex<State>>);

impl Feeder {
    pub(crate) fn push(&self, data: impl Into<Bytes>) {
        self.change(|state| state.pieces.push_back(Ok(data.into())));
    }

    pub(crate) fn fail(&self, reason: &str) {
        self.change(|state| state.pieces.push_back(Err(reason.to_owned())));
    }

    pub(crate) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.0.lock().unwrap().dropped
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock().unwrap();
        change(&mut state);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn body(&self) -> Feed {
        Feed(self.0.clone())
    }
}

/// The upstream's body: what its [`Feeder`] has pushed, when it has.
pub(crate) struct Feed(Arc<Mutex<State>>);

impl Body for Feed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.0.lock().unwrap();
        match state.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(piece.map(Frame::data).map_err(Into::into))),
            None if state.ended => Poll::Ready(None),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.lock().unwrap().dropped = true;
    }
}

/// What was sent upstream, and what came back.
pub(crate) struct Passed {
    /// Nothing, where the request was refused.
    pub(crate) sent: Option<(request::Parts, Bytes)>,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) report: TranslationReport,
    pub(crate) exchange: Exchange,
    pub(crate) body: ResponseBody<Feed>,
}

impl Passed {
    pub(crate) fn request(&self) -> Value {
        let (_, body) = self.sent.as_ref().expect("the upstream was asked");
        serde_json::from_slice(body).unwrap()
    }

    pub(crate) fn request_headers(&self) -> &HeaderMap {
        &self.sent.as_ref().expect("the upstream was asked").0.headers
    }

    /// The whole body.
    #[expect(clippy::disallowed_methods, reason = "a test knows how long its bodies are")]
    pub(crate) async fn text(self) -> String {
        let body = self.body.collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// The next piece, if it is there already.
    pub(crate) fn next_now(&mut self) -> Option<String> {
        let body = Pin::new(&mut self.body);
        match body.poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending | Poll::Ready(None) => None,
            Poll::Ready(Some(frame)) => {
                let data = frame.unwrap().into_data().ok()?;
                Some(String::from_utf8(data.to_vec()).unwrap())
            }
        }
    }

    /// All that is there already, and how much was asked for.
    pub(crate) fn now(&mut self) -> String {
        std::iter::from_fn(|| self.next_now()).collect()
    }
}

pub(crate) fn to(protocol: Protocol) -> ProviderTranslateLayer {
    let upstream = Upstream::new("http://vendor", protocol).unwrap().key("vendors-key").unwrap();
    ProviderTranslateLayer::to(upstream)
}

pub(crate) fn streaming(feeder: &Feeder) -> Response<Feed> {
    Response::builder().header("content-type", "text/event-stream").body(feeder.body()).unwrap()
}

/// An answer that is there as a whole.
pub(crate) fn whole(status: u16, kind: &str, body: impl Into<Bytes>) -> Response<Feed> {
    let feeder = Feeder::default();
    feeder.push(body);
    feeder.end();
    Response::builder().status(status).header("content-type", kind).body(feeder.body()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test knows how long its bodies are")]
pub(crate) async fn pass(
    layer: &ProviderTranslateLayer,
    mut request: Request<Full<Bytes>>,
    answer: Response<Feed>,
) -> Passed {
    let exchange = Exchange::of(request.extensions_mut());
    let seen = Arc::new(Mutex::new(None));
    let answer = Arc::new(Mutex::new(Some(answer)));
    let inner = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<RewriteBody<Full<Bytes>>>| {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                *seen.lock().unwrap() = Some((parts, body));
                Ok::<_, Infallible>(answer.lock().unwrap().take().expect("asked once"))
            }
        })
    };
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let report = parts.extensions.get::<TranslationReport>().cloned().unwrap_or_default();
    let sent = seen.lock().unwrap().take();
    Passed { sent, status: parts.status, headers: parts.headers, report, exchange, body }
}
