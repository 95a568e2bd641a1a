//! Finished answers: `GenerateContentResponse`.
//!
//! ```
//! use tower_llm_gateway::protocol::gemini::response;
//! use tower_llm_gateway::protocol::model::StopReason;
//!
//! let body = r#"{"candidates":[{"content":{"parts":[{"text":"Hello"}],"role":"model"},
//!     "finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,
//!     "candidatesTokenCount":2,"totalTokenCount":11},"modelVersion":"gemini-2.5-flash"}"#;
//! let answer = response::read(body)?;
//! let stop = answer.candidates[0].stop.as_ref().map(|stop| stop.reason);
//! assert_eq!(stop, Some(StopReason::End));
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

use std::borrow::Cow;

use bytes::BytesMut;

use super::chunk::{CandidateHead, Chunk, each};
use super::finish::{self, Seen};
use super::names::camel;
use super::part_writer::PartWriter;
use super::parts::read_part_leniently;
use super::tokens;
use crate::protocol::json::{
    ArrayWriter, Cursor, JsonError, JsonStr, Kind, Number, ObjectWriter, Raw,
};
use crate::protocol::model::{
    Candidate, Content, Part, Response, Rest, Spelling, Stop, StopReason, ToolArguments, ToolCall,
    ToolCallKind, Usage,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::{Result, write_opt_raw};
use crate::protocol::{Answer, Protocol};

/// Reads an answer.
///
/// A prompt that was blocked (`promptFeedback` and no candidates) gives a candidate without parts
/// that a filter has cut off. What is not of the protocol's form is kept as unknown.
///
/// # Errors
/// When the text is no JSON object.
pub fn read(text: &str) -> Result<Response<'_>, JsonError> {
    let mut c = Cursor::new(text);
    let chunk = Chunk::read(&mut c)?;
    c.end()?;
    let mut candidates = Vec::new();
    if let Some(list) = &chunk.candidates {
        each(list, |position, c| {
            candidates.push(read_candidate(position, c)?);
            Ok(())
        })?;
    }
    if let (true, Some(feedback)) = (candidates.is_empty(), &chunk.feedback) {
        candidates.extend(finish::blocked(feedback).map(|stop| candidate(0, Vec::new(), stop)));
    }
    Ok(Response {
        origin: Protocol::Gemini,
        id: chunk.id,
        model: chunk.model,
        created: chunk.created.map(Number::from),
        candidates,
        usage: chunk.usage.map(tokens::read),
        rest: chunk.rest,
    })
}

fn candidate<'a>(index: u32, parts: Vec<Part<'a>>, stop: Stop<'a>) -> Candidate<'a> {
    Candidate {
        index,
        parts,
        stop: Some(stop),
        logprobs: None,
        spelling: Spelling::default(),
        message_rest: Rest::default(),
        rest: Rest::default(),
    }
}

fn read_candidate<'a>(position: usize, c: &mut Cursor<'a>) -> Result<Candidate<'a>> {
    let CandidateHead { index, word, message, parts: list, logprobs, rest } =
        CandidateHead::read(c)?;
    let mut parts = Vec::new();
    if let Some(list) = &list {
        each(list, |_, c| {
            parts.push(read_part_leniently(c)?);
            Ok(())
        })?;
    }
    let calls = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let stop = word.map(|word| finish::stop(word, message.as_ref(), calls));
    // The index of the first is left out where nothing is that is 0.
    let index = index.unwrap_or(u32::try_from(position).unwrap_or(u32::MAX));
    Ok(Candidate { stop, logprobs, rest, ..candidate(index, parts, Stop::new(StopReason::End)) })
}

/// Appends an answer.
///
/// Of another protocol: thinking is marked `thought`, a call whose arguments are no object is left
/// out and ends the turn with `MALFORMED_FUNCTION_CALL`, as Gemini does it itself; what Gemini
/// cannot say is reported. A [`StopReason::Error`], which has no word here, is fatal.
pub fn write(
    response: &Response<'_>,
    answer: &mut Answer,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let native = response.origin == Protocol::Gemini;
    let mut object = ObjectWriter::begin(out);
    let there = !(native && (is_blocked(response) || response.candidates.is_empty()));
    if there {
        object.array("candidates", |array| {
            for candidate in &response.candidates {
                write_candidate(candidate, native, report, array);
            }
        });
    }
    match &response.usage {
        Some(usage) => tokens::write(&mut object, usage, native),
        None if !native => tokens::write(&mut object, &Usage::default(), native),
        None => {}
    }
    if !native || !response.model.is_empty() {
        object.str("modelVersion", &model(&response.model, answer));
    }
    if !native || !response.id.is_empty() {
        object.str("responseId", &id(&response.id, answer));
    }
    if native {
        response.rest.write(&mut object);
    } else {
        report.rest(&response.rest);
    }
    object.end();
}

/// Whether the answer's only candidate is none: its prompt was blocked.
fn is_blocked(response: &Response<'_>) -> bool {
    let [candidate] = response.candidates.as_slice() else { return false };
    has_feedback(&response.rest)
        && candidate.parts.is_empty()
        && candidate.stop.as_ref().is_some_and(is_of_prompt)
}

/// Whether what Gemini says beside its candidates tells of the prompt.
pub(super) fn has_feedback(rest: &Rest<'_>) -> bool {
    rest.0.iter().any(|(key, _)| camel(key) == "promptFeedback")
}

/// Whether an end may tell of a blocked prompt, by which no candidate came to be.
pub(super) fn is_of_prompt(stop: &Stop<'_>) -> bool {
    stop.reason == StopReason::ContentFilter && stop.word.is_none()
}

