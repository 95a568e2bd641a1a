//! Errors: `{"error":{"code","message","status","details"}}`, in an array where the answer would be
//! one.
//!
//! ```
//! use http::StatusCode;
//! use tower_llm_gateway::protocol::gemini::fault;
//! use tower_llm_gateway::protocol::model::FaultKind;
//!
//! let body = r#"[{"error":{"code":429,"message":"Slow down","status":"RESOURCE_EXHAUSTED","details":
//!     [{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#;
//! let error = fault::read(StatusCode::TOO_MANY_REQUESTS, body);
//! assert_eq!(error.kind, FaultKind::RateLimit);
//! assert_eq!(error.retry_after.map(|wait| wait.as_secs()), Some(34));
//! ```

use bytes::BytesMut;
use http::StatusCode;

use crate::protocol::json::{Cursor, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{ApiError, FaultKind};
use crate::protocol::retry_info;
use crate::protocol::wire::{Result, keep, lenient_str, skip};

/// Most bytes of a body that is no JSON which are told to the caller.
const MAX_TEXT: usize = 512;

/// Reads the body of an error, whatever it is.
///
/// Beside the protocol's own form it knows those of proxies (`{"error": "text"}`,
/// `{"detail": …}`, `{"message": …}`); of anything else it tells the beginning, of HTML and an
/// empty body only the status. The status word decides the kind; where it says no more than that
/// the request is wrong, the HTTP status, the reason in the details and the wording do.
#[must_use]
pub fn read(status: StatusCode, body: &str) -> ApiError<'_> {
    let mut found =
        Found { error: ApiError::new(FaultKind::Upstream, ""), code: None, reason: None };
    let mut cursor = Cursor::new(body);
    // What was understood before a syntax error is still worth telling.
    let _ = found.document(&mut cursor);
    found.finish(status, body)
}

/// What of an error is understood.
struct Found<'a> {
    error: ApiError<'a>,
    /// The HTTP status that the body repeats; a stream has no other.
    code: Option<StatusCode>,
    /// The machine-readable reason of an `ErrorInfo`.
    reason: Option<String>,
}

impl<'a> Found<'a> {
    fn document(&mut self, c: &mut Cursor<'a>) -> Result<()> {
        match c.kind()? {
            Kind::Array => c.array(|_, c| self.object(c)),
            _ => self.object(c),
        }
    }

    fn object(&mut self, c: &mut Cursor<'a>) -> Result<()> {
        if c.kind()? != Kind::Object {
            return skip(c);
        }
        c.object(|key, c| match (&*key.decode(), c.kind()?) {
            ("error", Kind::Object) => self.inner(c),
            ("error" | "detail" | "message", Kind::String) => {
                self.error.message = c.string()?;
                Ok(())
            }
            _ => skip(c),
        })
    }

    fn inner(&mut self, c: &mut Cursor<'a>) -> Result<()> {
        c.object(|key, c| {
            match &*key.decode() {
                "code" => self.code(&c.raw()?),
                "message" => self.error.message = lenient_str(c)?.unwrap_or_default(),
                "status" => self.error.type_word = lenient_str(c)?,
                "details" => {
                    let raw = c.raw()?;
                    self.error.retry_after = retry_info::read(&raw);
                    self.reason = reason(&raw);
                    self.error.rest.keep(key.clone(), raw);
                }
                _ => keep(&key, c, &mut self.error.rest)?,
            }
            Ok(())
        })
    }

    fn code(&mut self, raw: &Raw<'a>) {
        let number = raw.as_u64().and_then(|n| u16::try_from(n).ok());
        self.code = number.and_then(|n| StatusCode::from_u16(n).ok()).filter(is_error);
    }

    fn finish(mut self, status: StatusCode, body: &str) -> ApiError<'a> {
        let status = if is_error(&status) { status } else { self.code.unwrap_or(status) };
        if self.error.message.is_empty() {
            self.error.message = JsonStr::from_plain(describe(status, body));
        }
        self.error.kind = self.kind(status);
        self.error
    }

    fn kind(&self, status: StatusCode) -> FaultKind {
        let word = self.error.type_word.as_ref().map(JsonStr::decode);
        if self.reason.as_deref() == Some("API_KEY_INVALID") {
            return FaultKind::Auth;
        }
        let told = word.as_deref().and_then(kind_of_word);
        let by_status = FaultKind::from_status(status);
        let kind = match told {
            // One word for many things: the number may say more.
            None | Some(FaultKind::BadRequest) if is_error(&status) => by_status,
            Some(kind) => kind,
            None => FaultKind::Upstream,
        };
        let message = self.error.message.decode().to_ascii_lowercase();
        kind_of_message(kind, &message).unwrap_or(kind)
    }
}

