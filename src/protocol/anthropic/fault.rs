//! Errors: `{"type":"error","error":{"type","message"},"request_id"}`.
//!
//! ```
//! use http::StatusCode;
//! use tower_llm_gateway::protocol::anthropic::fault;
//! use tower_llm_gateway::protocol::model::FaultKind;
//!
//! let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}"#;
//! let error = fault::read(StatusCode::TOO_MANY_REQUESTS, body);
//! assert_eq!(error.kind, FaultKind::RateLimit);
//! assert_eq!(error.message, "Slow down");
//! ```

use bytes::BytesMut;
use http::StatusCode;

use crate::protocol::json::{Cursor, JsonStr, Kind, ObjectWriter, push_str};
use crate::protocol::model::{ApiError, FaultKind};
use crate::protocol::wire::{Result, keep, lenient_str, push, skip};

/// Most bytes of a body that is no JSON which are told to the caller.
const MAX_TEXT: usize = 512;

/// Reads the body of an error, whatever it is.
///
/// Beside the protocol's own form it knows those of its clones (`{"error": "text"}`,
/// `{"detail": …}`, `{"message": …}`); of anything else it tells the beginning, of HTML and an
/// empty body only the status. The type word decides the kind, then the status.
#[must_use]
pub fn read(status: StatusCode, body: &str) -> ApiError<'_> {
    let mut error = ApiError::new(FaultKind::from_status(status), "");
    let mut cursor = Cursor::new(body);
    // What was understood before a syntax error is still worth telling.
    let _ = document(&mut error, &mut cursor);
    if error.message.is_empty() {
        error.message = JsonStr::from_plain(describe(status, body));
    }
    error.kind = kind(&error, status);
    error
}

fn document<'a>(error: &mut ApiError<'a>, c: &mut Cursor<'a>) -> Result<()> {
    if c.kind()? != Kind::Object {
        return skip(c);
    }
    c.object(|key, c| {
        match (&*key.decode(), c.kind()?) {
            ("error", Kind::Object) => return inner(error, c),
            // AWS writes it with a capital.
            ("error" | "detail" | "message" | "Message", Kind::String) => {
                error.message = c.string()?;
            }
            ("detail", Kind::Object | Kind::Array) => {
                error.message = JsonStr::from_plain(c.raw()?.as_str().to_owned());
            }
            ("code", Kind::String) => error.code = Some(c.string()?),
            ("request_id", Kind::String) => error.request_id = Some(c.string()?),
            _ => skip(c)?,
        }
        Ok(())
    })
}

fn inner<'a>(error: &mut ApiError<'a>, c: &mut Cursor<'a>) -> Result<()> {
    c.object(|key, c| {
        match &*key.decode() {
            "type" => error.type_word = lenient_str(c)?,
            "message" => error.message = lenient_str(c)?.unwrap_or_default(),
            "code" if c.kind()? == Kind::String => error.code = Some(c.string()?),
            "param" if c.kind()? == Kind::String => error.param = Some(c.string()?),
            _ => keep(&key, c, &mut error.rest)?,
        }
        Ok(())
    })
}

/// A message for a body that holds none.
fn describe(status: StatusCode, body: &str) -> String {
    let body = body.trim();
    if body.is_empty() || body.starts_with(['<', '{', '[']) {
        let reason = status.canonical_reason().unwrap_or("no reason given");
        return format!("the upstream answered {}: {reason}", status.as_u16());
    }
    let end = (0..=MAX_TEXT.min(body.len())).rev().find(|end| body.is_char_boundary(*end));
    body.get(..end.unwrap_or_default()).unwrap_or_default().to_owned()
}

fn kind(error: &ApiError<'_>, status: StatusCode) -> FaultKind {
    let message = error.message.decode();
    let by_word = error.type_word.as_ref().and_then(|word| kind_of_word(&word.decode()));
    match by_word.unwrap_or(FaultKind::from_status(status)) {
        FaultKind::BadRequest => kind_of_message(&message).unwrap_or(FaultKind::BadRequest),
        kind => kind,
    }
}

fn kind_of_word(word: &str) -> Option<FaultKind> {
    Some(match word {
        "invalid_request_error" => FaultKind::BadRequest,
        "authentication_error" => FaultKind::Auth,
        "billing_error" => FaultKind::Billing,
        "permission_error" => FaultKind::Permission,
        "not_found_error" => FaultKind::NotFound,
        "request_too_large" => FaultKind::TooLarge,
        "rate_limit_error" => FaultKind::RateLimit,
        "timeout_error" => FaultKind::Timeout,
        "overloaded_error" => FaultKind::Overloaded,
        "api_error" => FaultKind::Upstream,
        _ => return None,
    })
}

/// The protocol has one word for all that is wrong with a request; its wording tells them apart.
fn kind_of_message(message: &str) -> Option<FaultKind> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["prompt is too long", "context limit", "context window", "context length"]) {
        return Some(FaultKind::ContextTooLong);
    }
    if says(&["credit balance is too low"]) {
        return Some(FaultKind::Billing);
    }
    says(&["content filtering policy"]).then_some(FaultKind::ContentPolicy)
}

