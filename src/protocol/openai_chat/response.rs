//! Finished answers: `chat.completion`.
//!
//! ```
//! use tower_llm_gateway::protocol::model::StopReason;
//! use tower_llm_gateway::protocol::openai_chat::response;
//!
//! let text = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-5","choices":[
//!     {"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
//! let response = response::read(text)?;
//! let stop = response.candidates[0].stop.as_ref().map(|stop| stop.reason);
//! assert_eq!(stop, Some(StopReason::End));
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

use bytes::BytesMut;

use super::finish::{self, Shape};
use super::message::{self, Message, Said};
use super::tokens;
use crate::protocol::citation;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{
    Candidate, Content, Part, Response, Rest, Spelling, Stop, StopReason, ToolCall,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::lenient;
use crate::protocol::{Answer, Protocol};

const OBJECT: &str = "chat.completion";

/// Reads an answer.
///
/// Members of another kind than the protocol has are kept as unknown: an upstream may be careless
/// with what nobody needs.
///
/// # Errors
/// When the text is no JSON object, or `choices`, a message or its content is of another kind.
pub fn read(text: &str) -> Result<Response<'_>, JsonError> {
    let mut response = Response {
        origin: Protocol::OpenAiChat,
        id: JsonStr::default(),
        model: JsonStr::default(),
        created: None,
        candidates: Vec::new(),
        usage: None,
        rest: Rest::default(),
    };
    let mut c = Cursor::new(text);
    c.object(|key, c| read_member(&mut response, &key, c))?;
    c.end()?;
    Ok(response)
}

fn read_member<'a>(
    response: &mut Response<'a>,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
) -> Result<(), JsonError> {
    let rest = &mut response.rest;
    match &*key.decode() {
        "id" => {
            let id = lenient(Kind::String, key, c, rest, Cursor::string)?;
            response.id = id.unwrap_or_default();
        }
        "model" => {
            let model = lenient(Kind::String, key, c, rest, Cursor::string)?;
            response.model = model.unwrap_or_default();
        }
        "created" => response.created = lenient(Kind::Number, key, c, rest, Cursor::number)?,
        "object" => {
            let raw = c.raw()?;
            if raw.as_json_str().is_none_or(|word| word != OBJECT) {
                rest.keep(key.clone(), raw);
            }
        }
        "usage" => {
            response.usage = lenient(Kind::Object, key, c, rest, Cursor::raw)?.map(tokens::read);
        }
        "choices" if c.kind()? != Kind::Null => c.array(|index, c| {
            response.candidates.push(read_candidate(index, c)?);
            Ok(())
        })?,
        _ => rest.keep(key.clone(), c.raw()?),
    }
    Ok(())
}

