//! Error documents of our own, in the words of whoever called.
//!
//! Every layer that answers in place of the inner service writes through this module, so that a
//! caller meets the shape that its SDK decodes, and nothing else.

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::json::{JsonStr, ObjectWriter};
use super::model::{ApiError, FaultKind};
use super::{Protocol, anthropic, dashscope, gemini};

/// The status that a protocol has for a kind of fault.
///
/// Only Messages knows 529; everybody else is told 503.
///
/// ```
/// use tower_llm_gateway::protocol::{Protocol, model::FaultKind, refusal};
///
/// let status = |protocol| refusal::status(protocol, FaultKind::Overloaded).as_u16();
/// assert_eq!(status(Some(Protocol::Anthropic)), 529);
/// assert_eq!(status(Some(Protocol::Gemini)), 503);
/// ```
#[must_use]
pub fn status(protocol: Option<Protocol>, kind: FaultKind) -> StatusCode {
    match protocol {
        Some(Protocol::Anthropic) => anthropic::fault::status(kind, kind.status()),
        _ => kind.status(),
    }
}

/// The JSON document of an error, answered with `status`.
///
/// Where the path belongs to no protocol it is `{"error":"Unauthorized","message":"…"}`, with the
/// reason phrase of the status.
///
/// ```
/// use http::StatusCode;
/// use tower_llm_gateway::protocol::{Protocol, refusal};
/// use tower_llm_gateway::protocol::model::{ApiError, FaultKind};
///
/// let error = ApiError::new(FaultKind::Auth, "invalid access key");
/// let body = refusal::body(Some(Protocol::Anthropic), StatusCode::UNAUTHORIZED, &error);
/// assert_eq!(body,
///     r#"{"type":"error","error":{"type":"authentication_error","message":"invalid access key"}}"#);
/// ```
#[must_use]
pub fn body(protocol: Option<Protocol>, status: StatusCode, error: &ApiError<'_>) -> Bytes {
    let mut out = BytesMut::with_capacity(128 + error.message.escaped().len());
    match protocol {
        Some(Protocol::Anthropic) => anthropic::fault::write(error, &mut out),
        Some(Protocol::OpenAiChat | Protocol::OpenAiResponses) => {
            object(&mut out, |object| write_openai(object, error));
        }
        Some(Protocol::Gemini) => gemini::fault::write(error, &mut out),
        Some(Protocol::DashScope) => dashscope::fault::write(error, &mut out),
        None => object(&mut out, |object| {
            object.plain("error", status.canonical_reason().unwrap_or("Error"));
            object.str("message", &error.message);
        }),
    }
    out.freeze()
}

fn object(out: &mut BytesMut, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    let mut object = ObjectWriter::begin(out);
    fill(&mut object);
    object.end();
}

fn write_openai(object: &mut ObjectWriter<'_>, error: &ApiError<'_>) {
    let (type_word, code) = openai_words(error.kind);
    object.object("error", |object| {
        object.str("message", &error.message);
        object.plain("type", type_word);
        str_or_null(object, "param", error.param.as_ref());
        let code = code.map(JsonStr::from_plain);
        str_or_null(object, "code", error.code.as_ref().or(code.as_ref()));
    });
}

fn str_or_null(object: &mut ObjectWriter<'_>, name: &str, value: Option<&JsonStr<'_>>) {
    match value {
        Some(value) => object.str(name, value),
        None => object.null(name),
    }
}

/// Type and code of OpenAI for a kind of fault; the others keep their words in their `fault`.
fn openai_words(kind: FaultKind) -> (&'static str, Option<&'static str>) {
    let bad = "invalid_request_error";
    match kind {
        FaultKind::BadRequest
        | FaultKind::UnsupportedMedia
        | FaultKind::ClientCancel
        | FaultKind::TooLarge => (bad, None),
        FaultKind::NotFound => (bad, Some("model_not_found")),
        FaultKind::ContextTooLong => (bad, Some("context_length_exceeded")),
        FaultKind::ContentPolicy => (bad, Some("content_policy_violation")),
        FaultKind::Auth => (bad, Some("invalid_api_key")),
        FaultKind::Permission => ("permission_error", None),
        FaultKind::Billing => ("insufficient_quota", Some("insufficient_quota")),
        FaultKind::RateLimit => ("rate_limit_exceeded", Some("rate_limit_exceeded")),
        FaultKind::Overloaded | FaultKind::Upstream | FaultKind::Transport | FaultKind::Timeout => {
            ("server_error", None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_shape() {
        let error = ApiError::new(FaultKind::Permission, "model \"m\" is not allowed");
        let rows = [
            (
                Some(Protocol::Anthropic),
                r#"{"type":"error","error":{"type":"permission_error","message":"model \"m\" is not allowed"}}"#,
            ),
            (
                Some(Protocol::OpenAiChat),
                r#"{"error":{"message":"model \"m\" is not allowed","type":"permission_error","param":null,"code":null}}"#,
            ),
            (
                Some(Protocol::OpenAiResponses),
                r#"{"error":{"message":"model \"m\" is not allowed","type":"permission_error","param":null,"code":null}}"#,
            ),
            (
                Some(Protocol::Gemini),
                r#"{"error":{"code":403,"message":"model \"m\" is not allowed","status":"PERMISSION_DENIED"}}"#,
            ),
            (
                Some(Protocol::DashScope),
                r#"{"code":"AccessDenied","message":"model \"m\" is not allowed","request_id":""}"#,
            ),
            (None, r#"{"error":"Forbidden","message":"model \"m\" is not allowed"}"#),
        ];
        for (protocol, expected) in rows {
            assert_eq!(body(protocol, status(protocol, error.kind), &error), expected);
        }
    }

    #[test]
    fn a_code_and_a_parameter_of_the_error_are_told() {
        let mut error = ApiError::new(FaultKind::BadRequest, "no");
        error.param = Some(JsonStr::from_plain("messages"));
        error.code = Some(JsonStr::from_plain("duplicate"));
        assert_eq!(
            body(Some(Protocol::OpenAiChat), StatusCode::BAD_REQUEST, &error),
            r#"{"error":{"message":"no","type":"invalid_request_error","param":"messages","code":"duplicate"}}"#
        );
    }
}
