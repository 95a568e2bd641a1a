//! Traces and metrics by OTLP.

use std::error::Error;

use http::Uri;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tower_llm_gateway::OtelLayer;
use tower_llm_gateway::layer::otel::{Otel, OtelCallLayer};
use tower_llm_gateway::redact;

use crate::settings::Otlp;

/// What sends them, in batches and from threads of its own.
#[derive(Debug)]
pub(crate) struct Telemetry {
    spans: SdkTracerProvider,
    metrics: SdkMeterProvider,
    otel: Otel,
}

impl Telemetry {
    /// Sends to the collector by gRPC. It need not be there yet.
    ///
    /// # Errors
    /// When its certificates cannot be read, or the system trusts nobody.
    pub(crate) async fn start(otlp: &Otlp) -> Result<Self, Box<dyn Error>> {
        let (endpoint, tls) = (otlp.endpoint.expose(), tls(otlp).await?);
        // Errors quote the endpoint, which may hold a password.
        let problem = |error: ExporterBuildError| {
            format!("OTEL_EXPORTER_OTLP_ENDPOINT: {}", redact::text(&error.to_string()))
        };
        let mut spans = SpanExporter::builder().with_tonic().with_endpoint(endpoint);
        let mut metrics = MetricExporter::builder().with_tonic().with_endpoint(endpoint);
        if let Some(tls) = tls {
            spans = spans.with_tls_config(tls.clone());
            metrics = metrics.with_tls_config(tls);
        }
        let spans = spans.build().map_err(problem)?;
        let metrics = metrics.build().map_err(problem)?;
        // `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are read there.
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        let resource = resource.build();
        let tracer = SdkTracerProvider::builder().with_resource(resource.clone());
        let meter = SdkMeterProvider::builder().with_resource(resource);
        let spans = tracer.with_batch_exporter(spans).build();
        let metrics = meter.with_periodic_exporter(metrics).build();
        let otel = OtelLayer::new()
            .with_tracer_provider(&spans)
            .with_meter_provider(&metrics)
            .with_propagator(TraceContextPropagator::new())
            .otel();
        Ok(Self { spans, metrics, otel })
    }

    /// Whom requests are told to.
    pub(crate) fn sink(&self) -> Otel {
        self.otel.clone()
    }

    /// What every call of an upstream passes.
    pub(crate) fn calls(&self) -> OtelCallLayer {
        self.otel.calls()
    }

    /// Sends what is left: both at once, as each may wait for a collector that hangs.
    pub(crate) async fn finish(self) {
        let spans = tokio::task::spawn_blocking(move || self.spans.shutdown());
        let metrics = tokio::task::spawn_blocking(move || self.metrics.shutdown());
        if !matches!(tokio::join!(spans, metrics), (Ok(Ok(())), Ok(Ok(())))) {
            tracing::warn!("not all traces and metrics were sent");
        }
    }
}

/// Whom the certificate of the collector may come from; `None` for one without TLS.
async fn tls(otlp: &Otlp) -> Result<Option<ClientTlsConfig>, Box<dyn Error>> {
    let https = |uri: Uri| uri.scheme_str() == Some("https");
    if !otlp.endpoint.expose().parse().is_ok_and(https) {
        return Ok(None);
    }
    let tls = ClientTlsConfig::new();
    let Some(path) = &otlp.certificate else { return Ok(Some(tls.with_native_roots())) };
    let problem = |error: &dyn Error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE: {error}");
    let pem = tokio::fs::read(path).await.map_err(|error| problem(&error))?;
    // Without one, no collector would ever be trusted.
    CertificateDer::from_pem_slice(&pem).map_err(|error| problem(&error))?;
    Ok(Some(tls.ca_certificate(Certificate::from_pem(pem))))
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
