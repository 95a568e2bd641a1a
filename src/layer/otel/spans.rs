//! The spans of a request: one as the caller sees it, and one for each call of an upstream.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Array, Context, KeyValue, Value};

use super::calls;
use super::metrics::integer;
use super::names::{OTHER, finish_reason, method, operation_at, provider};
use crate::context::Attempt;
use crate::protocol::model::{FaultKind, Usage};
use crate::record::{Begun, Record};

/// Room for what is said of a request that goes well.
const USUAL_ATTRIBUTES: usize = 16;

/// Begins the span of a request. What decides on sampling must be there from the start.
pub(super) fn begin(
    tracer: &BoxedTracer,
    begun: &Begun,
    operation: Option<&'static str>,
    caller: &Context,
) -> BoxedSpan {
    let method = method(&begun.method);
    let mut attributes = Vec::with_capacity(USUAL_ATTRIBUTES);
    attributes.push(KeyValue::new("http.request.method", method));
    attributes.push(KeyValue::new("url.path", String::from(&*begun.path)));
    attributes.push(KeyValue::new("llm_gateway.request_id", begun.request_id.to_string()));
    if let Some(operation) = operation {
        attributes.push(KeyValue::new("gen_ai.operation.name", operation));
    }
    // The conventions of HTTP have this word where the method is none of theirs.
    let plain = if method == OTHER { "HTTP" } else { method };
    let builder = SpanBuilder::from_name(operation.unwrap_or(plain))
        .with_kind(SpanKind::Server)
        .with_start_time(UNIX_EPOCH + begun.started)
        .with_attributes(attributes);
    tracer.build_with_context(builder, caller)
}

/// Ends the span of a request, with all that is known now.
pub(super) fn end(
    span: &mut BoxedSpan,
    operation: Option<&'static str>,
    principal: bool,
    record: &Record,
) {
    if span.is_recording() {
        if let Some(operation) = operation {
            generation(span, operation, record);
        }
        outcome(span, record);
        if let Some(principal) = record.principal.as_ref().filter(|_| principal) {
            span.set_attribute(KeyValue::new("enduser.id", principal.id().to_owned()));
        }
    }
    span.end_with_timestamp(UNIX_EPOCH + record.begun.started + record.total);
}

/// What was asked of a model, and what it said to that.
fn generation(span: &mut BoxedSpan, operation: &'static str, record: &Record) {
    if let Some(protocol) = record.upstream_protocol.or(record.client_protocol()) {
        let provider = provider(record.provider.as_ref(), protocol);
        span.set_attribute(KeyValue::new("gen_ai.provider.name", provider));
    }
    if let Some(model) = record.requested_model.as_ref().or(record.model.as_ref()) {
        span.update_name(format!("{operation} {model}"));
        span.set_attribute(KeyValue::new("gen_ai.request.model", model.clone()));
    }
    if let Some(model) = &record.response_model {
        span.set_attribute(KeyValue::new("gen_ai.response.model", model.clone()));
    }
    if record.stream {
        span.set_attribute(KeyValue::new("gen_ai.request.stream", true));
    }
    if let Some(first) = record.first_event {
        let first = first.as_secs_f64();
        span.set_attribute(KeyValue::new("gen_ai.response.time_to_first_chunk", first));
    }
    if let Some(stop) = &record.stop {
        let reasons = Value::Array(Array::String(vec![finish_reason(stop).into()]));
        span.set_attribute(KeyValue::new("gen_ai.response.finish_reasons", reasons));
    }
    if let Some(usage) = &record.usage {
        tokens(span, usage);
    }
}

fn tokens(span: &mut BoxedSpan, usage: &Usage<'_>) {
    for (name, count) in [
        ("gen_ai.usage.input_tokens", usage.input_total()),
        ("gen_ai.usage.output_tokens", usage.output_total()),
    ] {
        span.set_attribute(KeyValue::new(name, integer(count)));
    }
    // Parts of those two, worth a word only where there are some.
    for (name, count) in [
        ("gen_ai.usage.cache_read.input_tokens", usage.cache_read),
        ("gen_ai.usage.cache_creation.input_tokens", usage.cache_write),
        ("gen_ai.usage.reasoning.output_tokens", usage.reasoning),
    ] {
        if count > 0 {
            span.set_attribute(KeyValue::new(name, integer(count)));
        }
    }
}

fn outcome(span: &mut BoxedSpan, record: &Record) {
    if let Some(status) = record.status {
        span.set_attribute(status_code(status));
    }
    let Some(fault) = record.fault else { return };
    span.set_attribute(KeyValue::new("error.type", fault.as_str()));
    // A caller who leaves is no error of anybody's.
    if fault != FaultKind::ClientCancel {
        let why = record.error.as_ref().map(|why| why.clone().into_owned()).unwrap_or_default();
        span.set_status(Status::error(why));
    }
}

