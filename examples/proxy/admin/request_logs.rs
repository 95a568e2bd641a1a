//! Attempts, from the database of the request log.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_llm_gateway::store::{AttemptRow, LogQuery, RequestLogStore, SqlStore, parse_time};

use super::errors::read;
use super::{Asked, error};
use crate::records::Records;

/// The names are those of an older gateway; empty ones count as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    /// ISO 8601, both ends included.
    request_time_start: Option<String>,
    request_time_end: Option<String>,
    key_identifier: Option<String>,
    auth_key_alias: Option<String>,
    model_name: Option<String>,
    is_success: Option<String>,
    channel: Option<String>,
    request_id: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

impl Question {
    fn query(self) -> Result<LogQuery, &'static str> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let time = |text| match given(text) {
            Some(text) => {
                let problem = "a time is not in ISO 8601, such as 2026-01-31T23:59:59Z";
                parse_time(&text).map(millis).map(Some).ok_or(problem)
            }
            None => Ok(None),
        };
        let success = match given(self.is_success).as_deref() {
            None => None,
            Some("true" | "1") => Some(true),
            Some("false" | "0") => Some(false),
            Some(_) => return Err("is_success is not true or false"),
        };
        let usual = LogQuery::default();
        Ok(LogQuery {
            from: time(self.request_time_start)?,
            to: time(self.request_time_end)?.map(|end| end.saturating_add(1)),
            principal: given(self.auth_key_alias),
            model: given(self.model_name),
            key_id: given(self.key_identifier),
            channel: given(self.channel),
            success,
            request_id: given(self.request_id),
            limit: self.limit.unwrap_or(usual.limit),
            offset: self.offset.unwrap_or(usual.offset),
        })
    }
}

/// One attempt. The first members are those of an older gateway.
#[derive(Serialize)]
struct Attempt {
    id: u64,
    request_id: String,
    /// Unix seconds.
    request_time: f64,
    key_identifier: Option<String>,
    auth_key_alias: Option<String>,
    model_name: Option<String>,
    is_success: bool,
    /// 1 for the first of its request.
    attempt: u32,
    channel: Option<String>,
    /// Masked.
    key_brief: Option<String>,
    status: Option<u16>,
    error_type: Option<String>,
    duration_ms: Option<u64>,
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            id: row.id,
            request_id: row.request_id,
            request_time: row.time as f64 / 1000.0,
            key_identifier: row.key_id,
            auth_key_alias: row.principal,
            model_name: row.model,
            is_success: row.success,
            attempt: row.number,
            channel: row.channel,
            key_brief: row.key,
            status: row.status,
            error_type: row.fault.map(Into::into),
            duration_ms: row.duration_ms,
        }
    }
}

pub(super) fn attempts(records: &Records) -> MethodRouter {
    let store = records.requests.as_ref().map(|requests| requests.store.clone());
    get(async move |Asked(question): Asked<Question>| match store {
        Some(store) => answer(&store, question).await,
        None => error(StatusCode::SERVICE_UNAVAILABLE, "Request log is disabled"),
    })
}

async fn answer(store: &SqlStore, question: Question) -> Response {
    let query = match question.query() {
        Ok(query) => query,
        Err(problem) => return error(StatusCode::BAD_REQUEST, problem),
    };
    match read(store.attempts(&query)).await {
        Ok(page) => {
            let logs: Vec<Attempt> = page.rows.into_iter().map(Into::into).collect();
            Json(json!({"logs": logs, "total": page.total})).into_response()
        }
        Err(response) => response,
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
