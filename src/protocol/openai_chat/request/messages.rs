//! Writes turns and instructions as the flat list of messages that Chat has.

use crate::protocol::Protocol;
use crate::protocol::json::{ArrayWriter, JsonStr, ObjectWriter};
use crate::protocol::model::{
    CacheMark, Content, Instruction, Media, MediaKind, MediaSource, Part, Place, Request, Rest,
    Role, Seal, Spelling, ToolResult, Turn, Vendor,
};
use crate::protocol::openai_chat::content::{write_media, write_own, write_text};
use crate::protocol::openai_chat::message::{texts, write_said};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::push_joined;

/// Writes all messages.
pub(super) fn write<'m, 'a>(
    request: &'m Request<'a>,
    report: &'m mut Reporter<'_>,
    items: &mut ArrayWriter<'_>,
) {
    let own = request.origin == Protocol::OpenAiChat;
    let mut writer = Messages { own, report, held: Vec::new() };
    writer.top(request, items);
    let mut between = request.instructions.iter().filter(|it| it.place != Place::Top).peekable();
    for (index, turn) in request.turns.iter().enumerate() {
        while let Some(it) = between.next_if(|it| it.place <= Place::Before(index)) {
            writer.instruction(it, items);
        }
        match turn.role {
            Role::User => writer.user(turn, items),
            Role::Assistant => writer.assistant(turn, items),
        }
    }
    between.for_each(|it| writer.instruction(it, items));
    writer.release(items);
}

struct Messages<'m, 'a, 'r> {
    own: bool,
    report: &'m mut Reporter<'r>,
    /// Media of tool results: a tool message holds only text, so they follow the last result of
    /// the batch in a user message.
    held: Vec<Item<'m, 'a>>,
}

/// What a user message is made of.
#[derive(Clone, Copy)]
enum Item<'m, 'a> {
    Text(&'m JsonStr<'a>),
    Media(&'m Media<'a>),
}

