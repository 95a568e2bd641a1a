//! Spans and metrics on their way out: the whole stack, exported by OTLP over a socket to a receiver
//! in the test.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::ServiceBuilder;
use tower_llm_gateway::body::Collect;
use tower_llm_gateway::context::Upstream;
use tower_llm_gateway::layer::channel::{Channel, Channels};
use tower_llm_gateway::layer::key_pool::KeyPool;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::upstream::HttpUpstream;
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, OtelLayer, ProviderTranslateLayer,
};

const KEY: &str = "sk-team-0123456789";
const VENDOR_KEY: &str = "sk-vendor-0123456789";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// What is waited for comes long before; it makes a hanging test fail.
const LIMIT: Duration = Duration::from_secs(20);

/// Takes what is exported.
#[derive(Clone, Default)]
struct Receiver {
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<Metric>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        self.spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let resources = request.into_inner().resource_metrics.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        self.metrics.lock().unwrap().extend(scopes.flat_map(|scope| scope.metrics));
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// The path and the headers of each call.
type Calls = Arc<Mutex<Vec<(String, HeaderMap)>>>;

const CHUNKS: [&str; 3] = [
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-real\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-real\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13,\"prompt_tokens_details\":{\"cached_tokens\":2},\"completion_tokens_details\":{\"reasoning_tokens\":1}}}\n\n",
    "data: [DONE]\n\n",
];

/// A vendor of Chat Completions: below `/broken` it has no capacity, below `/hung` it stops behind
/// its first chunk.
async fn vendor(State(calls): State<Calls>, uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    calls.lock().unwrap().push((uri.path().to_owned(), headers));
    if uri.path().starts_with("/broken") {
        let body = r#"{"error":{"message":"no capacity","type":"server_error"}}"#;
        let typed = [(header::CONTENT_TYPE, "application/json")];
        return (StatusCode::SERVICE_UNAVAILABLE, typed, body).into_response();
    }
    let hangs = uri.path().starts_with("/hung");
    let left = CHUNKS.into_iter().take(if hangs { 1 } else { CHUNKS.len() });
    let body =
        Chunks { left: left.map(|chunk| Bytes::from_static(chunk.as_bytes())).collect(), hangs };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(body)).into_response()
}

