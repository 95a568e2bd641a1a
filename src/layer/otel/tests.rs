use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Empty;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use tokio::time::{Instant, advance};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

use super::*;
use crate::context::{Attempt, ChannelId, Exchange, Principal, RequestFacts};
use crate::protocol::Protocol;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};
use crate::record::{Clock, RecordLayer};
use crate::test_helpers::{Frames, Step, step, steps};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const SECOND: Duration = Duration::from_secs(1);
const SSE: &str = "text/event-stream";

/// A layer and what it told.
struct Told {
    spans: InMemorySpanExporter,
    tracer: SdkTracerProvider,
    metrics: InMemoryMetricExporter,
    meter: SdkMeterProvider,
}

impl Told {
    fn new(sampler: Sampler) -> (OtelLayer, Self) {
        let spans = InMemorySpanExporter::default();
        let tracer = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .with_sampler(sampler)
            .build();
        let metrics = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(metrics.clone()).build();
        let meter = SdkMeterProvider::builder().with_reader(reader).build();
        let layer = OtelLayer::new()
            .with_tracer_provider(&tracer)
            .with_meter_provider(&meter)
            .with_propagator(TraceContextPropagator::new());
        (layer, Self { spans, tracer, metrics, meter })
    }

    /// The spans, outermost last.
    fn spans(&self) -> Vec<SpanData> {
        self.spans.get_finished_spans().unwrap()
    }

    /// What was recorded: the name of the histogram and its attributes; how often, and the sum.
    fn metrics(&self) -> BTreeMap<String, (u64, f64)> {
        self.meter.force_flush().unwrap();
        let mut found = BTreeMap::new();
        let all = self.metrics.get_finished_metrics().unwrap();
        let scopes = all.last().into_iter().flat_map(ResourceMetrics::scope_metrics);
        for metric in scopes.flat_map(ScopeMetrics::metrics) {
            let mut add = |attributes: Vec<&KeyValue>, count, sum| {
                let key = format!("{} {}", metric.name(), text(attributes));
                found.insert(key, (count, sum));
            };
            match metric.data() {
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    for point in histogram.data_points() {
                        add(point.attributes().collect(), point.count(), point.sum());
                    }
                }
                AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
                    for point in histogram.data_points() {
                        add(point.attributes().collect(), point.count(), point.sum() as f64);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        found
    }
}

/// Attributes in one line, sorted, without the names' common beginning.
fn text<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> String {
    let line = |pair: &KeyValue| {
        let key = pair.key.as_str();
        format!("{}={}", key.strip_prefix("gen_ai.").unwrap_or(key), pair.value)
    };
    let mut lines: Vec<String> = attributes.into_iter().map(line).collect();
    lines.sort_unstable();
    lines.join(" ")
}

/// The layer by a clock that tests hold still.
fn still(layer: &OtelLayer) -> RecordLayer<Otel> {
    let start = Instant::now();
    let clock = Clock::new(move || Duration::from_secs(1_700_000_000) + start.elapsed());
    RecordLayer::with_clock(layer.otel(), clock)
}

fn typed(content_type: &str, body: impl IntoIterator<Item = impl Into<Step>>) -> Response<Frames> {
    Response::builder().header("content-type", content_type).body(Frames::new(body)).unwrap()
}

/// Sends a request through the layer; `answer` is what is inside.
async fn send(
    layer: &OtelLayer,
    request: Request<Empty<Bytes>>,
    answer: impl AsyncFnOnce(&mut Request<()>) -> Response<Frames>,
) -> Response<crate::record::RecordBody<Frames, Otel>> {
    let answer = Mutex::new(Some(answer));
    let inner = service_fn(|request: Request<_>| {
        let answer = answer.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(answer(&mut request.map(drop)).await) }
    });
    still(layer).layer(inner).oneshot(request).await.unwrap()
}

fn post(path: &str) -> Request<Empty<Bytes>> {
    Request::post(path).header("x-request-id", "r1").body(Empty::new()).unwrap()
}

const JSON_BODY: &str = r#"{"model":"claude-1","stop_reason":"tool_use","usage":{"input_tokens":7,"cache_read_input_tokens":4,"output_tokens":3}}"#;

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let mut response = send(&layer, post("/v1/messages?key=secret"), async |request| {
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| {
            facts.principal = Some(Principal::new("team"));
            facts.upstream_model = Some("claude-1".into());
        });
        let model = Some("claude".into());
        assert!(exchange.admit(RequestFacts { model, ..RequestFacts::default() }));
        advance(SECOND).await;
        typed("application/json", [JSON_BODY])
    })
    .await;
    steps(response.body_mut());
    let span = told.spans().remove(0);
    assert_eq!((&*span.name, span.span_kind), ("chat claude", SpanKind::Server));
    assert_eq!(span.end_time.duration_since(span.start_time).unwrap(), SECOND);
    assert_eq!((span.parent_span_id, span.status), (SpanId::INVALID, Status::Unset));
    assert_eq!(
        text(&span.attributes),
        "http.request.method=POST http.response.status_code=200 llm_gateway.request_id=r1 \
         operation.name=chat provider.name=anthropic request.model=claude \
         response.finish_reasons=[\"tool_call\"] response.model=claude-1 url.path=/v1/messages \
         usage.cache_read.input_tokens=4 usage.input_tokens=11 usage.output_tokens=3"
    );
    let scope = span.instrumentation_scope;
    assert_eq!((scope.name(), scope.schema_url()), (SCOPE, Some(SCHEMA_URL)));
    let by = "operation.name=chat provider.name=anthropic request.model=claude-1";
    let expected = [
        (format!("gen_ai.client.operation.duration {by}"), (1, 1.0)),
        (format!("gen_ai.client.token.usage {by} token.type=input"), (1, 11.0)),
        (format!("gen_ai.client.token.usage {by} token.type=output"), (1, 3.0)),
        (format!("gen_ai.server.request.duration {by}"), (1, 1.0)),
    ];
    assert_eq!(told.metrics(), BTreeMap::from(expected));
}

