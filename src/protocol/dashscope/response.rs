//! Finished answers: `output`, `usage`, `request_id`.
//!
//! ```
//! use tower_llm_gateway::protocol::dashscope::response;
//! use tower_llm_gateway::protocol::model::StopReason;
//!
//! let text = r#"{"output":{"text":"Hi","finish_reason":"stop"},"request_id":"r"}"#;
//! let response = response::read(text)?;
//! let stop = response.candidates[0].stop.as_ref().map(|stop| stop.reason);
//! assert_eq!(stop, Some(StopReason::End));
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

use bytes::BytesMut;

use super::content::{texts, write_media};
use super::finish;
use super::message::{self, Message, Said};
use super::search::{self, Pages};
use super::tokens;
use super::wire::{Result, lenient, push, push_joined, string_of};
use crate::protocol::citation;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{
    Candidate, Content, Media, MediaKind, MediaSource, Part, Response, Rest, Spelling, Stop,
    ToolCall, Usage,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::{Answer, Protocol};

/// Reads an answer, with its words in `output.choices` or in `output.text`.
///
/// Members of another kind than the protocol has are kept as unknown: an upstream may be careless
/// with what nobody needs.
///
/// # Errors
/// When the text is no JSON object, or `output`, a message or its content is of another kind.
pub fn read(text: &str) -> Result<Response<'_>, JsonError> {
    let mut response = Response {
        origin: Protocol::DashScope,
        id: JsonStr::default(),
        model: JsonStr::default(),
        created: None,
        candidates: Vec::new(),
        usage: None,
        rest: Rest::default(),
    };
    let mut c = Cursor::new(text);
    let mut output = Output::default();
    c.object(|key, c| {
        let rest = &mut response.rest;
        match &*key.decode() {
            "request_id" => {
                let id = lenient(Kind::String, &key, c, rest, Cursor::string)?;
                response.id = id.unwrap_or_default();
            }
            "usage" => {
                let usage = lenient(Kind::Object, &key, c, rest, Cursor::raw)?;
                response.usage = usage.map(tokens::read);
            }
            "output" if c.kind()? != Kind::Null => c.object(|key, c| output.member(&key, c))?,
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    c.end()?;
    output.finish(&mut response);
    // What stood beside the candidates has no place of its own in the hub.
    if output.cite(&mut response) || !output.rest.0.is_empty() {
        response.rest.0.append(&mut output.rest.0);
        response.rest.keep_source(Raw::parse(text)?);
    }
    Ok(response)
}

/// What `output` holds.
#[derive(Default)]
struct Output<'a> {
    candidates: Vec<Candidate<'a>>,
    text: Option<Raw<'a>>,
    word: Option<Raw<'a>>,
    model: Option<JsonStr<'a>>,
    rest: Rest<'a>,
}

impl<'a> Output<'a> {
    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
        match &*key.decode() {
            "choices" if c.kind()? == Kind::Array => c.array(|position, c| {
                self.candidates.push(read_candidate(position, c)?);
                Ok(())
            }),
            "text" => {
                self.text = lenient(Kind::String, key, c, &mut self.rest, Cursor::raw)?;
                Ok(())
            }
            "finish_reason" => {
                self.word = Some(c.raw()?);
                Ok(())
            }
            "model_name" => {
                let raw = c.raw()?;
                self.model = string_of(&raw);
                self.rest.keep(key.clone(), raw);
                Ok(())
            }
            _ => {
                self.rest.keep(key.clone(), c.raw()?);
                Ok(())
            }
        }
    }

    /// The pages that a search found are what the text cites; true where they are its citations.
    fn cite(&mut self, response: &mut Response<'a>) -> bool {
        let [Candidate { parts, .. }] = &mut response.candidates[..] else { return false };
        let mut texts = parts.iter_mut().filter_map(|part| match &mut part.content {
            Content::Text { citations, .. } => Some(citations),
            _ => None,
        });
        let (Some(citations), None) = (texts.next(), texts.next()) else { return false };
        *citations = self.rest.get("search_info").and_then(search::results);
        if citations.is_some() {
            self.rest.0.retain(|(name, _)| name != "search_info");
        }
        citations.is_some()
    }

    fn keep(&mut self, name: &'static str, value: Option<Raw<'a>>) {
        self.rest.0.extend(value.map(|raw| (JsonStr::from_plain(name), raw)));
    }

    /// Moves the candidates into the response; `output.text` is one.
    fn finish(&mut self, response: &mut Response<'a>) {
        response.model = self.model.take().unwrap_or_default();
        response.candidates = std::mem::take(&mut self.candidates);
        if !response.candidates.is_empty() {
            self.keep("finish_reason", self.word.clone());
            return self.keep("text", self.text.clone());
        }
        let Some(text) = self.text.as_ref().and_then(string_of) else {
            return self.keep("finish_reason", self.word.clone());
        };
        let mut spelling = Spelling::default();
        spelling.set(Spelling::TEXT_OUTPUT);
        let parts = if text.is_empty() { Vec::new() } else { vec![Part::text(text)] };
        let mut rest = Rest::default();
        let stop = read_stop(self.word.take(), &parts, &mut rest);
        response.candidates.push(Candidate {
            index: 0,
            parts,
            stop,
            logprobs: None,
            spelling,
            message_rest: Rest::default(),
            rest,
        });
    }
}

fn read_candidate<'a>(position: usize, c: &mut Cursor<'a>) -> Result<Candidate<'a>> {
    let mut rest = Rest::default();
    let mut index = u32::try_from(position).unwrap_or(u32::MAX);
    let mut spelling = Spelling::default();
    spelling.set(Spelling::NO_INDEX);
    let (mut message, mut word, mut logprobs) = (None, None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "index" => {
                let raw = c.raw()?;
                match raw.as_u64().and_then(|n| u32::try_from(n).ok()) {
                    Some(n) => {
                        index = n;
                        spelling.clear(Spelling::NO_INDEX);
                    }
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
    match &message {
        None => spelling.set(Spelling::NO_MESSAGE),
        Some(message) if message.role.is_none() => spelling.set(Spelling::NO_ROLE),
        Some(_) => {}
    }
    let Said { parts, spelling: said, rest: message_rest } =
        message.map(Message::said).unwrap_or_default();
    if said.has(Spelling::PLAIN_CONTENT) {
        spelling.set(Spelling::PLAIN_CONTENT);
    }
    let stop = read_stop(word, &parts, &mut rest);
    Ok(Candidate { index, parts, stop, logprobs, spelling, message_rest, rest })
}

/// Reads a `finish_reason`; one that says nothing is kept.
fn read_stop<'a>(
    word: Option<Raw<'a>>,
    parts: &[Part<'a>],
    rest: &mut Rest<'a>,
) -> Option<Stop<'a>> {
    let word = word?;
    let calls = message::calls(parts).next().is_some();
    let stop = string_of(&word).and_then(|word| finish::read(word, calls));
    if stop.is_none() {
        rest.keep(JsonStr::from_plain("finish_reason"), word);
    }
    stop
}

/// Writes an answer.
///
/// Answers of another protocol: texts are joined without a separator, thinking goes into
/// `reasoning_content`, and the words stand where [`Answer::layout`] says: in a list of content, in
/// `output.text`, or in the message as a string. Pages that are cited become `search_info`. Other
/// citations, server tools and members that only the other protocol knows are reported. An answer that a filter stopped, a refusal without words and
/// a model that failed are errors in DashScope, and fatal here.
pub fn write(
    response: &Response<'_>,
    answer: &mut Answer,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let own = response.origin == Protocol::DashScope;
    if let Some(source) = response.rest.source().filter(|_| own) {
        return push(out, &[source.as_str()]);
    }
    let mut object = ObjectWriter::begin(out);
    object.object("output", |output| {
        if own {
            write_own_output(response, output);
        } else {
            write_output(response, answer, report, output);
        }
    });
    match &response.usage {
        Some(usage) if own => tokens::write(Some(usage), object.key("usage")),
        None if own => {}
        usage => {
            let counts = usage.as_ref().map(Usage::counts);
            tokens::write(counts.as_ref(), object.key("usage"));
        }
    }
    if !response.id.is_empty() {
        object.str("request_id", &response.id);
    } else if !own {
        object.plain("request_id", &answer.ids.make(""));
    }
    if own {
        response.rest.write(&mut object);
    } else {
        report.rest(&response.rest);
    }
    object.end();
}

fn write_own_output(response: &Response<'_>, output: &mut ObjectWriter<'_>) {
    if let [candidate] = &response.candidates[..] {
        if candidate.spelling.has(Spelling::TEXT_OUTPUT) {
            push_joined(output.key("text"), texts(&candidate.parts), "");
            write_word(output, candidate);
            return candidate.rest.write(output);
        }
    }
    output.array("choices", |choices| {
        for candidate in &response.candidates {
            choices.object(|choice| {
                write_word(choice, candidate);
                if !candidate.spelling.has(Spelling::NO_INDEX) {
                    choice.u64("index", candidate.index.into());
                }
                if !candidate.spelling.has(Spelling::NO_MESSAGE) {
                    choice.object("message", |message| {
                        if !candidate.spelling.has(Spelling::NO_ROLE) {
                            message.plain("role", "assistant");
                        }
                        let plain = candidate.spelling.has(Spelling::PLAIN_CONTENT);
                        message::write_own(message, &candidate.parts, plain);
                        candidate.message_rest.write(message);
                    });
                }
                if let Some(logprobs) = &candidate.logprobs {
                    choice.raw("logprobs", logprobs);
                }
                candidate.rest.write(choice);
            });
        }
    });
}

fn write_word(object: &mut ObjectWriter<'_>, candidate: &Candidate<'_>) {
    match &candidate.stop {
        Some(Stop { word: Some(word), .. }) => object.str("finish_reason", word),
        Some(stop) => object.str("finish_reason", &finish::word(stop)),
        None => {}
    }
}

fn write_output(
    response: &Response<'_>,
    answer: &mut Answer,
    report: &mut Reporter<'_>,
    output: &mut ObjectWriter<'_>,
) {
    let mut pages = Pages::default();
    for candidate in &response.candidates {
        report_candidate(candidate, answer.layout.content_list, &mut pages, report);
    }
    if let Some(info) = pages.value() {
        output.key("search_info").extend_from_slice(&info);
    }
    let bare = answer.layout.text_only && !answer.layout.content_list;
    if let ([candidate], true) = (&response.candidates[..], bare) {
        // A call can only stand in a message.
        if message::calls(&candidate.parts).next().is_none() {
            output.str("finish_reason", &word_of(candidate));
            push_joined(output.key("text"), words(&candidate.parts), "");
            return report_thoughts(candidate, report);
        }
    }
    output.array("choices", |choices| {
        for candidate in &response.candidates {
            choices.object(|choice| write_candidate(choice, candidate, answer));
        }
    });
}

fn word_of<'c>(candidate: &'c Candidate<'_>) -> JsonStr<'c> {
    candidate.stop.as_ref().map_or(JsonStr::from_plain("stop"), finish::word)
}

/// The texts and the words of a refusal.
fn words<'p, 'a>(parts: &'p [Part<'a>]) -> impl Iterator<Item = &'p JsonStr<'a>> + Clone {
    parts.iter().filter_map(|part| match &part.content {
        Content::Text { text, .. } | Content::Refusal(text) => Some(text),
        _ => None,
    })
}

