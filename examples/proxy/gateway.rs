//! The stack of layers: the one place that says in which order they stand.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_llm_gateway::HopByHopFilterLayer;
use tower_llm_gateway::context::BadUpstream;

use crate::settings::Settings;

/// The routes of the statistics, and the stack before the upstream at `base`.
///
/// For now the connection's own fields are filtered and nothing else is done.
pub(crate) fn gateway(
    settings: &Settings,
    base: &str,
) -> Result<
    (
        Router,
        impl Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + use<>,
    ),
    BadUpstream,
> {
    let mut filter = HopByHopFilterLayer::new().target(base)?.preserve_host(settings.preserve_host);
    for (name, value) in &settings.custom_headers {
        filter = filter.set_header(name.clone(), value.clone());
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let client = ServiceBuilder::new().layer(filter).service(client);
    let answer = move |request| {
        let client = client.clone();
        async move {
            Ok(match client.oneshot(request).await {
                Ok(response) => response.into_response(),
                Err(error) => {
                    tracing::warn!(%error, "no upstream");
                    StatusCode::BAD_GATEWAY.into_response()
                }
            })
        }
    };
    Ok((Router::new(), service_fn(answer)))
}
