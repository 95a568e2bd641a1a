//! Errors.

use bytes::BytesMut;
use http::StatusCode;

use crate::protocol::model::{ApiError, FaultKind};

/// Reads an error answer.
#[must_use]
pub fn read(status: StatusCode, _text: &str) -> ApiError<'_> {
    ApiError::new(FaultKind::from_status(status), "not built yet")
}

/// Writes an error.
pub fn write(_error: &ApiError<'_>, _out: &mut BytesMut) {}

/// The status of an error.
#[must_use]
pub fn status(kind: FaultKind, _upstream: StatusCode) -> StatusCode {
    kind.status()
}
