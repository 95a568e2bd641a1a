//! Why an answer ended, in Chat's words.

use crate::protocol::json::JsonStr;
use crate::protocol::model::{Stop, StopReason};

/// What else an answer holds says more than `stop` does.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Shape {
    /// It calls a tool.
    pub(super) calls: bool,
    /// It refuses.
    pub(super) refusal: bool,
}

/// Reads a `finish_reason`. `None` for the empty and the `"null"` words that clones put into every
/// chunk.
pub(super) fn read<'a>(word: JsonStr<'a>, shape: Shape) -> Option<Stop<'a>> {
    let reason = match &*word.decode() {
        "" | "null" => return None,
        "length" => StopReason::MaxTokens,
        "content_filter" => StopReason::ContentFilter,
        // DeepSeek's word for an answer that it broke off.
        "error" | "insufficient_system_resource" => StopReason::Error,
        "tool_calls" | "function_call" => StopReason::ToolUse,
        // Some vendors end a call with `stop`.
        "stop" if shape.calls => StopReason::ToolUse,
        "stop" if shape.refusal => StopReason::Refusal,
        "stop" => StopReason::End,
        _ => StopReason::Other,
    };
    Some(Stop { word: Some(word), ..Stop::new(reason) })
}

/// The word for a reason. A refusal in words is `stop` beside `refusal`, as OpenAI has it; without
/// words it is `content_filter`.
pub(super) fn word<'s>(stop: &'s Stop<'_>, shape: Shape) -> JsonStr<'s> {
    let word = match stop.reason {
        StopReason::End | StopReason::StopSequence | StopReason::Pause => "stop",
        StopReason::MaxTokens | StopReason::ContextWindow => "length",
        StopReason::ToolUse => "tool_calls",
        StopReason::Refusal if shape.refusal => "stop",
        StopReason::Refusal | StopReason::ContentFilter => "content_filter",
        StopReason::Error => "error",
        // An unknown ending must not look like a clean one.
        StopReason::Other => {
            return stop.word.as_ref().map_or(JsonStr::from_plain("stop"), JsonStr::borrow);
        }
    };
    JsonStr::from_plain(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let shape = |calls, refusal| Shape { calls, refusal };
        let rows = [
            ("stop", shape(false, false), Some(StopReason::End), "stop"),
            ("stop", shape(true, false), Some(StopReason::ToolUse), "tool_calls"),
            ("stop", shape(false, true), Some(StopReason::Refusal), "stop"),
            ("length", shape(true, false), Some(StopReason::MaxTokens), "length"),
            ("tool_calls", shape(false, false), Some(StopReason::ToolUse), "tool_calls"),
            ("function_call", shape(true, false), Some(StopReason::ToolUse), "tool_calls"),
            (
                "content_filter",
                shape(false, false),
                Some(StopReason::ContentFilter),
                "content_filter",
            ),
            ("eos", shape(false, false), Some(StopReason::Other), "eos"),
            ("insufficient_system_resource", shape(false, false), Some(StopReason::Error), "error"),
            ("null", shape(false, false), None, ""),
            ("", shape(false, false), None, ""),
        ];
        for (given, shape, reason, back) in rows {
            let stop = read(JsonStr::from_plain(given), shape);
            assert_eq!(stop.as_ref().map(|stop| stop.reason), reason, "{given}");
            if let Some(stop) = stop {
                assert_eq!(word(&stop, shape), back);
            }
        }
        let foreign = [
            (StopReason::StopSequence, "stop"),
            (StopReason::Pause, "stop"),
            (StopReason::ContextWindow, "length"),
            (StopReason::Refusal, "content_filter"),
            (StopReason::Other, "stop"),
        ];
        for (reason, expected) in foreign {
            assert_eq!(word(&Stop::new(reason), Shape::default()), expected);
        }
    }
}
