//! Content blocks, written. Requests and responses share them.

use bytes::BytesMut;

use crate::protocol::call_id::{hashed, is_word};
use crate::protocol::json::{ArrayWriter, JsonStr, ObjectWriter, Raw};
use crate::protocol::model::{
    CacheMark, Content, Media, MediaKind, MediaSource, Part, Rest, Seal, SealKind, Spelling,
    ToolArguments, ToolCall, ToolCallKind, ToolResult, Vendor,
};
use crate::protocol::report::{Reporter, Severity};
use crate::protocol::target::Ids;

use super::blank::is_blank;
use crate::protocol::wire::{push, write_opt_raw, write_opt_str};

/// Writes content blocks and says what of them could not be written.
pub(super) struct BlockWriter<'w, 's> {
    /// What is written came from Messages: it goes back as it stood.
    pub(super) native: bool,
    pub(super) report: &'w mut Reporter<'s>,
    /// Makes ids for the calls of an answer that came without; a request has them all.
    pub(super) ids: Option<&'w mut Ids>,
}

impl BlockWriter<'_, '_> {
    /// Whether Messages has a place for the part; what it has none for is reported. Empty texts
    /// are no loss: Messages refuses them.
    pub(super) fn carries(&mut self, part: &Part<'_>) -> bool {
        match &part.content {
            _ if self.native => true,
            Content::Text { text, .. } | Content::Refusal(text) => !is_blank(text),
            Content::Media(media) => self.carries_media(media),
            Content::Reasoning { text, seal, .. } => self.carries_reasoning(text.as_ref(), seal),
            Content::ToolCall(_) | Content::ToolResult(_) => true,
            Content::Other { raw, .. } => {
                self.lose(raw.as_str(), Severity::Degrade, "Messages has no such content");
                false
            }
        }
    }

    fn carries_media(&mut self, media: &Media<'_>) -> bool {
        let reason = match (&media.kind, &media.source) {
            (MediaKind::Audio | MediaKind::Video, _) => "Messages takes no audio or video",
            (_, MediaSource::File(_)) => "the file is at another vendor",
            (_, MediaSource::Other(_)) => "unknown kind of media source",
            (MediaKind::Image, MediaSource::Text { .. } | MediaSource::Parts { .. }) => {
                "an image must be data or a URL"
            }
            _ => return true,
        };
        self.lose(media.piece(), Severity::Fatal, reason);
        false
    }

