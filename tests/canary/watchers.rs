//! Everything that is told of requests, and all that can be read of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use http_body_util::BodyExt;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower_llm_gateway::OtelLayer;
use tower_llm_gateway::layer::live_log::LiveLog;
use tower_llm_gateway::layer::otel::Otel;
use tower_llm_gateway::layer::request_log::RequestLog;
use tower_llm_gateway::layer::stats::{ErrorsQuery, Stats, StatsQuery};
use tower_llm_gateway::record::{Begun, Record, RecordLayer, Sink};
use tower_llm_gateway::store::daily::{DailyFiles, DailySettings};
use tower_llm_gateway::store::{
    LogEntry, LogFilter, LogLevel, LogQuery, MAX_PAGE, MemoryRequestLog, RequestLogStore, SqlStore,
};

use crate::secrets::{self, Outputs};

/// Bytes that are kept of each body.
const KEPT: usize = 64 << 10;

/// Lines that are shown of the live log.
const LINES: usize = 10_000;

/// Remembers how every record and exchange is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<String>>);

impl Shown {
    pub(crate) fn say(&self, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push_str(&format!("{value:?}\n{value:#?}\n"));
    }
}

impl Sink for Shown {
    type Open = ();

    fn begun(&self, begun: &Arc<Begun>, _: &mut HeaderMap) {
        self.say(begun);
    }

    fn ended(&self, (): (), record: &Arc<Record>) {
        self.say(record);
        self.say(&record.request_body);
    }
}

pub(crate) type Sinks = ((Stats, LiveLog), Shown, Otel, (RequestLog, RequestLog));

pub(crate) struct Watchers {
    stats: Stats,
    live: LiveLog,
    files: DailyFiles,
    pub(crate) shown: Shown,
    otel: Otel,
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    meter: SdkMeterProvider,
    memory: MemoryRequestLog,
    database: SqlStore,
    logs: (RequestLog, RequestLog),
    directory: TempDir,
    workers: JoinSet<()>,
}

impl Watchers {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut workers = JoinSet::new();
        let (files, worker) = DailyFiles::new(DailySettings::new(directory.path()));
        workers.spawn(worker.run());
        let live = LiveLog::new();
        live.persist(files.clone());

        let url = format!("sqlite:{}", directory.path().join("gateway.db").display());
        let (memory, (database, _)) =
            (MemoryRequestLog::new(), SqlStore::open(&url).await.unwrap());
        let (in_memory, worker) = RequestLog::new(memory.clone());
        workers.spawn(worker.run());
        let (in_database, worker) = RequestLog::new(database.clone());
        workers.spawn(worker.run());

