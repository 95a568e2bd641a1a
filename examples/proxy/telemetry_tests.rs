use super::*;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Request;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tower::ServiceExt;
use tower_llm_gateway::secret::Secret;

use crate::channels::Routing;
use crate::demo::Demo;
use crate::environment::Environment;
use crate::gateway::Gateway;
use crate::logs;
use crate::records::Records;
use crate::refusing::Refusing;
use crate::settings::Settings;

/// A span, and the `x-token` that came with it.
type Arrived = (Span, Option<String>);

/// Takes spans.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Arrived>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let token = request.metadata().get("x-token").and_then(|token| token.to_str().ok());
        let token = token.map(str::to_owned);
        let resources = request.into_inner().resource_spans.into_iter();
        let spans =
            resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
        self.0.lock().unwrap().extend(spans.map(|span| (span, token.clone())));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector by TLS, whose certificate is its own word, in a file.
struct Tls {
    collector: Collector,
    port: u16,
    dir: TempDir,
    _running: JoinSet<()>,
}

impl Tls {
    async fn start() -> Self {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = pem("CERTIFICATE", own.cert.der());
        let key = pem("PRIVATE KEY", &own.signing_key.serialize_der());
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("own.pem"), &certificate).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let collector = Collector::default();
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        let server = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(TraceServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        let mut running = JoinSet::new();
        running.spawn(async move { server.await.unwrap() });
        Self { collector, port, dir, _running: running }
    }

    fn certificate(&self) -> PathBuf {
        self.dir.path().join("own.pem")
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")
}

fn otlp(endpoint: &str, certificate: Option<PathBuf>) -> Otlp {
    Otlp { endpoint: Secret::new(endpoint), certificate }
}

/// What a process logs that sends one span there.
async fn log_of_a_span(endpoint: &str, certificate: Option<PathBuf>) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "telemetry::tests::one_span", "--ignored", "--nocapture"]);
    child.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    child.env("OTEL_EXPORTER_OTLP_HEADERS", "x-token=hunter2-token");
    child.env("RUST_LOG", "trace");
    if let Some(path) = certificate {
        child.env("OTEL_EXPORTER_OTLP_CERTIFICATE", path);
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    log
}

/// As the proxy does it, with the environment and the log of a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "other tests run it"]
async fn one_span() {
    let environment = Environment::load(Path::new("none/.env")).unwrap();
    let settings = Settings::read(&environment).unwrap();
    let Some(otlp) = &settings.records.otlp else { return };
    let _logs = logs::start(&settings.logs).unwrap();
    let telemetry = Telemetry::start(otlp).await.unwrap();
    drop(telemetry.spans.tracer("test").start("one"));
    telemetry.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_by_tls_gets_spans() {
    let tls = Tls::start().await;
    let endpoint = format!("https://user:hunter2@localhost:{}", tls.port);
    let log = log_of_a_span(&endpoint, Some(tls.certificate())).await;
    let spans = tls.collector.0.lock().unwrap();
    let spans: Vec<_> = spans.iter().map(|(span, token)| (&*span.name, token.as_deref())).collect();
    assert_eq!(spans, [("one", Some("hunter2-token"))], "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

/// What could not be sent is told, with the reason, and without secrets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_told() {
    let tls = Tls::start().await;
    let other = Tls::start().await;
    let away = Refusing::new();
    for (endpoint, certificate, why) in [
        (format!("http://user:hunter2@{}", away.address()), None, "Connection refused"),
        (
            format!("https://user:hunter2@localhost:{}", tls.port),
            Some(other.certificate()),
            "invalid peer certificate",
        ),
    ] {
        let log = log_of_a_span(&endpoint, certificate).await;
        let told = |line: &&str| line.contains("ExportError") && line.contains(why);
        assert_eq!(log.lines().filter(told).count(), 1, "{log}");
        assert!(!log.contains("hunter2"), "{log}");
    }
}

/// What a vendor does belongs below the call that asked it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vendors_are_told_of_their_call() {
    let (tls, mut running) = (Tls::start().await, JoinSet::new());
    let vendor = Demo::new().start(&mut running).await.unwrap();
    let endpoint = format!("https://localhost:{}", tls.port);
    let certificate = tls.certificate().display().to_string();
    let pairs = [
        ("UPSTREAM_URL", &*vendor),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &*certificate),
    ];
    let settings = Settings::read(&pairs.into_iter().collect::<Environment>()).unwrap();
    let records = Records::start(&settings.records).await.unwrap();
    let routing = Routing::at(&settings, None, &[("upstream", &vendor)]).unwrap();
    let gateway = Gateway::new(&settings, &routing, &records).unwrap();
    let request = Request::post("/demo/echo").body(Body::empty()).unwrap();
    let response = gateway.stack.oneshot(request).await.unwrap();
    let seen: Value =
        serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
    records.finish().await;

    let headers = seen["headers"].as_array().unwrap();
    let trace = headers.iter().find(|header| header[0] == "traceparent").unwrap();
    let spans = tls.collector.0.lock().unwrap();
    let (call, _) = spans.iter().find(|(span, _)| span.kind() == SpanKind::Client).unwrap();
    let id: String = call.span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(trace[1].as_str().unwrap().contains(&id), "{trace} {id}");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_used_keeps_its_password() {
    let otlp = otlp("http://user:hunter2@collector example", None);
    let error = Telemetry::start(&otlp).await.unwrap_err().to_string();
    assert!(error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: "), "{error}");
    assert!(error.contains("collector"), "it quotes the endpoint: {error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_file_without_certificates_is_an_error() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("empty.pem");
    std::fs::write(&path, "no certificate").unwrap();
    for path in [path, dir.path().join("none.pem")] {
        let otlp = otlp("https://localhost:4317", Some(path));
        let error = Telemetry::start(&otlp).await.unwrap_err().to_string();
        assert!(error.starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE: "), "{error}");
    }
}
