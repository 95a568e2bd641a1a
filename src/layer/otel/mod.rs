//! Spans and metrics for OpenTelemetry, by its conventions for generative AI, and W3C trace context
//! from the caller on to the upstream.
//!
//! It only calls the API of the `opentelemetry` crate: the host builds the providers with the SDK,
//! chooses what is sampled and exported, and where to. It never changes a body, and never shows a
//! prompt, an answer, a query, a header or a whole key.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use opentelemetry_sdk::propagation::TraceContextPropagator;
//! use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::OtelLayer;
//!
//! # tokio_test::block_on(async {
//! let exporter = InMemorySpanExporter::default();
//! let spans = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
//! let layer = OtelLayer::new()
//!     .with_tracer_provider(&spans)
//!     .with_propagator(TraceContextPropagator::new());
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(|request: Request<_>| async move {
//!     // What goes on belongs to the caller's trace.
//!     let trace = request.headers()["traceparent"].to_str().unwrap();
//!     assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
//!     let body = r#"{"model":"m","usage":{"input_tokens":7,"output_tokens":3}}"#;
//!     let response = Response::builder().header("content-type", "application/json");
//!     Ok::<_, std::convert::Infallible>(response.body(Full::<bytes::Bytes>::from(body)).unwrap())
//! }));
//! let request = Request::post("/v1/messages")
//!     .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
//!     .body(Full::<bytes::Bytes>::default())
//!     .unwrap();
//! service.oneshot(request).await.unwrap().collect().await.unwrap();
//!
//! let span = exporter.get_finished_spans().unwrap().remove(0);
//! assert_eq!(span.name, "chat m");
//! assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
//! # });
//! ```
//!
//! # Spans
//!
//! One of kind `SERVER` for the request as its caller sees it, from its arrival to the last byte of
//! its answer, named `{gen_ai.operation.name} {gen_ai.request.model}`; below it one of kind `CLIENT`
//! for each call of an upstream that the layers inside have noted
//! ([`ExchangeFacts::attempts`](crate::context::ExchangeFacts::attempts)). The call whose answer the
//! caller gets lasts until that answer ends, the others until they were answered.
//!
//! A sampler sees the method, the path, the operation and the request id of a request, and the method
//! of a call; its model and its provider are known later.
//!
//! The conventions are those of
//! [semantic-conventions 1.41](https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai),
//! the last ones with a number: since then they live unnumbered in a repository of their own, all
//! of them still in development. Names that begin with `llm_gateway.` are ours.
//!
//! | Attribute | Of the request | Of a call |
//! |---|---|---|
//! | `gen_ai.operation.name` | `chat`, `generate_content` (Gemini), `text_completion`, `embeddings`, `count_tokens` | as the upstream's protocol has it |
//! | `gen_ai.provider.name` | the [name that the upstream was given](crate::context::Upstream::provider), else `anthropic`, `openai`, `gcp.gemini` or `dashscope`: whose protocol it speaks | likewise |
//! | `gen_ai.request.model` | as the caller asked | as the upstream was asked |
//! | `gen_ai.request.stream` | true for a stream | |
//! | `gen_ai.response.model` | as the answer names it | |
//! | `gen_ai.response.finish_reasons` | one of `stop`, `length`, `tool_call`, `content_filter`, `pause`, `error`, `other` | |
//! | `gen_ai.response.time_to_first_chunk` | seconds until the first meaningful event of a stream | |
//! | `gen_ai.usage.input_tokens`, `.output_tokens` | all of them, cached ones and thinking too; absent where unknown | |
//! | `gen_ai.usage.cache_read.input_tokens`, `gen_ai.usage.cache_creation.input_tokens`, `gen_ai.usage.reasoning.output_tokens` | where there are some | |
//! | `http.request.method` | one of the standard, else `_OTHER` | likewise |
//! | `url.path` | without the query | |
//! | `http.response.status_code` | of the answer | of the upstream's answer |
//! | `http.request.resend_count` | | from the second call on |
//! | `error.type` | [`FaultKind::as_str`](crate::protocol::model::FaultKind::as_str) | likewise |
//! | `enduser.id` | the principal, if [`OtelLayer::principals`] asks for it | |
//! | `llm_gateway.request_id` | as in logs | |
//! | `llm_gateway.upstream_protocol`, `.channel`, `.key` (masked) | | where known |
//! | `llm_gateway.outrun` | | true where another call was faster |
//!
//! `dashscope` is no value of the conventions, which have none for it. Tokens stand on the request
//! alone, so that nobody who adds spans up counts them twice. The status is `Error` with every fault
//! but a caller who leaves. Requests that ask no model anything (lists of models, files, paths of no
//! protocol) get a span named by their method, without `gen_ai` attributes.
//!
//! # Metrics
//!
//! | Histogram | Records |
//! |---|---|
//! | `gen_ai.server.request.duration`, s | every request to a model, as its caller sees it |
//! | `gen_ai.client.operation.duration`, s | likewise, but from the first call of an upstream on, where calls are noted |
//! | `gen_ai.server.time_to_first_token`, s | streams that ended well |
//! | `gen_ai.server.time_per_output_token`, s | likewise, where tokens are known |
//! | `gen_ai.client.token.usage`, {token} | by `gen_ai.token.type`: `input`, `output` |
//!
//! By `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model` (as the upstream was
//! asked) and, for the durations, `error.type`. At most [`MAX_MODELS`] models have series of their
//! own, each since the first request for it that went well, and at most [`MAX_PROVIDERS`] names of
//! providers; the others are [`OTHER`] together. Their
//! boundaries are those of the conventions.
//!
//! # Trace context
//!
//! By the propagator that is given, or set globally; OpenTelemetry's own default passes the caller's
//! headers on untouched. The caller's span is the parent, or without one the span that is active
//! where the layer is called; headers that mean nothing are ignored. The request that goes on
//! carries the request's span instead; `baggage` goes on only if [`OtelLayer::forward_baggage`] says
//! so.
//!
//! What an upstream does belongs below the call that asked it. [`OtelLayer::calls`] is a second
//! layer for that: it begins the span of each call, and writes that one into the headers. It stands
//! inside of [`FailoverLayer`](crate::FailoverLayer), where there is one, so that each attempt
//! passes it:
//!
//! ```
//! use http::Request;
//! use opentelemetry_sdk::propagation::TraceContextPropagator;
//! use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::OtelLayer;
//!
//! # type Body = http_body_util::Full<bytes::Bytes>;
//! # tokio_test::block_on(async {
//! let exporter = InMemorySpanExporter::default();
//! let spans = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
//! let otel = OtelLayer::new()
//!     .with_tracer_provider(&spans)
//!     .with_propagator(TraceContextPropagator::new());
//! let calls = otel.calls();
//! let upstream = service_fn(|request: Request<_>| async move {
//!     // The upstream answers with what it was told.
//!     let trace = request.headers()["traceparent"].to_str().unwrap().to_owned();
//!     Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(trace)))
//! });
//! let service = ServiceBuilder::new().layer(otel).layer(calls).service(upstream);
//! let answer = service.oneshot(Request::new(Body::default())).await.unwrap();
//! let trace = http_body_util::BodyExt::collect(answer).await.unwrap().to_bytes();
//!
//! let [call, request] = &exporter.get_finished_spans().unwrap()[..] else { panic!() };
//! assert_eq!(call.parent_span_id, request.span_context.span_id());
//! let id = call.span_context.span_id().to_string();
//! assert!(String::from_utf8_lossy(&trace).contains(&id));
//! # });
//! ```
//!
//! # Order
//!
//! Outermost, beside or around [`StatsLayer`](crate::StatsLayer), so that refusals are seen too.
//! Where there are several of the layers that watch, one
//! [`RecordLayer`](crate::record::RecordLayer) with [`OtelLayer::otel`] among its sinks watches once
//! for all. [`OtelLayer::calls`] stands inside of whoever repeats requests.
//!
//! # Cost
//!
//! Nothing for a frame but what [`record`](crate::record) itself does. A request that is not sampled
//! costs a span that keeps nothing, the headers of its trace, and the metrics: at most six
//! measurements, and a lock for the name of its model. Another lock is taken for a moment where a
//! sampled request begins, where any ends, and for each call that passes [`OtelLayer::calls`].
//!
//! # Buffering, Cancellation, Errors
//!
//! As [`record`](crate::record): nothing is buffered, a request whose caller leaves is told of when
//! it is dropped, errors pass as they are.

mod calls;
mod layer;
mod metrics;
mod names;
mod propagation;
mod spans;
#[cfg(test)]
mod tests;

pub use calls::{OtelCall, OtelCallLayer};
pub use layer::{Open, Otel, OtelLayer};
pub use metrics::{DURATION_BUCKETS, FIRST_TOKEN_BUCKETS, OUTPUT_TOKEN_BUCKETS, TOKEN_BUCKETS};
pub use names::{MAX_MODELS, MAX_PROVIDERS, OTHER};

/// Middleware of [`OtelLayer`].
pub type OtelService<S> = crate::record::RecordService<S, Otel>;

/// The name of the instrumentation scope of all spans and metrics.
pub const SCOPE: &str = "tower-llm-gateway";

/// Which conventions they follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.41.0";
