//! The stack of layers: the one place that says in which order they stand.

use std::convert::Infallible;
use std::error::Error;

use axum::body::Body;
use axum::extract::Query;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::json;
use tower::{Layer, Service, ServiceBuilder};
use tower_llm_gateway::layer::stats::{Stats, StatsQuery};
use tower_llm_gateway::upstream::{HttpUpstreamBuilder, Proxies};
use tower_llm_gateway::{
    ApiKeyAuthLayer, CatchErrorLayer, HopByHopFilterLayer, ProviderTranslateLayer, StatsLayer,
    SystemPromptLayer,
};

use crate::settings::Settings;

/// The routes of the proxy's own statistics, and the stack before the upstream at `base`.
pub(crate) struct Gateway {
    pub(crate) stats: Router,
    pub(crate) stack: Router,
}

impl Gateway {
    /// # Errors
    /// When a setting is one that a layer refuses.
    pub(crate) fn new(settings: &Settings, base: &str) -> Result<Self, Box<dyn Error>> {
        let mut stack = upstream(settings, base)?;
        if let Some(text) = &settings.system_prompt {
            let prompt = SystemPromptLayer::claude_code(text.as_str(), settings.insert_if_absent);
            stack = wrap(prompt.max_body_bytes(settings.max_request), stack);
        }
        // Only those whom `stats_routes` lets in read them.
        let layer = StatsLayer::new().capture_error_bodies(true);
        let mut stats = stats_routes(settings, layer.stats());
        if let Some(key) = &settings.access_key {
            let auth = ApiKeyAuthLayer::new([key.clone()])?;
            stack = wrap(auth.clone(), stack);
            stats = stats.route_layer(auth);
        }
        Ok(Self { stats, stack: wrap(layer, stack) })
    }
}

/// From the translation inwards: what every request passes.
fn upstream(settings: &Settings, base: &str) -> Result<Router, Box<dyn Error>> {
    let translate = ProviderTranslateLayer::to(settings.upstream(base)?);
    // An encoded answer would pass, and its tokens with it, uncounted.
    let identity = HeaderValue::from_static("identity");
    let mut filter = HopByHopFilterLayer::new()
        .preserve_host(settings.preserve_host)
        .set_header(header::ACCEPT_ENCODING, identity);
    for (name, value) in &settings.custom_headers {
        filter = filter.set_header(name.clone(), value.clone());
    }
    // The demo is on this machine, where no proxy leads.
    let proxies =
        settings.upstream_url.as_ref().map_or(Proxies::none(), |_| settings.proxies.clone());
    let service = ServiceBuilder::new()
        .layer(translate.max_request_bytes(settings.max_request))
        .layer(filter)
        .layer(CatchErrorLayer::new())
        .service(HttpUpstreamBuilder::new().proxies(proxies).build());
    Ok(Router::new().fallback_service(service))
}

/// Who may read them: see [`Settings::stats_are_open`]; with an access key, its holders.
fn stats_routes(settings: &Settings, stats: Stats) -> Router {
    let report = async move |Query(query): Query<StatsQuery>| {
        ([(header::CACHE_CONTROL, "no-store")], Json(stats.report(&query)))
    };
    let refuse = async || {
        let message = "set PROXY_ACCESS_KEY to read the statistics from the network";
        (StatusCode::FORBIDDEN, Json(json!({"error": "Forbidden", "message": message})))
    };
    let guarded = settings.access_key.is_some() || settings.stats_are_open();
    let method = if guarded { get(report) } else { get(refuse) };
    Router::new().route("/api/stats", method.clone()).route("/api/admin/stats", method)
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
    use serde_json::Value;
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
        let gateway = Gateway::new(&settings, &vendor).unwrap();

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
