//! Errors: `{"code","message","request_id"}`, with a status or in an event under a 200.

use bytes::BytesMut;
use http::StatusCode;

use super::wire::push;
use crate::protocol::json::{Cursor, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{ApiError, FaultKind, Rest};
use crate::protocol::wire::Result;

/// Longest piece of a body without known form that becomes the message, in characters.
const MAX_MESSAGE: usize = 512;

/// Reads an error body. Never fails: forms of other servers, events, HTML and empty bodies give a
/// message too, and the kind then comes from the status.
///
/// ```
/// use http::StatusCode;
/// use tower_llm_gateway::protocol::dashscope::fault;
/// use tower_llm_gateway::protocol::model::FaultKind;
///
/// let body = r#"{"code":"Arrearage","message":"Access denied","request_id":"r"}"#;
/// let error = fault::read(StatusCode::BAD_REQUEST, body);
/// assert_eq!(error.kind, FaultKind::Billing);
/// assert_eq!(error.message, "Access denied");
/// ```
#[must_use]
pub fn read(status: StatusCode, body: &str) -> ApiError<'_> {
    let mut found = Found::default();
    let body = body.trim();
    // An error before the stream began may still come as an event.
    let data = body.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or(body);
    if Raw::parse(data).is_ok_and(|raw| raw.kind() == Kind::Object) {
        // The text was checked; a form yet unknown leaves what was found before it.
        let _ = found.members(&mut Cursor::new(data));
    }
    if found.message.is_none() {
        found.message = Some(fallback_message(status, body));
    }
    found.finish(status)
}

/// What of an error body is understood.
#[derive(Default)]
struct Found<'a> {
    message: Option<JsonStr<'a>>,
    code: Option<JsonStr<'a>>,
    type_word: Option<JsonStr<'a>>,
    request_id: Option<JsonStr<'a>>,
    rest: Rest<'a>,
}

impl<'a> Found<'a> {
    fn members(&mut self, c: &mut Cursor<'a>) -> Result<()> {
        c.object(|key, c| self.member(&key, c))
    }

    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
        let name = key.decode();
        // The form of the compatible endpoints, and of clones.
        if name == "error" && c.kind()? == Kind::Object {
            return self.members(c);
        }
        let raw = c.raw()?;
        let text = raw.source_str().filter(|text| !text.is_empty());
        let slot = match &*name {
            "message" | "msg" | "error" | "detail" if text.is_some() => &mut self.message,
            "code" if text.is_some() => &mut self.code,
            "type" => &mut self.type_word,
            "request_id" => &mut self.request_id,
            _ => {
                self.rest.keep(key.clone(), raw);
                return Ok(());
            }
        };
        *slot = text;
        Ok(())
    }

    fn finish(self, status: StatusCode) -> ApiError<'a> {
        let message = self.message.unwrap_or_default();
        let words = [&self.code, &self.type_word];
        let kind = words
            .into_iter()
            .flatten()
            .find_map(|word| kind_of_word(&word.decode()))
            .unwrap_or_else(|| {
                if is_error(status) { FaultKind::from_status(status) } else { FaultKind::Upstream }
            });
        ApiError {
            kind: refined(kind, &message),
            message,
            code: self.code,
            param: None,
            type_word: self.type_word,
            request_id: self.request_id,
            retry_after: None,
            rest: self.rest,
        }
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// The kind that a code tells. Codes have a general part and may have a particular one behind a
/// dot, which may be another code: `InternalError.Algo.DataInspectionFailed`.
fn kind_of_word(word: &str) -> Option<FaultKind> {
    if word.contains("DataInspection") || word == "data_inspection_failed" {
        return Some(FaultKind::ContentPolicy);
    }
    let whole = match word {
        "AllocationQuota.FreeTierOnly"
        | "CommodityNotPurchased"
        | "PrepaidBillOverdue"
        | "PostpaidBillOverdue" => Some(FaultKind::Billing),
        "BadRequest.TooLarge" => Some(FaultKind::TooLarge),
        "BadRequest.ResourceNotExist" | "Model.NotExist" | "InvalidParameter.ModelNotExist" => {
            Some(FaultKind::NotFound)
        }
        "InternalError.Timeout" => Some(FaultKind::Timeout),
        "InternalError.Algo.InvalidParameter" => Some(FaultKind::BadRequest),
        _ if word.ends_with(".AccessDenied") => Some(FaultKind::Permission),
        _ => None,
    };
    whole.or_else(|| kind_of_family(word.split('.').next().unwrap_or(word)))
}

