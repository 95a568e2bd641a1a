use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use opentelemetry::InstrumentationScope;
use opentelemetry::global::{self, BoxedSpan, BoxedTracer};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span, TraceContextExt, Tracer, TracerProvider};
use tokio::time::Instant;
use tower_layer::Layer;

use super::calls::{Calls, OtelCallLayer};
use super::metrics::Metrics;
use super::propagation::Propagation;
use super::spans::{self, Times};
use super::{OtelService, SCHEMA_URL, SCOPE, names};
use crate::context::AttemptId;
use crate::record::{Begun, Record, RecordLayer, Sink};

/// Tells OpenTelemetry of every request. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct OtelLayer {
    record: RecordLayer<Otel>,
}

impl OtelLayer {
    /// Spans and metrics go to the providers that are set globally at this moment, traces come and
    /// go by the propagator that is set globally at any moment.
    #[must_use]
    pub fn new() -> Self {
        Self { record: RecordLayer::new(Otel::new()) }
    }

    /// Spans go there.
    #[must_use]
    pub fn with_tracer_provider<P, T, S>(self, provider: &P) -> Self
    where
        P: TracerProvider<Tracer = T>,
        T: Tracer<Span = S> + Send + Sync + 'static,
        S: Span + Send + Sync + 'static,
    {
        let tracer = BoxedTracer::new(Box::new(provider.tracer_with_scope(scope())));
        self.with(|otel| otel.tracer = Arc::new(tracer))
    }

    /// Metrics go there.
    #[must_use]
    pub fn with_meter_provider(self, provider: &(impl MeterProvider + ?Sized)) -> Self {
        let metrics = Metrics::new(&provider.meter_with_scope(scope()));
        self.with(|otel| otel.metrics = Arc::new(metrics))
    }

    /// Traces come and go so, whatever is set globally.
    #[must_use]
    pub fn with_propagator(
        self,
        propagator: impl TextMapPropagator + Send + Sync + 'static,
    ) -> Self {
        self.with(|otel| otel.propagation.propagator = Some(Arc::new(propagator)))
    }

    /// Whether the caller's baggage goes on to the upstream. Default false: it may say anything,
    /// and the upstream is somebody else's.
    #[must_use]
    pub fn forward_baggage(self, yes: bool) -> Self {
        self.with(|otel| otel.propagation.baggage = yes)
    }

    /// Whether spans name the principal, as `enduser.id`. Default false: who asked is nobody's
    /// business but the host's, and traces are read by many.
    #[must_use]
    pub fn principals(self, yes: bool) -> Self {
        self.with(|otel| otel.principals = yes)
    }

    /// The sink alone, for a [`RecordLayer`] that has others too.
    #[must_use]
    pub fn otel(&self) -> Otel {
        self.record.sink().clone()
    }

    /// The layer for calls of upstreams, which belongs inside of whoever repeats requests. See the
    /// [module docs](super#trace-context).
    #[must_use]
    pub fn calls(&self) -> OtelCallLayer {
        self.otel().calls()
    }

    fn with(self, change: impl FnOnce(&mut Otel)) -> Self {
        let mut otel = self.otel();
        change(&mut otel);
        Self { record: RecordLayer::new(otel) }
    }
}

impl Default for OtelLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for OtelLayer {
    type Service = OtelService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        self.record.layer(inner)
    }
}

/// The sink of an [`OtelLayer`]. Clones tell the same providers.
#[derive(Debug, Clone)]
pub struct Otel {
    tracer: Arc<BoxedTracer>,
    metrics: Arc<Metrics>,
    propagation: Propagation,
    principals: bool,
    calls: Calls,
}

impl Otel {
    fn new() -> Self {
        Self {
            tracer: Arc::new(global::tracer_with_scope(scope())),
            metrics: Arc::new(Metrics::new(&global::meter_with_scope(scope()))),
            propagation: Propagation::default(),
            principals: false,
            calls: Calls::default(),
        }
    }

    /// As [`OtelLayer::calls`], for requests that this sink is told of.
    #[must_use]
    pub fn calls(&self) -> OtelCallLayer {
        OtelCallLayer::new(self.clone())
    }

    /// The span of a call begins, and its upstream is told of it in place of the request's.
    pub(super) fn call(&self, attempt: AttemptId, method: &'static str, headers: &mut HeaderMap) {
        let caller = self.propagation.extract(headers);
        let request = caller.span().span_context().span_id();
        let begin = |started, parent| {
            // As the headers tell it, the parent would be somebody else's.
            let parent = caller.with_remote_span_context(parent);
            spans::begin_call(&self.tracer, method, started, &parent)
        };
        if let Some(call) = self.calls.begin(request, attempt, begin) {
            self.propagation.inject(&caller, &call, headers);
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }
}

/// A request under way.
pub struct Open {
    span: BoxedSpan,
    operation: Option<&'static str>,
    began: std::time::Instant,
}

impl Sink for Otel {
    type Open = Open;

    fn begun(&self, begun: &Arc<Begun>, headers: &mut HeaderMap) -> Open {
        let operation = begun.route.and_then(|route| names::operation(route, &begun.path));
        let caller = self.propagation.extract(headers);
        let span = spans::begin(&self.tracer, begun, operation, &caller);
        self.propagation.inject(&caller, span.span_context(), headers);
        // The clock of the attempts' marks.
        let began = Instant::now().into_std();
        if span.is_recording() {
            let wall = UNIX_EPOCH + begun.started;
            self.calls.expect(span.span_context(), (wall, began));
        }
        Open { span, operation, began }
    }

    fn ended(&self, open: Open, record: &Arc<Record>) {
        let Open { mut span, operation, began } = open;
        let times = Times::new(began, record);
        let calls = self.calls.end(span.span_context().span_id());
        spans::attempts(&self.tracer, &span, calls, operation, times, record);
        spans::end(&mut span, operation, self.principals, record);
        let protocol = record.upstream_protocol.or(record.client_protocol());
        if let Some((operation, protocol)) = operation.zip(protocol) {
            let waited = spans::waited(began, record);
            self.metrics.record(operation, protocol, waited, record);
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("operation", &self.operation).finish_non_exhaustive()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}
