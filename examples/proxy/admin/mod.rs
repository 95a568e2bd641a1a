//! The proxy's own routes about itself: what happens and has happened, and whether the channels
//! are there.
//!
//! | Route | |
//! |---|---|
//! | `GET /api/stats` | what was counted: `start_time`, `end_time` (unix seconds), `limit` |
//! | `GET /api/errors` | failed requests: the same, `offset`, `path_filter` |
//! | `GET /api/logs/stream` | the live log as server-sent events: `level_filter`, `path_filter` |
//! | `GET /api/logs/history` | the live log from its files: the same, `start_time`, `end_time` (ISO 8601), `limit`, `offset` |
//! | `POST /api/logs/broadcast` | a line of one's own: `{"message", "level", "path", "request_id"}` |
//! | `DELETE`, `POST /api/logs/clear` | forgets the live log and its files; only with an access key |
//! | `GET /api/request_logs`, `/api/request-logs` | attempts, from the database |
//! | `GET /metrics` | what was counted, for Prometheus |
//! | `GET /api/ping`, `/api/ping/{id}` | asks the channels |
//!
//! All but the last two stand under `/api/admin` too.

mod errors;
mod guard;
mod logs;
mod pings;
mod request_logs;
mod statistics;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Query};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use http_body_util::Empty;
use serde::de::DeserializeOwned;
use tower_llm_gateway::upstream::HttpUpstream;

use self::errors::error;
use crate::channels::Routing;
use crate::records::Records;
use crate::settings::Settings;

/// Longest body of a request here.
const MAX_BODY: usize = 64 << 10;

/// How long a file or a database is read for one answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Who may ask: the holders of the access key; without one, those whom [`guard`] lets in.
pub(crate) fn routes(
    settings: &Settings,
    records: &Records,
    routing: &Routing,
    client: HttpUpstream<Empty<Bytes>>,
) -> Router {
    let mut router = Router::new();
    let of_records = [
        ("/stats", statistics::stats(records)),
        ("/errors", statistics::errors(records)),
        ("/logs/stream", logs::stream(records)),
        ("/logs/history", logs::history(records)),
        ("/logs/broadcast", logs::broadcast(records)),
        // A page of another site could ask a proxy without a key to do it.
        ("/logs/clear", or_refuse(settings.access_key.is_some(), logs::clear(records))),
        ("/request_logs", request_logs::attempts(records)),
        ("/request-logs", request_logs::attempts(records)),
    ];
    for (path, method) in of_records {
        for prefix in ["/api", "/api/admin"] {
            router = router.route(&format!("{prefix}{path}"), method.clone());
        }
    }
    let router = router
        .route("/metrics", statistics::metrics(records))
        .route("/api/ping", pings::all(routing, client.clone()))
        .route("/api/ping/{id}", pings::one(routing, client))
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY));
    guard::guarded(settings, router)
}

fn or_refuse(allowed: bool, method: MethodRouter) -> MethodRouter {
    if allowed { method } else { any(refuse) }
}

async fn refuse() -> Response {
    error(StatusCode::FORBIDDEN, "set PROXY_ACCESS_KEY to ask for this")
}

/// As [`Query`], but what cannot be read is refused in JSON.
struct Asked<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let query = Query::try_from_uri(&parts.uri);
        let refuse = |problem: axum::extract::rejection::QueryRejection| {
            error(StatusCode::BAD_REQUEST, &problem.body_text())
        };
        query.map(|Query(query)| Self(query)).map_err(refuse)
    }
}
