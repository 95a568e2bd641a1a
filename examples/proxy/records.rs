//! Who is told of requests: statistics, the live log and its files, the request log, OpenTelemetry.
//!
//! One [`RecordLayer`] watches for all of them.

use std::error::Error;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_llm_gateway::layer::live_log::{LiveLog, REPLAYED};
use tower_llm_gateway::layer::otel::{Otel, OtelCallLayer};
use tower_llm_gateway::layer::request_log::{MAX_BODY, RequestLog};
use tower_llm_gateway::layer::stats::Stats;
use tower_llm_gateway::pricing::PriceTable;
use tower_llm_gateway::record::RecordLayer;
use tower_llm_gateway::store::daily::{DailyFiles, Page};
use tower_llm_gateway::store::{LogFilter, SqlStore};

use crate::settings::RecordSettings;
use crate::telemetry::Telemetry;

/// How long writers may go on when the last stream has ended.
const FLUSH: Duration = Duration::from_secs(8);

/// All of them.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) stats: Stats,
    pub(crate) log: LiveLog,
    /// `None`: the live log is in memory only.
    pub(crate) files: Option<DailyFiles>,
    /// `None`: there is no request log.
    pub(crate) requests: Option<Requests>,
    telemetry: Option<Telemetry>,
    /// Bytes of each body that the request log asks for.
    bodies: usize,
    writers: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Those who are told, of whom the last two may be absent.
pub(crate) type Sinks = (Stats, LiveLog, Option<RequestLog>, Option<Otel>);

/// The request log.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    pub(crate) log: RequestLog,
    pub(crate) store: SqlStore,
}

impl Records {
    /// As configured; what writes is running.
    ///
    /// # Errors
    /// When prices or a certificate cannot be read, or the database not opened.
    pub(crate) async fn start(settings: &RecordSettings) -> Result<Self, Box<dyn Error>> {
        let prices = match &settings.prices {
            Some(path) => {
                let json = tokio::fs::read_to_string(path).await;
                let problem = |error: &dyn Error| format!("PRICES_FILE: {error}");
                let json = json.map_err(|error| problem(&error))?;
                PriceTable::default().with_json(&json).map_err(|error| problem(&error))?
            }
            None => PriceTable::default(),
        };
        let telemetry = match &settings.otlp {
            Some(otlp) => Some(Telemetry::start(otlp).await?),
            None => None,
        };
        let mut records = Self { telemetry, ..Self::in_memory() };
        records.stats.set_prices(prices.clone());
        if let Some(daily) = &settings.daily {
            let (files, worker) = DailyFiles::new(daily.into());
            records.writers.spawn(worker.run_until(records.stopped()));
            records.keep_lines(files).await;
        }
        if let Some(kept) = &settings.request_log {
            let (store, keys) = SqlStore::open(kept.url.expose()).await?;
            let (log, worker) = RequestLog::new(store.clone());
            let days = u64::from(kept.retention_days);
            let worker = worker.prices(prices).retention(Duration::from_secs(days * 24 * 60 * 60));
            records.writers.spawn(worker.run_until(records.stopped()));
            records.writers.spawn(keys.run_until(records.stopped()));
            records.bodies = if kept.bodies { MAX_BODY } else { 0 };
            records.requests = Some(Requests { log, store });
        }
        Ok(records)
    }

    /// What needs neither files nor a database.
    pub(crate) fn in_memory() -> Self {
        Self {
            stats: Stats::new(),
            log: LiveLog::new(),
            files: None,
            requests: None,
            telemetry: None,
            bodies: 0,
            writers: JoinSet::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// From now on in files too; what subscribers are shown first is of before the start.
    async fn keep_lines(&mut self, files: DailyFiles) {
        let newest = Page { limit: REPLAYED, offset: 0 };
        match files.history(LogFilter::default(), newest).await {
            Ok(history) => self.log.restore(history.logs.into_iter().rev()),
            Err(error) => tracing::warn!(%error, "the files of the live log cannot be read"),
        }
        self.log.persist(files.clone());
        self.files = Some(files);
    }

    /// Watches for all.
    pub(crate) fn layer(&self) -> RecordLayer<Sinks> {
        let requests = self.requests.as_ref().map(|requests| requests.log.clone());
        let otel = self.telemetry.as_ref().map(Telemetry::sink);
        // Bodies of errors are read by those whom `admin` lets in, and by the owner of the files of
        // the live log.
        RecordLayer::new((self.stats.clone(), self.log.clone(), requests, otel))
            .error_bodies(true)
            .bodies(self.bodies)
    }

    /// Belongs inside of failover; there is none without OpenTelemetry.
    pub(crate) fn calls(&self) -> Option<OtelCallLayer> {
        self.telemetry.as_ref().map(Telemetry::calls)
    }

    /// Writes what is left, within [`FLUSH`].
    pub(crate) async fn finish(mut self) {
        self.stop.send_replace(true);
        let writers = async { while self.writers.join_next().await.is_some() {} };
        let telemetry = async {
            if let Some(telemetry) = self.telemetry {
                telemetry.finish().await;
            }
        };
        let writing = async { tokio::join!(writers, telemetry) };
        if tokio::time::timeout(FLUSH, writing).await.is_err() {
            tracing::warn!("not all that is known of requests is written");
        }
    }

    /// Ends when writers are to end.
    fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            // Without a sender it has stopped too.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }
}
