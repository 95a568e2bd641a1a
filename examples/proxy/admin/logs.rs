//! The live log.

use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tower_llm_gateway::layer::live_log::LiveLog;
use tower_llm_gateway::store::daily::{DailyFiles, Page};
use tower_llm_gateway::store::{LogEntry, LogFilter, LogLevel};

use super::errors::read;
use super::{Asked, error};
use crate::records::Records;

pub(super) fn stream(records: &Records) -> MethodRouter {
    let log = records.log.clone();
    get(async move |Asked(filter): Asked<LogFilter>| match log.subscribe(filter) {
        Ok(subscription) => subscription.into_response().into_response(),
        Err(problem) => error(StatusCode::SERVICE_UNAVAILABLE, &problem.to_string()),
    })
}

pub(super) fn history(records: &Records) -> MethodRouter {
    let files = records.files.clone();
    get(async move |Asked(filter): Asked<LogFilter>, Asked(page): Asked<Page>| {
        let Some(files) = files else {
            return error(StatusCode::SERVICE_UNAVAILABLE, "Log persistence is disabled");
        };
        match read(files.history(filter, page)).await {
            Ok(history) => Json(history).into_response(),
            Err(response) => response,
        }
    })
}

/// A line of one's own.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
    level: Option<String>,
    path: Option<String>,
    request_id: Option<String>,
}

pub(super) fn broadcast(records: &Records) -> MethodRouter {
    let log = records.log.clone();
    post(async move |said: Result<Json<Said>, JsonRejection>| match said {
        Ok(Json(said)) => say(&log, said),
        Err(problem) => error(problem.status(), &problem.body_text()),
    })
}

fn say(log: &LiveLog, said: Said) -> Response {
    let level = said.level.as_deref().map_or(Ok(LogLevel::Info), str::parse);
    let level = match level {
        Ok(level) => level,
        Err(problem) => return error(StatusCode::BAD_REQUEST, &problem.to_string()),
    };
    let mut entry = LogEntry::new(SystemTime::now(), level, said.message);
    (entry.path, entry.request_id) = (said.path, said.request_id);
    let (timestamp, message) = (entry.timestamp, "the line is in the log");
    match log.push(entry) {
        Ok(()) => {
            let answer = json!({"success": true, "message": message, "timestamp": timestamp});
            Json(answer).into_response()
        }
        Err(problem) => error(StatusCode::BAD_REQUEST, &problem.to_string()),
    }
}

pub(super) fn clear(records: &Records) -> MethodRouter {
    let (log, files) = (records.log.clone(), records.files.clone());
    let clear = async move || forget(&log, files).await;
    delete(clear.clone()).post(clear)
}

async fn forget(log: &LiveLog, files: Option<DailyFiles>) -> Response {
    log.clear();
    if let Some(files) = files
        && let Err(response) = read(files.clear()).await
    {
        return response;
    }
    Json(json!({"success": true, "message": "日志已清空"})).into_response()
}
