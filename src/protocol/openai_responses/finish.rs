//! How an answer ended: `status`, `incomplete_details`, `error`.

use crate::protocol::json::{JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Stop, StopReason};
use crate::protocol::wire::member_of;

/// What an answer holds, beside its status.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Seen {
    /// It calls a tool of the caller's.
    pub(super) call: bool,
    /// It refuses.
    pub(super) refusal: bool,
}

/// Reads the end of an answer. `None` where it has not ended (`queued`, `in_progress`) or does not
/// say.
pub(super) fn read<'a>(
    status: JsonStr<'a>,
    incomplete: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
    seen: Seen,
) -> Option<Stop<'a>> {
    let stop =
        |reason, word, details| Some(Stop { word: Some(word), details, ..Stop::new(reason) });
    match &*status.decode() {
        "completed" if seen.call => stop(StopReason::ToolUse, status, None),
        "completed" if seen.refusal => stop(StopReason::Refusal, status, None),
        "completed" => stop(StopReason::End, status, None),
        "incomplete" => {
            let word = incomplete.as_ref().and_then(|raw| member_of(raw, "reason")?.source_str());
            let word = word.unwrap_or(status);
            let reason = match &*word.decode() {
                "max_output_tokens" | "max_tokens" => StopReason::MaxTokens,
                "content_filter" => StopReason::ContentFilter,
                _ => StopReason::Other,
            };
            stop(reason, word, incomplete.filter(|raw| raw.kind() == Kind::Object))
        }
        "failed" | "cancelled" => {
            stop(StopReason::Error, status, error.filter(|raw| raw.kind() == Kind::Object))
        }
        _ => None,
    }
}

/// The codes of a failed answer that OpenAI documents and that others may send.
pub(super) const FAILED_CODES: [&str; 21] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "data_residency_mismatch",
    "bio_policy",
    "misalignment_policy_violation",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
];

/// The end of an answer as it is written.
#[derive(Debug)]
pub(super) enum State<'s> {
    Completed,
    /// With its reason.
    Incomplete(JsonStr<'s>),
    /// With code and message.
    Failed(JsonStr<'s>, JsonStr<'s>),
}

impl<'s> State<'s> {
    /// What a stop is in Responses. A refusal without words must not look like a clean end; an
    /// ending of another protocol of which nothing is known (`eos`) is one.
    pub(super) fn of(stop: Option<&'s Stop<'_>>, refused: bool, own: bool) -> Self {
        let Some(stop) = stop else { return Self::Completed };
        let incomplete = |reason| Self::Incomplete(JsonStr::from_plain(reason));
        match stop.reason {
            StopReason::Refusal if !refused => incomplete("content_filter"),
            StopReason::End
            | StopReason::StopSequence
            | StopReason::ToolUse
            | StopReason::Refusal
            | StopReason::Pause => Self::Completed,
            StopReason::MaxTokens | StopReason::ContextWindow => incomplete("max_output_tokens"),
            StopReason::ContentFilter => incomplete("content_filter"),
            StopReason::Error => {
                let message = failure_words(stop).unwrap_or(JsonStr::from_plain(FAILED));
                Self::Failed(JsonStr::from_plain("server_error"), message)
            }
            StopReason::Other => match &stop.word {
                Some(word) if own => Self::Incomplete(word.borrow()),
                _ => Self::Completed,
            },
        }
    }

    /// The word of `status`.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed(..) => "failed",
        }
    }

    /// The `status` of the last item.
    pub(super) fn of_last_item(&self) -> &'static str {
        if matches!(self, Self::Completed) { "completed" } else { "incomplete" }
    }

    /// Writes `status`, `error` and `incomplete_details`.
    pub(super) fn write(&self, object: &mut ObjectWriter<'_>) {
        object.plain("status", self.word());
        match self {
            Self::Failed(code, message) => object.object("error", |error| {
                error.str("code", code);
                error.str("message", message);
            }),
            _ => object.null("error"),
        }
        match self {
            Self::Incomplete(reason) => {
                object.object("incomplete_details", |details| details.str("reason", reason));
            }
            _ => object.null("incomplete_details"),
        }
    }
}

