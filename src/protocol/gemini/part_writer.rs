//! Parts, written. Requests, answers and streams share them.

use bytes::BytesMut;

use crate::protocol::json::{ArrayWriter, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{
    Content, Media, MediaKind, MediaSource, Part, Rest, Seal, Spelling, ToolArguments, ToolCall,
    ToolCallKind, ToolResult, Vendor,
};
use crate::protocol::report::{Reporter, Severity};

use super::media::{
    full_media_type, is_uploaded, is_video_site, media_type_of_path, usual_media_type,
};
use crate::protocol::wire::write_opt_str;

use Severity::{Degrade, Fatal, Ignore};

/// Stands for the signature of a call that Gemini did not make: the base64 of
/// `skip_thought_signature_validator`, as the vendor documents it.
pub(super) const STAND_IN_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// Writes parts and says what of them could not be written.
pub(super) struct PartWriter<'w, 's> {
    /// What is written came from Gemini: it goes back as it stood.
    pub(super) native: bool,
    /// It is an answer to a caller, not a request to the upstream.
    pub(super) to_client: bool,
    /// Media of a tool's result stand inside of its response; else only its texts are written,
    /// and [`media_beside`] names what else there is.
    pub(super) media_in_results: bool,
    pub(super) report: &'w mut Reporter<'s>,
}

impl PartWriter<'_, '_> {
    /// Whether Gemini has a place for the part; what it has none for is reported. Empty texts
    /// are no loss: Gemini refuses them, unless they carry a signature.
    pub(super) fn carries(&mut self, part: &Part<'_>) -> bool {
        match &part.content {
            _ if self.native => true,
            Content::Text { text, .. } | Content::Refusal(text) => {
                !text.is_empty() || self.own(part.seal.as_ref()).is_some()
            }
            Content::Media(media) => self.carries_media(media),
            Content::Reasoning { text, seal, .. } => self.carries_reasoning(text.as_ref(), seal),
            Content::ToolCall(_) | Content::ToolResult(_) => true,
            Content::Other { raw, .. } => {
                self.lose(raw.as_str(), Degrade, "Gemini has no such content");
                false
            }
        }
    }

    fn carries_media(&mut self, media: &Media<'_>) -> bool {
        let (piece, reason) = match &media.source {
            MediaSource::File(id) if !id.decode().contains("://") => {
                (id.escaped(), "the file is at another vendor")
            }
            MediaSource::Url(uri) if !uri.decode().contains("://") => {
                (uri.escaped(), "Gemini cannot fetch this")
            }
            MediaSource::Other(raw) => (raw.as_str(), "unknown kind of media source"),
            MediaSource::Text { data, .. } => return !data.is_empty(),
            _ => return true,
        };
        self.lose(piece, Fatal, reason);
        false
    }

    /// Toward Gemini only its own thinking may go, toward its clients any that can be read.
    fn carries_reasoning(&mut self, text: Option<&JsonStr<'_>>, seal: &Option<Seal<'_>>) -> bool {
        let readable = text.is_some_and(|text| !text.is_empty());
        if self.own(seal.as_ref()).is_some() || (readable && self.to_client) {
            return true;
        }
        let piece = text.or(seal.as_ref().map(|seal| &seal.data));
        if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
            self.lose(piece.escaped(), Degrade, "thinking of another vendor");
        }
        false
    }

    /// The seal, if it may stand in `thoughtSignature`.
    fn own<'p, 'a>(&self, seal: Option<&'p Seal<'a>>) -> Option<&'p Seal<'a>> {
        seal.filter(|seal| match seal.vendor {
            Vendor::Gemini => true,
            Vendor::Gateway => self.to_client,
            _ => false,
        })
    }

    pub(super) fn lose(&mut self, piece: &str, severity: Severity, reason: &'static str) {
        self.report.piece(piece, severity, reason);
    }

    /// Puts unknown members back, or reports them where they are another protocol's.
    fn rest(&mut self, object: &mut ObjectWriter<'_>, rest: &Rest<'_>) {
        if self.native {
            rest.write(object);
        } else {
            self.report.rest(rest);
        }
    }

    /// Writes those parts that are carried.
    pub(super) fn parts(&mut self, parts: &[Part<'_>], array: &mut ArrayWriter<'_>) {
        for part in parts {
            if self.carries(part) {
                self.part(part, None, array);
            }
        }
    }

    /// Writes one part that is carried. A call without a signature of Gemini's own gets the
    /// `stand_in`, where there is one.
    pub(super) fn part(
        &mut self,
        part: &Part<'_>,
        stand_in: Option<&'static str>,
        array: &mut ArrayWriter<'_>,
    ) {
        match (&part.content, part.rest.source()) {
            (_, Some(source)) if self.native => return push(array.item(), source),
            (Content::Other { raw, .. }, _) => return push(array.item(), raw),
            (Content::Media(media @ Media { source: MediaSource::Parts { parts, .. }, .. }), _) => {
                self.parts(parts, array);
                self.lose_title(media);
                self.lose_document(media);
                return self.report.rest(&part.rest);
            }
            _ => {}
        }
        array.object(|object| {
            self.data(object, part);
            let (own, seal) = match &part.content {
                Content::ToolCall(ToolCall { seal, .. }) | Content::Reasoning { seal, .. } => {
                    (self.own(seal.as_ref()), seal)
                }
                _ => (self.own(part.seal.as_ref()), &part.seal),
            };
            match (own, seal) {
                (Some(seal), _) => object.str("thoughtSignature", &seal.data),
                (None, Some(seal)) => {
                    self.lose(seal.data.escaped(), Degrade, "the seal of another vendor");
                    stand_in.into_iter().for_each(|text| object.plain("thoughtSignature", text));
                }
                (None, None) => {
                    stand_in.into_iter().for_each(|text| object.plain("thoughtSignature", text));
                }
            }
            self.rest(object, &part.rest);
        });
        if let Some(mark) = &part.cache {
            self.lose(mark.0.as_str(), Ignore, "Gemini has no cache marks");
        }
    }

    /// The member that says what the part is.
    fn data(&mut self, object: &mut ObjectWriter<'_>, part: &Part<'_>) {
        match &part.content {
            Content::Text { text, citations } => {
                object.str("text", text);
                if let Some(citations) = citations.as_ref().filter(|raw| raw.as_str() != "[]") {
                    self.lose(citations.as_str(), Degrade, "citations of another protocol");
                }
            }
            Content::Refusal(text) => object.str("text", text),
            Content::Reasoning { text, .. } => {
                write_opt_str(object, "text", text.as_ref());
                object.bool("thought", true);
            }
            Content::Media(media) => self.media(object, media),
            Content::ToolCall(call) => {
                object.object("functionCall", |object| self.call(object, call));
            }
            Content::ToolResult(result) => {
                object.object("functionResponse", |object| self.result(object, result));
            }
            // Written whole before.
            Content::Other { .. } => {}
        }
    }

    fn media(&mut self, object: &mut ObjectWriter<'_>, media: &Media<'_>) {
        match &media.source {
            MediaSource::Base64 { media_type, data } => object.object("inlineData", |object| {
                if self.native {
                    object.str("mimeType", media_type);
                } else {
                    object.plain("mimeType", &full_media_type(media.kind, media_type));
                }
                object.str("data", data);
                self.title(object, media);
            }),
            MediaSource::Url(uri) | MediaSource::File(uri) => {
                let plain = uri.decode();
                object.object("fileData", |object| {
                    if let Some(media_type) = media_type_of_uri(media.kind, &plain) {
                        object.plain("mimeType", media_type);
                    }
                    object.str("fileUri", uri);
                    self.title(object, media);
                });
                if !is_uploaded(&plain) && !is_video_site(&plain) {
                    self.lose(uri.escaped(), Degrade, "not every Gemini model fetches a URL");
                }
            }
            MediaSource::Text { data, .. } => {
                object.str("text", data);
                self.lose_title(media);
            }
            MediaSource::Parts { .. } | MediaSource::Other(_) => {}
        }
        if let Some(detail) = media.detail.as_ref().filter(|detail| **detail != "auto") {
            self.lose(detail.escaped(), Degrade, "Gemini has no image detail");
        }
        self.lose_document(media);
    }

    /// What only documents of Messages have.
    fn lose_document(&mut self, media: &Media<'_>) {
        if let Some(context) = &media.context {
            self.lose(context.escaped(), Degrade, "Gemini's documents have no context");
        }
        if let Some(citations) = &media.citations {
            self.lose(citations.as_str(), Degrade, "Gemini cites no documents");
        }
    }

    /// The Gemini API knows no names of files; Vertex does.
    fn title(&mut self, object: &mut ObjectWriter<'_>, media: &Media<'_>) {
        if self.native {
            write_opt_str(object, "displayName", media.title.as_ref());
        } else {
            self.lose_title(media);
        }
    }

    fn lose_title(&mut self, media: &Media<'_>) {
        if let Some(title) = &media.title {
            self.lose(title.escaped(), Ignore, "the Gemini API has no names of files");
        }
    }

    fn call(&mut self, object: &mut ObjectWriter<'_>, call: &ToolCall<'_>) {
        self.id(object, &call.id);
        object.str("name", &call.name);
        match (&call.arguments, call.kind) {
            _ if self.native && call.spelling.has(Spelling::NO_ARGUMENTS) => {}
            (ToolArguments::Json(raw), _) if self.native => object.raw("args", raw),
            (ToolArguments::Text(text), ToolCallKind::Custom) => {
                object.object("args", |object| object.str("input", text));
            }
            (arguments, _) => self.arguments(object, arguments),
        }
    }

    /// Gemini carries an object. What is none keeps its sense under the name `input`.
    fn arguments(&mut self, object: &mut ObjectWriter<'_>, arguments: &ToolArguments<'_>) {
        if let Some(args) = arguments.to_object() {
            return object.raw("args", &args);
        }
        let piece = match arguments {
            ToolArguments::Json(raw) => raw.as_str(),
            ToolArguments::Text(text) => text.escaped(),
        };
        self.lose(piece, Degrade, "the arguments are no JSON object");
        object.object("args", |object| match arguments {
            ToolArguments::Json(raw) => object.raw("input", raw),
            ToolArguments::Text(text) => object.str("input", text),
        });
    }

    /// Ids that the gateway made up for a protocol that demands one do not go to Gemini, which
    /// pairs calls and results by name and order where there is none.
    fn id(&self, object: &mut ObjectWriter<'_>, id: &JsonStr<'_>) {
        if !id.is_empty() && (self.native || self.to_client || !is_made_up(&id.decode())) {
            object.str("id", id);
        }
    }

    fn result(&mut self, object: &mut ObjectWriter<'_>, result: &ToolResult<'_>) {
        self.id(object, &result.call_id);
        let unnamed = JsonStr::from_plain("unknown");
        object.str("name", result.name.as_ref().unwrap_or(&unnamed));
        let text = self.result_text(result);
        let failed = result.is_error == Some(true);
        match as_object(&text) {
            Some(whole) if !failed || whole.member("error").is_some() => {
                object.raw("response", &whole);
            }
            _ => object.object("response", |object| {
                object.str(if failed { "error" } else { "output" }, &text);
            }),
        }
        if self.media_in_results && media_beside(result).next().is_some() {
            object.array("parts", |array| {
                for part in media_beside(result) {
                    if self.carries(part) {
                        self.part(part, None, array);
                    }
                }
            });
        }
    }

    /// The texts of a result as one; what is neither text nor medium is lost.
    fn result_text<'r>(&mut self, result: &'r ToolResult<'_>) -> JsonStr<'r> {
        let mut texts = Vec::new();
        for part in &result.parts {
            match &part.content {
                Content::Text { text, citations } => {
                    texts.push(text);
                    if let Some(citations) = citations.as_ref().filter(|raw| raw.as_str() != "[]") {
                        self.lose(citations.as_str(), Degrade, "citations of another protocol");
                    }
                }
                Content::Refusal(text) => texts.push(text),
                Content::Media(_) => continue,
                Content::Other { raw, .. } => {
                    self.lose(raw.as_str(), Degrade, "Gemini has no such content in a result");
                    continue;
                }
                Content::Reasoning { .. } | Content::ToolCall(_) | Content::ToolResult(_) => {
                    continue;
                }
            }
            if let Some(mark) = &part.cache {
                self.lose(mark.0.as_str(), Ignore, "Gemini has no cache marks");
            }
            self.report.rest(&part.rest);
        }
        match texts.as_slice() {
            [] => JsonStr::default(),
            [text] => text.borrow(),
            // Each was a line of its own; so they stay apart.
            texts => JsonStr::from_escaped(
                texts.iter().map(|text| text.escaped()).collect::<Vec<_>>().join("\\n"),
            ),
        }
    }
}

fn push(out: &mut BytesMut, raw: &Raw<'_>) {
    out.extend_from_slice(raw.as_str().as_bytes());
}

/// The parts of a result that can only stand beside its text.
pub(super) fn media_beside<'r, 'a>(
    result: &'r ToolResult<'a>,
) -> impl Iterator<Item = &'r Part<'a>> {
    result.parts.iter().filter(|part| matches!(part.content, Content::Media(_)))
}

/// Models do not look into a file to learn what it is.
fn media_type_of_uri(kind: MediaKind, uri: &str) -> Option<&'static str> {
    if is_video_site(uri) {
        return Some("video/mp4");
    }
    let told = media_type_of_path(uri);
    // What lies at the vendor has its type there.
    told.or_else(|| (!is_uploaded(uri) || uri.starts_with("gs://")).then(|| usual_media_type(kind)))
}