#[tokio::test(start_paused = true)]
async fn a_principal_is_named_on_request() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let layer = layer.principals(true);
    let mut response = send(&layer, post("/v1/messages"), async |request| {
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| facts.principal = Some(Principal::new("team")));
        typed("application/json", ["{}"])
    })
    .await;
    steps(response.body_mut());
    assert!(text(&told.spans()[0].attributes).contains("enduser.id=team"));
}

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n";
const WORD: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const USAGE: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[tokio::test(start_paused = true)]
async fn a_stream() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let mut response =
        send(&layer, post("/v1/messages"), async |_| typed(SSE, [START, WORD, USAGE, STOP])).await;
    step(response.body_mut());
    advance(2 * SECOND).await;
    step(response.body_mut());
    advance(4 * SECOND).await;
    steps(response.body_mut());
    let span = &told.spans()[0];
    assert_eq!(span.name, "chat m");
    let attributes = text(&span.attributes);
    for expected in ["request.stream=true", "time_to_first_chunk=2", "usage.output_tokens=9"] {
        assert!(attributes.contains(expected), "{attributes}");
    }
    let metrics = told.metrics();
    let by = "operation.name=chat provider.name=anthropic request.model=m";
    let first = &metrics[&format!("gen_ai.server.time_to_first_token {by}")];
    assert_eq!(*first, (1, 2.0));
    // Eight tokens in four seconds.
    let pace = &metrics[&format!("gen_ai.server.time_per_output_token {by}")];
    assert_eq!(*pace, (1, 0.5));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_is_no_error() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let mut response =
        send(&layer, post("/v1/messages"), async |_| typed(SSE, [START, WORD, USAGE])).await;
    step(response.body_mut());
    step(response.body_mut());
    drop(response);
    let span = &told.spans()[0];
    let attributes = text(&span.attributes);
    assert!(attributes.contains("error.type=client_cancel"), "{attributes}");
    assert!(attributes.contains("usage.input_tokens=5"), "{attributes}");
    assert_eq!(span.status, Status::Unset);
    let metrics = told.metrics();
    assert!(metrics.keys().all(|key| !key.contains("time_to_first_token")), "{metrics:?}");
    let duration = metrics.keys().find(|key| key.contains("request.duration")).unwrap();
    assert!(duration.contains("error.type=client_cancel"), "{duration}");
}

#[tokio::test(start_paused = true)]
async fn a_failure() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let mut response = send(&layer, post("/v1beta/models/g:generateContent"), async |_| {
        let mut response = typed("application/json", ["{\"error\":{}}"]);
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    })
    .await;
    steps(response.body_mut());
    let span = told.spans().remove(0);
    assert_eq!(span.name, "generate_content");
    assert_eq!(
        text(&span.attributes),
        "error.type=overloaded http.request.method=POST http.response.status_code=503 \
         llm_gateway.request_id=r1 operation.name=generate_content provider.name=gcp.gemini \
         url.path=/v1beta/models/g:generateContent"
    );
    assert_eq!(span.status, Status::error("HTTP 503: Service Unavailable"));
}