/// When things were, said by a clock for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When the request began, by both clocks.
    pub(super) began: (SystemTime, Instant),
    pub(super) ended: SystemTime,
}

impl Times {
    pub(super) fn new(began: Instant, record: &Record) -> Self {
        let wall = UNIX_EPOCH + record.begun.started;
        Self { began: (wall, began), ended: wall + record.total }
    }

    /// Never beyond the request itself.
    fn at(&self, instant: Instant) -> SystemTime {
        let (wall, began) = self.began;
        self.ended.min(wall + instant.saturating_duration_since(began))
    }
}

/// Begins the span of a call of an upstream, below `parent`.
pub(super) fn begin_call(
    tracer: &BoxedTracer,
    method: &'static str,
    started: SystemTime,
    parent: &Context,
) -> BoxedSpan {
    let builder = SpanBuilder::from_name(method)
        .with_kind(SpanKind::Client)
        .with_start_time(started)
        .with_attributes([KeyValue::new("http.request.method", method)]);
    tracer.build_with_context(builder, parent)
}

/// One span for each call of an upstream, below `parent`: the one that has begun, or else all of it
/// now.
pub(super) fn attempts(
    tracer: &BoxedTracer,
    parent: &BoxedSpan,
    mut begun: calls::Begun,
    operation: Option<&'static str>,
    times: Times,
    record: &Record,
) {
    if !parent.is_recording() {
        return;
    }
    let parent = Context::new().with_remote_span_context(parent.span_context().clone());
    // Whose answer the caller got, or was still waiting for.
    let waiting = || record.attempts.iter().rposition(|attempt| !attempt.outrun);
    let last = record.answered_by().or_else(waiting);
    let decided = last.and_then(|index| answered(record.attempts.get(index)?));
    for (index, attempt) in record.attempts.iter().enumerate() {
        let Some(started) = attempt.started else { continue };
        // A loser was dropped when the winner answered.
        let ended = answered(attempt).or(decided).filter(|_| Some(index) != last);
        let ended = ended.map_or(times.ended, |at| times.at(at));
        let started = times.at(started);
        let mut span = begun
            .remove(&index)
            .unwrap_or_else(|| begin_call(tracer, method(&record.begun.method), started, &parent));
        let (name, attributes) = describe(index, attempt, operation, record);
        span.update_name(name);
        span.set_attributes(attributes);
        if let Some(fault) = attempt.fault.filter(|fault| fault.kind != FaultKind::ClientCancel) {
            span.set_status(Status::error(fault.kind.as_str()));
        }
        span.end_with_timestamp(ended.max(started));
    }
}

fn answered(attempt: &Attempt) -> Option<Instant> {
    attempt.started?.checked_add(attempt.answered?)
}

/// The name of an attempt's span, and its attributes.
fn describe(
    index: usize,
    attempt: &Attempt,
    operation: Option<&'static str>,
    record: &Record,
) -> (String, Vec<KeyValue>) {
    let protocol = attempt.upstream_protocol.or(record.upstream_protocol);
    let protocol = protocol.or(record.client_protocol());
    let mut name = method(&record.begun.method).to_owned();
    let mut attributes = Vec::new();
    let mut put = |key: &'static str, value: Value| attributes.push(KeyValue::new(key, value));
    if let Some((operation, protocol)) = operation.zip(protocol) {
        let operation = operation_at(protocol, operation);
        operation.clone_into(&mut name);
        put("gen_ai.operation.name", operation.into());
        // An attempt that has told its protocol has told its provider's name, if there is one.
        let told = attempt.upstream_protocol.map_or(&record.provider, |_| &attempt.provider);
        put("gen_ai.provider.name", provider(told.as_ref(), protocol).into());
        if let Some(model) = attempt.upstream_model.as_ref().or(record.model.as_ref()) {
            name = format!("{operation} {model}");
            put("gen_ai.request.model", model.clone().into());
        }
    }
    if index > 0 {
        put("http.request.resend_count", integer(index as u64));
    }
    if let Some(protocol) = protocol {
        put("llm_gateway.upstream_protocol", protocol.as_str().into());
    }
    if let Some(channel) = &attempt.channel {
        put("llm_gateway.channel", channel.as_str().to_owned().into());
    }
    if let Some(key) = &attempt.key {
        put("llm_gateway.key", key.clone().into());
    }
    if attempt.outrun {
        put("llm_gateway.outrun", true.into());
    }
    if let Some(fault) = attempt.fault {
        put("error.type", fault.kind.as_str().into());
    }
    attributes.extend(attempt.status.map(status_code));
    (name, attributes)
}

fn status_code(status: http::StatusCode) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status.as_u16()))
}

/// How long a request was here before an upstream was called, as far as calls are noted.
pub(super) fn waited(began: Instant, record: &Record) -> Duration {
    let first = record.attempts.first().and_then(|attempt| attempt.started);
    first.map_or(Duration::ZERO, |first| first.saturating_duration_since(began))
}
