//! Errors: `{"error":{"message","type","param","code"}}`, as in Chat.

use bytes::BytesMut;
use http::StatusCode;

use crate::protocol::model::{ApiError, FaultKind};
use crate::protocol::openai_error;

/// Reads an error body. Never fails: forms of other servers, HTML and empty bodies give a message
/// too, and the kind then comes from the status. The `error` of an answer that failed is read too.
///
/// ```
/// use http::StatusCode;
/// use tower_llm_gateway::protocol::model::FaultKind;
/// use tower_llm_gateway::protocol::openai_responses::fault;
///
/// let body = r#"{"id":"resp_1","status":"failed","error":{"code":"rate_limit_exceeded",
///     "message":"slow down"},"output":[]}"#;
/// let error = fault::read(StatusCode::OK, body);
/// assert_eq!(error.kind, FaultKind::RateLimit);
/// assert_eq!(error.message, "slow down");
/// ```
#[must_use]
pub fn read(status: StatusCode, body: &str) -> ApiError<'_> {
    openai_error::read(status, body)
}

/// Writes an error body in OpenAI's words for the kind. A code of the origin stands only where
/// OpenAI has none of its own for the kind.
pub fn write(error: &ApiError<'_>, out: &mut BytesMut) {
    openai_error::write(error, out);
}

/// The status that a client of Responses gets: the upstream's where it tells the kind, else the
/// usual one. OpenAI has no 402 (429 with `insufficient_quota`) and no 529 (503).
#[must_use]
pub fn status(kind: FaultKind, upstream: StatusCode) -> StatusCode {
    openai_error::status(kind, upstream)
}
