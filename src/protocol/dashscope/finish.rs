//! Why an answer ended, in DashScope's words.

use crate::protocol::json::JsonStr;
use crate::protocol::model::{Stop, StopReason};

/// Reads a `finish_reason`. `None` for the string `null`, which stands in every event but the
/// last. Some models end a call with `stop`.
pub(super) fn read<'a>(word: JsonStr<'a>, calls: bool) -> Option<Stop<'a>> {
    let reason = match &*word.decode() {
        "" | "null" => return None,
        "stop" | "tool_calls" if calls => StopReason::ToolUse,
        "stop" => StopReason::End,
        "length" => StopReason::MaxTokens,
        "tool_calls" => StopReason::ToolUse,
        "content_filter" => StopReason::ContentFilter,
        _ => StopReason::Other,
    };
    Some(Stop { word: Some(word), ..Stop::new(reason) })
}

/// The word for a reason. A filter and a failure have none, they are errors: see [`error`].
pub(super) fn word<'s>(stop: &'s Stop<'_>) -> JsonStr<'s> {
    JsonStr::from_plain(match stop.reason {
        StopReason::End | StopReason::StopSequence | StopReason::Pause | StopReason::Refusal => {
            "stop"
        }
        StopReason::MaxTokens | StopReason::ContextWindow => "length",
        StopReason::ToolUse => "tool_calls",
        StopReason::ContentFilter => "content_filter",
        StopReason::Error => "error",
        // An unknown ending must not look like a clean one.
        StopReason::Other => {
            return stop.word.as_ref().map_or(JsonStr::from_plain("stop"), JsonStr::borrow);
        }
    })
}

/// What an ending is an error with, as DashScope has no word for it: a refusal is the model's
/// words where it said why (`refused`), else it is the filter's, which answers with an error.
pub(super) fn error(reason: StopReason, refused: bool) -> Option<&'static str> {
    match reason {
        StopReason::Refusal if refused => None,
        StopReason::Refusal => Some("the model refused to answer"),
        StopReason::ContentFilter => Some("the answer was stopped by a content filter"),
        StopReason::Error => Some("the model failed to answer"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        use StopReason::*;
        let rows = [
            ("stop", false, Some(End), "stop"),
            ("stop", true, Some(ToolUse), "tool_calls"),
            ("tool_calls", false, Some(ToolUse), "tool_calls"),
            ("length", true, Some(MaxTokens), "length"),
            ("content_filter", false, Some(ContentFilter), "content_filter"),
            ("odd", false, Some(Other), "odd"),
            ("null", false, None, ""),
            ("", true, None, ""),
        ];
        for (given, calls, reason, back) in rows {
            let stop = read(JsonStr::from_plain(given), calls);
            assert_eq!(stop.as_ref().map(|stop| stop.reason), reason, "{given}");
            if let Some(stop) = stop {
                assert_eq!(word(&stop), back);
            }
        }
        for (reason, expected) in [
            (StopSequence, "stop"),
            (Pause, "stop"),
            (ContextWindow, "length"),
            (Refusal, "stop"),
            (Other, "stop"),
        ] {
            assert_eq!(word(&Stop::new(reason)), expected);
        }
    }

    #[test]
    fn endings_that_are_errors() {
        use StopReason::*;
        let rows = [
            (End, false, false),
            (Refusal, true, false),
            (Refusal, false, true),
            (ContentFilter, false, true),
            (Error, true, true),
        ];
        for (reason, refused, is_error) in rows {
            assert_eq!(error(reason, refused).is_some(), is_error, "{reason:?}");
        }
    }
}