#[tokio::test(start_paused = true)]
async fn requests_that_ask_no_model() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    for path in ["/health", "/v1/models"] {
        let request = Request::get(path).header("x-request-id", "r1").body(Empty::new()).unwrap();
        steps(send(&layer, request, async |_| typed("text/plain", ["ok"])).await.body_mut());
    }
    for (span, path) in told.spans().iter().zip(["/health", "/v1/models"]) {
        assert_eq!(span.name, "GET");
        let expected = format!(
            "http.request.method=GET http.response.status_code=200 llm_gateway.request_id=r1 \
             url.path={path}"
        );
        assert_eq!(text(&span.attributes), expected);
    }
    assert_eq!(told.metrics(), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn providers_have_the_names_that_they_were_given() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let mut response = send(&layer, post("/v1/chat/completions"), async |request| {
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| facts.provider = Some("deepseek".into()));
        for provider in [Some("groq"), None, Some("deepseek")] {
            let id = exchange.begin_attempt(request.extensions_mut());
            exchange.update_attempt(id, |attempt| {
                attempt.upstream_protocol = Some(Protocol::OpenAiChat);
                attempt.provider = provider.map(Into::into);
                attempt.status = Some(StatusCode::OK);
            });
        }
        typed("application/json", ["{}"])
    })
    .await;
    steps(response.body_mut());
    let spans = told.spans();
    let names = spans.iter().map(|span| {
        let named = span.attributes.iter().find(|a| a.key.as_str() == "gen_ai.provider.name");
        named.unwrap().value.to_string()
    });
    // The calls, and then the request itself.
    assert_eq!(names.collect::<Vec<_>>(), ["groq", "openai", "deepseek", "deepseek"]);
    let metrics = told.metrics();
    assert!(metrics.keys().all(|series| series.contains("provider.name=deepseek")), "{metrics:?}");
    assert!(!metrics.is_empty());
}

#[tokio::test(start_paused = true)]
async fn calls_of_upstreams_are_children() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let mut response = send(&layer, post("/v1/chat/completions"), async |request| {
        let exchange = Exchange::of(request.extensions_mut());
        exchange.update(|facts| facts.upstream_model = Some("m".into()));
        advance(SECOND).await;
        let first = exchange.begin_attempt(request.extensions_mut());
        exchange.update_attempt(first, |attempt| {
            attempt.channel = Some(ChannelId::new("one"));
            attempt.key = Some("sk-a...z".into());
        });
        advance(SECOND).await;
        let kind = FaultKind::Overloaded;
        let status = StatusCode::SERVICE_UNAVAILABLE;
        exchange.update_attempt(first, |attempt| {
            attempt.status = Some(status);
            attempt.fault = Some(Fault::new(kind, status, FaultOrigin::Upstream));
        });
        let slow = exchange.begin_attempt(request.extensions_mut());
        let second = exchange.begin_attempt(request.extensions_mut());
        exchange.update_attempt(slow, |attempt| attempt.outrun = true);
        advance(SECOND).await;
        exchange.update_attempt(second, |attempt| {
            attempt.upstream_protocol = Some(Protocol::Gemini);
            attempt.upstream_model = Some("gemini".into());
            attempt.status = Some(StatusCode::OK);
        });
        typed("application/json", ["{}"])
    })
    .await;
    advance(SECOND).await;
    steps(response.body_mut());
    let mut spans = told.spans();
    let request = spans.pop().unwrap();
    let began = |span: &SpanData| span.start_time.duration_since(request.start_time).unwrap();
    let took = |span: &SpanData| span.end_time.duration_since(span.start_time).unwrap();
    let rows = [
        (
            ("chat m", SECOND, SECOND, Status::error("overloaded")),
            "error.type=overloaded http.request.method=POST http.response.status_code=503 \
             llm_gateway.channel=one llm_gateway.key=sk-a...z \
             llm_gateway.upstream_protocol=openai-chat operation.name=chat provider.name=openai \
             request.model=m",
        ),
        (
            ("chat m", 2 * SECOND, SECOND, Status::Unset),
            "http.request.method=POST http.request.resend_count=1 llm_gateway.outrun=true \
             llm_gateway.upstream_protocol=openai-chat operation.name=chat provider.name=openai \
             request.model=m",
        ),
        (
            ("generate_content gemini", 2 * SECOND, 2 * SECOND, Status::Unset),
            "http.request.method=POST http.request.resend_count=2 http.response.status_code=200 \
             llm_gateway.upstream_protocol=gemini operation.name=generate_content \
             provider.name=gcp.gemini request.model=gemini",
        ),
    ];
    assert_eq!(spans.len(), rows.len());
    for (span, (expected, attributes)) in spans.iter().zip(rows) {
        assert_eq!((&*span.name, began(span), took(span), span.status.clone()), expected);
        assert_eq!(text(&span.attributes), attributes);
        assert_eq!(span.parent_span_id, request.span_context.span_id());
        assert_eq!(span.span_context.trace_id(), request.span_context.trace_id());
        assert_eq!(span.span_kind, SpanKind::Client);
    }
    assert_eq!(took(&request), 4 * SECOND);
    let metrics = told.metrics();
    let sum = |name: &str| metrics.iter().find(|(key, _)| key.starts_with(name)).unwrap().1.1;
    // The first second was ours.
    assert_eq!(sum("gen_ai.server.request.duration"), 4.0);
    assert_eq!(sum("gen_ai.client.operation.duration"), 3.0);
}

