//! The conversation of another protocol, as items.

use crate::protocol::json::{ArrayWriter, JsonStr, ObjectWriter, push_str};
use crate::protocol::model::{
    CacheMark, Content, Instruction, Media, MediaKind, MediaSource, Part, Place, Request, Role,
    Seal, ToolArguments, ToolCall, ToolCallKind, ToolResult, Turn, Vendor,
};
use crate::protocol::openai_responses::content::{self, Side};
use crate::protocol::openai_responses::reasoning;
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::wire::join;
use crate::protocol::{Protocol, Target};

/// Writes the system texts that stood apart as one.
pub(super) fn write_instructions(
    request: &Request<'_>,
    object: &mut ObjectWriter<'_>,
    report: &mut Reporter<'_>,
) {
    let mut words = Vec::new();
    for it in request.instructions.iter().filter(|it| it.place == Place::Top) {
        for part in &it.parts {
            report_marks(part, report);
            match &part.content {
                Content::Text { text, .. } | Content::Refusal(text) if text.is_empty() => {}
                Content::Text { text, .. } | Content::Refusal(text) => words.push(text.borrow()),
                other => report.piece(other.piece(), Severity::Degrade, "only text instructs"),
            }
        }
        report.rest(&it.rest);
    }
    if let Some(text) = join(words, "\\n\\n") {
        object.str("instructions", &text);
    }
}

/// Writes all items.
pub(super) fn write(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
    list: &mut ArrayWriter<'_>,
) {
    let mut writer = Items { origin: request.origin, thinks: target.thinks, report };
    let mut between = request.instructions.iter().filter(|it| it.place != Place::Top).peekable();
    for (index, turn) in request.turns.iter().enumerate() {
        while let Some(it) = between.next_if(|it| it.place <= Place::Before(index)) {
            writer.instruction(it, list);
        }
        writer.turn(turn, list);
    }
    between.for_each(|it| writer.instruction(it, list));
}

struct Items<'m, 'r> {
    origin: Protocol,
    thinks: bool,
    report: &'m mut Reporter<'r>,
}

/// What a message is made of.
#[derive(Clone, Copy)]
enum Piece<'m, 'a> {
    Text(&'m JsonStr<'a>),
    Refusal(&'m JsonStr<'a>),
    Media(&'m Media<'a>),
}

impl<'m, 'a> Items<'_, '_> {
    fn instruction(&mut self, it: &'m Instruction<'a>, list: &mut ArrayWriter<'_>) {
        self.author(it.name.as_ref());
        self.report.rest(&it.rest);
        let mut pieces = Vec::new();
        it.parts.iter().for_each(|part| self.collect(Side::Input, part, &mut pieces));
        let role = if it.developer { "developer" } else { "system" };
        write_message(role, Side::Input, &pieces, list);
    }

    fn author(&mut self, name: Option<&JsonStr<'_>>) {
        if let Some(name) = name {
            self.report.string(name, Severity::Degrade, "Responses has no names of authors");
        }
    }

    fn turn(&mut self, turn: &'m Turn<'a>, list: &mut ArrayWriter<'_>) {
        self.author(turn.name.as_ref());
        self.report.rest(&turn.rest);
        let (role, side) = match turn.role {
            Role::User => ("user", Side::Input),
            Role::Assistant => ("assistant", Side::Output),
        };
        let mut pieces = Vec::new();
        for (index, part) in turn.parts.iter().enumerate() {
            match &part.content {
                Content::ToolCall(_) | Content::ToolResult(_) | Content::Reasoning { .. } => {
                    write_message(role, side, &std::mem::take(&mut pieces), list);
                    self.item(part, &turn.parts[index + 1..], list);
                }
                _ => self.collect(side, part, &mut pieces),
            }
        }
        write_message(role, side, &pieces, list);
    }

