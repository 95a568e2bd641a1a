//! The stack of layers: the one place that says in which order they stand.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderValue, Request, header};
use tower::{Layer, Service, ServiceBuilder};
use tower_llm_gateway::layer::failover::Terminal;
use tower_llm_gateway::layer::limit::{By, Concurrency};
use tower_llm_gateway::protocol::classify::Classifier;
use tower_llm_gateway::upstream::{HttpUpstreamBuilder, Proxies};
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, LimitLayer, ProviderTranslateLayer, SessionLayer,
    SystemPromptLayer,
};

use crate::admin;
use crate::channels::Routing;
use crate::records::Records;
use crate::settings::Settings;

/// The routes of the proxy about itself, and the stack.
pub(crate) struct Gateway {
    pub(crate) admin: Router,
    pub(crate) stack: Router,
}

impl Gateway {
    /// Inside out: what is wrapped last is met first.
    ///
    /// # Errors
    /// When a setting is one that a layer refuses.
    pub(crate) fn new(
        settings: &Settings,
        routing: &Routing,
        records: &Records,
    ) -> Result<Self, Box<dyn Error>> {
        let mut stack = to_upstreams(settings, routing, records);
        if settings.sessions.unwrap_or_else(|| routing.needs_sessions()) {
            stack = wrap(SessionLayer::new().max_request_bytes(settings.max_request), stack);
        }
        if let Some(text) = &settings.system_prompt {
            let prompt = SystemPromptLayer::claude_code(text.as_str(), settings.insert_if_absent);
            stack = wrap(prompt.max_body_bytes(settings.max_request), stack);
        }
        if let Some(limits) = limits(settings) {
            stack = wrap(limits, stack);
        }
        let client = client(settings, routing).build();
        let mut admin = admin::routes(settings, records, routing, client);
        if let Some(key) = &settings.access_key {
            let auth = ApiKeyAuthLayer::new([key.clone()])?;
            stack = wrap(auth.clone(), stack);
            admin = admin.route_layer(auth);
        }
        Ok(Self { admin, stack: wrap(records.layer(), stack) })
    }
}

fn limits(settings: &Settings) -> Option<LimitLayer> {
    let mut layer = None;
    if let Some(most) = settings.max_concurrent {
        layer = Some(LimitLayer::new().concurrency(Concurrency::new(most)));
    }
    if let Some(rate) = settings.rate {
        layer = Some(layer.unwrap_or_default().rate(By::Peer, rate));
    }
    layer
}

/// From failover inwards: what every attempt passes.
fn to_upstreams(settings: &Settings, routing: &Routing, records: &Records) -> Router {
    // An encoded answer would pass, and its tokens with it, uncounted.
    let identity = HeaderValue::from_static("identity");
    let mut filter = HopByHopFilterLayer::new()
        .preserve_host(settings.preserve_host)
        .set_header(header::ACCEPT_ENCODING, identity);
    for (name, value) in &settings.custom_headers {
        filter = filter.set_header(name.clone(), value.clone());
    }
    let translate = ProviderTranslateLayer::from_context()
        .vendors_change(routing.channels.list().len() > 1)
        .max_request_bytes(settings.max_request);
    let classifier = Arc::new(Classifier::new().fuzzy(routing.fuzzy));
    let attempt = ServiceBuilder::new()
        .option_layer(records.calls())
        .layer(ChannelLayer::new(routing.channels.clone()).max_body_bytes(settings.max_request))
        .layer(KeyPoolLayer::by_channel(routing.keys.clone()))
        .layer(translate)
        .layer(filter)
        .layer(FirstEventLayer::new().classify_with(classifier))
        .layer(CatchErrorLayer::new())
        .service(client(settings, routing).build());
    let attempt = Router::new().fallback_service(attempt);
    // A request that could go nowhere else need not be kept: it streams on as it comes.
    if !routing.has_alternative() && !routing.fuzzy {
        return attempt;
    }
    let attempts = settings.max_attempts.unwrap_or_else(|| routing.attempts());
    let failover = FailoverLayer::new()
        .max_attempts(attempts)
        .max_body_bytes(settings.max_request)
        .terminal(if routing.fuzzy { Terminal::Generic } else { Terminal::Upstream });
    wrap(failover, attempt)
}

/// What makes connections, also for whoever asks a channel from the side.
pub(crate) fn client(settings: &Settings, routing: &Routing) -> HttpUpstreamBuilder {
    let proxies = if routing.embedded { Proxies::none() } else { settings.proxies.clone() };
    HttpUpstreamBuilder::new().proxies(proxies)
}

/// A router erases the type of what is in it, so that layers may be there or not.
fn wrap<L>(layer: L, inner: Router) -> Router
where
    L: Layer<Router>,
    L::Service: Service<Request<Body>, Response: IntoResponse, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    Router::new().fallback_service(layer.layer(inner))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};
    use tokio::task::JoinSet;
    use tower::ServiceExt;

    use super::*;
    use crate::demo::Demo;
    use crate::environment::Environment;

    #[tokio::test]
    async fn the_upstream_is_asked_for_what_can_be_read_and_gets_only_its_key() {
        let mut running = JoinSet::new();
        let vendor = Demo::new().start(&mut running).await.unwrap();
        let pairs = [("UPSTREAM_API_KEY", "sk-vendor"), ("UPSTREAM_URL", vendor.as_str())];
        let settings = Settings::read(&pairs.into_iter().collect::<Environment>()).unwrap();
        let routing = Routing::at(&settings, None, &[("upstream", &vendor)]).unwrap();
        let gateway = Gateway::new(&settings, &routing, &Records::in_memory()).unwrap();

        let request = Request::post("/demo/echo?key=sk-caller&a=b")
            .header(header::ACCEPT_ENCODING, "gzip, br")
            .header("x-api-key", "sk-caller")
            .body(Body::empty());
        let response = gateway.stack.oneshot(request.unwrap()).await.unwrap();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("sk-caller"));
        let seen: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(seen["query"], "a=b");
        let headers = seen["headers"].as_array().unwrap();
        assert!(headers.contains(&json!(["accept-encoding", "identity"])), "{seen}");
        assert!(headers.contains(&json!(["x-api-key", "sk-vendor"])), "{seen}");
    }
}