fn write_candidate(choice: &mut ObjectWriter<'_>, candidate: &Candidate<'_>, answer: &mut Answer) {
    choice.str("finish_reason", &word_of(candidate));
    choice.u64("index", candidate.index.into());
    choice.object("message", |message| {
        message.plain("role", "assistant");
        if answer.layout.content_list {
            write_content_list(message, &candidate.parts);
        } else {
            push_joined(message.key("content"), words(&candidate.parts), "");
        }
        message::write_thoughts(message, &candidate.parts);
        message::write_calls(message, &candidate.parts, false, |call: &ToolCall<'_>| {
            call.id.is_empty().then(|| answer.ids.make("call_"))
        });
    });
    if let Some(logprobs) = candidate.logprobs.as_ref().filter(|raw| is_logprobs(raw)) {
        choice.raw("logprobs", logprobs);
    }
}

fn write_content_list(message: &mut ObjectWriter<'_>, parts: &[Part<'_>]) {
    message.array("content", |list| {
        if words(parts).any(|text| !text.is_empty()) {
            list.object(|item| push_joined(item.key("text"), words(parts), ""));
        }
        for part in parts {
            if let Content::Media(media) = &part.content {
                if is_carried(media) {
                    list.object(|item| write_media(item, media));
                }
            }
        }
    });
}

