//! Requests.

use bytes::BytesMut;

use crate::protocol::json::JsonError;
use crate::protocol::model::Request;
use crate::protocol::report::Reporter;
use crate::protocol::{Endpoint, Head, Target};

/// Reads a request.
///
/// # Errors
/// When it is no JSON, or not of the protocol's shape.
pub fn read(_text: &str) -> Result<Request<'_>, JsonError> {
    Err(JsonError::new("not built yet", 0))
}

/// Reads what stands outside of the body.
pub fn read_head<'a>(_request: &mut Request<'a>, _head: &Head<'a>) {}

/// Writes a request.
pub fn write(_: &Request<'_>, _: &Target, _: &mut Reporter<'_>, _: &mut BytesMut) {}

/// Where a request goes.
#[must_use]
pub fn endpoint(_request: &Request<'_>, _target: &Target) -> Endpoint {
    Endpoint::new("/v1beta/models")
}