/// The upstream's id, or a new one.
pub(super) fn id<'a>(id: &'a JsonStr<'_>, answer: &mut Answer) -> JsonStr<'a> {
    if id.is_empty() { JsonStr::from_plain(answer.ids.make("")) } else { id.borrow() }
}

/// The model that answered, or where the upstream names none, the one that was asked for.
pub(super) fn model<'a>(model: &'a JsonStr<'_>, answer: &Answer) -> JsonStr<'a> {
    if model.is_empty() { JsonStr::from_plain(answer.model.clone()) } else { model.borrow() }
}

fn write_candidate(
    candidate: &Candidate<'_>,
    native: bool,
    report: &mut Reporter<'_>,
    array: &mut ArrayWriter<'_>,
) {
    if let Some(source) = candidate.rest.source().filter(|_| native) {
        return array.item().extend_from_slice(source.as_str().as_bytes());
    }
    array.object(|object| {
        let mut seen = Seen::default();
        object.object("content", |content| {
            content.array("parts", |array| {
                seen = write_parts(&candidate.parts, native, report, array);
            });
            content.plain("role", "model");
        });
        match &candidate.stop {
            Some(stop) => object.str("finishReason", &stop_word(stop, seen, native)),
            None if !native => object.plain("finishReason", finish::word(StopReason::End, seen)),
            None => {}
        }
        object.u64("index", candidate.index.into());
        if native {
            write_opt_raw(object, "logprobsResult", candidate.logprobs.as_ref());
            candidate.rest.write(object);
        } else {
            report_candidate(candidate, report);
        }
    });
}

/// Gemini's own word, or the one for a reason of another protocol.
pub(super) fn stop_word<'s>(stop: &'s Stop<'_>, seen: Seen, native: bool) -> JsonStr<'s> {
    match &stop.word {
        Some(word) if native && !seen.malformed => word.borrow(),
        _ => JsonStr::from_plain(finish::word(stop.reason, seen)),
    }
}

/// Writes the parts that Gemini can carry; where that is none, an empty text: clients look into
/// the first part.
fn write_parts(
    parts: &[Part<'_>],
    native: bool,
    report: &mut Reporter<'_>,
    array: &mut ArrayWriter<'_>,
) -> Seen {
    let mut seen = Seen::default();
    let mut writer = PartWriter { native, to_client: true, media_in_results: false, report };
    let mut written = 0;
    for part in parts {
        let Some(part) = callable(part) else {
            let reason = "the arguments are no JSON object";
            writer.lose(arguments_of(part), Severity::Degrade, reason);
            seen.malformed = true;
            continue;
        };
        seen.call |= matches!(part.content, Content::ToolCall(_));
        if writer.carries(&part) {
            writer.part(&part, None, array);
            written += 1;
        }
    }
    if written == 0 {
        array.object(|part| part.plain("text", ""));
    }
    seen
}

/// A part as Gemini can say it; `None` for a call whose arguments are no object.
pub(super) fn callable<'p, 'a>(part: &'p Part<'a>) -> Option<Cow<'p, Part<'a>>> {
    let Content::ToolCall(call) = &part.content else { return Some(Cow::Borrowed(part)) };
    if call.kind == ToolCallKind::Custom || call.arguments.to_object().is_some() {
        return Some(Cow::Borrowed(part));
    }
    let arguments = ToolArguments::Json(lenient_object(&call.arguments)?);
    let content = Content::ToolCall(ToolCall { arguments, ..call.clone() });
    Some(Cow::Owned(Part { content, ..part.clone() }))
}

/// Arguments that some models wrap: `null` for none, or an object inside of a string.
fn lenient_object(arguments: &ToolArguments<'_>) -> Option<Raw<'static>> {
    let text = match arguments {
        ToolArguments::Json(raw) => Cow::Borrowed(raw.as_str()),
        ToolArguments::Text(text) => text.decode(),
    };
    let outer = Raw::parse(&text).ok()?;
    if outer.kind() == Kind::Null {
        return Some(Raw::literal("{}"));
    }
    let inner = Raw::parse_owned(outer.as_json_str()?.decode().into_owned()).ok()?;
    (inner.kind() == Kind::Object).then_some(inner)
}

fn arguments_of<'p>(part: &'p Part<'_>) -> &'p str {
    match &part.content {
        Content::ToolCall(ToolCall { arguments: ToolArguments::Json(raw), .. }) => raw.as_str(),
        Content::ToolCall(ToolCall { arguments: ToolArguments::Text(text), .. }) => text.escaped(),
        _ => "",
    }
}

/// Names what a candidate of Gemini cannot hold.
fn report_candidate(candidate: &Candidate<'_>, report: &mut Reporter<'_>) {
    report.rest(&candidate.rest);
    report.rest(&candidate.message_rest);
    if let Some(logprobs) = &candidate.logprobs {
        let reason = "token probabilities of another form";
        report.piece(logprobs.as_str(), Severity::Degrade, reason);
    }
    let Some(stop) = &candidate.stop else { return };
    let word = stop.word.as_ref().map_or("", |word| word.escaped());
    match stop.reason {
        StopReason::Error => {
            report.piece(word, Severity::Fatal, "the model failed, and Gemini has no word for it");
        }
        StopReason::Pause => {
            report.piece(word, Severity::Degrade, "Gemini cannot pause a turn");
        }
        _ => {}
    }
    if let Some(details) = &stop.details {
        report.piece(details.as_str(), Severity::Ignore, "Gemini says no more of an end");
    }
    if let Some(sequence) = &stop.sequence {
        report.string(sequence, Severity::Ignore, "Gemini does not tell the stop sequence");
    }
}
