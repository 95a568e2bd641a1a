//! What is kept, and asked for by its id.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response};

use super::ResponseBody;
use super::listing::{BadParameter, Listing};
use crate::body::{JSON, RewriteBody, refuse};
use crate::protocol::Protocol;
use crate::protocol::json::{JsonStr, ObjectWriter};
use crate::protocol::model::{ApiError, FaultKind};
use crate::store::Turn;

/// What is asked about an answer that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Show,
    InputItems,
    Delete,
}

/// The id in the path of `/v1/responses/{id}` and what is asked about it.
pub(super) fn asked<'p>(method: &Method, path: &'p str) -> Option<(&'p str, Asked)> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (id, asked) = match path.strip_suffix("/input_items") {
        Some(path) if method == Method::GET => (path, Asked::InputItems),
        None if method == Method::GET => (path, Asked::Show),
        None if method == Method::DELETE => (path, Asked::Delete),
        _ => return None,
    };
    let (before, id) = id.rsplit_once('/')?;
    (before.rsplit('/').next() == Some("responses") && !id.is_empty()).then_some((id, asked))
}

/// The answer itself, or a page of what it was asked with.
pub(super) fn show<C>(
    turn: Option<&Arc<Turn>>,
    id: &str,
    listing: Option<&Listing>,
) -> Response<ResponseBody<C>> {
    let Some(turn) = turn else { return not_found(id) };
    let Some(listing) = listing else { return document(turn.response.clone()) };
    listing.page(turn, id).map_or_else(|bad| bad_parameter(&bad), document)
}

pub(super) fn bad_parameter<C>(bad: &BadParameter) -> Response<ResponseBody<C>> {
    refuse(Some(Protocol::OpenAiResponses), &bad.error()).map(ResponseBody::plain)
}

pub(super) fn deleted<C>(found: bool, id: &str) -> Response<ResponseBody<C>> {
    if !found {
        return not_found(id);
    }
    let mut out = BytesMut::new();
    let mut object = ObjectWriter::begin(&mut out);
    object.plain("id", id);
    object.plain("object", "response");
    object.bool("deleted", true);
    object.end();
    document(out.freeze())
}

fn document<C>(bytes: Bytes) -> Response<ResponseBody<C>> {
    let mut response = Response::new(ResponseBody::plain(RewriteBody::full(bytes)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

fn not_found<C>(id: &str) -> Response<ResponseBody<C>> {
    let error = ApiError::new(FaultKind::NotFound, format!("Response with id '{id}' not found."));
    refuse(Some(Protocol::OpenAiResponses), &error).map(ResponseBody::plain)
}

/// The answer to a request that goes on from an answer that is not known.
pub(super) fn unknown_previous<C>(id: &str) -> Response<ResponseBody<C>> {
    let message = format!("Previous response with id '{id}' not found.");
    let mut error = ApiError::new(FaultKind::BadRequest, message);
    error.code = Some(JsonStr::from_plain("previous_response_not_found"));
    error.param = Some(JsonStr::from_plain("previous_response_id"));
    refuse(Some(Protocol::OpenAiResponses), &error).map(ResponseBody::plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let get = |path| asked(&Method::GET, path);
        assert_eq!(get("/v1/responses/resp_1"), Some(("resp_1", Asked::Show)));
        assert_eq!(get("/gateway/v1/responses/resp_1/"), Some(("resp_1", Asked::Show)));
        assert_eq!(get("/v1/responses/r/input_items"), Some(("r", Asked::InputItems)));
        assert_eq!(get("/v1/responses"), None);
        assert_eq!(get("/v1/responses/r/x"), None);
        assert_eq!(asked(&Method::DELETE, "/v1/responses/r"), Some(("r", Asked::Delete)));
        assert_eq!(asked(&Method::POST, "/v1/responses/r"), None);
        assert_eq!(asked(&Method::DELETE, "/v1/responses/r/input_items"), None);
    }
}