/// A body in pieces, which may never end.
struct Chunks {
    left: VecDeque<Bytes>,
    hangs: bool,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop_front() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None if self.hangs => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

/// The whole stack before the vendor, with everything exported.
struct Gateway {
    url: String,
    calls: Calls,
    receiver: Receiver,
    tracer: SdkTracerProvider,
    meter: SdkMeterProvider,
    client: Client<HttpConnector, Full<Bytes>>,
    _running: JoinSet<()>,
}

impl Gateway {
    /// Its channels are these paths of the vendor, the first one first.
    async fn start(paths: &[&'static str]) -> Self {
        let mut running = JoinSet::new();
        let calls = Calls::default();
        let app = Router::new().fallback(vendor).with_state(calls.clone());
        let vendor = serve(&mut running, app).await;
        let channels = paths.iter().map(|path| {
            let upstream = Upstream::new(&format!("{vendor}{path}"), Protocol::OpenAiChat).unwrap();
            Channel::new(path.trim_start_matches('/'), upstream.map_model("claude", "gpt-asked"))
        });
        let channels = Channels::new(channels).unwrap();
        let receiver = Receiver::default();
        let endpoint = receive(&mut running, receiver.clone()).await;
        let spans = SpanExporter::builder().with_tonic().with_endpoint(&endpoint).build().unwrap();
        let tracer = SdkTracerProvider::builder().with_batch_exporter(spans).build();
        let metrics = MetricExporter::builder().with_tonic().with_endpoint(endpoint);
        let reader = PeriodicReader::builder(metrics.build().unwrap()).build();
        let meter = SdkMeterProvider::builder().with_reader(reader).build();
        let otel = OtelLayer::new()
            .with_tracer_provider(&tracer)
            .with_meter_provider(&meter)
            .with_propagator(TraceContextPropagator::new());
        let spans_of_calls = otel.calls();
        let stack = ServiceBuilder::new()
            .layer(otel)
            .layer(ApiKeyAuthLayer::new([KEY]).unwrap())
            .layer(FailoverLayer::new())
            .layer(spans_of_calls)
            .layer(ChannelLayer::new(channels))
            .layer(KeyPoolLayer::new(KeyPool::new([VENDOR_KEY]).unwrap()))
            .layer(ProviderTranslateLayer::from_context())
            .layer(HopByHopFilterLayer::new())
            .layer(FirstEventLayer::new())
            .layer(CatchErrorLayer::new())
            .service(HttpUpstream::default());
        let url = serve(&mut running, Router::new().fallback_service(stack)).await;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { url, calls, receiver, tracer, meter, client, _running: running }
    }

    async fn ask(&self, key: &str) -> Response<Incoming> {
        let body = r#"{"model":"claude","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"secret words"}]}"#;
        // Its `Connection` asks a proxy to forget the trace, which is not its to ask.
        let request = Request::post(format!("{}/v1/messages?api_key=secret-query", self.url))
            .header("x-api-key", key)
            .header("x-request-id", "call-1")
            .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
            .header("tracestate", "shop=7")
            .header("baggage", "user=anna")
            .header("connection", "traceparent, tracestate")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .unwrap();
        within(self.client.request(request)).await.unwrap()
    }

    /// The spans that have arrived, as they ended; the request's is the last one.
    async fn spans(&self) -> Vec<Span> {
        within(async {
            loop {
                let tracer = self.tracer.clone();
                tokio::task::spawn_blocking(move || tracer.force_flush()).await.unwrap().unwrap();
                let spans = self.receiver.spans.lock().unwrap().clone();
                if spans.iter().any(|span| span.kind() == SpanKind::Server) {
                    return spans;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// What the histograms that have arrived count: by name, each point's attributes, how often, sum.
    async fn metrics(&self) -> BTreeMap<String, Vec<(Attributes, u64, f64)>> {
        let meter = self.meter.clone();
        let flushed = tokio::task::spawn_blocking(move || meter.force_flush());
        within(flushed).await.unwrap().unwrap();
        let metrics = self.receiver.metrics.lock().unwrap();
        let points = |metric: &Metric| match &metric.data {
            Some(metric::Data::Histogram(histogram)) => histogram
                .data_points
                .iter()
                .map(|p| (attributes(&p.attributes), p.count, p.sum.unwrap_or_default()))
                .collect(),
            _ => Vec::new(),
        };
        metrics.iter().map(|metric| (metric.name.clone(), points(metric))).collect()
    }
}

async fn serve(running: &mut JoinSet<()>, app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    running.spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

async fn receive(running: &mut JoinSet<()>, receiver: Receiver) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder()
        .add_service(TraceServiceServer::new(receiver.clone()))
        .add_service(MetricsServiceServer::new(receiver))
        .serve_with_incoming(TcpIncoming::from(listener));
    running.spawn(async move { server.await.unwrap() });
    url
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap()
}

async fn read(response: Response<Incoming>) -> Bytes {
    within(Collect::new(response.into_body(), 64 << 10)).await.unwrap().bytes
}

type Attributes = BTreeMap<String, String>;

fn attributes(pairs: &[KeyValue]) -> Attributes {
    let text = |value: &any_value::Value| match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::BoolValue(yes) => yes.to_string(),
        other => format!("{other:?}"),
    };
    let value = |pair: &KeyValue| pair.value.as_ref()?.value.as_ref().map(text);
    pairs.iter().map(|pair| (pair.key.clone(), value(pair).unwrap_or_default())).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn error(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == SpanStatus::Error)
}

#[track_caller]
fn has(span: &Span, expected: &[(&str, &str)]) {
    let found = attributes(&span.attributes);
    for (name, value) in expected {
        assert_eq!(found.get(*name).map(String::as_str), Some(*value), "{name} of {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_after_a_failover() {
    let gateway = Gateway::start(&["/broken", "/good"]).await;
    let response = gateway.ask(KEY).await;
    assert_eq!(response.status(), 200);
    assert!(read(response).await.ends_with(b"data: {\"type\":\"message_stop\"}\n\n"));

    let mut spans = gateway.spans().await;
    let request = spans.pop().unwrap();
    assert_eq!((request.kind(), &*request.name), (SpanKind::Server, "chat claude"));
    assert_eq!(
        (hex(&request.trace_id), hex(&request.parent_span_id)),
        (TRACE.into(), CALLER.into())
    );
    assert_eq!(request.trace_state, "shop=7");
    has(
        &request,
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "claude"),
            ("gen_ai.request.stream", "true"),
            ("gen_ai.usage.input_tokens", "9"),
            ("gen_ai.usage.output_tokens", "4"),
            ("gen_ai.usage.cache_read.input_tokens", "2"),
            ("gen_ai.usage.reasoning.output_tokens", "1"),
            ("http.response.status_code", "200"),
            ("url.path", "/v1/messages"),
            ("llm_gateway.request_id", "call-1"),
        ],
    );
    assert!(!error(&request));

    let [failed, good] = <[Span; 2]>::try_from(spans).unwrap();
    for attempt in [&failed, &good] {
        assert_eq!((attempt.kind(), &*attempt.name), (SpanKind::Client, "chat gpt-asked"));
        assert_eq!(attempt.trace_id, request.trace_id);
        assert_eq!(attempt.parent_span_id, request.span_id);
        assert!(attempt.start_time_unix_nano >= request.start_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= request.end_time_unix_nano);
    }
    assert!(failed.end_time_unix_nano <= good.start_time_unix_nano);
    assert_eq!(good.end_time_unix_nano, request.end_time_unix_nano);
    assert!(error(&failed) && !error(&good));
    let overloaded = [("llm_gateway.channel", "broken"), ("error.type", "overloaded")];
    has(&failed, &overloaded);
    has(&failed, &[("http.response.status_code", "503")]);
    has(&good, &[("llm_gateway.channel", "good"), ("http.request.resend_count", "1")]);

    // Every upstream gets the span of its call, whatever the caller's `Connection` says.
    let calls = gateway.calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 2);
    for ((_, headers), attempt) in calls.iter().zip([&failed, &good]) {
        let own = format!("00-{TRACE}-{}-01", hex(&attempt.span_id));
        assert_eq!(headers["traceparent"], own.as_str());
        assert_eq!(headers["tracestate"], "shop=7");
        assert!(!headers.contains_key("baggage"));
    }

    let metrics = gateway.metrics().await;
    for (name, expected) in [
        ("gen_ai.server.request.duration", 1),
        ("gen_ai.client.operation.duration", 1),
        ("gen_ai.server.time_to_first_token", 1),
        ("gen_ai.server.time_per_output_token", 1),
        ("gen_ai.client.token.usage", 2),
    ] {
        assert_eq!(metrics[name].len(), expected, "{name}");
        for (attributes, count, _) in &metrics[name] {
            assert_eq!((attributes["gen_ai.request.model"].as_str(), *count), ("gpt-asked", 1));
        }
    }
    let tokens = &metrics["gen_ai.client.token.usage"];
    let sum = |kind: &str| tokens.iter().find(|p| p.0["gen_ai.token.type"] == kind).unwrap().2;
    assert_eq!((sum("input"), sum("output")), (9.0, 4.0));

    // Neither keys nor words nor the query are in anything that was exported.
    let all = format!("{request:?} {failed:?} {good:?} {metrics:?}");
    for secret in [KEY, VENDOR_KEY, "secret words", "secret-query", "anna", "no capacity"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_leaves() {
    let gateway = Gateway::start(&["/hung"]).await;
    let mut response = gateway.ask(KEY).await;
    within(response.body_mut().frame()).await.unwrap().unwrap();
    drop(response);
    let spans = gateway.spans().await;
    assert_eq!(spans.len(), 2);
    has(&spans[1], &[("error.type", "client_cancel"), ("http.response.status_code", "200")]);
    assert!(!error(&spans[0]) && !error(&spans[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures() {
    let gateway = Gateway::start(&["/broken"]).await;
    // The caller's protocol has a status of its own for that.
    assert_eq!(gateway.ask(KEY).await.status(), 529);
    let spans = gateway.spans().await;
    assert_eq!(spans.len(), 2);
    has(&spans[0], &[("error.type", "overloaded"), ("http.response.status_code", "503")]);
    has(&spans[1], &[("error.type", "overloaded"), ("http.response.status_code", "529")]);
    assert!(error(&spans[0]) && error(&spans[1]));

    // A refusal of ours asks nobody.
    let gateway = Gateway::start(&["/good"]).await;
    assert_eq!(gateway.ask("wrong").await.status(), 401);
    let spans = gateway.spans().await;
    assert_eq!(spans.len(), 1);
    has(&spans[0], &[("error.type", "auth"), ("gen_ai.provider.name", "anthropic")]);
    assert!(error(&spans[0]) && gateway.calls.lock().unwrap().is_empty());
}
