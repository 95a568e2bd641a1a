//! Parts, read. Requests, answers and streams share them.
//!
//! A part is one object whose members say what it is: `text`, `functionCall`, `inlineData` and so
//! on, one of them, with `thought` and `thoughtSignature` beside it. A part that would be written
//! in another form than it had keeps itself whole in [`Rest::source`]; then its [`Rest`] names
//! also what its inner objects hold beyond the hub.

use crate::protocol::json::{Cursor, JsonStr, Kind, Raw};
use crate::protocol::model::{
    Content, Media, MediaKind, MediaSource, Part, Rest, Seal, SealKind, Spelling, ToolArguments,
    ToolCall, ToolCallKind, ToolResult, Vendor,
};

use super::media::{
    is_uploaded, is_video_site, is_web, kind_of, media_type_of_path, standard_base64,
};
use super::names::{camel, is_usual};
use crate::protocol::wire::{Result, keep, nullable, skip};

/// Signatures that the vendor documents for calls whose own one is not known. They are no seals.
const STAND_INS: [&str; 3] = [
    "skip_thought_signature_validator",
    super::part_writer::STAND_IN_SIGNATURE,
    "context_engineering_is_the_way_to_go",
];

/// Reads a list of parts.
pub(super) fn read_parts<'a>(c: &mut Cursor<'a>) -> Result<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    c.array(|_, c| {
        parts.push(read_part(c)?);
        Ok(())
    })?;
    Ok(parts)
}

/// Reads one part. One of an unknown kind is kept whole.
pub(super) fn read_part<'a>(c: &mut Cursor<'a>) -> Result<Part<'a>> {
    part_at(Level::Content, c)
}

/// As [`read_part`], but a part whose members have the wrong types is kept whole too.
pub(super) fn read_part_leniently<'a>(c: &mut Cursor<'a>) -> Result<Part<'a>> {
    let mut ahead = c.clone();
    if let Ok(part) = read_part(&mut ahead) {
        *c = ahead;
        return Ok(part);
    }
    Ok(other(JsonStr::default(), c.raw()?))
}

/// Where a part stands. The parts of a tool's result are read too, but not parts in those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Content,
    Result,
}

fn part_at<'a>(level: Level, c: &mut Cursor<'a>) -> Result<Part<'a>> {
    let whole = c.clone();
    let mut seen = Seen { level, ..Seen::new() };
    c.object(|key, c| seen.member(&key, c))?;
    Ok(seen.part(c.since(&whole)))
}

fn other<'a>(kind: JsonStr<'a>, raw: Raw<'a>) -> Part<'a> {
    Part::new(Content::Other { kind, raw })
}

