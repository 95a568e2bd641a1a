//! Whether the channels are there.

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::Empty;
use serde_json::{Value, json};
use tower_llm_gateway::context::ChannelId;
use tower_llm_gateway::layer::channel::Channels;
use tower_llm_gateway::upstream::HttpUpstream;

use super::error;
use crate::channels::Routing;

type Client = HttpUpstream<Empty<Bytes>>;

pub(super) fn all(routing: &Routing, client: Client) -> MethodRouter {
    let names: Vec<String> = routing.lines.iter().map(|line| line.name.clone()).collect();
    let channels = routing.channels.clone();
    get(async move || ping_all(&channels, &names, client).await)
}

pub(super) fn one(routing: &Routing, client: Client) -> MethodRouter {
    let channels = routing.channels.clone();
    get(async move |Path(id): Path<String>| ping(&channels, id, client).await)
}

/// `names` stand in the order of the channels.
async fn ping_all(channels: &Channels, names: &[String], client: Client) -> Response {
    let pings = channels.ping_all(client).await;
    let named = pings.into_iter().zip(names).map(|(ping, name)| {
        let mut ping = json!(ping);
        ping["name"] = json!(name);
        ping
    });
    Json(named.collect::<Value>()).into_response()
}

async fn ping(channels: &Channels, id: String, client: Client) -> Response {
    match channels.ping(&ChannelId::new(id), client).await {
        Some(ping) => Json(ping).into_response(),
        None => error(StatusCode::NOT_FOUND, "no channel has this id"),
    }
}
