//! The `Debug` of every public type that may hold a secret, and what redaction leaves.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Full;
use tower::Layer;
use tower_llm_gateway::body::{Collect, RewriteBody};
use tower_llm_gateway::config::Config;
use tower_llm_gateway::context::{KeyHeaders, Principal, Upstream, UpstreamKey};
use tower_llm_gateway::layer::api_key_auth::StaticKeys;
use tower_llm_gateway::layer::channel::{Channel, Channels};
use tower_llm_gateway::layer::key_pool::{KeyPool, KeyPools, Settings};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::redact;
use tower_llm_gateway::secret::Secret;
use tower_llm_gateway::store::{
    BodyText, LogBatch, MemoryKeys, MemorySessions, RequestRow, SessionStore, Turn, TurnKey,
};
use tower_llm_gateway::upstream::{HttpUpstream, HttpUpstreamBuilder, Proxies};
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, LimitLayer, OtelLayer, ProviderTranslateLayer, SessionLayer,
    StatsLayer, SystemPromptLayer,
};

use crate::secrets::{self, Outputs};

pub(crate) async fn show_all(outputs: &mut Outputs) {
    keys(outputs);
    connections(outputs);
    configuration(outputs);
    bodies(outputs).await;
    redacted(outputs);
}

fn upstream() -> Upstream {
    Upstream::new("https://h", Protocol::Anthropic).unwrap().key(secrets::ANTHROPIC).unwrap()
}

/// A layer, and the service that it makes.
fn layer<L>(outputs: &mut Outputs, name: &str, layer: &L)
where
    L: Layer<HttpUpstream<Full<Bytes>>, Service: std::fmt::Debug> + std::fmt::Debug,
{
    outputs.debug(&format!("{name}Layer"), layer);
    let service = HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).build();
    outputs.debug(&format!("the service of {name}Layer"), &layer.layer(service));
}

fn keys(outputs: &mut Outputs) {
    let secret = Secret::new(secrets::ANTHROPIC);
    let headers = KeyHeaders::new(&secret).unwrap();
    outputs.debug("Secret", &secret);
    outputs.debug("a header of Secret", &secret.header("Bearer "));
    outputs.debug("KeyHeaders", &headers);
    outputs.debug("UpstreamKey", &UpstreamKey::Ours(headers));
    outputs.debug("Upstream", &upstream());
    outputs.debug("the credential of Upstream", upstream().credential());

    let all = [secrets::ANTHROPIC, secrets::OPENAI, secrets::GEMINI, secrets::HEX];
    let rules = Settings::new("pool").store(MemoryKeys::new());
    outputs.debug("Settings of a pool", &rules);
    let pool = KeyPool::with(rules, all).unwrap();
    outputs.debug("KeyPool", &pool);
    outputs.debug("Lease", &pool.try_lease().unwrap());
    outputs.debug("KeySnapshot", &pool.snapshot());
    let pools = KeyPools::new();
    pools.set_default(Some(pool.clone()));
    outputs.debug("KeyPools", &pools);
    let channel = Channel::new("one", upstream());
    outputs.debug("Channel", &channel);
    let channels = Channels::new([channel]).unwrap();
    outputs.debug("Channels", &channels);

    let known = [secrets::IN_X_API_KEY, secrets::IN_BEARER];
    let verifier = StaticKeys::new(known.map(|key| (key, Principal::new("team")))).unwrap();
    outputs.debug("StaticKeys", &verifier);
    layer(outputs, "ApiKeyAuth", &ApiKeyAuthLayer::with_verifier(verifier));
    layer(outputs, "CatchError", &CatchErrorLayer::new());
    layer(outputs, "Channel", &ChannelLayer::new(channels));
    layer(outputs, "Failover", &FailoverLayer::new());
    layer(outputs, "FirstEvent", &FirstEventLayer::new());
    layer(outputs, "HopByHop", &HopByHopFilterLayer::new().target("https://h").unwrap());
    layer(outputs, "KeyPool", &KeyPoolLayer::new(pool));
    layer(outputs, "KeyPool by channel", &KeyPoolLayer::by_channel(pools));
    layer(outputs, "Limit", &LimitLayer::new());
    layer(outputs, "Otel", &OtelLayer::new());
    layer(outputs, "ProviderTranslate", &ProviderTranslateLayer::to(upstream()));
    layer(outputs, "Session", &SessionLayer::new());
    layer(outputs, "Stats", &StatsLayer::new());
    layer(outputs, "SystemPrompt", &SystemPromptLayer::append(secrets::PROMPT));
}

