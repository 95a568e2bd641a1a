use bytes::BytesMut;

use crate::protocol::citation;
use crate::protocol::dashscope::content::{texts, write_media};
use crate::protocol::dashscope::search::Pages;
use crate::protocol::dashscope::wire::push;
use crate::protocol::dashscope::{finish, message, tokens};
use crate::protocol::json::{JsonStr, ObjectWriter, Raw};
use crate::protocol::model::{
    Candidate, Content, Media, MediaKind, MediaSource, Part, Response, Spelling, Stop, ToolCall,
    Usage,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::push_joined;
use crate::protocol::{Answer, Protocol};

/// Writes an answer.
///
/// Answers of another protocol: texts are joined without a separator, thinking goes into
/// `reasoning_content`, and the words stand where [`Answer::layout`] says: in a list of content, in
/// `output.text`, or in the message as a string. Pages that are cited become `search_info`. Other
/// citations, server tools and members that only the other protocol knows are reported. An answer that
/// a filter stopped, a refusal without words and a model that failed are errors in DashScope, and
/// fatal here.
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
pub(in crate::protocol::dashscope) fn is_logprobs(raw: &Raw<'_>) -> bool {
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
pub(in crate::protocol::dashscope) fn is_carried(media: &Media<'_>) -> bool {
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