    /// Toward Messages only its own thinking may go, toward its clients any that can be read.
    fn carries_reasoning(&mut self, text: Option<&JsonStr<'_>>, seal: &Option<Seal<'_>>) -> bool {
        let ours = seal.as_ref().is_some_and(is_ours);
        let readable = text.is_some_and(|text| !text.is_empty());
        // Only an answer is given new ids.
        let to_client = self.ids.is_some();
        if ours || (readable && to_client) {
            return true;
        }
        let piece = text.or(seal.as_ref().map(|seal| &seal.data));
        if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
            self.lose(piece.escaped(), Severity::Degrade, "thinking of another vendor");
        }
        false
    }

    pub(super) fn lose(&mut self, piece: &str, severity: Severity, reason: &'static str) {
        self.report.piece(piece, severity, reason);
    }

    /// Puts unknown members back, or reports them where they are another protocol's.
    pub(super) fn rest(&mut self, object: &mut ObjectWriter<'_>, rest: &Rest<'_>) {
        if self.native {
            rest.write(object);
        } else {
            self.report.rest(rest);
        }
    }

    /// Writes a cache mark.
    pub(super) fn mark(&mut self, object: &mut ObjectWriter<'_>, mark: Option<&CacheMark<'_>>) {
        if let Some(CacheMark(raw)) = mark {
            object.raw("cache_control", raw);
        }
    }

    /// Writes one part that is carried.
    pub(super) fn part(&mut self, part: &Part<'_>, out: &mut BytesMut) {
        if let Content::Other { raw, .. } = &part.content {
            return push(out, raw.as_str());
        }
        let mut object = ObjectWriter::begin(out);
        match &part.content {
            Content::Text { text, citations } => self.text(&mut object, text, citations.as_ref()),
            Content::Refusal(text) => self.text(&mut object, text, None),
            Content::Media(media) => self.media(&mut object, media),
            Content::Reasoning { text, seal, .. } => {
                self.reasoning(&mut object, text.as_ref(), seal.as_ref());
            }
            Content::ToolCall(call) => self.tool_use(&mut object, call),
            Content::ToolResult(result) => self.tool_result(&mut object, result),
            Content::Other { .. } => {}
        }
        self.mark(&mut object, part.cache.as_ref());
        self.rest(&mut object, &part.rest);
        object.end();
    }

    /// Writes those parts that are carried.
    pub(super) fn parts(&mut self, parts: &[Part<'_>], array: &mut ArrayWriter<'_>) {
        for part in parts {
            if self.carries(part) {
                self.part(part, array.item());
            }
        }
    }

    fn text(
        &mut self,
        object: &mut ObjectWriter<'_>,
        text: &JsonStr<'_>,
        citations: Option<&Raw<'_>>,
    ) {
        object.plain("type", "text");
        object.str("text", text);
        match citations {
            Some(citations) if self.native => object.raw("citations", citations),
            Some(citations) if citations.as_str() != "[]" => {
                self.lose(citations.as_str(), Severity::Degrade, "citations of another protocol");
            }
            _ => {}
        }
    }

    fn media(&mut self, object: &mut ObjectWriter<'_>, media: &Media<'_>) {
        let document = media.kind == MediaKind::Document;
        object.plain("type", if document { "document" } else { "image" });
        self.media_source(object, &media.source);
        if let Some(detail) = &media.detail {
            self.lose(detail.escaped(), Severity::Degrade, "Messages has no image detail");
        }
        if !document && !self.native {
            return;
        }
        write_opt_str(object, "title", media.title.as_ref());
        write_opt_str(object, "context", media.context.as_ref());
        write_opt_raw(object, "citations", media.citations.as_ref().filter(|_| self.native));
    }

    fn media_source(&mut self, object: &mut ObjectWriter<'_>, source: &MediaSource<'_>) {
        if let MediaSource::Other(raw) = source {
            return object.raw("source", raw);
        }
        object.object("source", |object| match source {
            MediaSource::Base64 { media_type, data } => {
                object.plain("type", "base64");
                object.str("media_type", media_type);
                object.str("data", data);
            }
            MediaSource::Text { media_type, data } => {
                object.plain("type", "text");
                object.str("media_type", media_type);
                object.str("data", data);
            }
            MediaSource::Url(url) => {
                object.plain("type", "url");
                object.str("url", url);
            }
            MediaSource::File(id) => {
                object.plain("type", "file");
                object.str("file_id", id);
            }
            MediaSource::Parts { parts, plain } => {
                object.plain("type", "content");
                self.contents(object, parts, *plain);
            }
            MediaSource::Other(_) => {}
        });
    }

    /// Writes `content` as the string or the list that it was.
    pub(super) fn contents(
        &mut self,
        object: &mut ObjectWriter<'_>,
        parts: &[Part<'_>],
        plain: bool,
    ) {
        match parts {
            [Part { content: Content::Text { text, .. }, .. }] if plain => {
                object.str("content", text);
            }
            _ => object.array("content", |array| self.parts(parts, array)),
        }
    }

    fn reasoning(
        &mut self,
        object: &mut ObjectWriter<'_>,
        text: Option<&JsonStr<'_>>,
        seal: Option<&Seal<'_>>,
    ) {
        let ours = seal.filter(|seal| is_ours(seal));
        if let Some(seal) = seal.filter(|seal| !is_ours(seal)) {
            self.lose(seal.data.escaped(), Severity::Degrade, "the seal of another vendor");
        }
        match ours {
            Some(seal) if seal.kind == SealKind::Redacted => {
                object.plain("type", "redacted_thinking");
                object.str("data", &seal.data);
            }
            _ => {
                object.plain("type", "thinking");
                let empty = JsonStr::default();
                object.str("thinking", text.unwrap_or(&empty));
                // Clients refuse a thinking block without the member.
                object.str("signature", ours.map_or(&empty, |seal| &seal.data));
            }
        }
    }

    fn tool_use(&mut self, object: &mut ObjectWriter<'_>, call: &ToolCall<'_>) {
        object.plain("type", "tool_use");
        let id = self.call_id(&call.id);
        object.str("id", &id);
        object.str("name", &call.name);
        if let Some(seal) = &call.seal {
            self.lose(seal.data.escaped(), Severity::Degrade, "the seal of another vendor");
        }
        match (&call.arguments, call.kind) {
            _ if self.native && call.spelling.has(Spelling::NO_ARGUMENTS) => {}
            (ToolArguments::Json(raw), _) if self.native => object.raw("input", raw),
            (ToolArguments::Text(text), ToolCallKind::Custom) => {
                object.object("input", |object| object.str("input", text));
            }
            (arguments, _) => self.input(object, arguments),
        }
    }

    /// Messages carries an object. What is none keeps its sense under the name `input`.
    fn input(&mut self, object: &mut ObjectWriter<'_>, arguments: &ToolArguments<'_>) {
        if let Some(input) = arguments.to_object() {
            return object.raw("input", &input);
        }
        let piece = match arguments {
            ToolArguments::Json(raw) => raw.as_str(),
            ToolArguments::Text(text) => text.escaped(),
        };
        self.lose(piece, Severity::Degrade, "the arguments are no JSON object");
        object.object("input", |object| match arguments {
            ToolArguments::Json(raw) => object.raw("input", raw),
            ToolArguments::Text(text) => object.str("input", text),
        });
    }

    fn tool_result(&mut self, object: &mut ObjectWriter<'_>, result: &ToolResult<'_>) {
        object.plain("type", "tool_result");
        let id = self.call_id(&result.call_id);
        object.str("tool_use_id", &id);
        if !result.parts.is_empty() || result.spelling.has(Spelling::EMPTY_LIST) {
            self.contents(object, &result.parts, result.plain);
        }
        if let Some(is_error) = result.is_error {
            object.bool("is_error", is_error);
        }
    }

    fn call_id<'a>(&mut self, id: &'a JsonStr<'_>) -> JsonStr<'a> {
        match &mut self.ids {
            Some(ids) if id.is_empty() && !self.native => JsonStr::from_plain(ids.make("toolu_")),
            _ if self.native => id.borrow(),
            _ => valid_call_id(id),
        }
    }
}

/// Whether a block of Messages may hold the seal: Anthropic's own, or an envelope of ours.
pub(super) fn is_ours(seal: &Seal<'_>) -> bool {
    matches!(seal.vendor, Vendor::Anthropic | Vendor::Gateway)
}

/// The id as it is where Messages takes it, else another that both call and result get.
pub(super) fn valid_call_id<'a>(id: &'a JsonStr<'_>) -> JsonStr<'a> {
    let plain = id.decode();
    if is_word(&plain) { id.borrow() } else { JsonStr::from_plain(hashed(&plain)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_ids() {
        for id in ["toolu_01A", "call-1", "x"] {
            let id = JsonStr::from_plain(id);
            assert_eq!(valid_call_id(&id), id);
        }
        let odd = JsonStr::from_plain("functions.get:0");
        let mapped = valid_call_id(&odd).into_owned();
        assert!(mapped.escaped().starts_with("call_"));
        assert_eq!(mapped.escaped().len(), 29);
        assert_eq!(valid_call_id(&odd), mapped);
        assert_ne!(valid_call_id(&JsonStr::from_plain("functions.get:1")), mapped);
    }
}
