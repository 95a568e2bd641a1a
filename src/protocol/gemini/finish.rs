//! Why an answer ended, in Gemini's words.
//!
//! Gemini has no word for a turn that waits for tools: such a turn ends with `STOP`, and clients
//! (the ai-sdk) run tools after no other.

use bytes::BytesMut;

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Stop, StopReason};

/// The words in the order of their numbers, which some transports send.
const WORDS: [&str; 18] = [
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "IMAGE_RECITATION",
];

/// What a call without an object of arguments ends a turn with.
pub(super) const MALFORMED_CALL: &str = "MALFORMED_FUNCTION_CALL";

/// Reads a word, or the number that stands for one; `None` where it says nothing.
pub(super) fn read_word<'a>(c: &mut Cursor<'a>) -> Result<Option<JsonStr<'a>>, JsonError> {
    let word = match c.kind()? {
        Kind::String => c.string()?,
        Kind::Number => {
            let raw = c.raw()?;
            let at = raw.as_u64().and_then(|n| usize::try_from(n).ok());
            match at.and_then(|at| WORDS.get(at)) {
                Some(word) => JsonStr::from_plain(*word),
                None => JsonStr::from_plain(raw.as_str().to_owned()),
            }
        }
        _ => return c.raw().map(|_| None),
    };
    let says = !word.is_empty() && word != WORDS[0];
    Ok(says.then_some(word))
}

/// The reason of a word, in an answer that calls tools or not.
pub(super) fn reason(word: &str, calls: bool) -> StopReason {
    match word {
        "STOP" if calls => StopReason::ToolUse,
        "STOP" => StopReason::End,
        "MAX_TOKENS" => StopReason::MaxTokens,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED" => StopReason::ContentFilter,
        MALFORMED_CALL
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => StopReason::Error,
        _ => StopReason::Other,
    }
}

/// The end that a word tells, with what Gemini says about it (`finishMessage`).
pub(super) fn stop<'a>(word: JsonStr<'a>, message: Option<&JsonStr<'_>>, calls: bool) -> Stop<'a> {
    let reason = reason(&word.decode(), calls);
    let details = match reason {
        StopReason::Error => {
            let told = message.map_or_else(
                || format!("the model failed: {}", word.escaped()),
                |message| message.escaped().to_owned(),
            );
            details("message", &JsonStr::from_escaped(told))
        }
        StopReason::ContentFilter => message.and_then(|message| details("explanation", message)),
        _ => None,
    };
    Stop { word: Some(word), details, ..Stop::new(reason) }
}

