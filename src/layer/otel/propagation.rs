//! Where a trace comes from and goes on to: the headers of a request, through a propagator.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context, global};

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Reads a caller's trace and writes ours.
#[derive(Debug, Clone, Default)]
pub(super) struct Propagation {
    /// None: the one that is set globally.
    pub(super) propagator: Option<Arc<dyn TextMapPropagator + Send + Sync>>,
    /// Whether the caller's baggage goes on.
    pub(super) baggage: bool,
}

impl Propagation {
    /// The caller's span, or the one that is active here.
    pub(super) fn extract(&self, headers: &mut HeaderMap) -> Context {
        join_tracestate(headers);
        self.with(|propagator| propagator.extract(&Fields(headers)))
    }

    /// Puts `span` in the place of whatever the caller sent.
    pub(super) fn inject(&self, caller: &Context, span: &SpanContext, headers: &mut HeaderMap) {
        let context = if self.baggage { caller.clone() } else { Context::new() };
        let context = context.with_remote_span_context(span.clone());
        self.with(|propagator| {
            for field in propagator.fields().filter_map(field_name) {
                headers.remove(field);
            }
            propagator.inject_context(&context, &mut FieldsMut(headers));
        });
        if !self.baggage {
            headers.remove(BAGGAGE);
        }
    }

    fn with<T>(&self, mut then: impl FnMut(&dyn TextMapPropagator) -> T) -> T {
        match &self.propagator {
            Some(propagator) => then(&**propagator),
            None => global::get_text_map_propagator(then),
        }
    }
}

/// It is a list, which may come in several fields; propagators read one.
fn join_tracestate(headers: &mut HeaderMap) {
    if headers.get_all(TRACESTATE).iter().nth(1).is_none() {
        return;
    }
    let parts: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&parts.join(&b","[..])) {
        headers.insert(TRACESTATE, joined);
    }
}

struct Fields<'a>(&'a HeaderMap);

impl Extractor for Fields<'_> {
    /// Two values of one field contradict each other: then there is none.
    fn get(&self, key: &str) -> Option<&str> {
        let mut values = self.0.get_all(key).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        value.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct FieldsMut<'a>(&'a mut HeaderMap);

impl Injector for FieldsMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty `tracestate` says nothing.
        if value.is_empty() {
            return;
        }
        if let (Some(name), Ok(value)) = (field_name(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// The name of a propagator's field; those of the standard need not be read anew each time.
fn field_name(field: &str) -> Option<HeaderName> {
    let known = [TRACEPARENT, TRACESTATE, BAGGAGE].into_iter().find(|name| *name == field);
    known.or_else(|| HeaderName::try_from(field).ok())
}