/// Two at once, as a hedge, and one that goes past the layer of calls.
#[tokio::test(start_paused = true)]
async fn what_an_upstream_does_belongs_below_its_call() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let (calls, seen) = (layer.calls(), Arc::new(Mutex::new(Vec::new())));
    let kept = seen.clone();
    let mut response = send(&layer, post("/v1/messages"), async move |request| {
        let exchange = Exchange::of(request.extensions_mut());
        for through in [true, true, false] {
            advance(SECOND).await;
            let id = exchange.begin_attempt(request.extensions_mut());
            if through {
                let mut call = Request::post("/elsewhere").body(()).unwrap();
                call.headers_mut().clone_from(request.headers());
                call.extensions_mut().clone_from(request.extensions());
                let upstream = service_fn(async |call: Request<()>| {
                    let trace = call.headers()["traceparent"].to_str().unwrap().to_owned();
                    Ok::<_, Infallible>(trace)
                });
                let trace = calls.layer(upstream).oneshot(call).await.unwrap();
                kept.lock().unwrap().push(trace);
            }
            exchange.update_attempt(id, |attempt| attempt.status = Some(StatusCode::OK));
        }
        typed("application/json", ["{}"])
    })
    .await;
    steps(response.body_mut());
    let mut spans = told.spans();
    let request = spans.pop().unwrap();
    let context = &request.span_context;
    let own =
        |span: &SpanData| format!("00-{}-{}-01", context.trace_id(), span.span_context.span_id());
    assert_eq!(*seen.lock().unwrap(), spans[..2].iter().map(own).collect::<Vec<_>>());
    assert_eq!(spans.len(), 3);
    for (n, span) in (1..).zip(&spans) {
        assert_eq!((&*span.name, span.parent_span_id), ("chat", context.span_id()));
        assert_eq!((&span.span_kind, span.parent_span_is_remote), (&SpanKind::Client, false));
        assert_eq!(span.start_time.duration_since(request.start_time).unwrap(), n * SECOND);
        assert!(text(&span.attributes).starts_with("http.request.method=POST "));
    }
    assert!(layer.otel().is_idle());
}

/// Whoever repeats a call inside of its attempt, like a host's own retries, repeats its span too.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_repeated_has_one_span() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let (calls, seen) = (layer.calls(), Arc::new(Mutex::new(Vec::new())));
    let kept = seen.clone();
    let mut request = post("/v1/messages");
    request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
    request.headers_mut().insert("tracestate", "shop=hunter2".parse().unwrap());
    let mut response = send(&layer, request, async move |request| {
        let exchange = Exchange::of(request.extensions_mut());
        exchange.begin_attempt(request.extensions_mut());
        for _ in 0..100 {
            let mut call = Request::new(());
            call.headers_mut().clone_from(request.headers());
            call.extensions_mut().clone_from(request.extensions());
            let upstream =
                service_fn(async |call: Request<()>| Ok::<_, Infallible>(call.headers().clone()));
            let headers = calls.layer(upstream).oneshot(call).await.unwrap();
            kept.lock().unwrap().push(headers["traceparent"].clone());
        }
        // Nor does it show in a log whose request it is.
        assert!(!format!("{calls:?}").contains("hunter2"));
        typed("application/json", ["{}"])
    })
    .await;
    steps(response.body_mut());
    let spans = told.spans();
    assert_eq!(spans.len(), 2);
    let own = spans[0].span_context.span_id().to_string();
    assert_eq!(seen.lock().unwrap().len(), 100);
    assert!(seen.lock().unwrap().iter().all(|trace| trace.to_str().unwrap().contains(&own)));
}