    fn item(&mut self, part: &Part<'_>, behind: &[Part<'_>], list: &mut ArrayWriter<'_>) {
        report_marks(part, self.report);
        match &part.content {
            Content::ToolCall(call) => list.object(|item| write_call(call, item)),
            Content::ToolResult(result) => self.result(result, list),
            Content::Reasoning { text, seal, raw, .. } => {
                let piece = text.as_ref().or(seal.as_ref().map(|seal| &seal.data));
                let piece = piece.map(JsonStr::escaped).unwrap_or_default();
                let reason = match seal {
                    Some(seal) if is_ours(seal) && !self.thinks => "the model does not think",
                    Some(seal) if is_ours(seal) && behind.iter().any(is_led_to) => {
                        return list.object(|item| {
                            item.plain("type", "reasoning");
                            reasoning::write_summary(item, text.as_ref(), raw.as_ref());
                            item.str("encrypted_content", &seal.data);
                        });
                    }
                    // OpenAI: "provided without its required following item".
                    Some(seal) if is_ours(seal) => "thinking that led to nothing",
                    _ => "thinking that OpenAI did not seal",
                };
                if !piece.is_empty() {
                    self.report.piece(piece, Severity::Degrade, reason);
                }
            }
            _ => {}
        }
    }

    fn result(&mut self, result: &ToolResult<'_>, list: &mut ArrayWriter<'_>) {
        let mut pieces = Vec::new();
        result.parts.iter().for_each(|part| self.collect(Side::Input, part, &mut pieces));
        if result.is_error == Some(true) {
            let reason = "a failed result is only its text in Responses";
            // The id may be that of the call.
            let piece = result.parts.first().map(|part| part.content.piece());
            let piece = piece.unwrap_or(result.call_id.escaped());
            self.report.piece(piece, Severity::Degrade, reason);
        }
        list.object(|item| {
            item.plain(
                "type",
                match result.kind {
                    ToolCallKind::Function => "function_call_output",
                    ToolCallKind::Custom => "custom_tool_call_output",
                },
            );
            item.str("call_id", &result.call_id);
            match pieces.as_slice() {
                [] => item.plain("output", ""),
                [Piece::Text(text)] => item.str("output", text),
                pieces => item.array("output", |list| write_pieces(Side::Input, pieces, list)),
            }
        });
    }

    /// Adds what a message can say of a part, and reports the rest of it.
    fn collect(&mut self, side: Side, part: &'m Part<'a>, pieces: &mut Vec<Piece<'m, 'a>>) {
        report_marks(part, self.report);
        match &part.content {
            Content::Text { text, citations } => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(text));
                }
                if let Some(raw) = citations.as_ref().filter(|raw| raw.as_str() != "[]") {
                    let reason = "citations of another protocol";
                    self.report.piece(raw.as_str(), Severity::Degrade, reason);
                }
            }
            Content::Refusal(text) if side == Side::Output => pieces.push(Piece::Refusal(text)),
            Content::Refusal(text) => pieces.push(Piece::Text(text)),
            Content::Media(_) if side == Side::Output => {
                let reason = "no media of an assistant in Responses";
                self.report.piece(part.content.piece(), Severity::Degrade, reason);
            }
            Content::Media(media) => self.collect_media(media, part, pieces),
            Content::Other { raw, .. } => {
                let severity =
                    if side == Side::Output { Severity::Degrade } else { Severity::Fatal };
                self.report.piece(raw.as_str(), severity, "no such part in Responses");
            }
            Content::ToolCall(_) | Content::ToolResult(_) | Content::Reasoning { .. } => {}
        }
    }

    fn collect_media(
        &mut self,
        media: &'m Media<'a>,
        part: &'m Part<'a>,
        pieces: &mut Vec<Piece<'m, 'a>>,
    ) {
        if let Some(citations) = &media.citations {
            let reason = "no citations in Responses";
            self.report.piece(citations.as_str(), Severity::Degrade, reason);
        }
        if let Some(context) = &media.context {
            self.report.string(context, Severity::Degrade, "no context of a document in Responses");
        }
        let reason = match (media.kind, &media.source) {
            (MediaKind::Audio | MediaKind::Video, _) => "Responses takes no sound and no film",
            (_, MediaSource::Base64 { .. } | MediaSource::Url(_)) => {
                return pieces.push(Piece::Media(media));
            }
            // Files of Chat are of the same vendor.
            (_, MediaSource::File(_)) if self.origin == Protocol::OpenAiChat => {
                return pieces.push(Piece::Media(media));
            }
            (_, MediaSource::File(_)) => "a file at another vendor",
            (MediaKind::Document, MediaSource::Text { data, .. }) => {
                self.lose_title(media);
                return pieces.push(Piece::Text(data));
            }
            (MediaKind::Document, MediaSource::Parts { parts, .. }) => {
                self.lose_title(media);
                return parts.iter().for_each(|part| self.collect(Side::Input, part, pieces));
            }
            _ => "a medium that Responses does not take",
        };
        self.report.piece(part.content.piece(), Severity::Fatal, reason);
    }

    fn lose_title(&mut self, media: &Media<'_>) {
        if let Some(title) = &media.title {
            let reason = "a document of text goes without its title";
            self.report.string(title, Severity::Ignore, reason);
        }
    }
}

