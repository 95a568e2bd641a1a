//! The whole stack before a vendor that talks.

use std::time::Duration;

use axum::Router;
use http::Request;
use tower::ServiceBuilder;
use tower_llm_gateway::context::{ChannelId, Exchange, Principal, Upstream};
use tower_llm_gateway::layer::api_key_auth::StaticKeys;
use tower_llm_gateway::layer::channel::{Channel, Channels, Policy, Strategy};
use tower_llm_gateway::layer::key_pool::{Cooldown, KeyPool, KeyPools, Settings};
use tower_llm_gateway::layer::limit::Concurrency;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::record::RecordLayer;
use tower_llm_gateway::redact;
use tower_llm_gateway::upstream::HttpUpstreamBuilder;
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, LimitLayer, ProviderTranslateLayer, SessionLayer,
    SystemPromptLayer,
};

use crate::refusing::Refusing;
use crate::secrets::{self, Outputs};
use crate::watchers::{Shown, Sinks, Watchers};

/// What the vendors speak.
pub(crate) const UPSTREAMS: [Protocol; 3] =
    [Protocol::Anthropic, Protocol::OpenAiChat, Protocol::Gemini];

/// Keys that were refused are used again at once.
const COOLDOWN: Duration = Duration::from_millis(1);

pub(crate) struct Gateway {
    watchers: Watchers,
    stacks: Vec<(Protocol, Router)>,
    channels: Vec<(Channels, KeyPools)>,
    _nobody: Refusing,
}

impl Gateway {
    /// Before a vendor there, and a port of nobody.
    pub(crate) async fn start(vendor: &str) -> Self {
        let watchers = Watchers::start().await;
        let (record, shown) = (watchers.layer(), watchers.shown.clone());
        let nobody = Refusing::new();
        let url = format!("http://{}", nobody.address());
        let (mut stacks, mut all) = (Vec::new(), Vec::new());
        for protocol in UPSTREAMS {
            let (channels, keys) = channels(protocol, vendor, &url);
            let stack = stack(record.clone(), channels.clone(), keys.clone(), shown.clone());
            stacks.push((protocol, stack));
            all.push((channels, keys));
        }
        Self { watchers, stacks, channels: all, _nobody: nobody }
    }

    pub(crate) fn stack(&self, upstream: Protocol) -> Router {
        let stack = self.stacks.iter().find(|(protocol, _)| *protocol == upstream);
        stack.unwrap().1.clone()
    }

    /// All that can be read of it.
    pub(crate) async fn show(&self, outputs: &mut Outputs) {
        self.watchers.show(outputs).await;
        for (channels, keys) in &self.channels {
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

/// Two channels to the vendor, each with keys of two forms, and one to nobody.
fn channels(protocol: Protocol, vendor: &str, nobody: &str) -> (Channels, KeyPools) {
    let own = match protocol {
        Protocol::Anthropic => secrets::ANTHROPIC,
        Protocol::OpenAiChat => secrets::OPENAI,
        _ => secrets::GEMINI,
    };
    let keys = KeyPools::new();
    let mut list = Vec::new();
    for (id, url) in [("one", vendor), ("two", vendor), ("nobody", nobody)] {
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
