//! Traces and metrics by OTLP.

use std::error::Error;

use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower_llm_gateway::OtelLayer;
use tower_llm_gateway::layer::otel::Otel;
use tower_llm_gateway::redact;
use tower_llm_gateway::secret::Secret;

/// What sends them, in batches and from threads of its own.
#[derive(Debug)]
pub(crate) struct Telemetry {
    spans: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

impl Telemetry {
    /// Sends to `endpoint` by gRPC. It need not be there yet.
    pub(crate) fn start(endpoint: &Secret) -> Result<Self, Box<dyn Error>> {
        let endpoint = endpoint.expose();
        // Errors quote the endpoint, which may hold a password.
        let problem = |error: ExporterBuildError| {
            format!("OTEL_EXPORTER_OTLP_ENDPOINT: {}", redact::text(&error.to_string()))
        };
        let spans = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
        let spans = spans.build().map_err(problem)?;
        let metrics = MetricExporter::builder().with_tonic().with_endpoint(endpoint);
        let metrics = metrics.build().map_err(problem)?;
        // `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are read there.
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        let resource = resource.build();
        let tracer = SdkTracerProvider::builder().with_resource(resource.clone());
        let meter = SdkMeterProvider::builder().with_resource(resource);
        Ok(Self {
            spans: tracer.with_batch_exporter(spans).build(),
            metrics: meter.with_periodic_exporter(metrics).build(),
        })
    }

    /// Whom requests are told to.
    pub(crate) fn sink(&self) -> Otel {
        OtelLayer::new()
            .with_tracer_provider(&self.spans)
            .with_meter_provider(&self.metrics)
            .with_propagator(TraceContextPropagator::new())
            .otel()
    }

    /// Sends what is left.
    pub(crate) async fn finish(self) {
        let done =
            tokio::task::spawn_blocking(move || (self.spans.shutdown(), self.metrics.shutdown()));
        if !matches!(done.await, Ok((Ok(()), Ok(())))) {
            tracing::warn!("not all traces and metrics were sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_that_cannot_be_used_keeps_its_password() {
        let endpoint = Secret::new("https://user:hunter2@collector.example");
        let error = Telemetry::start(&endpoint).unwrap_err().to_string();
        assert!(error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