/// The kind of a code's first part; lower case at the compatible endpoints.
fn kind_of_family(word: &str) -> Option<FaultKind> {
    Some(match word {
        "InvalidParameter"
        | "BadRequest"
        | "InvalidURL"
        | "InvalidSchema"
        | "InvalidSchemaFormat"
        | "UnsupportedOperation"
        | "invalid_request_error"
        | "invalid_parameter_error" => FaultKind::BadRequest,
        "InvalidApiKey" | "invalid_api_key" => FaultKind::Auth,
        "AccessDenied" | "access_denied" => FaultKind::Permission,
        "Arrearage" => FaultKind::Billing,
        "ModelNotFound"
        | "WorkSpaceNotFound"
        | "NotFound"
        | "model_not_found"
        | "model_not_supported" => FaultKind::NotFound,
        "Throttling"
        | "LimitRequests"
        | "limit_requests"
        | "limit_burst_rate"
        | "insufficient_quota"
        | "rate_limit_exceeded" => FaultKind::RateLimit,
        "RequestTimeOut" | "RequestTimeout" | "ResponseTimeout" | "GatewayTimeout" => {
            FaultKind::Timeout
        }
        "ServiceUnavailable" | "ModelUnavailable" | "ModelServingError" => FaultKind::Overloaded,
        "InternalError" | "internal_error" | "SystemError" | "ModelServiceFailed" => {
            FaultKind::Upstream
        }
        _ => return None,
    })
}

/// That a prompt is too long only the message says, and some models say in it that a filter
/// stopped them.
fn refined(kind: FaultKind, message: &JsonStr<'_>) -> FaultKind {
    const TOO_LONG: [&str; 4] = [
        "range of input length",
        "maximum context length",
        "input length exceeds",
        "token length exceed",
    ];
    if !matches!(kind, FaultKind::BadRequest | FaultKind::Upstream) {
        return kind;
    }
    let message = message.decode().to_ascii_lowercase();
    if TOO_LONG.iter().any(|words| message.contains(words)) {
        FaultKind::ContextTooLong
    } else if message.contains("datainspectionfailed") {
        FaultKind::ContentPolicy
    } else {
        kind
    }
}

/// A message for a body that has none: its text, unless that is empty or a page.
fn fallback_message(status: StatusCode, body: &str) -> JsonStr<'static> {
    if body.is_empty() || body.starts_with(['<', '{', '[']) || body.contains("data:") {
        return JsonStr::from_plain(format!("the upstream answered with status {status}"));
    }
    JsonStr::from_plain(body.chars().take(MAX_MESSAGE).collect::<String>())
}

/// Writes an error body in DashScope's words. A code of the origin stands where it is one of
/// DashScope's for the same kind, as it may say more (`Throttling.AllocationQuota`).
pub fn write(error: &ApiError<'_>, out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    let known = |code: &&JsonStr<'_>| {
        let code = code.decode();
        let kind = kind_of_word(&code).map(|kind| refined(kind, &error.message));
        kind == Some(error.kind) && code.starts_with(|c: char| c.is_ascii_uppercase())
    };
    match error.code.as_ref().filter(known) {
        Some(code) => object.str("code", code),
        None => object.plain("code", word(error.kind)),
    }
    write_message(error, object.key("message"));
    let no_id = JsonStr::default();
    object.str("request_id", error.request_id.as_ref().unwrap_or(&no_id));
    object.end();
}