#[tokio::test(start_paused = true)]
async fn calls_of_requests_that_are_not_told_of_pass_untouched() {
    for (sampler, outside) in [(Sampler::AlwaysOff, true), (Sampler::AlwaysOn, false)] {
        let (layer, told) = Told::new(sampler);
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", PARENT.parse().unwrap());
        let calls = layer.calls();
        let call = async |headers: &HeaderMap| {
            let mut call = Request::new(());
            call.headers_mut().clone_from(headers);
            let upstream =
                service_fn(async |call: Request<()>| Ok::<_, Infallible>(call.headers().clone()));
            assert_eq!(calls.layer(upstream).oneshot(call).await.unwrap(), *headers);
        };
        if outside {
            let mut response = send(&layer, post("/v1/messages"), async |request| {
                call(request.headers()).await;
                typed("application/json", ["{}"])
            })
            .await;
            steps(response.body_mut());
        } else {
            call(&headers).await;
        }
        assert_eq!(told.spans(), []);
        assert!(layer.otel().is_idle());
    }
}

#[tokio::test(start_paused = true)]
async fn the_call_whose_answer_is_read_lasts_until_the_end() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let mut response = send(&layer, post("/v1/chat/completions"), async |request| {
        let exchange = Exchange::of(request.extensions_mut());
        let winner = exchange.begin_attempt(request.extensions_mut());
        let failed = exchange.begin_attempt(request.extensions_mut());
        advance(SECOND).await;
        let answered = |attempt: &mut Attempt| attempt.status = Some(StatusCode::OK);
        exchange.update_attempt(failed, answered);
        exchange.update_attempt(winner, answered);
        exchange.update_attempt(winner, |attempt| attempt.chosen = true);
        typed("application/json", ["{}"])
    })
    .await;
    advance(SECOND).await;
    steps(response.body_mut());
    let took = |span: &SpanData| span.end_time.duration_since(span.start_time).unwrap();
    let spans: Vec<_> = told.spans().iter().map(took).collect();
    assert_eq!(spans, [2 * SECOND, SECOND, 2 * SECOND]);
}

/// The headers that go on, and the span of the request.
async fn passed(layer: &OtelLayer, told: &Told, headers: &[(&str, &str)]) -> (HeaderMap, SpanData) {
    let mut request = post("/v1/messages");
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let kept = seen.clone();
    let mut response = send(layer, request, async move |request| {
        kept.lock().unwrap().clone_from(request.headers());
        typed("application/json", ["{}"])
    })
    .await;
    steps(response.body_mut());
    let seen = seen.lock().unwrap().clone();
    (seen, told.spans().pop().unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_trace_goes_on() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let state = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
    let (headers, span) = passed(&layer, &told, &state).await;
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
    let own = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", span.span_context.span_id());
    assert_eq!(headers["traceparent"], own.as_str());
    assert_eq!(headers["tracestate"], "a=1,b=2");

    // What the caller decided about sampling stands.
    let (layer, told) = Told::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    let unsampled = format!("{}00", &PARENT[..PARENT.len() - 2]);
    let mut request = post("/v1/messages");
    request.headers_mut().insert("traceparent", unsampled.parse().unwrap());
    let seen = Arc::new(Mutex::new(None));
    let kept = seen.clone();
    let mut response = send(&layer, request, async move |request| {
        *kept.lock().unwrap() = request.headers().get("traceparent").cloned();
        typed("application/json", ["{}"])
    })
    .await;
    steps(response.body_mut());
    assert_eq!(told.spans(), []);
    let header = seen.lock().unwrap().take().unwrap();
    assert!(header.to_str().unwrap().ends_with("-00") && header != unsampled.as_str());
    assert!(!told.metrics().is_empty());
}

#[tokio::test(start_paused = true)]
async fn headers_that_mean_nothing_are_replaced() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
    let rows: [&[&str]; 6] = [&[], &["nonsense"], &[""], &[&PARENT[..40]], &[&zeros], &[PARENT; 2]];
    for values in rows {
        let headers: Vec<_> = values.iter().map(|value| ("traceparent", *value)).collect();
        let (headers, span) = passed(&layer, &told, &headers).await;
        assert_eq!(span.parent_span_id, SpanId::INVALID, "{values:?}");
        let context = &span.span_context;
        let own = format!("00-{}-{}-01", context.trace_id(), context.span_id());
        assert_eq!(headers.get_all("traceparent").iter().collect::<Vec<_>>(), [own.as_str()]);
        assert!(!headers.contains_key("tracestate"));
    }
}