/// What is said of a model that failed without a word.
pub(super) const FAILED: &str = "the model failed to answer";

/// What the upstream says of a failure.
pub(super) fn failure_words<'s>(stop: &'s Stop<'_>) -> Option<JsonStr<'s>> {
    words(stop, "message")
}

/// The words of a refusal that has none in its parts (`stop_details.explanation` of Messages).
pub(super) fn refusal_words<'s>(stop: &'s Stop<'_>) -> Option<JsonStr<'s>> {
    (stop.reason == StopReason::Refusal).then_some(())?;
    words(stop, "explanation").filter(|words| !words.is_empty())
}

fn words<'s>(stop: &'s Stop<'_>, name: &str) -> Option<JsonStr<'s>> {
    let details = stop.details.as_ref().filter(|raw| raw.kind() == Kind::Object)?;
    member_of(&details.borrow(), name)?.source_str()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn endings() {
        let rows = [
            ("completed", "null", Seen::default(), Some(StopReason::End), "completed"),
            (
                "completed",
                "null",
                Seen { call: true, refusal: true },
                Some(StopReason::ToolUse),
                "completed",
            ),
            (
                "completed",
                "null",
                Seen { call: false, refusal: true },
                Some(StopReason::Refusal),
                "completed",
            ),
            (
                "incomplete",
                r#"{"reason":"max_output_tokens"}"#,
                Seen { call: true, refusal: false },
                Some(StopReason::MaxTokens),
                "incomplete",
            ),
            (
                "incomplete",
                r#"{"reason":"content_filter"}"#,
                Seen::default(),
                Some(StopReason::ContentFilter),
                "incomplete",
            ),
            (
                "incomplete",
                r#"{"reason":"bored"}"#,
                Seen::default(),
                Some(StopReason::Other),
                "incomplete",
            ),
            ("incomplete", "null", Seen::default(), Some(StopReason::Other), "incomplete"),
            ("failed", "null", Seen::default(), Some(StopReason::Error), "failed"),
            ("in_progress", "null", Seen::default(), None, "completed"),
        ];
        for (status, details, seen, reason, back) in rows {
            let details = Some(Raw::literal(details));
            let stop = read(JsonStr::from_plain(status), details, None, seen);
            assert_eq!(stop.as_ref().map(|stop| stop.reason), reason, "{status}");
            assert_eq!(State::of(stop.as_ref(), seen.refusal, true).word(), back, "{status}");
        }
    }

    #[test]
    fn foreign_endings() {
        let written = |stop: &Stop<'_>, refused| {
            let mut out = BytesMut::new();
            let mut object = ObjectWriter::begin(&mut out);
            State::of(Some(stop), refused, false).write(&mut object);
            object.end();
            String::from_utf8(out.to_vec()).unwrap()
        };
        let incomplete = |reason: &str| {
            format!(
                r#"{{"status":"incomplete","error":null,"incomplete_details":{{"reason":"{reason}"}}}}"#
            )
        };
        let completed = r#"{"status":"completed","error":null,"incomplete_details":null}"#;
        let stop = Stop::new;
        assert_eq!(written(&stop(StopReason::StopSequence), false), completed);
        assert_eq!(written(&stop(StopReason::Pause), false), completed);
        assert_eq!(written(&stop(StopReason::Refusal), true), completed);
        assert_eq!(written(&stop(StopReason::Refusal), false), incomplete("content_filter"));
        assert_eq!(
            written(&stop(StopReason::ContextWindow), false),
            incomplete("max_output_tokens")
        );
        let word = Some(JsonStr::from_plain("eos"));
        assert_eq!(written(&Stop { word, ..stop(StopReason::Other) }, false), completed);
        let details = Some(Raw::literal(r#"{"message":"m"}"#));
        assert_eq!(
            written(&Stop { details, ..stop(StopReason::Error) }, false),
            r#"{"status":"failed","error":{"code":"server_error","message":"m"},"incomplete_details":null}"#
        );
    }
}
