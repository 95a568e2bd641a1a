//! The gateway: one stack before each vendor protocol, all of them with the same books.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use http::HeaderMap;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tower_llm_gateway::context::{ChannelId, Principal, Upstream};
use tower_llm_gateway::layer::api_key_auth::StaticKeys;
use tower_llm_gateway::layer::channel::{Channel, Channels, Policy, Strategy};
use tower_llm_gateway::layer::key_pool::{Cooldown, KeyPool, KeyPools, Settings};
use tower_llm_gateway::layer::limit::Concurrency;
use tower_llm_gateway::layer::request_log::RequestLog;
use tower_llm_gateway::layer::stats::Stats;
use tower_llm_gateway::pricing::PriceTable;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::record::{Begun, Record, RecordLayer, Sink};
use tower_llm_gateway::store::SqlStore;
use tower_llm_gateway::upstream::HttpUpstreamBuilder;
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, LimitLayer, ProviderTranslateLayer, SessionLayer,
    SystemPromptLayer,
};

use crate::ask::{LIMITED, MAX_REQUEST, TEAMS};
use crate::books::PRICES;
use crate::vendor::{Ledger, OVER_LIMIT, Vendor};

/// What is waited for comes long before.
const LIMIT: Duration = Duration::from_secs(30);

/// Requests that may wait for the writer of rows: a busy machine must lose none.
const CAPACITY: usize = 1 << 17;

/// A key that was refused is tried again so soon, so that there are many refusals.
const COOLDOWN: Duration = Duration::from_millis(20);

/// The channel whose vendor gives no answer.
pub(crate) const FAILING: &str = "c";

/// Each protocol has channels of these names, and each channel keys of these.
const CHANNELS: [(&str, Vendor, &[&str]); 3] = [
    ("a", Vendor::Answers, &["good", OVER_LIMIT]),
    ("b", Vendor::Answers, &["good", "well"]),
    (FAILING, Vendor::Fails, &["good"]),
];

type Sinks = (Stats, Arc<Records>, RequestLog);

/// Every record, by the number of its ticket.
#[derive(Debug, Default)]
pub(crate) struct Records(Mutex<HashMap<u64, Arc<Record>>>);

impl Sink for Records {
    type Open = ();

    fn begun(&self, _: &Arc<Begun>, _: &mut HeaderMap) {}

    fn ended(&self, (): (), record: &Arc<Record>) {
        let id = record.begun.request_id.to_string();
        let ticket = id.strip_prefix("ticket-").unwrap().parse().unwrap();
        assert!(
            self.0.lock().unwrap().insert(ticket, record.clone()).is_none(),
            "{id} ended twice"
        );
    }
}

pub(crate) struct Gateway {
    pub(crate) stats: Stats,
    /// The rows of the request log, in SQLite.
    pub(crate) store: SqlStore,
    records: Arc<Records>,
    log: RequestLog,
    urls: HashMap<Protocol, String>,
    _running: JoinSet<io::Result<()>>,
    _directory: TempDir,
}

/// The name of a channel.
fn channel_id(protocol: Protocol, name: &str) -> String {
    format!("{protocol}-{name}")
}

pub(crate) fn all_channels() -> impl Iterator<Item = String> {
    let of = |protocol| CHANNELS.iter().map(move |(name, ..)| channel_id(protocol, name));
    Protocol::ALL.into_iter().flat_map(of)
}

fn vendor_key(channel: &str, kind: &str) -> String {
    format!("{kind:_<8}for:{channel}:{kind:_>8}")
}

/// The channel that a key belongs to.
pub(crate) fn channel_of(key: &str) -> &str {
    key.split(':').nth(1).unwrap()
}