#[tokio::test(start_paused = true)]
async fn baggage_goes_on_if_asked() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let sent = [("traceparent", PARENT), ("baggage", "user=anna")];
    let (headers, _) = passed(&layer, &told, &sent).await;
    assert!(!headers.contains_key("baggage"));
    let both = || {
        TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ])
    };
    let (headers, _) = passed(&layer.clone().with_propagator(both()), &told, &sent).await;
    assert!(!headers.contains_key("baggage"));
    let asked = layer.forward_baggage(true);
    for layer in [asked.clone(), asked.with_propagator(both())] {
        let (headers, _) = passed(&layer, &told, &sent).await;
        assert_eq!(headers["baggage"], "user=anna");
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_of_the_host_is_the_parent() {
    let (layer, told) = Told::new(Sampler::AlwaysOn);
    let tracer = told.tracer.tracer("host");
    let host = opentelemetry::trace::Tracer::start(&tracer, "host");
    let context = Context::current_with_span(host).with_baggage([KeyValue::new("a", "b")]);
    let id = context.span().span_context().span_id();
    let guard = context.attach();
    let (_, span) = passed(&layer, &told, &[]).await;
    drop(guard);
    assert_eq!(span.parent_span_id, id);
}

/// Without providers and propagators everything passes as it came, but the baggage.
#[tokio::test(start_paused = true)]
async fn nothing_is_set() {
    let (_, told) = Told::new(Sampler::AlwaysOn);
    let (layer, seen) = (OtelLayer::new(), Arc::new(Mutex::new(HeaderMap::new())));
    let mut request = post("/v1/messages");
    request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
    request.headers_mut().insert("baggage", "a=b".parse().unwrap());
    let kept = seen.clone();
    let mut response = send(&layer, request, async move |request| {
        kept.lock().unwrap().clone_from(request.headers());
        typed("application/json", ["{}"])
    })
    .await;
    steps(response.body_mut());
    let seen = seen.lock().unwrap();
    assert_eq!(seen["traceparent"], PARENT);
    assert!(!seen.contains_key("baggage"));
    assert_eq!(told.spans(), []);
}

#[tokio::test(start_paused = true)]
async fn boundaries_are_those_of_the_conventions() {
    let (layer, told) = Told::new(Sampler::AlwaysOff);
    let mut response =
        send(&layer, post("/v1/messages"), async |_| typed(SSE, [START, WORD, USAGE, STOP])).await;
    steps(response.body_mut());
    told.meter.force_flush().unwrap();
    let all = told.metrics.get_finished_metrics().unwrap();
    let mut seen = 0;
    for metric in all.last().unwrap().scope_metrics().flat_map(ScopeMetrics::metrics) {
        let (expected, unit): (&[f64], _) = match metric.name() {
            "gen_ai.client.token.usage" => (&TOKEN_BUCKETS, "{token}"),
            "gen_ai.server.time_to_first_token" => (&FIRST_TOKEN_BUCKETS, "s"),
            "gen_ai.server.time_per_output_token" => (&OUTPUT_TOKEN_BUCKETS, "s"),
            _ => (&DURATION_BUCKETS, "s"),
        };
        let bounds: Vec<f64> = match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(found)) => {
                found.data_points().next().unwrap().bounds().collect()
            }
            AggregatedMetrics::U64(MetricData::Histogram(found)) => {
                found.data_points().next().unwrap().bounds().collect()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!((bounds.as_slice(), metric.unit()), (expected, unit), "{}", metric.name());
        seen += 1;
    }
    assert_eq!(seen, 5);
}
