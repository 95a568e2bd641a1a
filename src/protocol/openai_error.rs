//! Errors as OpenAI words them, in both of its protocols: `{"error":{"message","type","param","code"}}`.

use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{ApiError, FaultKind, Rest};
use crate::protocol::retry_info;

/// Longest piece of a body without known form that becomes the message, in characters.
const MAX_MESSAGE: usize = 512;

/// Reads an error body. Never fails: forms of other servers, HTML and empty bodies give a message
/// too, and the kind then comes from the status.
pub(super) fn read(status: StatusCode, body: &str) -> ApiError<'_> {
    let mut found = Found::default();
    let mut c = Cursor::new(body);
    let is_json = Raw::parse(body).is_ok();
    // The text was checked; a form yet unknown leaves what was found before it.
    let _ = match c.kind() {
        Ok(Kind::Object) if is_json => found.members(&mut c),
        // Gemini's Chat endpoint wraps the object in an array.
        Ok(Kind::Array) if is_json => c.array(|_, c| found.error(c)),
        _ => Ok(()),
    };
    if found.message.is_none() {
        found.message = Some(fallback_message(status, body));
    }
    found.finish(status)
}

/// Reads the value of an `error` member in a chunk of a stream, where there is no status.
pub(super) fn read_member<'a>(error: &Raw<'a>) -> ApiError<'a> {
    let mut found = Found::default();
    if let Some(mut c) = error.source_cursor() {
        // The value is valid; a form yet unknown leaves what was found before it.
        let _ = found.error(&mut c);
    }
    let status = found.status.unwrap_or(StatusCode::OK);
    found.finish(status)
}

/// What of an error body is understood.
#[derive(Default)]
struct Found<'a> {
    message: Option<JsonStr<'a>>,
    type_word: Option<JsonStr<'a>>,
    code: Option<JsonStr<'a>>,
    /// A code that is the number of a status.
    status: Option<StatusCode>,
    param: Option<JsonStr<'a>>,
    request_id: Option<JsonStr<'a>>,
    retry_after: Option<Duration>,
    rest: Rest<'a>,
}

impl<'a> Found<'a> {
    /// An error: an object, or the bare message.
    fn error(&mut self, c: &mut Cursor<'a>) -> Result<(), JsonError> {
        match c.kind()? {
            Kind::Object => self.members(c),
            Kind::String => {
                self.message = Some(c.string()?);
                Ok(())
            }
            _ => c.raw().map(drop),
        }
    }

    fn members(&mut self, c: &mut Cursor<'a>) -> Result<(), JsonError> {
        c.object(|key, c| self.member(&key, c))
    }

    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<(), JsonError> {
        let name = key.decode();
        if name == "error" {
            return self.error(c);
        }
        let raw = c.raw()?;
        let text = raw.source_str();
        let slot = match &*name {
            "message" | "detail" | "msg" if text.is_some() => &mut self.message,
            // FastAPI's list of what is wrong.
            "detail" if raw.kind() == Kind::Array => {
                return raw.source_cursor().map_or(Ok(()), |mut c| c.array(|_, c| self.error(c)));
            }
            // Mistral puts that list into the message.
            "message" if raw.kind() == Kind::Object => {
                return raw.source_cursor().map_or(Ok(()), |mut c| self.members(&mut c));
            }
            // Gemini's details, beside others a `RetryInfo`.
            "details" if raw.kind() == Kind::Array => {
                self.retry_after = retry_info::read(&raw);
                return Ok(());
            }
            "type" => &mut self.type_word,
            "param" => &mut self.param,
            "request_id" => &mut self.request_id,
            "code" | "status_code" if raw.kind() == Kind::Number => {
                let number = raw.as_u64().and_then(|n| u16::try_from(n).ok());
                self.status = number.and_then(|n| StatusCode::from_u16(n).ok());
                return Ok(());
            }
            "code" => &mut self.code,
            _ => {
                self.rest.keep(key.clone(), raw);
                return Ok(());
            }
        };
        *slot = text;
        Ok(())
    }