/// The type word of a kind.
fn word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::BadRequest
        | FaultKind::UnsupportedMedia
        | FaultKind::ContextTooLong
        | FaultKind::ContentPolicy
        | FaultKind::ClientCancel => "invalid_request_error",
        FaultKind::NotFound => "not_found_error",
        FaultKind::TooLarge => "request_too_large",
        FaultKind::Auth => "authentication_error",
        FaultKind::Permission => "permission_error",
        FaultKind::Billing => "billing_error",
        FaultKind::RateLimit => "rate_limit_error",
        FaultKind::Overloaded => "overloaded_error",
        FaultKind::Timeout => "timeout_error",
        FaultKind::Upstream | FaultKind::Transport => "api_error",
    }
}

/// Appends the JSON body of an error, which is also the data of a stream's `error` event.
pub fn write(error: &ApiError<'_>, out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.plain("type", "error");
    object.object("error", |object| {
        object.plain("type", word(error.kind));
        write_message(error, object.key("message"));
    });
    if let Some(id) = &error.request_id {
        object.str("request_id", id);
    }
    object.end();
}

/// Clients compact a conversation when they read `prompt is too long`.
fn write_message(error: &ApiError<'_>, out: &mut BytesMut) {
    const TOO_LONG: &str = "prompt is too long";
    if error.kind == FaultKind::ContextTooLong && !error.message.decode().contains(TOO_LONG) {
        push(out, "\"prompt is too long: ");
        push(out, error.message.escaped());
        return push(out, "\"");
    }
    push_str(out, &error.message);
}

/// The status that a client of Messages gets: the upstream's own where it says the same, else
/// that of the kind; 529 where the vendor has no capacity.
#[must_use]
pub fn status(kind: FaultKind, upstream: StatusCode) -> StatusCode {
    let is_error = upstream.is_client_error() || upstream.is_server_error();
    match kind {
        FaultKind::Overloaded => StatusCode::from_u16(529).unwrap_or(kind.status()),
        _ if is_error && FaultKind::from_status(upstream) == kind => upstream,
        _ => kind.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        use FaultKind::*;
        let rows = [
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"m"}}"#,
                BadRequest,
                "m",
            ),
            (
                400,
                r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}"#,
                ContextTooLong,
                "prompt is too long: 9 > 8",
            ),
            (
                400,
                r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to"}}"#,
                Billing,
                "Your credit balance is too low to",
            ),
            (
                529,
                r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}"#,
                Overloaded,
                "Overloaded",
            ),
            (
                200,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#,
                Overloaded,
                "x",
            ),
            (
                200,
                r#"{"type":"error","error":{"type":"error","message":"test"}}"#,
                Upstream,
                "test",
            ),
            (401, r#"{"error":"no key"}"#, Auth, "no key"),
            (422, r#"{"detail":"bad"}"#, BadRequest, "bad"),
            (422, r#"{"detail":[{"loc":1}]}"#, BadRequest, r#"[{"loc":1}]"#),
            (404, r#"{"message":"gone","code":"x"}"#, NotFound, "gone"),
            (
                502,
                "<html><body>Bad gateway</body></html>",
                Upstream,
                "the upstream answered 502: Bad Gateway",
            ),
            (503, "", Overloaded, "the upstream answered 503: Service Unavailable"),
            (500, "upstream connect error", Upstream, "upstream connect error"),
            (429, "{", RateLimit, "the upstream answered 429: Too Many Requests"),
            (
                429,
                r#"{"error":{"message":"slow"#,
                RateLimit,
                "the upstream answered 429: Too Many Requests",
            ),
            (500, r#"{"error":{}}"#, Upstream, "the upstream answered 500: Internal Server Error"),
            (
                500,
                r#"{"error":null}"#,
                Upstream,
                "the upstream answered 500: Internal Server Error",
            ),
            (500, "[]", Upstream, "the upstream answered 500: Internal Server Error"),
        ];
        for (status, body, kind, message) in rows {
            let error = read(StatusCode::from_u16(status).unwrap(), body);
            assert_eq!((error.kind, &*error.message.decode()), (kind, message), "{body}");
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let body = "é".repeat(MAX_TEXT);
        let error = read(StatusCode::BAD_GATEWAY, &body);
        assert_eq!(error.message.decode().len(), MAX_TEXT);
        let body = format!("x{body}");
        assert_eq!(read(StatusCode::BAD_GATEWAY, &body).message.decode().len(), MAX_TEXT - 1);
    }

    #[test]
    fn written() {
        let mut error = ApiError::new(FaultKind::Overloaded, "say \"when\"");
        error.request_id = Some(JsonStr::from_plain("req_1"));
        let mut out = BytesMut::new();
        write(&error, &mut out);
        assert_eq!(
            out,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"say \"when\""},"request_id":"req_1"}"#
        );
        let mut out = BytesMut::new();
        write(&ApiError::new(FaultKind::ContextTooLong, "8k is all"), &mut out);
        assert_eq!(
            out,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 8k is all"}}"#
        );
    }

    #[test]
    fn statuses() {
        use FaultKind::*;
        for (kind, upstream, expected) in [
            (Overloaded, 503, 529),
            (Overloaded, 200, 529),
            (RateLimit, 429, 429),
            (RateLimit, 400, 429),
            (Auth, 400, 401),
            (BadRequest, 422, 422),
            (ContextTooLong, 400, 400),
            (Upstream, 500, 500),
            (Upstream, 200, 502),
            (NotFound, 400, 404),
            (Billing, 429, 402),
            (Timeout, 408, 408),
            (Timeout, 500, 504),
            (Transport, 502, 502),
        ] {
            let upstream = StatusCode::from_u16(upstream).unwrap();
            assert_eq!(status(kind, upstream).as_u16(), expected, "{kind:?} {upstream}");
        }
    }
}
