//! The stack of layers: the one place that says in which order they stand.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use tower::{Service, service_fn};
use tower_llm_gateway::context::Upstream;

use crate::settings::Settings;

/// The routes of the statistics, and the stack.
pub(crate) fn gateway(
    settings: &Settings,
    upstream: Upstream,
) -> (
    Router,
    impl Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + use<>,
) {
    let _ = (settings, upstream);
    let answer = |_| async {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        Ok(response)
    };
    (Router::new(), service_fn(answer))
}