/// The `reason` of an `ErrorInfo` among the details.
fn reason(details: &Raw<'_>) -> Option<String> {
    let mut reason = None;
    let walked = details.cursor().array(|_, c| {
        let raw = c.raw()?;
        if let Some(text) = raw.member("reason").as_ref().and_then(Raw::as_json_str) {
            reason = Some(text.decode().into_owned());
        }
        Ok(())
    });
    walked.ok().and(reason)
}

fn is_error(status: &StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
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

/// The kind of a `google.rpc.Code`.
fn kind_of_word(word: &str) -> Option<FaultKind> {
    Some(match word {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" | "ALREADY_EXISTS" => {
            FaultKind::BadRequest
        }
        "UNAUTHENTICATED" => FaultKind::Auth,
        "PERMISSION_DENIED" => FaultKind::Permission,
        "NOT_FOUND" => FaultKind::NotFound,
        "RESOURCE_EXHAUSTED" => FaultKind::RateLimit,
        "CANCELLED" => FaultKind::ClientCancel,
        "DEADLINE_EXCEEDED" => FaultKind::Timeout,
        "UNAVAILABLE" => FaultKind::Overloaded,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "ABORTED" => FaultKind::Upstream,
        _ => return None,
    })
}

/// What only the wording tells apart.
fn kind_of_message(kind: FaultKind, message: &str) -> Option<FaultKind> {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match kind {
        FaultKind::BadRequest if says(&["api key not valid", "api key expired"]) => {
            Some(FaultKind::Auth)
        }
        FaultKind::BadRequest
            if says(&[
                "exceeds the maximum number of tokens",
                "input token count",
                "context length",
                "context window",
                "prompt is too long",
            ]) =>
        {
            Some(FaultKind::ContextTooLong)
        }
        FaultKind::BadRequest if says(&["payload size exceeds"]) => Some(FaultKind::TooLarge),
        FaultKind::BadRequest if says(&["user location is not supported"]) => {
            Some(FaultKind::Permission)
        }
        FaultKind::BadRequest | FaultKind::RateLimit | FaultKind::Permission
            if says(&["enable billing", "billing to be enabled", "credits are depleted"]) =>
        {
            Some(FaultKind::Billing)
        }
        _ => None,
    }
}

/// The `google.rpc.Code` of a kind.
fn word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::BadRequest
        | FaultKind::UnsupportedMedia
        | FaultKind::TooLarge
        | FaultKind::ContextTooLong
        | FaultKind::ContentPolicy => "INVALID_ARGUMENT",
        FaultKind::ClientCancel => "CANCELLED",
        FaultKind::NotFound => "NOT_FOUND",
        FaultKind::Auth => "UNAUTHENTICATED",
        FaultKind::Permission => "PERMISSION_DENIED",
        FaultKind::Billing => "FAILED_PRECONDITION",
        FaultKind::RateLimit => "RESOURCE_EXHAUSTED",
        FaultKind::Overloaded => "UNAVAILABLE",
        FaultKind::Upstream | FaultKind::Transport => "INTERNAL",
        FaultKind::Timeout => "DEADLINE_EXCEEDED",
    }
}

/// Appends the JSON body of an error, which is also the data of a stream's last event. Its `code`
/// is the HTTP status of the kind, as SDKs raise by it; how long to wait stands in a `RetryInfo`,
/// where gemini-cli looks for it.
pub fn write(error: &ApiError<'_>, out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.object("error", |object| {
        object.u64("code", error.kind.status().as_u16().into());
        write_message(error, object);
        object.plain("status", word(error.kind));
        if let Some(delay) = error.retry_after {
            object.array("details", |details| {
                details.object(|detail| retry_info::write(detail, delay));
            });
        }
    });
    object.end();
}

/// Clients know by the wording that a prompt is too long.
fn write_message(error: &ApiError<'_>, object: &mut ObjectWriter<'_>) {
    const TOO_LONG: &str = "exceeds the maximum number of tokens";
    if error.kind == FaultKind::ContextTooLong && !error.message.decode().contains(TOO_LONG) {
        let out = object.key("message");
        for piece in ["\"The input token count ", TOO_LONG, ": ", error.message.escaped(), "\""] {
            out.extend_from_slice(piece.as_bytes());
        }
        return;
    }
    object.str("message", &error.message);
}