/// Clients know by these words that a conversation is to be shortened.
fn write_message(error: &ApiError<'_>, out: &mut BytesMut) {
    const TOO_LONG: &str = "Range of input length";
    let said = error.message.decode().contains(TOO_LONG);
    let before = if error.kind == FaultKind::ContextTooLong && !said {
        "Range of input length exceeded: "
    } else {
        ""
    };
    push(out, &["\"", before, error.message.escaped(), "\""]);
}

/// What DashScope calls a kind of fault.
fn word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::BadRequest | FaultKind::UnsupportedMedia | FaultKind::ContextTooLong => {
            "InvalidParameter"
        }
        FaultKind::ClientCancel => "BadRequest",
        FaultKind::NotFound => "ModelNotFound",
        FaultKind::TooLarge => "BadRequest.TooLarge",
        FaultKind::ContentPolicy => "DataInspectionFailed",
        FaultKind::Auth => "InvalidApiKey",
        FaultKind::Permission => "AccessDenied",
        FaultKind::Billing => "Arrearage",
        FaultKind::RateLimit => "Throttling",
        FaultKind::Overloaded => "ServiceUnavailable",
        FaultKind::Upstream | FaultKind::Transport => "InternalError",
        FaultKind::Timeout => "RequestTimeOut",
    }
}

