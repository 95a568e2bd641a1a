use std::borrow::Cow;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::headers::JSON;
use super::{CollectError, RewriteBody, UnreadableEncoding};
use crate::protocol::edit::EditError;
use crate::protocol::model::{ApiError, Fault, FaultKind, FaultOrigin};
use crate::protocol::{Protocol, refusal};

/// Why a request is not passed on: an error value until it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    kind: FaultKind,
    message: Cow<'static, str>,
    moves_on: bool,
}

impl Refusal {
    /// A refusal; the caller reads `message`, so it holds no secret.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), moves_on: kind.moves_on() }
    }

    /// Says that another upstream may serve the request, whatever the kind:
    /// [`Fault::moves_on`].
    #[must_use]
    pub fn for_this_upstream(mut self) -> Self {
        self.moves_on = true;
        self
    }

    /// The answer; see [`refuse`].
    #[must_use]
    pub fn response<B>(&self, protocol: Option<Protocol>) -> Response<RewriteBody<B>> {
        let mut response = refuse(protocol, &ApiError::new(self.kind, &*self.message));
        if let Some(fault) = response.extensions_mut().get_mut::<Fault>() {
            fault.moves_on = self.moves_on;
        }
        response
    }
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        Self::new(FaultKind::BadRequest, error.to_string())
    }
}

impl<E> From<CollectError<E>> for Refusal {
    fn from(error: CollectError<E>) -> Self {
        match error {
            CollectError::TooLarge => {
                Self::new(FaultKind::TooLarge, "the request body is too large")
            }
            CollectError::Body(_) => {
                Self::new(FaultKind::BadRequest, "the request body could not be read")
            }
        }
    }
}

impl From<UnreadableEncoding> for Refusal {
    fn from(encoding: UnreadableEncoding) -> Self {
        Self::new(FaultKind::UnsupportedMedia, encoding.to_string())
    }
}

/// An answer of ours in place of the inner service's, in the protocol that the caller speaks;
/// `None` for a path that belongs to no protocol.
///
/// The [`Fault`] (origin [`FaultOrigin::Gateway`]) is in the extensions of the response. A
/// `retry_after` of the error becomes the header, in whole seconds, rounded up.
///
/// ```
/// use http_body_util::Empty;
/// use tower_llm_gateway::body::refuse;
/// use tower_llm_gateway::protocol::Protocol;
/// use tower_llm_gateway::protocol::model::{ApiError, Fault, FaultKind};
///
/// let error = ApiError::new(FaultKind::Auth, "invalid access key");
/// let response = refuse::<Empty<bytes::Bytes>>(Some(Protocol::Anthropic), &error);
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.extensions().get::<Fault>().unwrap().kind, FaultKind::Auth);
/// ```
#[must_use]
pub fn refuse<B>(protocol: Option<Protocol>, error: &ApiError<'_>) -> Response<RewriteBody<B>> {
    refuse_with_status(protocol, refusal::status(protocol, error.kind), error)
}

/// As [`refuse`], where the status is narrower than the kind of fault, such as 415.
#[must_use]
pub fn refuse_with_status<B>(
    protocol: Option<Protocol>,
    status: StatusCode,
    error: &ApiError<'_>,
) -> Response<RewriteBody<B>> {
    let mut response = Response::new(RewriteBody::full(refusal::body(protocol, status, error)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    if let Some(wait) = error.retry_after {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let fault = Fault::new(error.kind, status, FaultOrigin::Gateway);
    response.extensions_mut().insert(Fault { retry_after: error.retry_after, ..fault });
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body::Body;
    use http_body_util::Empty;

    use super::*;
    use crate::protocol::model::FaultKind;

    #[test]
    fn a_refusal_is_whole() {
        let mut error = ApiError::new(FaultKind::RateLimit, "slow down");
        error.retry_after = Some(Duration::from_millis(1500));
        let response = refuse::<Empty<Bytes>>(None, &error);
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(response.body().size_hint().exact(), Some(51));
        let fault = *response.extensions().get::<Fault>().unwrap();
        assert_eq!(fault.origin, FaultOrigin::Gateway);
        assert_eq!(fault.status, StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn another_upstream_may_do() {
        let moves_on = |refusal: &Refusal| {
            let response = refusal.response::<Empty<Bytes>>(None);
            response.extensions().get::<Fault>().map(|fault| (fault.kind, fault.moves_on))
        };
        let refusal = Refusal::new(FaultKind::BadRequest, "no tools here");
        assert_eq!(moves_on(&refusal), Some((FaultKind::BadRequest, false)));
        let refusal = refusal.for_this_upstream();
        assert_eq!(moves_on(&refusal), Some((FaultKind::BadRequest, true)));
    }

    #[test]
    fn a_status_can_be_narrower_than_its_kind() {
        let error = ApiError::new(FaultKind::BadRequest, "encoded");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let response = refuse_with_status::<Empty<Bytes>>(Some(Protocol::Gemini), status, &error);
        assert_eq!(response.status(), status);
        assert_eq!(response.extensions().get::<Fault>().unwrap().status, status);
    }
}