/// The text as a JSON object, if it is one. Most texts are none, and need not be decoded for that.
fn as_object(text: &JsonStr<'_>) -> Option<Raw<'static>> {
    if !may_be_object(text.escaped()) {
        return None;
    }
    let raw = Raw::parse_owned(text.decode().into_owned()).ok()?;
    (raw.kind() == Kind::Object).then_some(raw)
}

/// Whether an escaped text begins as an object would, or in a way that only decoding tells.
fn may_be_object(mut escaped: &str) -> bool {
    let spaces = [" ", "\\n", "\\r", "\\t"];
    while let Some(rest) = spaces.iter().find_map(|space| escaped.strip_prefix(space)) {
        escaped = rest;
    }
    escaped.starts_with('{') || escaped.starts_with("\\u")
}

/// Whether the gateway made this id up for a call that had none: `call_` with 24 hexadecimal
/// digits ([`Ids::make`](crate::protocol::Ids::make)) or with two counts (`call_3_0`).
pub(super) fn is_made_up(id: &str) -> bool {
    let Some(tail) = id.strip_prefix("call_") else { return false };
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let count = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (tail.len() == 24 && tail.bytes().all(hex))
        || tail
            .trim_end_matches('_')
            .split_once('_')
            .is_some_and(|(turn, n)| count(turn) && count(n))
}
