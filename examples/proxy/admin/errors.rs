//! What goes wrong here, as JSON.

use std::fmt::Display;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use tokio::time::timeout;
use tower_llm_gateway::redact;

use super::READ_TIMEOUT;

/// `{"error", "message"}`.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({"error": status.canonical_reason(), "message": redact::text(message)});
    (status, Json(body)).into_response()
}

/// What was read within [`READ_TIMEOUT`], or the answer instead; why stands in the log.
pub(super) async fn read<T, E: Display>(
    reading: impl Future<Output = Result<T, E>>,
) -> Result<T, Response> {
    match timeout(READ_TIMEOUT, reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(problem)) => {
            let problem = problem.to_string();
            tracing::warn!(error = %redact::text(&problem), "a log cannot be read");
            Err(error(StatusCode::INTERNAL_SERVER_ERROR, "the log cannot be read"))
        }
        Err(_) => Err(error(StatusCode::GATEWAY_TIMEOUT, "the log was not read in time")),
    }
}