    fn finish(self, status: StatusCode) -> ApiError<'a> {
        let status = if is_error(status) { status } else { self.status.unwrap_or(status) };
        let message = self.message.unwrap_or_else(|| fallback_message(status, ""));
        let words = [&self.code, &self.type_word];
        let kind = words
            .into_iter()
            .flatten()
            .find_map(|word| kind_of_word(&word.decode()))
            .unwrap_or_else(|| kind_of_status(status, &message, self.type_word.as_ref()));
        ApiError {
            kind,
            message,
            code: self.code,
            param: self.param,
            type_word: self.type_word,
            request_id: self.request_id,
            retry_after: self.retry_after,
            rest: self.rest,
        }
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// The kind that a code or a type word tells for sure.
fn kind_of_word(word: &str) -> Option<FaultKind> {
    Some(match word {
        "context_length_exceeded" | "model_max_prompt_tokens_exceeded" => FaultKind::ContextTooLong,
        "insufficient_quota"
        | "billing_hard_limit_reached"
        | "billing_not_active"
        | "billing_error" => FaultKind::Billing,
        "invalid_api_key" | "authentication_error" => FaultKind::Auth,
        "permission_error" | "unsupported_country_region_territory" => FaultKind::Permission,
        "model_not_found" | "not_found_error" => FaultKind::NotFound,
        "content_filter" | "content_policy_violation" => FaultKind::ContentPolicy,
        "rate_limit_exceeded" | "rate_limit_error" | "requests" | "tokens" => FaultKind::RateLimit,
        "server_is_overloaded" | "slow_down" | "overloaded_error" => FaultKind::Overloaded,
        "request_too_large" => FaultKind::TooLarge,
        "timeout" | "timeout_error" => FaultKind::Timeout,
        _ => return None,
    })
}

/// The kind where no word tells it. Many servers say only in the message that a prompt is too long.
fn kind_of_status(
    status: StatusCode,
    message: &JsonStr<'_>,
    type_word: Option<&JsonStr<'_>>,
) -> FaultKind {
    const TOO_LONG: [&str; 3] = ["maximum context length", "context window", "prompt is too long"];
    let kind = if is_error(status) {
        FaultKind::from_status(status)
    } else if type_word.is_some_and(|word| *word == "invalid_request_error") {
        FaultKind::BadRequest
    } else {
        FaultKind::Upstream
    };
    let message = message.decode().to_ascii_lowercase();
    if kind == FaultKind::BadRequest && TOO_LONG.iter().any(|words| message.contains(words)) {
        return FaultKind::ContextTooLong;
    }
    // Gemini's endpoint has no other word for it than 400.
    if kind == FaultKind::BadRequest && message.contains("api key not valid") {
        return FaultKind::Auth;
    }
    kind
}

/// A message for a body that has none: its text, unless that is empty or a page.
fn fallback_message(status: StatusCode, body: &str) -> JsonStr<'static> {
    let text = body.trim();
    if text.is_empty() || text.starts_with(['<', '{', '[']) {
        return JsonStr::from_plain(format!("the upstream answered with status {status}"));
    }
    JsonStr::from_plain(text.chars().take(MAX_MESSAGE).collect::<String>())
}

/// Writes an error body in OpenAI's words for the kind. A code of the origin stands only where
/// OpenAI has none of its own for the kind.
pub(super) fn write(error: &ApiError<'_>, out: &mut BytesMut) {
    let (type_word, code) = words(error.kind);
    let mut object = ObjectWriter::begin(out);
    object.object("error", |inner| {
        inner.str("message", &error.message);
        inner.plain("type", type_word);
        match &error.param {
            Some(param) => inner.str("param", param),
            None => inner.null("param"),
        }
        match (code, &error.code) {
            (Some(code), _) => inner.plain("code", code),
            (None, Some(code)) => inner.str("code", code),
            (None, None) => inner.null("code"),
        }
    });
    object.end();
}

/// Type and code of a kind.
pub(super) fn words(kind: FaultKind) -> (&'static str, Option<&'static str>) {
    const REQUEST: &str = "invalid_request_error";
    const SERVER: &str = "server_error";
    match kind {
        FaultKind::ClientCancel | FaultKind::BadRequest | FaultKind::UnsupportedMedia => {
            (REQUEST, None)
        }
        FaultKind::NotFound => (REQUEST, Some("model_not_found")),
        FaultKind::TooLarge => (REQUEST, Some("request_too_large")),
        FaultKind::ContextTooLong => (REQUEST, Some("context_length_exceeded")),
        FaultKind::ContentPolicy => (REQUEST, Some("content_filter")),
        FaultKind::Auth => (REQUEST, Some("invalid_api_key")),
        FaultKind::Permission => ("permission_error", None),
        FaultKind::Billing => ("insufficient_quota", Some("insufficient_quota")),
        FaultKind::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
        FaultKind::Overloaded => (SERVER, Some("server_is_overloaded")),
        FaultKind::Timeout => (SERVER, Some("timeout")),
        FaultKind::Upstream | FaultKind::Transport => (SERVER, None),
    }
}