impl Gateway {
    pub(crate) async fn start(ledger: &Arc<Ledger>) -> Self {
        let mut running = JoinSet::new();
        let mut vendors = Vec::new();
        for (_, vendor, _) in CHANNELS {
            vendors.push(vendor.start(ledger, &mut running).await);
        }
        let (stats, records) = (Stats::new(), Arc::<Records>::default());
        stats.set_prices(PriceTable::empty().with_json(PRICES).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("requests.db").display());
        let (store, _) = SqlStore::open(&url).await.unwrap();
        let (log, worker) = RequestLog::with_capacity(store.clone(), CAPACITY);
        running.spawn(async {
            worker.run().await;
            Ok(())
        });
        let layer = RecordLayer::new((stats.clone(), records.clone(), log.clone()));
        let mut urls = HashMap::new();
        for protocol in Protocol::ALL {
            let app = stack(layer.clone(), protocol, &vendors);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            urls.insert(protocol, format!("http://{}", listener.local_addr().unwrap()));
            let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
            running.spawn(async { axum::serve(listener, app).await });
        }
        Self { stats, store, records, log, urls, _running: running, _directory: directory }
    }

    pub(crate) fn urls(&self) -> HashMap<Protocol, String> {
        self.urls.clone()
    }

    pub(crate) fn records(&self) -> HashMap<u64, Arc<Record>> {
        self.records.0.lock().unwrap().clone()
    }

    /// Waits until no request is under way, here and at the vendors.
    pub(crate) async fn at_rest(&self, ledger: &Ledger) {
        let rest = async {
            while self.stats.snapshot().in_flight > 0 || ledger.open() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let rest = tokio::time::timeout(LIMIT, rest).await;
        let left = (self.stats.snapshot().in_flight, ledger.open());
        assert!(rest.is_ok(), "(here, at vendors) still under way: {left:?}");
        let requests = self.stats.snapshot().totals.requests;
        let written = async {
            while self.log.written() + self.log.failed() + self.log.dropped() < requests {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let written = tokio::time::timeout(LIMIT, written).await;
        assert!(written.is_ok(), "rows still wait: {:?}", self.log);
        assert_eq!((self.log.failed(), self.log.dropped()), (0, 0), "rows were lost");
    }
}

fn stack(record: RecordLayer<Sinks>, protocol: Protocol, vendors: &[String]) -> Router {
    let keys = KeyPools::new();
    let mut list = Vec::new();
    for ((name, _, kinds), url) in CHANNELS.iter().zip(vendors) {
        let id = channel_id(protocol, name);
        let settings = Settings::new(id.as_str()).cooldown(Cooldown::steps([COOLDOWN]));
        let pool = KeyPool::with(settings, kinds.iter().map(|kind| vendor_key(&id, kind)));
        keys.set(ChannelId::new(id.as_str()), pool.unwrap());
        let upstream = Upstream::new(url, protocol).unwrap();
        list.push(Channel::new(id.as_str(), upstream).never_trip(true));
    }
    let policy = Policy::default().strategy(Strategy::RoundRobin).affinity_ttl(Duration::ZERO);
    let channels = Channels::with_policy(policy, list).unwrap();
    let teams = TEAMS.iter().map(|(name, key)| (*key, Principal::new(*name)));
    let limited = (LIMITED.1, Principal::new(LIMITED.0).models(["only-this"]));
    let auth = StaticKeys::new(teams.chain([limited])).unwrap();
    let limit = LimitLayer::new().concurrency(Concurrency::new(1 << 10));
    let stack = ServiceBuilder::new()
        .layer(record)
        .layer(ApiKeyAuthLayer::with_verifier(auth))
        .layer(limit.max_body_bytes(MAX_REQUEST as u64))
        .layer(SystemPromptLayer::append("Be brief."))
        .layer(SessionLayer::new())
        .layer(FailoverLayer::new().max_attempts(8).no_budget())
        .layer(ChannelLayer::new(channels))
        .layer(KeyPoolLayer::by_channel(keys))
        .layer(ProviderTranslateLayer::from_context())
        .layer(HopByHopFilterLayer::new())
        .layer(FirstEventLayer::new())
        .layer(CatchErrorLayer::new())
        // No TLS is spoken here: that there are no certificates to load makes it fast.
        .service(HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).build());
    Router::new().fallback_service(stack)
}
