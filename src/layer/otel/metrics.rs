//! The histograms of the conventions.

use std::time::Duration;

use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry::{KeyValue, Value};

use super::names::{MAX_MODELS, MAX_PROVIDERS, Names, owner};
use crate::protocol::Protocol;
use crate::record::{End, Record};

/// Boundaries of durations, in seconds.
pub const DURATION_BUCKETS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Boundaries of the time to the first token, in seconds.
pub const FIRST_TOKEN_BUCKETS: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Boundaries of the time for each further token, in seconds.
pub const OUTPUT_TOKEN_BUCKETS: [f64; 13] =
    [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];

/// Boundaries of token counts.
pub const TOKEN_BUCKETS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The instruments, and the names that have series in them.
#[derive(Debug)]
pub(super) struct Metrics {
    request: Histogram<f64>,
    operation: Histogram<f64>,
    first_token: Histogram<f64>,
    output_token: Histogram<f64>,
    tokens: Histogram<u64>,
    models: Names,
    providers: Names,
}

impl Metrics {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, description: &'static str, buckets: &[f64]| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(description)
                .with_boundaries(buckets.to_vec())
                .build()
        };
        let tokens = meter
            .u64_histogram("gen_ai.client.token.usage")
            .with_unit("{token}")
            .with_description("Number of input and output tokens used.")
            .with_boundaries(TOKEN_BUCKETS.to_vec())
            .build();
        Self {
            request: seconds(
                "gen_ai.server.request.duration",
                "From the arrival of a request to the last byte of its answer.",
                &DURATION_BUCKETS,
            ),
            operation: seconds(
                "gen_ai.client.operation.duration",
                "From the first call of an upstream to the last byte of the answer.",
                &DURATION_BUCKETS,
            ),
            first_token: seconds(
                "gen_ai.server.time_to_first_token",
                "Time to the first token of successful streams.",
                &FIRST_TOKEN_BUCKETS,
            ),
            output_token: seconds(
                "gen_ai.server.time_per_output_token",
                "Time per output token after the first one, for successful streams.",
                &OUTPUT_TOKEN_BUCKETS,
            ),
            tokens,
            models: Names::new(MAX_MODELS),
            providers: Names::new(MAX_PROVIDERS),
        }
    }

    /// Records one request that asked a model something of an upstream that speaks `protocol`.
    /// `waited` is how long it was here before
    /// an upstream was called.
    pub(super) fn record(
        &self,
        operation: &'static str,
        protocol: Protocol,
        waited: Duration,
        record: &Record,
    ) {
        // The host names them, but it may do so for years.
        let named = record.provider.as_ref().map(|name| self.providers.bounded(name, true));
        let provider = named.unwrap_or_else(|| owner(protocol).into());
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", operation),
            KeyValue::new("gen_ai.provider.name", provider),
        ];
        if let Some(model) = &record.model {
            let model = self.models.bounded(model, record.succeeded());
            attributes.push(KeyValue::new("gen_ai.request.model", model));
        }
        self.durations(&mut attributes, waited, record);
        if record.end == End::Whole && record.fault.is_none() {
            self.pace(&attributes, record);
        }
        if let Some(usage) = &record.usage {
            for (kind, count) in [("input", usage.input_total()), ("output", usage.output_total())]
            {
                let kind = KeyValue::new("gen_ai.token.type", kind);
                attributes.push(kind);
                self.tokens.record(count, &attributes);
                attributes.pop();
            }
        }
    }

    fn durations(&self, attributes: &mut Vec<KeyValue>, waited: Duration, record: &Record) {
        let plain = attributes.len();
        if let Some(fault) = record.fault {
            attributes.push(KeyValue::new("error.type", fault.as_str()));
        }
        self.request.record(record.total.as_secs_f64(), attributes);
        let operation = record.total.saturating_sub(waited);
        self.operation.record(operation.as_secs_f64(), attributes);
        attributes.truncate(plain);
    }

    fn pace(&self, attributes: &[KeyValue], record: &Record) {
        let Some(first) = record.first_event else { return };
        self.first_token.record(first.as_secs_f64(), attributes);
        if let Some(pace) = time_per_output_token(first, record) {
            self.output_token.record(pace, attributes);
        }
    }
}

/// Seconds for each token after the first; `None` where there is none.
fn time_per_output_token(first: Duration, record: &Record) -> Option<f64> {
    let further = record.usage.as_ref()?.output_total().checked_sub(1).filter(|n| *n > 0)?;
    Some(record.total.saturating_sub(first).as_secs_f64() / further as f64)
}

/// A count as an attribute; the conventions' integers are signed.
pub(super) fn integer(count: u64) -> Value {
    Value::I64(i64::try_from(count).unwrap_or(i64::MAX))
}