impl<'m, 'a> Messages<'m, 'a, '_> {
    /// One leading system message for the texts that stood outside the messages.
    fn top(&mut self, request: &'m Request<'a>, items: &mut ArrayWriter<'_>) {
        let top = request.instructions.iter().filter(|it| it.place == Place::Top);
        let parts = || top.clone().flat_map(|it| &it.parts);
        if parts().any(|part| matches!(part.content, Content::Text { .. })) {
            let words = top.clone().flat_map(|it| texts(&it.parts));
            items.object(|message| {
                message.plain("role", "system");
                push_joined(message.key("content"), words, "\\n\\n");
            });
        }
        parts().for_each(|part| self.report_told(part));
        top.for_each(|it| self.report.rest(&it.rest));
    }

    fn instruction(&mut self, it: &'m Instruction<'a>, items: &mut ArrayWriter<'_>) {
        self.release(items);
        let role = if it.developer { "developer" } else { "system" };
        items.object(|message| {
            message.plain("role", role);
            if self.own {
                own_content(message, &it.parts, it.plain);
                own_members(message, it.name.as_ref(), &it.rest);
            } else {
                push_joined(message.key("content"), texts(&it.parts), "\\n\\n");
                own_members(message, it.name.as_ref(), &Rest::default());
            }
        });
        if !self.own {
            it.parts.iter().for_each(|part| self.report_told(part));
            self.report.rest(&it.rest);
        }
    }

    /// Reports what a system or developer message cannot say of a part.
    fn report_told(&mut self, part: &Part<'_>) {
        if matches!(part.content, Content::Media(_) | Content::Other { .. }) {
            self.report.piece(part.content.piece(), Severity::Degrade, "only text instructs");
        }
        self.report_marks(part);
    }

    fn user(&mut self, turn: &'m Turn<'a>, items: &mut ArrayWriter<'_>) {
        let mut results = 0;
        for part in &turn.parts {
            if let Content::ToolResult(result) = &part.content {
                self.result(part, result, items);
                results += 1;
            }
        }
        let others = turn.parts.len() - results;
        if self.own {
            if others > 0 || results == 0 {
                items.object(|message| {
                    message.plain("role", "user");
                    own_content(message, &turn.parts, turn.plain);
                    own_members(message, turn.name.as_ref(), &turn.rest);
                });
            }
            return;
        }
        if others > 0 {
            let mut content = std::mem::take(&mut self.held);
            turn.parts.iter().for_each(|part| self.collect(part, &mut content));
            user_message(&content, turn.name.as_ref(), items);
        }
        self.report.rest(&turn.rest);
    }

    /// Writes the media that wait for the end of a batch of results.
    fn release(&mut self, items: &mut ArrayWriter<'_>) {
        user_message(&std::mem::take(&mut self.held), None, items);
    }

    fn result(
        &mut self,
        part: &'m Part<'a>,
        result: &'m ToolResult<'a>,
        items: &mut ArrayWriter<'_>,
    ) {
        if self.own {
            items.object(|message| own_result(message, part, result));
            return;
        }
        let mut content = Vec::new();
        result.parts.iter().for_each(|part| self.collect(part, &mut content));
        items.object(|message| {
            message.plain("role", "tool");
            message.str("tool_call_id", &result.call_id);
            let words = content.iter().filter_map(|item| match item {
                Item::Text(text) => Some(*text),
                Item::Media(_) => None,
            });
            push_joined(message.key("content"), words, "\\n");
        });
        self.held.extend(content.into_iter().filter(|item| matches!(item, Item::Media(_))));
        if result.is_error == Some(true) {
            let reason = "a failed result is only its text in Chat Completions";
            self.report.string(&result.call_id, Severity::Degrade, reason);
        }
        self.report_marks(part);
    }

    /// Adds what a user message of Chat can say of a part, and reports the rest of it.
    fn collect(&mut self, part: &'m Part<'a>, content: &mut Vec<Item<'m, 'a>>) {
        match &part.content {
            Content::ToolResult(_) => return,
            Content::Text { text, .. } => {
                if !text.is_empty() {
                    content.push(Item::Text(text));
                }
            }
            Content::Media(media) => self.collect_media(media, content),
            Content::Other { raw, .. } => {
                let reason = "no such part in Chat Completions";
                self.report.piece(raw.as_str(), Severity::Fatal, reason);
            }
            Content::Refusal(text) => content.push(Item::Text(text)),
            Content::Reasoning { .. } | Content::ToolCall(_) => {}
        }
        self.report_marks(part);
    }

    fn collect_media(&mut self, media: &'m Media<'a>, content: &mut Vec<Item<'m, 'a>>) {
        if let Some(citations) = &media.citations {
            let reason = "no citations in Chat Completions";
            self.report.piece(citations.as_str(), Severity::Degrade, reason);
        }
        if let Some(context) = &media.context {
            let reason = "no context of a document in Chat Completions";
            self.report.string(context, Severity::Degrade, reason);
        }
        let named = matches!(media.source, MediaSource::Base64 { .. });
        if let Some(title) = media.title.as_ref().filter(|_| !named) {
            let reason = "only files have a name in Chat Completions";
            self.report.string(title, Severity::Ignore, reason);
        }
        let reason = match (media.kind, &media.source) {
            (MediaKind::Image, MediaSource::Base64 { .. } | MediaSource::Url(_))
            | (MediaKind::Audio | MediaKind::Document, MediaSource::Base64 { .. }) => {
                content.push(Item::Media(media));
                return;
            }
            (MediaKind::Document, MediaSource::Text { data, .. }) => {
                content.push(Item::Text(data));
                return;
            }
            (MediaKind::Document, MediaSource::Parts { parts, .. }) => {
                parts.iter().for_each(|part| self.collect(part, content));
                return;
            }
            (_, MediaSource::Url(_)) => "a medium by URL that is no image",
            (_, MediaSource::File(_)) => "a file at another vendor",
            _ => "a medium that Chat Completions does not take",
        };
        self.report.piece(media.piece(), Severity::Fatal, reason);
    }

    fn assistant(&mut self, turn: &'m Turn<'a>, items: &mut ArrayWriter<'_>) {
        self.release(items);
        if self.own {
            items.object(|message| {
                message.plain("role", "assistant");
                // An answer keeps the mark for a bare string in its spelling, a turn beside it.
                let mut spelling = turn.spelling;
                if turn.plain {
                    spelling.set(Spelling::PLAIN_CONTENT);
                }
                write_said(message, &turn.parts, spelling, true, |_| None);
                own_members(message, turn.name.as_ref(), &turn.rest);
            });
            return;
        }
        let parts: Vec<_> = turn.parts.iter().filter_map(|part| self.said(part)).collect();
        self.report.rest(&turn.rest);
        if parts.is_empty() {
            return;
        }
        items.object(|message| {
            message.plain("role", "assistant");
            write_said(message, &parts, Spelling::default(), false, |_| None);
            own_members(message, turn.name.as_ref(), &Rest::default());
        });
    }

    /// The part as an assistant of Chat said it. Thinking that another vendor sealed is worth
    /// nothing without its seal and is not sent; thinking without a seal is.
    fn said(&mut self, part: &Part<'a>) -> Option<Part<'a>> {
        let content = match &part.content {
            Content::Text { text, .. } if text.is_empty() => return None,
            Content::Text { .. } | Content::Refusal(_) | Content::ToolCall(_) => {
                part.content.clone()
            }
            Content::Reasoning { text, seal, .. } => match (text, seal) {
                (_, Some(seal)) if is_foreign(seal) => {
                    let reason = "thinking sealed by another vendor";
                    self.report.string(&seal.data, Severity::Degrade, reason);
                    return None;
                }
                (Some(text), _) => {
                    Content::Reasoning { text: Some(text.clone()), seal: None, id: None, raw: None }
                }
                (None, _) => return None,
            },
            Content::Media(media) => {
                let reason = "no media of an assistant in Chat Completions";
                self.report.piece(media.piece(), Severity::Degrade, reason);
                return None;
            }
            Content::ToolResult(_) => return None,
            Content::Other { raw, .. } => {
                let reason = "no such part in Chat Completions";
                self.report.piece(raw.as_str(), Severity::Degrade, reason);
                return None;
            }
        };
        self.report_marks(part);
        Some(Part::new(content))
    }

    fn report_marks(&mut self, part: &Part<'_>) {
        if let Some(CacheMark(mark)) = &part.cache {
            let reason = "no cache marks in Chat Completions";
            self.report.piece(mark.as_str(), Severity::Ignore, reason);
        }
        if !self.own {
            self.report.rest(&part.rest);
        }
    }
}

