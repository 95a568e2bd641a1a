//! The stack of layers: the one place that says in which order they stand.

use std::convert::Infallible;
use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::Request;
use tower::{Layer, Service, ServiceBuilder};
use tower_llm_gateway::upstream::{HttpUpstreamBuilder, Proxies};
use tower_llm_gateway::{ApiKeyAuthLayer, CatchErrorLayer, HopByHopFilterLayer, SystemPromptLayer};

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
        if let Some(auth) = auth(settings)? {
            stack = wrap(auth, stack);
        }
        Ok(Self { stats: Router::new(), stack })
    }
}

/// From the translation inwards: what every request passes.
fn upstream(settings: &Settings, base: &str) -> Result<Router, Box<dyn Error>> {
    let mut filter = HopByHopFilterLayer::new().target(base)?.preserve_host(settings.preserve_host);
    for (name, value) in &settings.custom_headers {
        filter = filter.set_header(name.clone(), value.clone());
    }
    // The demo is on this machine, where no proxy leads.
    let proxies =
        settings.upstream_url.as_ref().map_or(Proxies::none(), |_| settings.proxies.clone());
    let service = ServiceBuilder::new()
        .layer(filter)
        .layer(CatchErrorLayer::new())
        .service(HttpUpstreamBuilder::new().proxies(proxies).build::<Body>());
    Ok(Router::new().fallback_service(service))
}

fn auth(settings: &Settings) -> Result<Option<ApiKeyAuthLayer>, Box<dyn Error>> {
    Ok(settings.access_key.clone().map(|key| ApiKeyAuthLayer::new([key])).transpose()?)
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