/// The status that a client of Gemini gets: that of the kind, which is also the `code` in the body.
#[must_use]
pub fn status(kind: FaultKind, _upstream: StatusCode) -> StatusCode {
    kind.status()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn google(code: u16, message: &str, status: &str) -> String {
        format!(r#"{{"error":{{"code":{code},"message":"{message}","status":"{status}"}}}}"#)
    }

    #[test]
    fn words_tell_the_kind() {
        use FaultKind::*;
        let rows = [
            (400, "m", "INVALID_ARGUMENT", BadRequest),
            (400, "m", "FAILED_PRECONDITION", BadRequest),
            (400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", Auth),
            (400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT", Auth),
            (
                400,
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                "INVALID_ARGUMENT",
                ContextTooLong,
            ),
            (
                400,
                "Request payload size exceeds the limit: 20971520 bytes.",
                "INVALID_ARGUMENT",
                TooLarge,
            ),
            (
                400,
                "User location is not supported for the API use.",
                "FAILED_PRECONDITION",
                Permission,
            ),
            (
                400,
                "Gemini API free tier is not available in your country. Please enable billing.",
                "FAILED_PRECONDITION",
                Billing,
            ),
            (401, "m", "UNAUTHENTICATED", Auth),
            (403, "m", "PERMISSION_DENIED", Permission),
            (404, "m", "NOT_FOUND", NotFound),
            (413, "m", "INVALID_ARGUMENT", TooLarge),
            (429, "m", "RESOURCE_EXHAUSTED", RateLimit),
            (499, "m", "CANCELLED", ClientCancel),
            (500, "m", "INTERNAL", Upstream),
            (503, "The model is overloaded.", "UNAVAILABLE", Overloaded),
            (504, "m", "DEADLINE_EXCEEDED", Timeout),
            (418, "m", "NEW_WORD", BadRequest),
        ];
        for (code, message, word, kind) in rows {
            let body = google(code, message, word);
            // With its status, in an array, and inside of a stream, where there is no status.
            for (status, body) in
                [(code, body.clone()), (code, format!("[{body}]")), (200, body.clone())]
            {
                let error = read(StatusCode::from_u16(status).unwrap(), &body);
                assert_eq!((error.kind, &*error.message.decode()), (kind, message), "{body}");
            }
        }
    }

    #[test]
    fn other_bodies() {
        use FaultKind::*;
        let rows = [
            (500, r#"{"error":"text"}"#, Upstream, "text"),
            (422, r#"{"detail":"text"}"#, BadRequest, "text"),
            (200, r#"{"error":{}}"#, Upstream, "the upstream answered 200: OK"),
            (502, "<html>", Upstream, "the upstream answered 502: Bad Gateway"),
            (503, "", Overloaded, "the upstream answered 503: Service Unavailable"),
            (500, "died", Upstream, "died"),
            (429, "[5]", RateLimit, "the upstream answered 429: Too Many Requests"),
            (
                401,
                r#"{"error":{"code":401,"message":"cut"#,
                Auth,
                "the upstream answered 401: Unauthorized",
            ),
        ];
        for (status, body, kind, message) in rows {
            let error = read(StatusCode::from_u16(status).unwrap(), body);
            assert_eq!((error.kind, &*error.message.decode()), (kind, message), "{body}");
        }
    }

    #[test]
    fn details() {
        let body = r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#;
        assert_eq!(read(StatusCode::BAD_REQUEST, body).kind, FaultKind::Auth);
        let mut error = ApiError::new(FaultKind::RateLimit, "m");
        error.retry_after = Some(std::time::Duration::from_millis(34_400));
        let mut out = BytesMut::new();
        write(&error, &mut out);
        assert_eq!(
            out,
            r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}"#
        );
        let text = std::str::from_utf8(&out).unwrap();
        assert_eq!(read(StatusCode::OK, text).retry_after, error.retry_after);
    }

    #[test]
    fn what_is_written_is_read() {
        use FaultKind::*;
        let kinds = [
            ClientCancel,
            BadRequest,
            NotFound,
            TooLarge,
            UnsupportedMedia,
            ContextTooLong,
            Auth,
            Permission,
            Billing,
            RateLimit,
            Overloaded,
            Upstream,
            Timeout,
        ];
        for kind in kinds {
            let mut out = BytesMut::new();
            write(&ApiError::new(kind, "a \"b\""), &mut out);
            let text = std::str::from_utf8(&out).unwrap();
            let status = status(kind, StatusCode::IM_A_TEAPOT);
            let back = read(status, text);
            assert_eq!(back.kind, kind, "{text}");
            assert!(back.message.decode().ends_with("a \"b\""), "{text}");
            assert!(text.contains(&format!(r#""code":{},"#, status.as_u16())), "{text}");
        }
    }
}