/// The end of an answer whose prompt was blocked, by its `promptFeedback`; `None` where it was
/// not. It has no word: there was no candidate to have one.
pub(super) fn blocked(feedback: &Raw<'_>) -> Option<Stop<'static>> {
    let (mut reason, mut message) = (None, None);
    let walked = feedback.cursor().object(|key, c| {
        match &*super::names::camel(&key) {
            "blockReason" => reason = blocked_word(c)?,
            "blockReasonMessage" if c.kind()? == Kind::String => message = Some(c.string()?),
            _ => drop(c.raw()?),
        }
        Ok(())
    });
    let reason = walked.ok().and(reason)?;
    let told = message.map_or_else(
        || format!("the prompt was blocked: {reason}"),
        |message| message.escaped().to_owned(),
    );
    let details = details("explanation", &JsonStr::from_escaped(told));
    Some(Stop { details, ..Stop::new(StopReason::ContentFilter) })
}

fn blocked_word(c: &mut Cursor<'_>) -> Result<Option<String>, JsonError> {
    Ok(match c.kind()? {
        Kind::String => {
            Some(c.string()?.escaped().to_owned()).filter(|word| !word.ends_with("UNSPECIFIED"))
        }
        Kind::Number => c.raw()?.as_u64().filter(|n| *n > 0).map(|n| n.to_string()),
        _ => c.raw().map(|_| None)?,
    })
}

fn details(name: &str, text: &JsonStr<'_>) -> Option<Raw<'static>> {
    let mut out = BytesMut::new();
    let mut object = ObjectWriter::begin(&mut out);
    object.str(name, text);
    object.end();
    Raw::parse_owned(std::str::from_utf8(&out).ok()?.to_owned()).ok()
}

/// What the parts of an answer say about its end.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// A tool is called.
    pub(super) call: bool,
    /// A call was left out, because its arguments were no object.
    pub(super) malformed: bool,
}

/// The word for a reason of another protocol. An unknown ending must not look like a clean one,
/// but calls are run only behind `STOP`.
pub(super) fn word(reason: StopReason, seen: Seen) -> &'static str {
    match reason {
        StopReason::MaxTokens | StopReason::ContextWindow => "MAX_TOKENS",
        StopReason::Refusal => "PROHIBITED_CONTENT",
        StopReason::ContentFilter => "SAFETY",
        _ if seen.malformed => MALFORMED_CALL,
        StopReason::End | StopReason::StopSequence | StopReason::ToolUse | StopReason::Pause => {
            "STOP"
        }
        _ if seen.call => "STOP",
        StopReason::Error | StopReason::Other => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        use StopReason::*;
        let rows = [
            ("STOP", false, End),
            ("STOP", true, ToolUse),
            ("MAX_TOKENS", true, MaxTokens),
            ("SAFETY", false, ContentFilter),
            ("RECITATION", false, ContentFilter),
            ("BLOCKLIST", false, ContentFilter),
            ("PROHIBITED_CONTENT", false, ContentFilter),
            ("SPII", false, ContentFilter),
            ("IMAGE_SAFETY", false, ContentFilter),
            ("MODEL_ARMOR", false, ContentFilter),
            ("LANGUAGE", false, ContentFilter),
            ("MALFORMED_FUNCTION_CALL", true, Error),
            ("UNEXPECTED_TOOL_CALL", true, Error),
            ("TOO_MANY_TOOL_CALLS", false, Error),
            ("MISSING_THOUGHT_SIGNATURE", false, Error),
            ("MALFORMED_RESPONSE", false, Error),
            ("OTHER", false, Other),
            ("NEW_WORD", true, Other),
        ];
        for (word, calls, expected) in rows {
            assert_eq!(reason(word, calls), expected, "{word}");
        }
    }

    #[test]
    fn numbers_are_words() {
        for (text, expected) in [
            ("1", Some("STOP")),
            ("2", Some("MAX_TOKENS")),
            ("10", Some("MALFORMED_FUNCTION_CALL")),
            ("99", Some("99")),
            ("0", None),
            ("null", None),
            ("\"\"", None),
            ("\"FINISH_REASON_UNSPECIFIED\"", None),
            ("\"STOP\"", Some("STOP")),
            ("{}", None),
        ] {
            let word = read_word(&mut Cursor::new(text)).unwrap();
            assert_eq!(word.map(|word| word.decode().into_owned()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn words_of_others() {
        use StopReason::*;
        let plain = Seen::default();
        let call = Seen { call: true, malformed: false };
        let malformed = Seen { call: true, malformed: true };
        for (reason, seen, expected) in [
            (End, plain, "STOP"),
            (StopSequence, plain, "STOP"),
            (ToolUse, call, "STOP"),
            (Pause, plain, "STOP"),
            (MaxTokens, call, "MAX_TOKENS"),
            (MaxTokens, malformed, "MAX_TOKENS"),
            (ContextWindow, plain, "MAX_TOKENS"),
            (Refusal, plain, "PROHIBITED_CONTENT"),
            (ContentFilter, plain, "SAFETY"),
            (Other, plain, "OTHER"),
            (Other, call, "STOP"),
            (ToolUse, malformed, "MALFORMED_FUNCTION_CALL"),
        ] {
            assert_eq!(word(reason, seen), expected, "{reason:?}");
        }
    }

    #[test]
    fn why_is_told() {
        let word = || JsonStr::from_plain("MALFORMED_FUNCTION_CALL");
        let told = JsonStr::from_plain("bad \"call\"");
        let details = |stop: Stop<'_>| stop.details.map(|raw| raw.as_str().to_owned());
        let row = details(stop(word(), Some(&told), false));
        assert_eq!(row.as_deref(), Some(r#"{"message":"bad \"call\""}"#));
        let row = details(stop(word(), None, false));
        assert_eq!(
            row.as_deref(),
            Some(r#"{"message":"the model failed: MALFORMED_FUNCTION_CALL"}"#)
        );
        for (feedback, expected) in [
            (
                r#"{"blockReason":"SAFETY","blockReasonMessage":"m"}"#,
                Some(r#"{"explanation":"m"}"#),
            ),
            (
                r#"{"block_reason":"OTHER"}"#,
                Some(r#"{"explanation":"the prompt was blocked: OTHER"}"#),
            ),
            (r#"{"blockReason":1}"#, Some(r#"{"explanation":"the prompt was blocked: 1"}"#)),
            (r#"{"blockReason":"BLOCKED_REASON_UNSPECIFIED"}"#, None),
            (r#"{"safetyRatings":[]}"#, None),
            ("5", None),
        ] {
            let stop = blocked(&Raw::parse(feedback).unwrap());
            assert!(stop.as_ref().is_none_or(|stop| stop.word.is_none()));
            assert_eq!(stop.and_then(details).as_deref(), expected, "{feedback}");
        }
    }
}