fn is_ours(seal: &Seal<'_>) -> bool {
    seal.vendor == Vendor::OpenAi && !seal.data.is_empty()
}

/// Whether this can be what thinking led to.
fn is_led_to(part: &Part<'_>) -> bool {
    match &part.content {
        Content::Text { text, .. } => !text.is_empty(),
        Content::Refusal(_) | Content::ToolCall(_) => true,
        _ => false,
    }
}

fn report_marks(part: &Part<'_>, report: &mut Reporter<'_>) {
    if let Some(CacheMark(mark)) = &part.cache {
        report.piece(mark.as_str(), Severity::Ignore, "no cache marks in Responses");
    }
    report.rest(&part.rest);
}

fn write_call(call: &ToolCall<'_>, item: &mut ObjectWriter<'_>) {
    let custom = call.kind == ToolCallKind::Custom;
    item.plain("type", if custom { "custom_tool_call" } else { "function_call" });
    item.str("call_id", &call.id);
    item.str("name", &call.name);
    let name = if custom { "input" } else { "arguments" };
    match &call.arguments {
        ToolArguments::Text(text) if text.is_empty() && !custom => item.plain(name, "{}"),
        ToolArguments::Text(text) => push_str(item.key(name), text),
        ToolArguments::Json(raw) => item.plain(name, raw.as_str()),
    }
}

/// Writes a message; nothing where there is nothing to say.
fn write_message(role: &str, side: Side, pieces: &[Piece<'_, '_>], list: &mut ArrayWriter<'_>) {
    if pieces.is_empty() {
        return;
    }
    list.object(|message| {
        message.plain("type", "message");
        message.plain("role", role);
        message.array("content", |list| write_pieces(side, pieces, list));
    });
}

fn write_pieces(side: Side, pieces: &[Piece<'_, '_>], list: &mut ArrayWriter<'_>) {
    for piece in pieces {
        list.object(|object| match piece {
            Piece::Text(text) => content::write_text(side, object, text, None),
            Piece::Refusal(text) => content::write_refusal(object, text),
            Piece::Media(media) => write_media(media, object),
        });
    }
}

/// A file in the request must have a name.
fn write_media(media: &Media<'_>, object: &mut ObjectWriter<'_>) {
    let named = matches!(media.source, MediaSource::Base64 { .. });
    if media.kind == MediaKind::Document && media.title.is_none() && named {
        let title = Some(JsonStr::from_plain("document.pdf"));
        return content::write_media(object, &Media { title, ..media.clone() });
    }
    content::write_media(object, media);
}
