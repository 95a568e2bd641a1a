//! The books as Prometheus reads them.
//!
//! Put together when somebody scrapes; a request costs nothing for it. [`Stats`] is a
//! [`Collector`] for the registry of a host that has one; for others
//! [`Stats::openmetrics`] is the whole text of an answer, and [`CONTENT_TYPE`] its type.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_llm_gateway::StatsLayer;
//! use tower_llm_gateway::layer::stats::prometheus::StatsCollector;
//!
//! # tokio_test::block_on(async {
//! let layer = StatsLayer::new();
//! let stats = layer.stats();
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(|_| async {
//!     let answer = r#"{"model":"m","usage":{"input_tokens":7,"output_tokens":3}}"#;
//!     let response = Response::builder().header("content-type", "application/json");
//!     response.body(Full::new(Bytes::from(answer)))
//! }));
//! let request = Request::post("/v1/messages").body(Full::new(Bytes::from("{}"))).unwrap();
//! service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
//!
//! let text = StatsCollector::new(stats).counter("log_rows_dropped", "Rows not kept.", || 2).openmetrics();
//! assert!(text.contains("llm_gateway_model_tokens_total{model=\"m\",type=\"input\"} 7\n"));
//! assert!(text.contains("llm_gateway_log_rows_dropped_total 2\n"));
//! assert!(text.ends_with("# EOF\n"));
//! # });
//! ```
//!
//! # Metrics
//!
//! All names begin with `llm_gateway_`. Of the whole:
//!
//! | Metric | Labels | |
//! |---|---|---|
//! | `requests_started_total` | | requests that have begun |
//! | `requests_in_flight`, `requests_stale` | | gauges: under way; nothing moved for [`STALE_AFTER`](super::STALE_AFTER) |
//! | `responses_total` | `status_class` | `1xx` to `5xx` |
//! | `requests_total`, `successes_total`, `failures_total`, `cancelled_total` | | requests that have ended: all; answered well; answered badly or not at all; left by their callers, who may have had an answer |
//! | `faults_total` | `fault` | what went wrong, by [`FaultKind::as_str`](crate::protocol::model::FaultKind::as_str) |
//! | `request_bytes_total`, `response_bytes_total` | | of bodies |
//! | `tokens_total` | `type` | `input`, `cache_read`, `cache_write`, `output`, `reasoning`: no token in two of them |
//! | `cost_usd_total` | | of the answers whose cost is known |
//! | `unpriced_total` | | answers that cost something, but nobody knows what |
//! | `request_duration_seconds`, `response_headers_seconds`, `first_event_seconds` | | histograms: until the end, the headers, the first meaningful event of a stream |
//! | `output_tokens_per_second` | | histogram: how fast streams are written |
//! | `start_time_seconds` | | gauge: when counting began, since the Unix epoch |
//!
//! The counters from `requests_total` to `unpriced_total` stand once more for each `protocol` (of
//! the caller), `provider` (of the upstream: its name, else its protocol), `model`, and, if
//! [`StatsCollector::principals`] asks for it, `principal`, with that word before their name and as
//! their label: `model_requests_total{model="m"}`, `model_tokens_total{model="m",type="input"}`.
//! `channel` and `key` count attempts: `channel_attempts_total`. A `key` is shown by its fingerprint.
//! Models have histograms of their own for the duration, the first event and the speed.
//!
//! Series are as many as the books have names, those beyond their limits together as
//! [`OTHER`](super::OTHER). None ever vanishes, and no counter ever goes back.
//!
//! # Cost
//!
//! The books are held while their sums are copied: microseconds, with every model there can be a few
//! milliseconds. They are put into words after that.

mod copied;
mod page;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use super::Stats;
use copied::Copied;
use page::Page;

pub use copied::{SPEED_BUCKETS, TIME_BUCKETS};

/// The type of [`Stats::openmetrics`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Stats {
    /// What was counted, as text in the format of OpenMetrics, which Prometheus asks for; without
    /// principals. Its type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn openmetrics(&self) -> String {
        StatsCollector::new(self.clone()).openmetrics()
    }
}

impl Collector for Stats {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        StatsCollector::new(self.clone()).encode(encoder)
    }
}

/// Shows what was counted to Prometheus, as it is set. See the [module docs](self).
#[derive(Debug, Clone)]
pub struct StatsCollector {
    stats: Stats,
    principals: bool,
    counters: Vec<Counter>,
}

/// A counter that the host reads for us.
#[derive(Clone)]
struct Counter {
    name: &'static str,
    help: &'static str,
    read: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl StatsCollector {
    /// Shows `stats` without principals.
    #[must_use]
    pub fn new(stats: Stats) -> Self {
        Self { stats, principals: false, counters: Vec::new() }
    }

    /// Whether principals are shown, by their ids. Default false: metrics are read by many.
    #[must_use]
    pub fn principals(mut self, yes: bool) -> Self {
        self.principals = yes;
        self
    }

    /// Shows a counter of the host's too, `llm_gateway_{name}_total`, such as the rows that a log
    /// has dropped. `name` is of small letters and `_`, and none of the names above; `read` must
    /// never give less than before.
    #[must_use]
    pub fn counter(
        mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.counters.push(Counter { name, help, read: Arc::new(read) });
        self
    }

    /// As [`Stats::openmetrics`], as it is set here.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = text::encode(&mut text, &registry);
        text
    }
}

impl Collector for StatsCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let copied = self.stats.read(|books| Copied::of(books, self));
        let mut page = Page::new(encoder);
        page.books(&copied)?;
        for counter in &self.counters {
            page.counter(counter.name, None, counter.help, [(vec![], (counter.read)())])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("name", &self.name).finish_non_exhaustive()
    }
}