/// The member that says what a part is.
enum Data<'a> {
    Text(JsonStr<'a>),
    Call(ToolCall<'a>),
    Result(ToolResult<'a>),
    Media(Media<'a>),
    Other(JsonStr<'a>),
}

/// The members of one part.
struct Seen<'a> {
    level: Level,
    data: Option<Data<'a>>,
    thought: Option<bool>,
    signature: Option<JsonStr<'a>>,
    rest: Rest<'a>,
    /// It would be written in another form.
    odd: bool,
    /// It holds two members of which only one may be.
    double: bool,
}

impl<'a> Seen<'a> {
    fn new() -> Self {
        Self {
            level: Level::Content,
            data: None,
            thought: None,
            signature: None,
            rest: Rest::default(),
            odd: false,
            double: false,
        }
    }

    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
        let name = camel(key);
        if c.kind()? == Kind::Null {
            return keep(key, c, &mut self.rest);
        }
        let data = match &*name {
            "text" => Data::Text(c.string()?),
            "functionCall" => Data::Call(self.call(c)?),
            "functionResponse" if self.level == Level::Content => Data::Result(self.result(c)?),
            "inlineData" => Data::Media(self.inline_data(c)?),
            "fileData" => Data::Media(self.file_data(c)?),
            "executableCode" | "codeExecutionResult" | "toolCall" | "toolResponse" => {
                skip(c)?;
                Data::Other(key.clone())
            }
            "thought" => {
                self.thought = Some(c.bool()?);
                self.odd |= !is_usual(&name);
                return Ok(());
            }
            "thoughtSignature" => {
                self.signature = Some(c.string()?);
                self.odd |= !is_usual(&name);
                return Ok(());
            }
            _ => return keep(key, c, &mut self.rest),
        };
        self.odd |= !is_usual(&name);
        self.double |= self.data.is_some();
        self.data = Some(data);
        Ok(())
    }

    fn part(mut self, whole: Raw<'a>) -> Part<'a> {
        let unknown = self.rest.0.first().filter(|(_, value)| value.kind() != Kind::Null);
        let kind = match (&self.data, unknown) {
            (Some(Data::Other(kind)), _) => Some(kind.clone()),
            (None, Some((key, _))) if self.thought != Some(true) => Some(key.clone()),
            _ if self.double => Some(JsonStr::default()),
            _ => None,
        };
        if let Some(kind) = kind {
            return other(kind, whole);
        }
        let thinks = self.thought == Some(true);
        self.odd |= self.thought == Some(false);
        let mut seal = self.seal();
        let content = match self.data {
            Some(Data::Text(text)) if thinks => reasoning(Some(text), seal.take()),
            None if thinks => reasoning(None, seal.take()),
            Some(Data::Call(call)) => Content::ToolCall(ToolCall { seal: seal.take(), ..call }),
            Some(Data::Result(result)) => Content::ToolResult(result),
            Some(Data::Media(media)) => Content::Media(media),
            Some(Data::Text(text)) => Content::Text { text, citations: None },
            Some(Data::Other(_)) | None => {
                self.odd = true;
                Content::Text { text: JsonStr::default(), citations: None }
            }
        };
        if thinks && !matches!(content, Content::Reasoning { .. }) {
            self.rest.keep(JsonStr::from_plain("thought"), Raw::literal("true"));
        }
        if self.odd {
            self.rest.keep_source(whole);
        }
        Part { seal, rest: self.rest, ..Part::new(content) }
    }

    fn seal(&mut self) -> Option<Seal<'a>> {
        let data = self.signature.take()?;
        if data.is_empty() || STAND_INS.iter().any(|stand_in| data == *stand_in) {
            self.odd = true;
            return None;
        }
        Some(Seal { vendor: Vendor::Gemini, kind: SealKind::ThoughtSignature, data })
    }

    fn call(&mut self, c: &mut Cursor<'a>) -> Result<ToolCall<'a>> {
        let (mut id, mut name, mut arguments) = (None, None, None);
        c.object(|key, c| {
            let member = camel(&key);
            match &*member {
                "id" => id = self.inner(&key, c, Cursor::string)?,
                "name" => name = self.inner(&key, c, Cursor::string)?,
                "args" => arguments = self.arguments(c)?,
                _ => self.inner_rest(&key, c)?,
            }
            Ok(())
        })?;
        let mut spelling = Spelling::default();
        if arguments.is_none() {
            spelling.set(Spelling::NO_ARGUMENTS);
        }
        // An empty one is not written.
        self.odd |= id.as_ref().is_some_and(JsonStr::is_empty);
        Ok(ToolCall {
            id: id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            arguments: arguments.unwrap_or(ToolArguments::Json(Raw::literal("{}"))),
            kind: ToolCallKind::Function,
            seal: None,
            item_id: None,
            spelling,
        })
    }

    fn arguments(&mut self, c: &mut Cursor<'a>) -> Result<Option<ToolArguments<'a>>> {
        Ok(Some(match c.kind()? {
            Kind::Object => ToolArguments::Json(c.raw()?),
            kind => {
                self.odd = true;
                match kind {
                    Kind::Null => {
                        skip(c)?;
                        return Ok(None);
                    }
                    Kind::String => ToolArguments::Text(c.string()?),
                    _ => return Err(c.error("expected an object")),
                }
            }
        }))
    }

    fn result(&mut self, c: &mut Cursor<'a>) -> Result<ToolResult<'a>> {
        // The text in the hub does not tell in which member it stood.
        self.odd = true;
        let (mut id, mut name, mut response, mut media) = (None, None, None, Vec::new());
        c.object(|key, c| {
            match &*camel(&key) {
                "id" => id = self.inner(&key, c, Cursor::string)?,
                "name" => name = self.inner(&key, c, Cursor::string)?,
                "response" => response = self.inner(&key, c, Cursor::raw)?,
                "parts" => {
                    self.inner(&key, c, |c| {
                        c.array(|_, c| {
                            media.push(part_at(Level::Result, c)?);
                            Ok(())
                        })
                    })?;
                }
                _ => self.inner_rest(&key, c)?,
            }
            Ok(())
        })?;
        let (text, is_error) = response.as_ref().map_or((None, false), response_text);
        let plain = media.is_empty();
        let mut parts: Vec<_> = text.into_iter().map(Part::text).collect();
        parts.append(&mut media);
        Ok(ToolResult {
            call_id: id.unwrap_or_default(),
            name,
            parts,
            plain,
            is_error: is_error.then_some(true),
            kind: ToolCallKind::Function,
            spelling: Spelling::default(),
        })
    }

    fn inline_data(&mut self, c: &mut Cursor<'a>) -> Result<Media<'a>> {
        let (mut media_type, mut data, mut title) = (None, None, None);
        c.object(|key, c| {
            let member = camel(&key);
            self.odd |= !is_usual(&member);
            match &*member {
                "mimeType" => media_type = self.inner(&key, c, Cursor::string)?,
                "data" => data = self.inner(&key, c, Cursor::string)?,
                "displayName" => title = self.inner(&key, c, Cursor::string)?,
                _ => self.inner_rest(&key, c)?,
            }
            Ok(())
        })?;
        self.odd |= media_type.is_none() || data.is_none();
        let media_type = media_type.unwrap_or_default();
        let kind = kind_of(&media_type.decode());
        let data = data.unwrap_or_default();
        let standard = standard_base64(&data);
        self.odd |= standard.is_some();
        let source = MediaSource::Base64 { media_type, data: standard.unwrap_or(data) };
        Ok(media(kind, source, title))
    }

    fn file_data(&mut self, c: &mut Cursor<'a>) -> Result<Media<'a>> {
        // The hub has no media type beside a URL.
        self.odd = true;
        let (mut media_type, mut uri, mut title) = (None, None, None);
        c.object(|key, c| {
            match &*camel(&key) {
                "mimeType" => media_type = self.inner(&key, c, Cursor::string)?,
                "fileUri" => uri = self.inner(&key, c, Cursor::string)?,
                "displayName" => title = self.inner(&key, c, Cursor::string)?,
                _ => self.inner_rest(&key, c)?,
            }
            Ok(())
        })?;
        let uri: JsonStr<'a> = uri.unwrap_or_default();
        let plain = uri.decode();
        let kind = match &media_type {
            Some(media_type) => kind_of(&media_type.decode()),
            None if is_video_site(&plain) => MediaKind::Video,
            None => media_type_of_path(&plain).map_or(MediaKind::Document, kind_of),
        };
        let public = is_web(&plain) && !is_uploaded(&plain);
        let source = if public { MediaSource::Url(uri) } else { MediaSource::File(uri) };
        Ok(media(kind, source, title))
    }

    /// Reads a known member of an inner object; a `null` has no place in the part's members.
    fn inner<T>(
        &mut self,
        key: &JsonStr<'a>,
        c: &mut Cursor<'a>,
        read: impl FnOnce(&mut Cursor<'a>) -> Result<T>,
    ) -> Result<Option<T>> {
        let value = nullable(key, c, &mut self.rest, read)?;
        self.odd |= value.is_none();
        Ok(value)
    }

    /// A member of an inner object that the hub has no place for.
    fn inner_rest(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
        self.odd = true;
        keep(key, c, &mut self.rest)
    }
}

fn reasoning<'a>(text: Option<JsonStr<'a>>, seal: Option<Seal<'a>>) -> Content<'a> {
    Content::Reasoning { text, seal, id: None, raw: None }
}

fn media<'a>(kind: MediaKind, source: MediaSource<'a>, title: Option<JsonStr<'a>>) -> Media<'a> {
    let spelling = Spelling::default();
    Media { kind, source, detail: None, title, context: None, citations: None, spelling }
}

/// What a tool answered, and whether that is an error. The object that Gemini demands is only a
/// wrapper where one of the usual names holds a text alone; any other is the answer itself.
fn response_text<'a>(response: &Raw<'a>) -> (Option<JsonStr<'a>>, bool) {
    let Some(mut cursor) = response.source_cursor() else { return (None, false) };
    if response.kind() == Kind::String {
        return (cursor.string().ok(), false);
    }
    let mut members = Vec::new();
    let walked = cursor.object(|key, c| {
        members.push((key, c.raw()?));
        Ok(())
    });
    let failed = |raw: &Raw<'_>| !matches!(raw.as_str(), "null" | "\"\"" | "false");
    let is_error = members.iter().any(|(key, value)| *key == "error" && failed(value));
    let wrapped = match (walked, members.as_slice()) {
        (Ok(()), [(key, value)]) if ["output", "result", "error"].contains(&&*key.decode()) => {
            value.source_str()
        }
        _ => None,
    };
    let text = wrapped.unwrap_or_else(|| JsonStr::from_plain(response.as_str().to_owned()));
    (Some(text), is_error)
}