/// Whether token probabilities have the form that DashScope shares with Chat.
pub(super) fn is_logprobs(raw: &Raw<'_>) -> bool {
    raw.member("content").is_some()
}

/// Collects the pages that are cited, and names what a message of DashScope cannot hold and endings
/// that are errors.
fn report_candidate(
    candidate: &Candidate<'_>,
    lists: bool,
    pages: &mut Pages,
    report: &mut Reporter<'_>,
) {
    let mut refused = false;
    for part in &candidate.parts {
        match &part.content {
            Content::Text { citations: Some(list), .. } => {
                citation::each(&list.borrow(), |cited| {
                    if !pages.add(&cited) {
                        report.piece(cited.as_str(), Severity::Ignore, "it cites no page");
                    }
                });
            }
            Content::Other { raw, .. } => {
                report.piece(raw.as_str(), Severity::Degrade, "no such part in DashScope");
            }
            Content::Media(media) if !(lists && is_carried(media)) => {
                report.piece(media.piece(), Severity::Degrade, "no such medium in DashScope");
            }
            Content::Refusal(_) => refused = true,
            _ => {}
        }
        report.rest(&part.rest);
    }
    if let Some(raw) = candidate.logprobs.as_ref().filter(|raw| !is_logprobs(raw)) {
        report.piece(raw.as_str(), Severity::Ignore, "token probabilities of another form");
    }
    if let Some(stop) = &candidate.stop {
        if let Some(reason) = finish::error(stop.reason, refused) {
            let word = stop.word.as_ref().map_or("", |word| word.escaped());
            report.piece(word, Severity::Fatal, reason);
        }
    }
    report.rest(&candidate.message_rest);
    report.rest(&candidate.rest);
}

/// Whether a list of content can hold a medium.
pub(super) fn is_carried(media: &Media<'_>) -> bool {
    media.kind != MediaKind::Document
        && matches!(media.source, MediaSource::Url(_) | MediaSource::Base64 { .. })
}

fn report_thoughts(candidate: &Candidate<'_>, report: &mut Reporter<'_>) {
    for part in &candidate.parts {
        if let Content::Reasoning { text: Some(text), .. } = &part.content {
            report.string(text, Severity::Ignore, "no thinking beside `output.text`");
        }
    }
}