/// The status that a client of OpenAI gets: the upstream's where it tells the kind, else the usual
/// one. OpenAI has no 402 (429 with `insufficient_quota`) and no 529 (503).
pub(super) fn status(kind: FaultKind, upstream: StatusCode) -> StatusCode {
    let known = upstream.as_u16() != 529 && is_error(upstream);
    match kind {
        FaultKind::Billing => StatusCode::TOO_MANY_REQUESTS,
        kind if known && FaultKind::from_status(upstream) == kind => upstream,
        kind => kind.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        use FaultKind::*;
        // status, body, kind, message
        let rows: &[(u16, &str, FaultKind, &str)] = &[
            (
                400,
                r#"{"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}}"#,
                BadRequest,
                "m",
            ),
            (
                400,
                r#"{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
                ContextTooLong,
                "m",
            ),
            (
                429,
                r#"{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                Billing,
                "m",
            ),
            (401, r#"{"error":{"message":"m","code":"invalid_api_key"}}"#, Auth, "m"),
            (400, r#"{"error":{"message":"m","code":"model_not_found"}}"#, NotFound, "m"),
            (
                400,
                r#"{"error":{"message":"m","code":"content_filter","innererror":{}}}"#,
                ContentPolicy,
                "m",
            ),
            (
                429,
                r#"{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}"#,
                RateLimit,
                "m",
            ),
            (429, r#"{"error":{"message":"m","code":"429"}}"#, RateLimit, "m"),
            (503, r#"{"error":{"message":"m","type":"server_error"}}"#, Overloaded, "m"),
            (500, r#"{"error":{"message":"m","type":"server_error"}}"#, Upstream, "m"),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8"}}"#,
                ContextTooLong,
                "This model's maximum context length is 8",
            ),
            (422, r#"{"detail":"bad"}"#, BadRequest, "bad"),
            (
                422,
                r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
                BadRequest,
                "field required",
            ),
            (422, r#"{"object":"error","message":{"detail":[{"msg":"m"}]}}"#, BadRequest, "m"),
            (
                400,
                r#"{"error":{"code":400,"message":"API key not valid."}}"#,
                Auth,
                "API key not valid.",
            ),
            (500, r#"{"error":"text"}"#, Upstream, "text"),
            (400, r#"{"code":"X","error":"text"}"#, BadRequest, "text"),
            (200, r#"{"error":{"code":502,"message":"m"}}"#, Upstream, "m"),
            (200, r#"{"error":{"code":429,"message":"m"}}"#, RateLimit, "m"),
            (
                400,
                r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
                BadRequest,
                "m",
            ),
            (
                502,
                "<html><h1>502</h1></html>",
                Upstream,
                "the upstream answered with status 502 Bad Gateway",
            ),
            (504, "", Timeout, "the upstream answered with status 504 Gateway Timeout"),
            (500, "upstream \"died\"\n", Upstream, "upstream \"died\""),
            (500, "{", Upstream, "the upstream answered with status 500 Internal Server Error"),
            (413, "{}", TooLarge, "the upstream answered with status 413 Payload Too Large"),
        ];
        for (status, body, kind, message) in rows {
            let error = read(StatusCode::from_u16(*status).unwrap(), body);
            assert_eq!((error.kind, &*error.message.decode()), (*kind, *message), "{body}");
        }
    }

    #[test]
    fn the_wait_stands_in_the_details() {
        for (delay, expected) in
            [("34s", Some(34_000)), ("0.5s", Some(500)), ("x", None), ("-1s", None)]
        {
            let body = format!(
                r#"[{{"error":{{"code":429,"details":[{{}},{{"retryDelay":"{delay}"}}]}}}}]"#
            );
            let found = read(StatusCode::TOO_MANY_REQUESTS, &body).retry_after;
            assert_eq!(found.map(|wait| wait.as_millis()), expected, "{delay}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        use FaultKind::*;
        let kinds = [
            BadRequest,
            NotFound,
            TooLarge,
            ContextTooLong,
            ContentPolicy,
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
            write(&ApiError::new(kind, "say \"no\""), &mut out);
            let text = std::str::from_utf8(&out).unwrap();
            let error = read(status(kind, StatusCode::OK), text);
            assert_eq!((error.kind, &*error.message.decode()), (kind, "say \"no\""), "{text}");
            // Also in a stream, where there is no status.
            let raw = Raw::parse(text).unwrap();
            let error = raw.source_cursor().map(|mut c| {
                let mut found = Found::default();
                found.members(&mut c).unwrap();
                found.finish(StatusCode::OK)
            });
            assert_eq!(error.unwrap().kind, kind, "{text}");
        }
    }

    #[test]
    fn statuses() {
        use FaultKind::*;
        let rows = [
            (Overloaded, 529, 503),
            (Overloaded, 503, 503),
            (Billing, 402, 429),
            (BadRequest, 422, 422),
            (BadRequest, 500, 400),
            (ContextTooLong, 413, 400),
            (NotFound, 400, 404),
            (Auth, 400, 401),
            (Upstream, 500, 500),
            (Upstream, 200, 502),
            (RateLimit, 429, 429),
            (Timeout, 408, 408),
        ];
        for (kind, upstream, expected) in rows {
            let given = status(kind, StatusCode::from_u16(upstream).unwrap());
            assert_eq!(given.as_u16(), expected, "{kind:?} {upstream}");
        }
    }
}
