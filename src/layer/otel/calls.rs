use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use http::Request;
use opentelemetry::global::BoxedSpan;
use opentelemetry::trace::{Span, SpanContext, SpanId};
use tower_layer::Layer;
use tower_service::Service;

use super::Otel;
use crate::context::{AttemptId, Exchange, MAX_ATTEMPTS};

/// Makes the span of a call begin with the call, so that its upstream has it as parent. Stands where
/// every attempt passes; see the [module docs](super).
#[derive(Debug, Clone)]
pub struct OtelCallLayer {
    otel: Otel,
}

impl OtelCallLayer {
    pub(super) fn new(otel: Otel) -> Self {
        Self { otel }
    }
}

impl<S> Layer<S> for OtelCallLayer {
    type Service = OtelCall<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OtelCall { inner, otel: self.otel.clone() }
    }
}

/// Middleware of [`OtelCallLayer`].
#[derive(Clone)]
pub struct OtelCall<S> {
    inner: S,
    otel: Otel,
}

impl<S> OtelCall<S> {
    inner_accessors!();
}

impl<S, B> Service<Request<B>> for OtelCall<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let exchange = Exchange::of(request.extensions_mut());
        let attempt = exchange.attempt_of(request.extensions_mut());
        let method = super::names::method(request.method());
        self.otel.call(attempt, method, request.headers_mut());
        self.inner.call(request)
    }
}

impl<S: fmt::Debug> fmt::Debug for OtelCall<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtelCall").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// The spans of calls that have begun, of the sampled requests that are under way: at most
/// [`MAX_ATTEMPTS`] of each, found by the request's own span.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<HashMap<SpanId, UnderWay>>>);

struct UnderWay {
    /// The request's own.
    span: SpanContext,
    /// By both clocks.
    began: (SystemTime, Instant),
    spans: Begun,
}

/// The spans of one request's calls, by the places of their attempts.
pub(super) type Begun = HashMap<usize, BoxedSpan>;

impl Calls {
    /// A request has begun.
    pub(super) fn expect(&self, request: &SpanContext, began: (SystemTime, Instant)) {
        let under_way = UnderWay { span: request.clone(), began, spans: Begun::new() };
        self.lock().insert(request.span_id(), under_way);
    }

    /// Keeps the span that `begin` makes of a call at this time, below the request's, and tells it:
    /// always the same one for an attempt. `None` where none is expected.
    pub(super) fn begin(
        &self,
        request: SpanId,
        attempt: AttemptId,
        begin: impl FnOnce(SystemTime, SpanContext) -> BoxedSpan,
    ) -> Option<SpanContext> {
        if attempt.index() >= MAX_ATTEMPTS {
            return None;
        }
        let (parent, (wall, began)) = {
            let calls = self.lock();
            let under_way = calls.get(&request)?;
            if let Some(span) = under_way.spans.get(&attempt.index()) {
                return Some(span.span_context().clone());
            }
            (under_way.span.clone(), under_way.began)
        };
        let now = tokio::time::Instant::now().into_std();
        // The host's sampler need not be quick: nobody else waits for it.
        let span = begin(wall + now.saturating_duration_since(began), parent);
        let context = span.span_context().clone();
        self.lock().get_mut(&request)?.spans.insert(attempt.index(), span);
        Some(context)
    }

    /// The request has ended.
    pub(super) fn end(&self, request: SpanId) -> Begun {
        self.lock().remove(&request).map(|under_way| under_way.spans).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SpanId, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Whose requests they are is not told: a trace's state is the caller's word.
impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}
