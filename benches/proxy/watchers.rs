//! Everybody who can be told of a request, at once.

use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tempfile::TempDir;
use tower_llm_gateway::OtelLayer;
use tower_llm_gateway::RequestLogLayer;
use tower_llm_gateway::layer::live_log::LiveLog;
use tower_llm_gateway::layer::otel::{Otel, OtelCallLayer};
use tower_llm_gateway::layer::request_log::RequestLog;
use tower_llm_gateway::layer::stats::Stats;
use tower_llm_gateway::record::RecordLayer;
use tower_llm_gateway::store::SqlStore;

/// Who is told of everything.
pub(crate) struct Watchers {
    pub(crate) layer: RecordLayer<(Stats, LiveLog, RequestLog, Otel)>,
    /// Inside of whoever repeats requests.
    pub(crate) calls: OtelCallLayer,
    _kept: Kept,
}

/// What stays up as long as the proxy does.
struct Kept {
    _directory: TempDir,
    _spans: SdkTracerProvider,
    _metrics: SdkMeterProvider,
}

/// Statistics, the live log, spans and metrics of every request, and the request log in SQLite,
/// whose worker has a thread of its own.
pub(crate) fn all() -> Watchers {
    let directory = tempfile::tempdir().expect("a directory");
    let spans = SdkTracerProvider::builder().with_batch_exporter(Nowhere).build();
    // Without an exporter nothing would be measured.
    let metrics = SdkMeterProvider::builder().with_periodic_exporter(Nowhere).build();
    let otel = OtelLayer::new()
        .with_tracer_provider(&spans)
        .with_meter_provider(&metrics)
        .with_propagator(TraceContextPropagator::new());
    let file = directory.path().join("requests.db");
    let url = format!("sqlite:{}", file.display());
    let sinks = (Stats::new(), LiveLog::new(), request_log(url), otel.otel());
    let kept = Kept { _directory: directory, _spans: spans, _metrics: metrics };
    Watchers { layer: RecordLayer::new(sinks), calls: otel.calls(), _kept: kept }
}

fn request_log(url: String) -> RequestLog {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let (store, _keys) = SqlStore::open(&url).await.expect("a database");
            let (layer, worker) = RequestLogLayer::new(store);
            send.send(layer.log()).expect("who asked waits");
            drop(layer);
            worker.run().await;
        });
    });
    receive.recv().expect("a log")
}

/// Takes spans and metrics and drops them.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

impl PushMetricExporter for Nowhere {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
