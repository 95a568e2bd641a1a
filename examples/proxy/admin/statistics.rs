//! What was counted.

use axum::Json;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use http::header;
use tower_llm_gateway::layer::stats::prometheus::{CONTENT_TYPE, StatsCollector};
use tower_llm_gateway::layer::stats::{ErrorsQuery, StatsQuery};

use super::Asked;
use crate::records::Records;

const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

pub(super) fn stats(records: &Records) -> MethodRouter {
    let stats = records.stats.clone();
    get(async move |Asked(query): Asked<StatsQuery>| (NO_STORE, Json(stats.report(&query))))
}

pub(super) fn errors(records: &Records) -> MethodRouter {
    let stats = records.stats.clone();
    get(async move |Asked(query): Asked<ErrorsQuery>| (NO_STORE, Json(stats.errors(&query))))
}

/// With what the logs have lost.
pub(super) fn metrics(records: &Records) -> MethodRouter {
    let mut metrics = StatsCollector::new(records.stats.clone());
    if let Some(files) = records.files.clone() {
        let help = "Lines of the live log that are not in its files";
        metrics = metrics.counter("live_log_dropped", help, move || files.status().lost());
    }
    if let Some(requests) = &records.requests {
        let (lost, failed) = (requests.log.clone(), requests.log.clone());
        let help = "Requests that found no place on their way to the request log";
        metrics = metrics.counter("request_log_dropped", help, move || lost.dropped());
        let help = "Requests that the database of the request log did not take";
        metrics = metrics.counter("request_log_failed", help, move || failed.failed());
    }
    get(async move || {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.openmetrics()).into_response()
    })
}
