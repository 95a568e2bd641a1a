//! The whole stack on axum, and the books that tell whether it is at rest.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use http::Request;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tower_llm_gateway::context::{ChannelId, Connection, Exchange, Upstream};
use tower_llm_gateway::layer::channel::{Channel, ChannelSnapshot, Channels, Policy};
use tower_llm_gateway::layer::key_pool::{Cooldown, KeyPool, KeyPools, KeySnapshot, Settings};
use tower_llm_gateway::layer::limit::{Concurrency, Limits};
use tower_llm_gateway::layer::stats::Stats;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::upstream::HttpUpstreamBuilder;
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, LimitLayer, ProviderTranslateLayer, SessionLayer,
    StatsLayer,
};

use crate::vendor::SOCKET_BUFFER;

pub(crate) const CALLER_KEY: &str = "sk-caller";

/// What is waited for comes long before; it makes a hanging test fail.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A channel, with so many keys of its own: `k1`, `k2`, ..
pub(crate) struct Way {
    pub(crate) id: &'static str,
    pub(crate) url: String,
    pub(crate) protocol: Protocol,
    pub(crate) keys: usize,
    pub(crate) connection: Connection,
}

/// How channels and keys are judged, and how many requests run at once.
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    pub(crate) cooldown: Cooldown,
    pub(crate) failover: FailoverLayer,
    pub(crate) permits: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            cooldown: Cooldown::default(),
            failover: FailoverLayer::new(),
            permits: 8,
        }
    }
}

pub(crate) struct Gateway {
    pub(crate) url: String,
    pub(crate) stats: Stats,
    pub(crate) channels: Channels,
    limits: Limits,
    pools: Vec<(&'static str, KeyPool)>,
    /// That of the last request.
    exchange: Arc<Mutex<Exchange>>,
    /// Every request carries a clone: what still has one has been leaked.
    marker: Arc<()>,
    _running: JoinSet<io::Result<()>>,
}

impl Gateway {
    pub(crate) async fn start(rules: Rules, ways: Vec<Way>) -> Self {
        let by_channel = KeyPools::new();
        let (mut list, mut pools) = (Vec::new(), Vec::new());
        for way in ways {
            let keys = (1..=way.keys).map(|number| format!("k{number}-vendor"));
            let settings = Settings::new(way.id).cooldown(rules.cooldown.clone());
            let pool = KeyPool::with(settings, keys).unwrap();
            by_channel.set(ChannelId::new(way.id), pool.clone());
            pools.push((way.id, pool));
            let upstream = Upstream::new(&way.url, way.protocol).unwrap();
            list.push(Channel::new(way.id, upstream.connection(way.connection)));
        }
        let channels = Channels::with_policy(rules.policy, list).unwrap();
        let (stats, limit) = (StatsLayer::new(), Concurrency::new(rules.permits));
        let limit = LimitLayer::new().concurrency(limit).max_body_bytes(1 << 20);
        let (books, limits) = (stats.stats(), limit.limits());
        let exchange = Arc::<Mutex<Exchange>>::default();
        let marker = Arc::new(());
        let (tap, mark) = (exchange.clone(), marker.clone());
        let stack = ServiceBuilder::new()
            .map_request(move |mut request: Request<axum::body::Body>| {
                *tap.lock().unwrap() = Exchange::of(request.extensions_mut());
                request.extensions_mut().insert(mark.clone());
                request
            })
            .layer(stats)
            .layer(ApiKeyAuthLayer::new([CALLER_KEY]).unwrap())
            .layer(limit)
            .layer(SessionLayer::new())
            .layer(rules.failover)
            .layer(ChannelLayer::new(channels.clone()))
            .layer(KeyPoolLayer::by_channel(by_channel))
            .layer(ProviderTranslateLayer::from_context())
            .layer(HopByHopFilterLayer::new())
            .layer(FirstEventLayer::new())
            .layer(CatchErrorLayer::new())
            // No TLS is spoken here: that there are no certificates to load makes it fast.
            .service(HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).build());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(SOCKET_BUFFER).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        let mut running = JoinSet::new();
        let app = Router::new().fallback_service(stack);
        running.spawn(async move { axum::serve(listener, app).await });
        Self { url, stats: books, channels, limits, pools, exchange, marker, _running: running }
    }

    pub(crate) fn exchange(&self) -> Exchange {
        self.exchange.lock().unwrap().clone()
    }

    /// The keys of all channels.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'static str, KeySnapshot)> {
        self.pools.iter().flat_map(|(id, pool)| pool.snapshot().into_iter().map(|key| (*id, key)))
    }

    /// The channels, as they fare with callers of one protocol.
    pub(crate) fn channels(&self, caller: Protocol) -> Vec<ChannelSnapshot> {
        self.channels.snapshot(Some(caller))
    }

    /// What is still held although nobody asks for anything; empty at rest.
    fn held(&self) -> String {
        let limits = self.limits.snapshot();
        let leases: usize = self.keys().map(|(_, key)| key.in_flight).sum();
        let places: usize =
            self.channels.snapshot(None).iter().map(|channel| channel.active_requests).sum();
        let waiting: usize = self.pools.iter().map(|(_, pool)| pool.waiting()).sum();
        let counts = [
            ("requests in flight", self.stats.snapshot().in_flight),
            ("permits", limits.in_flight),
            ("waiting for a permit", limits.waiting),
            ("leases", leases),
            ("waiting for a key", waiting),
            ("places at channels", places),
            ("waiting for a channel", self.channels.waiting()),
            // The stack has one, axum a clone of the stack for each connection that is open.
            ("requests in memory", Arc::strong_count(&self.marker).saturating_sub(self.idle())),
        ];
        let held = counts.iter().filter(|(_, count)| *count > 0);
        held.map(|(what, count)| format!("{count} {what}; ")).collect()
    }

    fn idle(&self) -> usize {
        Arc::strong_count(&self.exchange)
    }

    /// Waits until nothing is held any more; what is still held otherwise.
    pub(crate) async fn at_rest(&self) -> Result<(), String> {
        let rest = async {
            while !self.held().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LIMIT, rest).await.map_err(|_| self.held())
    }
}
