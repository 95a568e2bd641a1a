//! What the words of the protocols mean.

use http::StatusCode;

use crate::protocol::model::{FaultKind, StopReason};

/// Why an answer ended; `None` while it has not.
pub(super) fn stop_reason(word: &str) -> Option<StopReason> {
    Some(match word {
        // DashScope says "null" in a string until the end.
        "null" | "in_progress" | "queued" | "FINISH_REASON_UNSPECIFIED" => return None,
        "end_turn" | "stop" | "completed" | "STOP" => StopReason::End,
        "max_tokens" | "length" | "max_output_tokens" | "MAX_TOKENS" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence,
        "tool_use" | "tool_calls" | "function_call" => StopReason::ToolUse,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        "content_filter" | "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT"
        | "SPII" | "LANGUAGE" | "MODEL_ARMOR" => StopReason::ContentFilter,
        "failed"
        | "error"
        | "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => StopReason::Error,
        word if word.starts_with("IMAGE_") => StopReason::ContentFilter,
        _ => StopReason::Other,
    })
}

/// Whose fault a type word, code or status word names.
pub(super) fn fault_of_code(code: &str) -> Option<FaultKind> {
    Some(match code {
        "context_length_exceeded" => FaultKind::ContextTooLong,
        "authentication_error"
        | "invalid_api_key"
        | "UNAUTHENTICATED"
        | "API_KEY_INVALID"
        | "InvalidApiKey" => FaultKind::Auth,
        "permission_error" | "PERMISSION_DENIED" => FaultKind::Permission,
        "billing_error" | "insufficient_quota" | "Arrearage" => FaultKind::Billing,
        "not_found_error" | "model_not_found" | "NOT_FOUND" => FaultKind::NotFound,
        "timeout_error" | "DEADLINE_EXCEEDED" | "RequestTimeOut" => FaultKind::Timeout,
        "request_too_large" | "BadRequest.TooLarge" => FaultKind::TooLarge,
        "rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" | "RateLimitReached" => {
            FaultKind::RateLimit
        }
        "content_policy_violation" | "content_filter" | "DataInspectionFailed" => {
            FaultKind::ContentPolicy
        }
        "overloaded_error" | "UNAVAILABLE" | "ServiceUnavailable" => FaultKind::Overloaded,
        "api_error" | "server_error" | "INTERNAL" | "UNKNOWN" => FaultKind::Upstream,
        "invalid_request_error"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION"
        | "InvalidParameter" => FaultKind::BadRequest,
        code if code.starts_with("AccessDenied") => FaultKind::Permission,
        code if code.starts_with("Throttling") => FaultKind::RateLimit,
        code if code.starts_with("BadRequest") => FaultKind::BadRequest,
        code if code.starts_with("InternalError") => FaultKind::Upstream,
        _ => return code.parse().ok().and_then(fault_of_status),
    })
}

fn fault_of_status(status: u16) -> Option<FaultKind> {
    let status = StatusCode::from_u16(status).ok().filter(|s| s.as_u16() >= 400)?;
    Some(FaultKind::from_status(status))
}

/// Whose fault a message tells, where the code is too general.
pub(super) fn fault_of_message(message: &str) -> Option<FaultKind> {
    const TOO_LONG: [&str; 4] = [
        "prompt is too long",
        "maximum context length",
        "Range of input length",
        "exceeds the maximum number of tokens",
    ];
    TOO_LONG.iter().any(|words| message.contains(words)).then_some(FaultKind::ContextTooLong)
}

/// The better of two names for one error: a particular one before a general one, else the first.
pub(super) fn better(known: Option<FaultKind>, other: FaultKind) -> FaultKind {
    match known {
        None | Some(FaultKind::BadRequest | FaultKind::Upstream) => match (known, other) {
            (Some(known), FaultKind::BadRequest | FaultKind::Upstream) => known,
            _ => other,
        },
        Some(known) => known,
    }
}
