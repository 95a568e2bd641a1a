//! Writes the turns and instructions of another protocol as the flat list of messages.

use crate::protocol::Protocol;
use crate::protocol::dashscope::content::{texts, write_media};
use crate::protocol::dashscope::message::{is_ours, write_calls, write_thoughts};
use crate::protocol::json::{ArrayWriter, JsonStr, ObjectWriter};
use crate::protocol::model::{
    CacheMark, Content, Instruction, Media, MediaKind, MediaSource, Part, Place, Request, Role,
    ToolCall, ToolResult, Turn, Vendor,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::push_joined;

/// Writes all messages; `lists` says that content must be a list.
///
/// A cache mark needs a list too. Marks move with the end of a conversation, and what is cached must
/// keep its form: where there is one, all content is a list.
pub(super) fn write<'m, 'a>(
    request: &'m Request<'a>,
    lists: bool,
    report: &'m mut Reporter<'_>,
    items: &mut ArrayWriter<'_>,
) {
    let form = match (lists, is_marked(request)) {
        (true, _) => Form::Untyped,
        (false, true) => Form::Typed,
        (false, false) => Form::Joined,
    };
    let mut writer = Messages { form, report, held: Vec::new() };
    writer.top(request, items);
    let mut between = request.instructions.iter().filter(|it| it.place != Place::Top).peekable();
    for (index, turn) in request.turns.iter().enumerate() {
        while let Some(it) = between.next_if(|it| it.place <= Place::Before(index)) {
            writer.instruction(it, items);
        }
        match turn.role {
            Role::User => writer.user(turn, items),
            Role::Assistant => {
                let is_last = index + 1 == request.turns.len();
                writer.assistant(index, turn, is_last && continues(request.origin), items);
            }
        }
    }
    between.for_each(|it| writer.instruction(it, items));
    writer.release(items);
}

/// Whether a conversation that ends with the assistant is to be continued in its words.
fn continues(origin: Protocol) -> bool {
    matches!(origin, Protocol::Anthropic | Protocol::Gemini)
}

/// Whether there is a cache mark anywhere.
fn is_marked(request: &Request<'_>) -> bool {
    let marked = |part: &Part<'_>| match &part.content {
        _ if part.cache.is_some() => true,
        Content::ToolResult(result) => result.parts.iter().any(|part| part.cache.is_some()),
        _ => false,
    };
    request.cache.is_some()
        || request.tools.iter().any(|tool| tool.cache.is_some())
        || request.instructions.iter().any(|it| it.parts.iter().any(marked))
        || request.turns.iter().any(|turn| turn.parts.iter().any(marked))
}

/// The form of content.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// A string.
    Joined,
    /// A list of words, where some models demand a type.
    Typed,
    /// The list of the multimodal endpoint.
    Untyped,
}

struct Messages<'m, 'a, 'r> {
    form: Form,
    report: &'m mut Reporter<'r>,
    /// Media of tool results: they follow the last result of the batch in a user message.
    held: Vec<Item<'m, 'a>>,
}

/// What the content of a message is made of.
#[derive(Clone, Copy)]
struct Item<'m, 'a> {
    what: What<'m, 'a>,
    marked: bool,
}

#[derive(Clone, Copy)]
enum What<'m, 'a> {
    Text(&'m JsonStr<'a>),
    Media(&'m Media<'a>),
}