fn read_candidate<'a>(position: usize, c: &mut Cursor<'a>) -> Result<Candidate<'a>, JsonError> {
    let mut rest = Rest::default();
    let mut index = u32::try_from(position).unwrap_or(u32::MAX);
    let mut has_index = false;
    let (mut message, mut word, mut logprobs) = (None, None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "index" => {
                has_index = true;
                let raw = c.raw()?;
                match raw.as_u64().and_then(|n| u32::try_from(n).ok()) {
                    Some(n) => index = n,
                    None => rest.keep(key.clone(), raw),
                }
            }
            "message" if c.kind()? != Kind::Null => message = Some(Message::read(c)?),
            "finish_reason" => word = Some(c.raw()?),
            "logprobs" => logprobs = lenient(Kind::Object, &key, c, &mut rest, Cursor::raw)?,
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    let no_role = message.as_ref().is_some_and(|message: &Message<'a>| message.role.is_empty());
    let no_message = message.is_none();
    let Said { parts, mut spelling, rest: message_rest } =
        message.map(Message::said).unwrap_or_default();
    for (absent, mark) in [
        (no_message, Spelling::NO_MESSAGE),
        (no_role, Spelling::NO_ROLE),
        (!has_index, Spelling::NO_INDEX),
    ] {
        if absent {
            spelling.set(mark);
        }
    }
    let mut stop =
        word.as_ref().and_then(Raw::source_str).and_then(|word| finish::read(word, shape(&parts)));
    // Routers put the error of their upstream beside the message.
    if let Some(stop) = stop.as_mut().filter(|stop| stop.reason == StopReason::Error) {
        stop.details = rest.get("error").cloned();
    }
    // `null`, or one of the words that say nothing.
    if let Some(word) = word.filter(|_| stop.is_none()) {
        rest.keep(JsonStr::from_plain("finish_reason"), word);
    }
    Ok(Candidate { index, parts, stop, logprobs, spelling, message_rest, rest })
}

fn shape(parts: &[Part<'_>]) -> Shape {
    Shape {
        calls: parts.iter().any(|part| matches!(part.content, Content::ToolCall(_))),
        refusal: parts.iter().any(|part| matches!(part.content, Content::Refusal(_))),
    }
}

/// Writes an answer.
///
/// Answers of another protocol: texts are joined without a separator, thinking goes into
/// `reasoning_content` with its seals in `reasoning_details`, and members that clients demand are
/// always there (`logprobs`, `refusal` as `null`). Citations, server tools and members that only
/// the other protocol knows are reported; a [`StopReason::Error`], for which OpenAI has no word, is
/// fatal.
pub fn write(
    response: &Response<'_>,
    answer: &mut Answer,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let own = response.origin == Protocol::OpenAiChat;
    let mut object = ObjectWriter::begin(out);
    let absent = |name: &str| !own || response.rest.get(name).is_none();
    if !response.id.is_empty() {
        object.str("id", &response.id);
    } else if absent("id") {
        object.plain("id", &answer.ids.make("chatcmpl-"));
    }
    if absent("object") {
        object.plain("object", OBJECT);
    }
    match &response.created {
        Some(created) => object.number("created", created),
        None if absent("created") => object.u64("created", answer.created),
        None => {}
    }
    if !response.model.is_empty() {
        object.str("model", &response.model);
    } else if absent("model") {
        object.plain("model", &answer.model);
    }
    if absent("choices") {
        object.array("choices", |choices| {
            for candidate in &response.candidates {
                choices.object(|choice| write_candidate(choice, candidate, own, answer, report));
            }
        });
    }
    match &response.usage {
        Some(usage) => match usage.raw.as_ref().filter(|_| own) {
            Some(raw) => object.raw("usage", raw),
            None => object.object("usage", |object| tokens::write(usage, object)),
        },
        None if !own => object.null("usage"),
        None => {}
    }
    if own {
        response.rest.write(&mut object);
    } else {
        report.rest(&response.rest);
    }
    object.end();
}

fn write_candidate(
    choice: &mut ObjectWriter<'_>,
    candidate: &Candidate<'_>,
    own: bool,
    answer: &mut Answer,
    report: &mut Reporter<'_>,
) {
    let marked = |mark| own && candidate.spelling.has(mark);
    if !marked(Spelling::NO_INDEX) && (!own || candidate.rest.get("index").is_none()) {
        choice.u64("index", candidate.index.into());
    }
    let explanation = explanation(candidate).filter(|_| !own);
    let Candidate { parts, spelling, message_rest, .. } = candidate;
    if !marked(Spelling::NO_MESSAGE) {
        choice.object("message", |message| {
            if !marked(Spelling::NO_ROLE) {
                message.plain("role", "assistant");
            }
            message::write_said(message, parts, *spelling, own, |call: &ToolCall<'_>| {
                (call.id.is_empty() && !own).then(|| answer.ids.make("call_"))
            });
            if own {
                message_rest.write(message);
            } else if let Some(text) = &explanation {
                message.str("refusal", text);
            } else if !shape(parts).refusal {
                message.null("refusal");
            }
        });
    }
    let shape = shape(&candidate.parts);
    match (&candidate.stop, own) {
        (Some(Stop { word: Some(word), .. }), true) => choice.str("finish_reason", word),
        (Some(stop), _) => choice.str("finish_reason", &finish::word(stop, shape)),
        (None, false) => choice.plain("finish_reason", "stop"),
        (None, true) => {}
    }
    match candidate.logprobs.as_ref().filter(|raw| own || is_logprobs(raw)) {
        Some(raw) => choice.raw("logprobs", raw),
        None if !own => choice.null("logprobs"),
        None => {}
    }
    if own {
        candidate.rest.write(choice);
    } else {
        report_candidate(candidate, report);
    }
}

/// Whether token probabilities have Chat's form.
pub(super) fn is_logprobs(raw: &Raw<'_>) -> bool {
    raw.member("content").is_some() || raw.member("refusal").is_some()
}

/// The words of a refusal that has none in its parts: `stop_details.explanation` of Messages.
fn explanation<'c>(candidate: &'c Candidate<'_>) -> Option<JsonStr<'c>> {
    let stop = candidate.stop.as_ref()?;
    (stop.reason == StopReason::Refusal && !shape(&candidate.parts).refusal).then_some(())?;
    refusal_words(stop)
}

/// The explanation in the details of a stop.
pub(super) fn refusal_words<'s>(stop: &'s Stop<'_>) -> Option<JsonStr<'s>> {
    let mut words = None;
    let details = stop.details.as_ref().filter(|raw| raw.kind() == Kind::Object)?;
    let walked = details.cursor().object(|key, c| {
        if key == "explanation" && c.kind()? == Kind::String {
            words = Some(c.string()?);
            return Ok(());
        }
        c.raw().map(drop)
    });
    walked.ok().and(words)
}

/// Names what a message of Chat cannot hold.
fn report_candidate(candidate: &Candidate<'_>, report: &mut Reporter<'_>) {
    for part in &candidate.parts {
        match &part.content {
            Content::Text { citations: Some(list), .. } => {
                citation::each(&list.borrow(), |cited| {
                    if !citation::is_known(&cited) {
                        let reason = "a citation of another form";
                        report.piece(cited.as_str(), Severity::Ignore, reason);
                    }
                });
            }
            Content::Other { raw, .. } => {
                report.piece(raw.as_str(), Severity::Degrade, "no such part in Chat Completions");
            }
            Content::Media(media) => {
                report.piece(media.piece(), Severity::Degrade, "no media in an answer of Chat");
            }
            _ => {}
        }
        report.rest(&part.rest);
    }
    if let Some(raw) = candidate.logprobs.as_ref().filter(|raw| !is_logprobs(raw)) {
        report.piece(raw.as_str(), Severity::Ignore, "token probabilities of another form");
    }
    if let Some(stop) = candidate.stop.as_ref().filter(|stop| stop.reason == StopReason::Error) {
        let word = stop.word.as_ref().map_or("", |word| word.escaped());
        report.piece(word, Severity::Fatal, "the model failed, and Chat has no word for it");
    }
    report.rest(&candidate.message_rest);
    report.rest(&candidate.rest);
}