        let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
        let tracer = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let reader = PeriodicReader::builder(metrics.clone()).build();
        let meter = SdkMeterProvider::builder().with_reader(reader).build();
        let otel = OtelLayer::new()
            .with_tracer_provider(&tracer)
            .with_meter_provider(&meter)
            .with_propagator(TraceContextPropagator::new())
            .principals(true);
        Self {
            stats: Stats::new(),
            live,
            files,
            shown: Shown::default(),
            otel: otel.otel(),
            spans,
            metrics,
            meter,
            memory,
            database,
            logs: (in_memory, in_database),
            directory,
            workers,
        }
    }

    /// Watches for all of them, and keeps what it can.
    pub(crate) fn layer(&self) -> RecordLayer<Sinks> {
        let sinks = (
            (self.stats.clone(), self.live.clone()),
            self.shown.clone(),
            self.otel.clone(),
            self.logs.clone(),
        );
        RecordLayer::new(sinks).error_bodies(true).bodies(KEPT)
    }

    /// All that can be read of them, once no request is under way.
    pub(crate) async fn show(&self, outputs: &mut Outputs) {
        while self.stats.snapshot().in_flight > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.show_statistics(outputs);
        self.show_telemetry(outputs);
        self.show_rows(outputs).await;
        self.show_lines(outputs).await;
        let shown = self.shown.0.lock().unwrap().clone();
        assert!(shown.contains("Record") && shown.contains("CapturedBody"));
        outputs.add("Debug of records and exchanges", shown);
        assert_eq!(self.workers.len(), 3, "a worker has ended");
        for entry in std::fs::read_dir(self.directory.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            outputs.add(format!("the file {}", path.display()), bytes);
        }
    }

    fn show_statistics(&self, outputs: &mut Outputs) {
        let query: StatsQuery = serde_json::from_str(r#"{"limit": 0}"#).unwrap();
        let report = self.stats.report(&query);
        assert!(report.totals.failures > 0 && report.totals.successes > 0);
        outputs.add("statistics", serde_json::to_vec(&report).unwrap());
        outputs.debug("statistics", &report);
        let query: ErrorsQuery = serde_json::from_str(r#"{"limit": 1000}"#).unwrap();
        let errors = self.stats.errors(&query);
        assert!(errors.errors.iter().any(|error| error.response_content.is_some()));
        outputs.add("errors", serde_json::to_vec(&errors).unwrap());
        outputs.debug("errors", &errors);
        outputs.debug("the handle of statistics", &self.stats);
        let scraped = self.stats.openmetrics();
        assert!(scraped.contains("# TYPE"));
        outputs.add("what Prometheus scrapes", scraped);
    }

    fn show_telemetry(&self, outputs: &mut Outputs) {
        let spans = self.spans.get_finished_spans().unwrap();
        assert!(spans.len() > 10);
        outputs.debug("spans", &spans);
        self.meter.force_flush().unwrap();
        let metrics = self.metrics.get_finished_metrics().unwrap();
        assert!(!metrics.is_empty());
        outputs.debug("metrics", &metrics);
    }

    /// The rows in memory and in SQLite.
    async fn show_rows(&self, outputs: &mut Outputs) {
        let ended = self.stats.snapshot().totals.requests;
        for log in [&self.logs.0, &self.logs.1] {
            while log.written() < ended {
                assert_eq!((log.failed(), log.dropped()), (0, 0));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            outputs.debug("RequestLog", log);
        }
        outputs.debug("MemoryRequestLog", &self.memory);
        outputs.debug("SqlStore", &self.database);
        let stores: [&dyn RequestLogStore; 2] = [&self.memory, &self.database];
        for store in stores {
            let query = LogQuery { limit: MAX_PAGE, ..LogQuery::default() };
            let requests = store.requests(&query).await.unwrap();
            assert!(requests.rows.iter().any(|row| row.response_body.is_some()));
            outputs.add("rows of requests", serde_json::to_vec(&requests.rows).unwrap());
            outputs.debug("rows of requests", &requests);
            let attempts = store.attempts(&query).await.unwrap();
            assert!(attempts.rows.iter().any(|row| row.key.is_some()));
            outputs.add("rows of attempts", serde_json::to_vec(&attempts.rows).unwrap());
            outputs.debug("rows of attempts", &attempts);
        }
    }

    /// The lines of the live log, as they are read, sent and filed.
    async fn show_lines(&self, outputs: &mut Outputs) {
        let mut line = LogEntry::new(
            std::time::SystemTime::now(),
            LogLevel::Info,
            format!("the host has read api_key={}", secrets::ANTHROPIC),
        );
        line.path = Some(format!("/v1/messages?key={}", secrets::IN_QUERY));
        self.live.push(line).unwrap();
        let (lines, total) = self.live.history(&LogFilter::default(), LINES, 0);
        assert!(lines.len() == total && lines.iter().any(|line| line.response_content.is_some()));
        outputs.add("lines of the live log", serde_json::to_vec(&lines).unwrap());
        outputs.debug("lines of the live log", &lines);
        outputs.debug("LiveLog", &self.live);

        let subscription = self.live.subscribe(LogFilter::default()).unwrap();
        outputs.debug("Subscription", &subscription);
        let mut body = subscription.into_response().into_body();
        let mut sent = Vec::new();
        while !String::from_utf8_lossy(&sent).contains("the host has read") {
            let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await;
            let frame = frame.expect("all lines are there").unwrap().unwrap();
            sent.extend_from_slice(&frame.into_data().unwrap());
        }
        outputs.add("events of the live log", sent);
        self.files.flush().await.unwrap();
        outputs.debug("DailyFiles", &self.files);
    }
}