impl<'m, 'a> Messages<'m, 'a, '_> {
    /// One leading system message for the texts that stood outside the messages.
    fn top(&mut self, request: &'m Request<'a>, items: &mut ArrayWriter<'_>) {
        let top = || request.instructions.iter().filter(|it| it.place == Place::Top);
        let mut content = Vec::new();
        for it in top() {
            it.parts.iter().for_each(|part| self.collect(part, &mut content));
            self.report.rest(&it.rest);
        }
        self.message("system", &content, items);
    }

    fn instruction(&mut self, it: &'m Instruction<'a>, items: &mut ArrayWriter<'_>) {
        self.release(items);
        let mut content = Vec::new();
        it.parts.iter().for_each(|part| self.collect(part, &mut content));
        self.message("system", &content, items);
        self.report_name(it.name.as_ref());
        self.report.rest(&it.rest);
    }

    fn user(&mut self, turn: &'m Turn<'a>, items: &mut ArrayWriter<'_>) {
        for part in &turn.parts {
            if let Content::ToolResult(result) = &part.content {
                self.result(part, result, items);
            }
        }
        let is_other = |part: &&Part<'_>| !matches!(part.content, Content::ToolResult(_));
        if turn.parts.iter().any(|part| is_other(&part)) {
            let mut content = std::mem::take(&mut self.held);
            turn.parts.iter().filter(is_other).for_each(|part| self.collect(part, &mut content));
            self.message("user", &content, items);
        }
        self.report_name(turn.name.as_ref());
        self.report.rest(&turn.rest);
    }

    /// Writes the media that wait for the end of a batch of results.
    fn release(&mut self, items: &mut ArrayWriter<'_>) {
        let held = std::mem::take(&mut self.held);
        self.message("user", &held, items);
    }

    fn result(
        &mut self,
        part: &'m Part<'a>,
        result: &'m ToolResult<'a>,
        items: &mut ArrayWriter<'_>,
    ) {
        let mut content = Vec::new();
        result.parts.iter().for_each(|part| self.collect(part, &mut content));
        self.mark(part, &mut content);
        let is_text = |item: &Item<'_, '_>| matches!(item.what, What::Text(_));
        let words: Vec<_> = content.iter().copied().filter(is_text).collect();
        items.object(|message| {
            message.plain("role", "tool");
            message.str("tool_call_id", &result.call_id);
            self.content(message, &words);
        });
        self.held.extend(content.into_iter().filter(|item| !is_text(item)));
        if result.is_error == Some(true) {
            let reason = "a failed result is only its text in DashScope";
            self.report.string(&result.call_id, Severity::Degrade, reason);
        }
        self.report.rest(&part.rest);
    }

    /// Adds what a message can say of a part, and reports the rest of it.
    fn collect(&mut self, part: &'m Part<'a>, content: &mut Vec<Item<'m, 'a>>) {
        let before = content.len();
        match &part.content {
            Content::ToolResult(_) => return,
            Content::Text { text, .. } | Content::Refusal(text) => {
                if !text.is_empty() {
                    content.push(Item { what: What::Text(text), marked: false });
                }
            }
            Content::Media(media) => self.collect_media(media, content),
            Content::Other { raw, .. } => {
                let reason = "no such part in DashScope";
                self.report.piece(raw.as_str(), Severity::Fatal, reason);
            }
            Content::Reasoning { .. } | Content::ToolCall(_) => {}
        }
        self.mark(part, &mut content[before..]);
        self.report.rest(&part.rest);
    }

    /// Puts the cache mark of a part on the last item that is written of it.
    fn mark(&mut self, part: &Part<'_>, items: &mut [Item<'_, '_>]) {
        if let Some(last) = items.last_mut() {
            last.marked |= part.cache.is_some();
        }
        self.report_mark(part, !items.is_empty());
    }

    fn report_mark(&mut self, part: &Part<'_>, carried: bool) {
        let Some(CacheMark(mark)) = &part.cache else { return };
        let reason = match mark.member("ttl") {
            _ if !carried => "cache marks stand on content in DashScope",
            Some(_) => "DashScope keeps a cache for five minutes",
            None => return,
        };
        self.report.piece(mark.as_str(), Severity::Ignore, reason);
    }

    fn collect_media(&mut self, media: &'m Media<'a>, content: &mut Vec<Item<'m, 'a>>) {
        self.report_media(media);
        let carried = match (media.kind, &media.source) {
            (MediaKind::Document, MediaSource::Text { data, .. }) => What::Text(data),
            (MediaKind::Document, MediaSource::Parts { parts, .. }) => {
                return parts.iter().for_each(|part| self.collect(part, content));
            }
            (MediaKind::Document, _) => {
                let reason = "DashScope takes no documents but text";
                return self.report.piece(media.piece(), Severity::Fatal, reason);
            }
            (_, MediaSource::Base64 { .. } | MediaSource::Url(_))
            | (MediaKind::Video, MediaSource::Parts { .. }) => What::Media(media),
            (_, MediaSource::File(_)) => {
                let reason = "a file at another vendor";
                return self.report.piece(media.piece(), Severity::Fatal, reason);
            }
            _ => {
                let reason = "a medium that DashScope does not take";
                return self.report.piece(media.piece(), Severity::Fatal, reason);
            }
        };
        content.push(Item { what: carried, marked: false });
    }

    /// Reports what stands beside the bytes of a medium.
    fn report_media(&mut self, media: &Media<'_>) {
        if let Some(citations) = &media.citations {
            let reason = "no citations in DashScope";
            self.report.piece(citations.as_str(), Severity::Degrade, reason);
        }
        if let Some(detail) = media.detail.as_ref().filter(|detail| **detail != "auto") {
            let reason = "how closely to look is not said in DashScope";
            self.report.string(detail, Severity::Degrade, reason);
        }
        for word in [&media.title, &media.context].into_iter().flatten() {
            self.report.string(word, Severity::Ignore, "no titles of media in DashScope");
        }
    }

    /// Writes a message; nothing where there is nothing to say.
    fn message(&self, role: &str, content: &[Item<'_, '_>], items: &mut ArrayWriter<'_>) {
        if !content.is_empty() {
            items.object(|message| {
                message.plain("role", role);
                self.content(message, content);
            });
        }
    }

    /// Writes `content`.
    fn content(&self, message: &mut ObjectWriter<'_>, content: &[Item<'_, '_>]) {
        if self.form == Form::Joined || (content.is_empty() && self.form == Form::Typed) {
            let texts = content.iter().filter_map(|item| match item.what {
                What::Text(text) => Some(text),
                What::Media(_) => None,
            });
            return push_joined(message.key("content"), texts, "\\n\\n");
        }
        message.array("content", |list| {
            for item in content {
                list.object(|part| {
                    match item.what {
                        What::Text(text) => {
                            if self.form == Form::Typed {
                                part.plain("type", "text");
                            }
                            part.str("text", text);
                        }
                        What::Media(media) => write_media(part, media),
                    }
                    if item.marked {
                        part.object("cache_control", |mark| mark.plain("type", "ephemeral"));
                    }
                });
            }
        });
    }

    fn assistant(
        &mut self,
        index: usize,
        turn: &'m Turn<'a>,
        goes_on: bool,
        items: &mut ArrayWriter<'_>,
    ) {
        self.release(items);
        let parts: Vec<_> = turn.parts.iter().filter_map(|part| self.said(part)).collect();
        self.report_name(turn.name.as_ref());
        self.report.rest(&turn.rest);
        if parts.is_empty() {
            return;
        }
        let mut unnamed = 0;
        let calls = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
        items.object(|message| {
            message.plain("role", "assistant");
            self.words(message, &parts);
            write_thoughts(message, &parts);
            write_calls(message, &parts, false, |call: &ToolCall<'_>| {
                call.id.is_empty().then(|| {
                    unnamed += 1;
                    format!("call_{index}_{}", unnamed - 1)
                })
            });
            if goes_on && !calls {
                message.bool("partial", true);
            }
        });
    }

    /// Writes the words of an assistant.
    fn words(&self, message: &mut ObjectWriter<'_>, parts: &[Part<'_>]) {
        let said = |part: &&Part<'_>| matches!(part.content, Content::Text { .. });
        let silent = !parts.iter().any(|part| said(&part));
        if self.form == Form::Joined || (silent && self.form == Form::Typed) {
            return push_joined(message.key("content"), texts(parts), "");
        }
        message.array("content", |list| {
            for part in parts.iter().filter(said) {
                let Content::Text { text, .. } = &part.content else { continue };
                list.object(|object| {
                    if self.form == Form::Typed {
                        object.plain("type", "text");
                    }
                    object.str("text", text);
                    if part.cache.is_some() {
                        object.object("cache_control", |mark| mark.plain("type", "ephemeral"));
                    }
                });
            }
        });
    }

    /// The part as an assistant of DashScope said it. Thinking that another vendor sealed is worth
    /// nothing without its seal and is not sent; thinking without a seal is.
    fn said(&mut self, part: &'m Part<'a>) -> Option<Part<'a>> {
        let content = match &part.content {
            Content::Text { text, .. } if text.is_empty() => {
                self.report_mark(part, false);
                return None;
            }
            Content::Text { text, .. } | Content::Refusal(text) => {
                Content::Text { text: text.clone(), citations: None }
            }
            Content::ToolCall(_) => part.content.clone(),
            Content::Reasoning { text, seal, .. } => {
                let foreign = seal.as_ref().filter(|seal| {
                    !is_ours(seal) && seal.vendor != Vendor::Unknown && !seal.data.is_empty()
                });
                if let Some(seal) = foreign {
                    let reason = "thinking sealed by another vendor";
                    self.report.string(&seal.data, Severity::Degrade, reason);
                    return None;
                }
                let seal = seal.clone().filter(is_ours);
                if text.is_none() && seal.is_none() {
                    return None;
                }
                Content::Reasoning { text: text.clone(), seal, id: None, raw: None }
            }
            Content::Media(media) => {
                let reason = "no media of an assistant in DashScope";
                self.report.piece(media.piece(), Severity::Degrade, reason);
                return None;
            }
            Content::ToolResult(_) => return None,
            Content::Other { raw, .. } => {
                let reason = "no such part in DashScope";
                self.report.piece(raw.as_str(), Severity::Degrade, reason);
                return None;
            }
        };
        let is_text = matches!(content, Content::Text { .. });
        self.report_mark(part, is_text);
        self.report.rest(&part.rest);
        let cache = part.cache.clone().filter(|_| is_text);
        Some(Part { cache, ..Part::new(content) })
    }

    fn report_name(&mut self, name: Option<&JsonStr<'_>>) {
        if let Some(name) = name {
            self.report.string(name, Severity::Ignore, "no names of authors in DashScope");
        }
    }
}