fn is_foreign(seal: &Seal<'_>) -> bool {
    !seal.data.is_empty() && seal.vendor != Vendor::Unknown
}

/// Writes a user message of a request of another protocol; nothing where there is nothing to say.
fn user_message(content: &[Item<'_, '_>], name: Option<&JsonStr<'_>>, items: &mut ArrayWriter<'_>) {
    if content.is_empty() {
        return;
    }
    items.object(|message| {
        message.plain("role", "user");
        own_members(message, name, &Rest::default());
        if let [Item::Text(text)] = content {
            return message.str("content", text);
        }
        message.array("content", |list| {
            for item in content {
                match item {
                    Item::Text(text) => write_text(list, text),
                    Item::Media(media) => list.object(|part| foreign_media(part, media)),
                }
            }
        });
    });
}

/// A file in the request must have a name.
fn foreign_media(part: &mut ObjectWriter<'_>, media: &Media<'_>) {
    let mut media = media.clone();
    media.spelling = Spelling::default();
    if media.kind == MediaKind::Document && media.title.is_none() {
        media.title = Some(JsonStr::from_plain("document.pdf"));
    }
    write_media(part, &media, &Rest::default());
}

fn own_result(message: &mut ObjectWriter<'_>, part: &Part<'_>, result: &ToolResult<'_>) {
    let legacy = result.spelling.has(Spelling::LEGACY_FUNCTIONS);
    message.plain("role", if legacy { "function" } else { "tool" });
    if !result.call_id.is_empty() {
        message.str("tool_call_id", &result.call_id);
    }
    own_content(message, &result.parts, result.plain);
    own_members(message, result.name.as_ref(), &part.rest);
}

/// Writes `content` as it was; a `null` or an empty list stands among the members not understood.
fn own_content(message: &mut ObjectWriter<'_>, parts: &[Part<'_>], plain: bool) {
    if plain {
        push_joined(message.key("content"), texts(parts), "");
    } else if !parts.is_empty() {
        message.array("content", |list| parts.iter().for_each(|part| write_own(list, part)));
    }
}

fn own_members(message: &mut ObjectWriter<'_>, name: Option<&JsonStr<'_>>, rest: &Rest<'_>) {
    if let Some(name) = name {
        message.str("name", name);
    }
    rest.write(message);
}
