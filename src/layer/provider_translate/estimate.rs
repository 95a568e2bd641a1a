//! Counts that the upstream does not give.

use bytes::BytesMut;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use super::answer::Job;
use super::{ResponseBody, headers};
use crate::body::{JSON, RewriteBody};
use crate::protocol::Protocol;
use crate::protocol::translate::{TranslateError, estimate_count, write_count};

/// The estimate of a count, where the upstream answers that it has no such endpoint.
pub(super) fn estimate<C>(status: StatusCode, job: &Job) -> Option<Response<ResponseBody<C>>> {
    const NO_ENDPOINT: [StatusCode; 3] =
        [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
    let lacks = NO_ENDPOINT.contains(&status);
    lacks.then(|| estimated(job.caller, &job.counted).ok()).flatten()
}

/// The answer to a question for a count that nobody but us answers.
pub(super) fn estimated<C>(
    caller: Protocol,
    question: &[u8],
) -> Result<Response<ResponseBody<C>>, TranslateError> {
    let body = write_count(caller, estimate_count(caller, question)?)?;
    let mut response = answered(body);
    headers::mark_estimate(response.headers_mut());
    Ok(response)
}

/// An answer that no upstream gave.
pub(super) fn answered<C>(body: BytesMut) -> Response<ResponseBody<C>> {
    let mut response = Response::new(ResponseBody::plain(RewriteBody::full(body.freeze())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}
