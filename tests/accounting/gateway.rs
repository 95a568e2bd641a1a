//! The gateway: one stack before each vendor protocol, all of them with the same books.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use http::HeaderMap;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tower_llm_gateway::context::{ChannelId, Principal, Upstream};
use tower_llm_gateway::layer::api_key_auth::StaticKeys;
use tower_llm_gateway::layer::channel::{Channel, Channels, Policy, Strategy};
use tower_llm_gateway::layer::key_pool::{Cooldown, KeyPool, KeyPools, Settings};
use tower_llm_gateway::layer::limit::Concurrency;
use tower_llm_gateway::layer::stats::Stats;
use tower_llm_gateway::pricing::PriceTable;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::record::{Begun, Record, RecordLayer, Sink};
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

type Sinks = (Stats, Arc<Records>);

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
    records: Arc<Records>,
    urls: HashMap<Protocol, String>,
    _running: JoinSet<io::Result<()>>,
}

/// The name of a channel, and how a key of it begins.
pub(crate) fn channel_id(protocol: Protocol, name: &str) -> String {
    format!("{protocol}-{name}")
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
        let layer = RecordLayer::new((stats.clone(), records.clone()));
        let mut urls = HashMap::new();
        for protocol in Protocol::ALL {
            let app = stack(layer.clone(), protocol, &vendors);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            urls.insert(protocol, format!("http://{}", listener.local_addr().unwrap()));
            let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
            running.spawn(async { axum::serve(listener, app).await });
        }
        Self { stats, records, urls, _running: running }
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
