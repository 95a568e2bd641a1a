//! Finished answers: the `message` object.
//!
//! ```
//! use tower_llm_gateway::protocol::anthropic::response;
//! use tower_llm_gateway::protocol::model::StopReason;
//!
//! let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m",
//!     "content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,
//!     "usage":{"input_tokens":9,"output_tokens":2}}"#;
//! let answer = response::read(body)?;
//! let candidate = &answer.candidates[0];
//! assert_eq!(candidate.stop.as_ref().map(|stop| stop.reason), Some(StopReason::End));
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

use bytes::BytesMut;

use super::blocks::BlockWriter;
use super::parts::{Contents, read_contents};
use super::usage;
use crate::protocol::Protocol;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter};
use crate::protocol::model::{
    Candidate, Content, Part, Response, Rest, Spelling, Stop, StopReason,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::target::Answer;
use crate::protocol::wire::{Result, keep, lenient_str, nullable, skip, write_opt_raw};

/// Reads a `message` object.
///
/// # Errors
/// When `text` is no JSON object, or a member of the protocol has a shape that it cannot have.
pub fn read(text: &str) -> Result<Response<'_>, JsonError> {
    let mut response = Response {
        origin: Protocol::Anthropic,
        id: JsonStr::default(),
        model: JsonStr::default(),
        created: None,
        candidates: Vec::new(),
        usage: None,
        rest: Rest::default(),
    };
    let mut contents = Contents::default();
    let mut ending = Ending::default();
    let mut cursor = Cursor::new(text);
    cursor.object(|key, c| {
        match &*key.decode() {
            "id" => response.id = lenient_str(c)?.unwrap_or_default(),
            "model" => response.model = lenient_str(c)?.unwrap_or_default(),
            "type" | "role" => skip(c)?,
            "content" => {
                let read = nullable(&key, c, &mut Rest::default(), read_contents)?;
                contents = read.unwrap_or_default();
            }
            "usage" => response.usage = usage::read(c)?.map(|(counts, raw)| counts.usage(raw)),
            _ if ending.member(&key, c, &mut response.rest)? => {}
            _ => keep(&key, c, &mut response.rest)?,
        }
        Ok(())
    })?;
    cursor.end()?;
    response.candidates.push(Candidate {
        index: 0,
        parts: contents.parts,
        stop: ending.stop(&mut response.rest),
        logprobs: None,
        spelling: Spelling::default(),
        message_rest: Rest::default(),
        rest: Rest::default(),
    });
    Ok(response)
}

/// The three members that tell how an answer ended, wherever they stand.
#[derive(Default)]
pub(super) struct Ending<'a> {
    word: Option<JsonStr<'a>>,
    sequence: Option<JsonStr<'a>>,
    details: Option<(JsonStr<'a>, crate::protocol::json::Raw<'a>)>,
}

