//! The whole stack before a vendor that talks, with everything that watches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use http::{HeaderMap, Request};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tower_llm_gateway::context::{ChannelId, Exchange, Principal, Upstream};
use tower_llm_gateway::layer::api_key_auth::StaticKeys;
use tower_llm_gateway::layer::channel::{Channel, Channels, Policy, Strategy};
use tower_llm_gateway::layer::key_pool::{Cooldown, KeyPool, KeyPools, Settings};
use tower_llm_gateway::layer::limit::Concurrency;
use tower_llm_gateway::layer::otel::Otel;
use tower_llm_gateway::layer::request_log::RequestLog;
use tower_llm_gateway::layer::stats::{ErrorsQuery, Stats, StatsQuery};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::record::{Begun, Record, RecordLayer, Sink};
use tower_llm_gateway::redact;
use tower_llm_gateway::store::{LogQuery, MAX_PAGE, MemoryRequestLog, RequestLogStore, SqlStore};
use tower_llm_gateway::upstream::HttpUpstreamBuilder;
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, LimitLayer, OtelLayer, ProviderTranslateLayer, SessionLayer,
    SystemPromptLayer,
};

use crate::secrets::{self, Outputs};

/// What the vendors speak.
pub(crate) const UPSTREAMS: [Protocol; 3] =
    [Protocol::Anthropic, Protocol::OpenAiChat, Protocol::Gemini];

/// Keys that were refused are used again at once.
const COOLDOWN: Duration = Duration::from_millis(1);

/// Bytes that are kept of each body.
const KEPT: usize = 64 << 10;

/// Remembers how every record and exchange is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<String>>);