/// The status that a client of DashScope gets: the upstream's where it tells the kind, else the
/// usual one. Only Messages knows 529.
#[must_use]
pub fn status(kind: FaultKind, upstream: StatusCode) -> StatusCode {
    let known = upstream.as_u16() != 529 && is_error(upstream);
    if known && FaultKind::from_status(upstream) == kind { upstream } else { kind.status() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: &str, message: &str) -> String {
        format!(r#"{{"code":"{code}","message":"{message}","request_id":"r"}}"#)
    }

    #[test]
    fn codes_have_kinds() {
        use FaultKind::*;
        let rows = [
            (400, "InvalidParameter", "Role must be user", BadRequest),
            (400, "InvalidParameter", "Range of input length should be [1, 6000]", ContextTooLong),
            (
                400,
                "InvalidParameter",
                "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 9]",
                ContextTooLong,
            ),
            (200, "InternalError.Algo", "DataInspectionFailed: Output data", ContentPolicy),
            (400, "BadRequest.EmptyInput", "m", BadRequest),
            (413, "BadRequest.TooLarge", "m", TooLarge),
            (400, "DataInspectionFailed", "m", ContentPolicy),
            (400, "InvalidParameter.DataInspection", "m", ContentPolicy),
            (200, "InternalError.Algo.DataInspectionFailed", "m", ContentPolicy),
            (401, "InvalidApiKey", "m", Auth),
            (403, "AccessDenied", "m", Permission),
            (403, "AccessDenied.Unpurchased", "m", Permission),
            (403, "Model.AccessDenied", "m", Permission),
            (400, "Arrearage", "m", Billing),
            (403, "AllocationQuota.FreeTierOnly", "m", Billing),
            (429, "PrepaidBillOverdue", "m", Billing),
            (404, "ModelNotFound", "m", NotFound),
            (400, "Model.NotExist", "m", NotFound),
            (429, "Throttling", "m", RateLimit),
            (429, "Throttling.RateQuota", "m", RateLimit),
            (200, "Throttling.AllocationQuota", "m", RateLimit),
            (500, "RequestTimeOut", "m", Timeout),
            (500, "InternalError.Timeout", "m", Timeout),
            (500, "InternalError", "m", Upstream),
            (500, "InternalError.Algo", "m", Upstream),
            (503, "ServiceUnavailable", "m", Overloaded),
            (503, "ModelUnavailable", "m", Overloaded),
            (429, "SomethingNew", "m", RateLimit),
            (200, "SomethingNew", "m", Upstream),
        ];
        for (status, code, message, kind) in rows {
            let text = body(code, message);
            let error = read(StatusCode::from_u16(status).unwrap(), &text);
            assert_eq!(error.kind, kind, "{code} {message}");
            assert_eq!(error.message, message);
            assert_eq!(error.request_id.unwrap(), "r");
            assert_eq!(error.code.unwrap(), code);
        }
    }

    #[test]
    fn other_forms() {
        use FaultKind::*;
        let rows = [
            (
                400,
                "id:1\nevent:error\n:HTTP_STATUS/400\ndata:{\"code\":\"Arrearage\",\"message\":\"m\"}\n",
                Billing,
                "m",
            ),
            (400, r#"{"error":{"code":"invalid_api_key","message":"m","type":"x"}}"#, Auth, "m"),
            (400, r#"{"error":{"code":null,"message":"m","type":"Arrearage"}}"#, Billing, "m"),
            (200, r#"{"error":{"message":"m"}}"#, Upstream, "m"),
            (500, r#"{"error":"m"}"#, Upstream, "m"),
            (500, r#"{"code":7,"msg":"m"}"#, Upstream, "m"),
            (429, "slow \"down\"\n", RateLimit, "slow \"down\""),
            (502, "<html></html>", Upstream, "the upstream answered with status 502 Bad Gateway"),
            (504, "", Timeout, "the upstream answered with status 504 Gateway Timeout"),
            (500, "[1]", Upstream, "the upstream answered with status 500 Internal Server Error"),
            (
                400,
                "data:{\"code\"",
                BadRequest,
                "the upstream answered with status 400 Bad Request",
            ),
        ];
        for (status, text, kind, message) in rows {
            let error = read(StatusCode::from_u16(status).unwrap(), text);
            assert_eq!((error.kind, &*error.message.decode()), (kind, message), "{text}");
        }
        let page = "x".repeat(MAX_MESSAGE + 9);
        let error = read(StatusCode::BAD_GATEWAY, &page);
        assert_eq!(error.message.escaped().len(), MAX_MESSAGE);
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
            write(&ApiError::new(kind, "it \"failed\""), &mut out);
            let text = std::str::from_utf8(&out).unwrap();
            let error = read(StatusCode::OK, text);
            assert_eq!(error.kind, kind, "{text}");
            assert!(error.message.decode().ends_with("it \"failed\""), "{text}");
        }
    }

    #[test]
    fn a_code_of_its_own_is_kept() {
        let write_code = |kind, code: &'static str| {
            let mut error = ApiError::new(kind, "m");
            error.code = Some(JsonStr::from_plain(code));
            let mut out = BytesMut::new();
            write(&error, &mut out);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            value["code"].as_str().unwrap().to_owned()
        };
        let rows = [
            (FaultKind::RateLimit, "Throttling.AllocationQuota", "Throttling.AllocationQuota"),
            (FaultKind::RateLimit, "rate_limit_exceeded", "Throttling"),
            (FaultKind::Auth, "Throttling", "InvalidApiKey"),
            (FaultKind::Upstream, "odd", "InternalError"),
        ];
        for (kind, code, expected) in rows {
            assert_eq!(write_code(kind, code), expected);
        }
    }

    #[test]
    fn statuses() {
        let rows = [
            (FaultKind::Billing, 400, 402),
            (FaultKind::Overloaded, 529, 503),
            (FaultKind::BadRequest, 422, 422),
            (FaultKind::Auth, 400, 401),
            (FaultKind::Upstream, 200, 502),
        ];
        for (kind, upstream, expected) in rows {
            let upstream = StatusCode::from_u16(upstream).unwrap();
            assert_eq!(status(kind, upstream).as_u16(), expected, "{kind:?}");
        }
    }
}