impl<'a> Ending<'a> {
    /// Reads the member if it is one of the three. A `null` of the first two is what a writer
    /// writes anyway.
    pub(super) fn member(
        &mut self,
        key: &JsonStr<'a>,
        c: &mut Cursor<'a>,
        rest: &mut Rest<'a>,
    ) -> Result<bool> {
        match &*key.decode() {
            "stop_reason" => self.word = lenient_str(c)?,
            "stop_sequence" => self.sequence = lenient_str(c)?,
            "stop_details" if c.kind()? != Kind::Null => {
                self.details = Some((key.clone(), c.raw()?));
            }
            "stop_details" => keep(key, c, rest)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The reason; without one the details stay a member that nobody understood.
    pub(super) fn stop(self, rest: &mut Rest<'a>) -> Option<Stop<'a>> {
        let Some(word) = self.word else {
            if let Some((key, raw)) = self.details {
                rest.keep(key, raw);
            }
            return None;
        };
        Some(Stop {
            reason: stop_reason(&word.decode()),
            word: Some(word),
            sequence: self.sequence,
            details: self.details.map(|(_, raw)| raw),
        })
    }
}

fn stop_reason(word: &str) -> StopReason {
    match word {
        "end_turn" => StopReason::End,
        "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence,
        "tool_use" => StopReason::ToolUse,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        _ => StopReason::Other,
    }
}

/// What the parts of an answer say about its end, beside the word of another protocol.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// There was a tool call.
    pub(super) call: bool,
    /// There was a refusal in words.
    pub(super) refusal: bool,
}

/// The word of Messages. `tool_use` and tool calls go together: clients run tools by the word.
pub(super) fn stop_word(reason: StopReason, seen: Seen) -> &'static str {
    match reason {
        StopReason::MaxTokens => "max_tokens",
        StopReason::ContextWindow => "model_context_window_exceeded",
        StopReason::Refusal | StopReason::ContentFilter => "refusal",
        StopReason::Pause => "pause_turn",
        _ if seen.call => "tool_use",
        StopReason::StopSequence => "stop_sequence",
        _ if seen.refusal => "refusal",
        StopReason::End | StopReason::ToolUse | StopReason::Error | StopReason::Other => "end_turn",
    }
}

/// Writes `stop_reason`, `stop_sequence` and `stop_details`.
pub(super) fn write_stop(
    object: &mut ObjectWriter<'_>,
    stop: Option<&Stop<'_>>,
    seen: Seen,
    native: bool,
) {
    match stop {
        None if native => object.null("stop_reason"),
        Some(Stop { word: Some(word), .. }) if native => object.str("stop_reason", word),
        stop => {
            let reason = stop.map_or(StopReason::End, |stop| stop.reason);
            object.plain("stop_reason", stop_word(reason, seen));
        }
    }
    match stop.and_then(|stop| stop.sequence.as_ref()) {
        Some(sequence) => object.str("stop_sequence", sequence),
        None => object.null("stop_sequence"),
    }
    let details = stop.and_then(|stop| stop.details.as_ref());
    write_opt_raw(object, "stop_details", details.filter(|_| native));
}

/// Appends the answer as a `message` object. What Messages cannot say goes to `report`; a
/// [`StopReason::Error`], for which it has no word, is fatal.
pub fn write(
    response: &Response<'_>,
    answer: &mut Answer,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let native = response.origin == Protocol::Anthropic;
    let id = message_id(&response.id, native, answer);
    let model = message_model(&response.model, answer);
    let mut object = ObjectWriter::begin(out);
    object.str("id", &id);
    object.plain("type", "message");
    object.plain("role", "assistant");
    object.str("model", &model);

    let ids = Some(&mut answer.ids);
    let mut blocks = BlockWriter { native, report, ids };
    let candidate = response.candidates.iter().find(|candidate| candidate.index == 0);
    let parts = candidate.map_or(&[][..], |candidate| &candidate.parts);
    object.array("content", |array| blocks.parts(parts, array));
    let stop = candidate.and_then(|candidate| candidate.stop.as_ref());
    write_stop(&mut object, stop, seen(parts), native);
    usage::write(&mut object, response.usage.as_ref(), native);
    blocks.rest(&mut object, &response.rest);
    if !native {
        losses(response, blocks.report);
    }
    object.end();
}

fn seen(parts: &[Part<'_>]) -> Seen {
    let any = |test: fn(&Content<'_>) -> bool| parts.iter().any(|part| test(&part.content));
    Seen {
        call: any(|content| matches!(content, Content::ToolCall(_))),
        refusal: any(|content| matches!(content, Content::Refusal(_))),
    }
}

fn losses(response: &Response<'_>, report: &mut Reporter<'_>) {
    for candidate in &response.candidates {
        report.rest(&candidate.rest);
        report.rest(&candidate.message_rest);
        if let Some(logprobs) = &candidate.logprobs {
            let reason = "Messages gives no token probabilities";
            report.piece(logprobs.as_str(), Severity::Degrade, reason);
        }
        if candidate.stop.as_ref().is_some_and(|stop| stop.reason == StopReason::Error) {
            let reason = "the model failed, and Messages has no word for it";
            let word = candidate.stop.as_ref().and_then(|stop| stop.word.as_ref());
            report.piece(word.map_or("", |word| word.escaped()), Severity::Fatal, reason);
        }
    }
    if response.candidates.len() > 1 {
        report.member("choices", Severity::Degrade, "Messages gives one answer");
    }
}

/// The upstream's id, or a new one: ids of other protocols have other forms.
pub(super) fn message_id<'a>(
    id: &'a JsonStr<'_>,
    native: bool,
    answer: &mut Answer,
) -> JsonStr<'a> {
    if native && !id.is_empty() {
        return id.borrow();
    }
    JsonStr::from_plain(answer.ids.make("msg_"))
}

/// The model that answered, or where the upstream names none, the one that was asked for.
pub(super) fn message_model<'a>(model: &'a JsonStr<'_>, answer: &'a Answer) -> JsonStr<'a> {
    if model.is_empty() { JsonStr::from_plain(&*answer.model).into_owned() } else { model.borrow() }
}