fn connections(outputs: &mut Outputs) {
    let url = format!("http://proxy-user:{}@127.0.0.1:1", secrets::PROXY_PASSWORD);
    let proxies = Proxies::all(&url).unwrap();
    outputs.debug("Proxies", &proxies);
    let builder = HttpUpstreamBuilder::new().danger_accept_invalid_certs(true).proxies(proxies);
    outputs.debug("HttpUpstreamBuilder", &builder);
    outputs.debug("HttpUpstream", &builder.build::<Full<Bytes>>());
}

fn configuration(outputs: &mut Outputs) {
    let text = serde_json::json!({
        "upstream": [{
            "name": "one", "serviceType": "claude", "baseUrl": "https://h",
            "apiKeys": [secrets::ANTHROPIC, secrets::HEX], "clientSecret": secrets::CONFIG_MEMBER,
        }],
        "database": {"password": secrets::CONFIG_MEMBER},
    });
    let loaded = Config::parse(&text.to_string()).unwrap();
    assert_eq!(loaded.config.upstream[0].api_keys[0].expose(), secrets::ANTHROPIC);
    outputs.debug("Loaded", &loaded);
    outputs.debug("Config", &loaded.config);
    outputs.debug("ChannelConfig", &loaded.config.upstream[0]);
    for change in &loaded.changes {
        outputs.add("a change of the configuration", change.to_string());
    }
}

async fn bodies(outputs: &mut Outputs) {
    let text = format!("{{\"api_key\": \"{}\"}}", secrets::MEMBER);
    let collected = Collect::new(Full::new(Bytes::from(text.clone())), 1 << 10).await.unwrap();
    outputs.debug("Collected", &collected);
    outputs.debug("RewriteBody", &RewriteBody::<Full<Bytes>>::collected(collected));
    let body = BodyText(text.clone());
    outputs.debug("BodyText", &body);
    let mut row = RequestRow::default();
    row.request_body = Some(body);
    let mut batch = LogBatch::default();
    batch.requests.push(row);
    outputs.debug("LogBatch", &batch);

    let sessions = MemorySessions::new();
    let key = TurnKey { principal: Arc::from("team"), id: Arc::from("resp_1") };
    let item = Bytes::from(text);
    let turn = Turn {
        previous: None,
        input: vec![item.clone()],
        output: vec![item.clone()],
        response: item,
    };
    outputs.debug("Turn", &turn);
    sessions.put(key.clone(), turn);
    outputs.debug("MemorySessions", &sessions);
    outputs.debug("a history", &sessions.history(&key, 1).await);
}

/// What may be shown of things that hold secrets of every form.
fn redacted(outputs: &mut Outputs) {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-api-key", secrets::IN_X_API_KEY.to_owned()),
        ("authorization", format!("Bearer {}", secrets::IN_BEARER)),
        ("x-goog-api-key", secrets::IN_GOOG_KEY.to_owned()),
        ("api-key", secrets::IN_API_KEY.to_owned()),
        ("cookie", format!("session={}", secrets::COOKIE)),
        ("x-anything", secrets::BASIC.to_owned()),
        ("user-agent", format!("curl {}", secrets::UNKNOWN)),
        ("referer", format!("https://u:{}@h/?key={}", secrets::URL_PASSWORD, secrets::URL_KEY)),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    outputs.debug("redacted headers", &redact::headers(&headers));
    outputs.add("redacted headers", serde_json::to_vec(&redact::headers(&headers)).unwrap());
    let query = secrets::IN_QUERY;
    let uri = format!("https://h/v1beta/models?key={query}&%6bey={query}&alt=sse");
    outputs.add("a redacted URL", redact::url(&uri).into_owned());
    let request = Request::get(uri).body(()).unwrap();
    outputs.add("a redacted URI", redact::uri(request.uri()).to_string());
    for key in [
        secrets::ANTHROPIC,
        secrets::OPENAI,
        secrets::GEMINI,
        secrets::IN_X_API_KEY,
        secrets::IN_BEARER,
        secrets::IN_GOOG_KEY,
        secrets::UNKNOWN,
    ] {
        let text = format!("Incorrect API key provided: {key}. Bearer {key}, key={key}");
        outputs.add("a redacted text", redact::text(&text).into_owned());
    }
    let url = format!("postgres://user:{}@h/db", secrets::DATABASE_PASSWORD);
    outputs.add("a redacted text", redact::text(&format!("cannot connect to {url}")).into_owned());
    let known = [Secret::new(secrets::HEX), Secret::new(secrets::BASIC)];
    for secret in &known {
        let text = format!("what is {}?", secret.expose());
        outputs.add("a text without known secrets", redact::text_with(&text, &known).into_owned());
    }
}
