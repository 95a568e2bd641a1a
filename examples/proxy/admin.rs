//! The proxy's own routes about itself: statistics, and whether the channels are there.

use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::Empty;
use serde_json::{Value, json};
use tower_llm_gateway::context::ChannelId;
use tower_llm_gateway::layer::channel::Channels;
use tower_llm_gateway::layer::stats::{Stats, StatsQuery};
use tower_llm_gateway::upstream::HttpUpstream;

use crate::channels::Routing;
use crate::settings::Settings;

/// Who may read them: see [`Settings::stats_are_open`]; with an access key, its holders.
pub(crate) fn routes(
    settings: &Settings,
    stats: Stats,
    routing: &Routing,
    client: HttpUpstream<Empty<Bytes>>,
) -> Router {
    let guarded = settings.access_key.is_some() || settings.stats_are_open();
    let report = async move |Query(query): Query<StatsQuery>| {
        ([(header::CACHE_CONTROL, "no-store")], Json(stats.report(&query)))
    };
    let names: Vec<String> = routing.lines.iter().map(|line| line.name.clone()).collect();
    let (channels, one_client) = (routing.channels.clone(), client.clone());
    let all = async move || ping_all(&channels, &names, client).await;
    let channels = routing.channels.clone();
    let one = async move |Path(id): Path<String>| ping(&channels, id, one_client).await;
    let or_refuse = |method: MethodRouter| if guarded { method } else { get(refuse) };
    Router::new()
        .route("/api/stats", or_refuse(get(report.clone())))
        .route("/api/admin/stats", or_refuse(get(report)))
        .route("/api/ping", or_refuse(get(all)))
        .route("/api/ping/{id}", or_refuse(get(one)))
}

async fn refuse() -> Response {
    let message = "set PROXY_ACCESS_KEY to read this from the network";
    error(StatusCode::FORBIDDEN, message)
}

/// `names` stand in the order of the channels.
async fn ping_all(
    channels: &Channels,
    names: &[String],
    client: HttpUpstream<Empty<Bytes>>,
) -> Response {
    let pings = channels.ping_all(client).await;
    let named = pings.into_iter().zip(names).map(|(ping, name)| {
        let mut ping = json!(ping);
        ping["name"] = json!(name);
        ping
    });
    Json(named.collect::<Value>()).into_response()
}

async fn ping(channels: &Channels, id: String, client: HttpUpstream<Empty<Bytes>>) -> Response {
    match channels.ping(&ChannelId::new(id), client).await {
        Some(ping) => Json(ping).into_response(),
        None => error(StatusCode::NOT_FOUND, "no channel has this id"),
    }
}

fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({"error": status.canonical_reason(), "message": message});
    (status, Json(body)).into_response()
}