impl Shown {
    fn say(&self, value: &dyn std::fmt::Debug) {
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

type Sinks = (Stats, Shown, Otel, RequestLog, RequestLog);

pub(crate) struct Gateway {
    stacks: Vec<(Protocol, Router)>,
    stats: Stats,
    shown: Shown,
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    meter: SdkMeterProvider,
    channels: Vec<Channels>,
    keys: Vec<KeyPools>,
    memory: MemoryRequestLog,
    database: SqlStore,
    logs: [RequestLog; 2],
    directory: TempDir,
    workers: JoinSet<()>,
}

impl Gateway {
    /// Before a vendor there, and a port of nobody.
    pub(crate) async fn start(vendor: &str) -> Self {
        let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
        let tracer = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let reader = PeriodicReader::builder(metrics.clone()).build();
        let meter = SdkMeterProvider::builder().with_reader(reader).build();
        let otel = OtelLayer::new()
            .with_tracer_provider(&tracer)
            .with_meter_provider(&meter)
            .with_propagator(TraceContextPropagator::new())
            .principals(true);
        let (stats, shown) = (Stats::new(), Shown::default());
        let (memory, directory) = (MemoryRequestLog::new(), tempfile::tempdir().unwrap());
        let url = format!("sqlite:{}", directory.path().join("gateway.db").display());
        let (database, _) = SqlStore::open(&url).await.unwrap();
        let (in_memory, to_memory) = RequestLog::new(memory.clone());
        let (in_database, to_database) = RequestLog::new(database.clone());
        let mut workers = JoinSet::new();
        workers.spawn(to_memory.run());
        workers.spawn(to_database.run());
        let logs = [in_memory.clone(), in_database.clone()];
        let sinks = (stats.clone(), shown.clone(), otel.otel(), in_memory, in_database);
        let record = RecordLayer::new(sinks).error_bodies(true).bodies(KEPT);
        let (mut stacks, mut all_channels, mut all_keys) = (Vec::new(), Vec::new(), Vec::new());
        for protocol in UPSTREAMS {
            let (channels, keys) = channels(protocol, vendor).await;
            let stack = stack(record.clone(), channels.clone(), keys.clone(), shown.clone());
            stacks.push((protocol, stack));
            all_channels.push(channels);
            all_keys.push(keys);
        }
        let (channels, keys) = (all_channels, all_keys);
        Self {
            stacks,
            stats,
            shown,
            spans,
            metrics,
            meter,
            channels,
            keys,
            memory,
            database,
            logs,
            directory,
            workers,
        }
    }

    pub(crate) fn stack(&self, upstream: Protocol) -> Router {
        let stack = self.stacks.iter().find(|(protocol, _)| *protocol == upstream);
        stack.unwrap().1.clone()
    }

    /// All that can be read of it.
    pub(crate) async fn show(&self, outputs: &mut Outputs) {
        while self.stats.snapshot().in_flight > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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
        let shown = self.shown.0.lock().unwrap().clone();
        assert!(shown.contains("Record") && shown.contains("CapturedBody"));
        outputs.add("Debug of records and exchanges", shown);

        let spans = self.spans.get_finished_spans().unwrap();
        assert!(spans.len() > 10);
        outputs.debug("spans", &spans);
        self.meter.force_flush().unwrap();
        let metrics = self.metrics.get_finished_metrics().unwrap();
        assert!(!metrics.is_empty());
        outputs.debug("metrics", &metrics);

        self.show_rows(outputs).await;
        for (channels, keys) in self.channels.iter().zip(&self.keys) {
            outputs.debug("channels", channels);
            outputs.debug("channels at one moment", &channels.snapshot(None));
            outputs.debug("pools of keys", keys);
            for (_, pool) in keys.all() {
                outputs.debug("a pool of keys", &pool);
                outputs.debug("keys at one moment", &pool.snapshot());
                outputs.debug("settings of a pool", pool.settings());
            }
        }
    }
}

impl Gateway {
    /// The rows in memory and in SQLite, as they are shown, and the files of the database.
    async fn show_rows(&self, outputs: &mut Outputs) {
        for log in &self.logs {
            let ended = self.stats.snapshot().totals.requests;
            while log.written() < ended {
                assert_eq!((log.failed(), log.dropped()), (0, 0));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            outputs.debug("RequestLog", log);
        }
        assert_eq!(self.workers.len(), 2);
        outputs.debug("MemoryRequestLog", &self.memory);
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
        for entry in std::fs::read_dir(self.directory.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            outputs.add(format!("the file {}", path.display()), bytes);
        }
    }
}

/// Two channels to the vendor, each with keys of two forms, and one to nobody.
async fn channels(protocol: Protocol, vendor: &str) -> (Channels, KeyPools) {
    let own = match protocol {
        Protocol::Anthropic => secrets::ANTHROPIC,
        Protocol::OpenAiChat => secrets::OPENAI,
        _ => secrets::GEMINI,
    };
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let keys = KeyPools::new();
    let mut list = Vec::new();
    for (id, url) in [("one", vendor), ("two", vendor), ("nobody", &nobody)] {
        let rules = Settings::new(id).cooldown(Cooldown::steps([COOLDOWN]));
        keys.set(ChannelId::new(id), KeyPool::with(rules, [own, secrets::HEX]).unwrap());
        let upstream = Upstream::new(url, protocol).unwrap();
        list.push(Channel::new(id, upstream).never_trip(true));
    }
    let policy = Policy::default().strategy(Strategy::RoundRobin);
    (Channels::with_policy(policy, list).unwrap(), keys)
}

fn stack(record: RecordLayer<Sinks>, channels: Channels, keys: KeyPools, shown: Shown) -> Router {
    let callers = [
        secrets::IN_X_API_KEY,
        secrets::IN_BEARER,
        secrets::IN_GOOG_KEY,
        secrets::IN_QUERY,
        secrets::IN_API_KEY,
    ];
    let auth = callers.map(|key| (key, Principal::new("team")));
    let auth = ApiKeyAuthLayer::with_verifier(StaticKeys::new(auth).unwrap());
    // No TLS is spoken here: that there are no certificates to load makes it fast.
    let upstream = HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).build();
    let attempt = ServiceBuilder::new()
        .layer(ChannelLayer::new(channels))
        .layer(KeyPoolLayer::by_channel(keys))
        .layer(ProviderTranslateLayer::from_context())
        .layer(HopByHopFilterLayer::new())
        .layer(FirstEventLayer::new())
        .layer(CatchErrorLayer::new())
        .map_request(move |request: Request<_>| {
            // As a host might log what goes out.
            shown.say(&(request.uri(), redact::headers(request.headers())));
            for name in ["x-api-key", "authorization", "x-goog-api-key"] {
                shown.say(&request.headers().get(name));
            }
            shown.say(&request.extensions().get::<Exchange>());
            shown.say(&request.extensions().get::<Upstream>());
            request
        })
        .service(upstream);
    let stack = ServiceBuilder::new()
        .layer(record)
        .layer(auth)
        .layer(LimitLayer::new().concurrency(Concurrency::new(64)))
        .layer(SystemPromptLayer::append("Be brief."))
        .layer(SessionLayer::new())
        .layer(FailoverLayer::new().max_attempts(4).no_budget())
        .service(attempt);
    Router::new().fallback_service(stack)
}
