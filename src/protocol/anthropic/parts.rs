//! Content blocks, read. Requests and responses share them.

use crate::protocol::json::{Cursor, JsonStr, Kind, Raw};
use crate::protocol::model::{
    CacheMark, Content, Media, MediaKind, MediaSource, Part, Rest, Seal, SealKind, Spelling,
    ToolArguments, ToolCall, ToolCallKind, ToolResult, Vendor,
};

use crate::protocol::wire::{Result, keep, nullable, skip};

/// The `content` of a message or of a tool result.
#[derive(Default)]
pub(super) struct Contents<'a> {
    pub(super) parts: Vec<Part<'a>>,
    /// It was a bare string.
    pub(super) plain: bool,
}

/// Blocks in blocks beyond this level are kept whole. Messages itself nests twice (text in a
/// document in a tool result); more would only let a hostile body be skimmed once per level.
const MAX_NESTED: u8 = 3;

/// Reads a string or a list of blocks.
pub(super) fn read_contents<'a>(c: &mut Cursor<'a>) -> Result<Contents<'a>> {
    contents_at(0, c)
}

fn contents_at<'a>(level: u8, c: &mut Cursor<'a>) -> Result<Contents<'a>> {
    if c.kind()? == Kind::String {
        return Ok(Contents { parts: vec![Part::text(c.string()?)], plain: true });
    }
    let mut parts = Vec::new();
    c.array(|_, c| {
        parts.push(part_at(level, c)?);
        Ok(())
    })?;
    Ok(Contents { parts, plain: false })
}

/// Reads one block. One of an unknown type, or without what its type demands, is kept whole.
fn part_at<'a>(level: u8, c: &mut Cursor<'a>) -> Result<Part<'a>> {
    if level > MAX_NESTED {
        return Ok(Part::new(Content::Other { kind: JsonStr::default(), raw: c.raw()? }));
    }
    let kind = c.peek_str("type").unwrap_or_default();
    let mut ahead = c.clone();
    let known = match &*kind.decode() {
        "text" => text(&mut ahead)?,
        "image" => media(level, &mut ahead, MediaKind::Image)?,
        "document" => media(level, &mut ahead, MediaKind::Document)?,
        "thinking" => thinking(&mut ahead)?,
        "redacted_thinking" => redacted_thinking(&mut ahead)?,
        "tool_use" => tool_use(&mut ahead)?,
        "tool_result" => tool_result(level, &mut ahead)?,
        _ => None,
    };
    if let Some(part) = known {
        *c = ahead;
        return Ok(part);
    }
    Ok(Part::new(Content::Other { kind, raw: c.raw()? }))
}

/// The members that any block may have.
#[derive(Default)]
struct Common<'a> {
    cache: Option<CacheMark<'a>>,
    rest: Rest<'a>,
}

impl<'a> Common<'a> {
    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<()> {
        match &*key.decode() {
            "type" => skip(c),
            "cache_control" => {
                self.cache = nullable(key, c, &mut self.rest, Cursor::raw)?.map(CacheMark);
                Ok(())
            }
            _ => keep(key, c, &mut self.rest),
        }
    }

    fn part(self, content: Content<'a>) -> Option<Part<'a>> {
        Some(Part { cache: self.cache, rest: self.rest, ..Part::new(content) })
    }
}

fn text<'a>(c: &mut Cursor<'a>) -> Result<Option<Part<'a>>> {
    let mut common = Common::default();
    let (mut text, mut citations) = (None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "text" => text = nullable(&key, c, &mut common.rest, Cursor::string)?,
            "citations" => citations = nullable(&key, c, &mut common.rest, Cursor::raw)?,
            _ => common.member(&key, c)?,
        }
        Ok(())
    })?;
    let Some(text) = text else { return Ok(None) };
    Ok(common.part(Content::Text { text, citations }))
}

fn media<'a>(level: u8, c: &mut Cursor<'a>, kind: MediaKind) -> Result<Option<Part<'a>>> {
    let mut common = Common::default();
    let mut source = None;
    let (mut title, mut context, mut citations) = (None, None, None);
    c.object(|key, c| {
        let rest = &mut common.rest;
        match &*key.decode() {
            "source" => source = nullable(&key, c, rest, |c| media_source(level, c))?,
            "title" => title = nullable(&key, c, rest, Cursor::string)?,
            "context" => context = nullable(&key, c, rest, Cursor::string)?,
            "citations" => citations = nullable(&key, c, rest, Cursor::raw)?,
            _ => common.member(&key, c)?,
        }
        Ok(())
    })?;
    let Some(source) = source else { return Ok(None) };
    let spelling = Spelling::default();
    let media = Media { kind, source, detail: None, title, context, citations, spelling };
    Ok(common.part(Content::Media(media)))
}

/// A source with anything that the hub has no place for is kept whole.
fn media_source<'a>(level: u8, c: &mut Cursor<'a>) -> Result<MediaSource<'a>> {
    let kind = c.peek_str("type").unwrap_or_default();
    let mut ahead = c.clone();
    if let Some(source) = known_source(level, &kind.decode(), &mut ahead)? {
        *c = ahead;
        return Ok(source);
    }
    c.raw().map(MediaSource::Other)
}

fn known_source<'a>(level: u8, kind: &str, c: &mut Cursor<'a>) -> Result<Option<MediaSource<'a>>> {
    // The member that the kind demands.
    let wanted = match kind {
        "base64" | "text" => "data",
        "url" => "url",
        "file" => "file_id",
        "content" => "content",
        _ => return Ok(None),
    };
    let mut strange = c.kind()? != Kind::Object;
    let (mut media_type, mut text, mut contents) = (None, None, None);
    if strange {
        return Ok(None);
    }
    c.object(|key, c| {
        match &*key.decode() {
            "type" => skip(c)?,
            "media_type" if wanted == "data" => media_type = Some(c.string()?),
            "content" if wanted == "content" => contents = Some(contents_at(level + 1, c)?),
            name if name == wanted => text = Some(c.string()?),
            _ => {
                strange = true;
                skip(c)?;
            }
        }
        Ok(())
    })?;
    if strange {
        return Ok(None);
    }
    Ok(match (kind, media_type, text, contents) {
        ("base64", Some(media_type), Some(data), _) => {
            Some(MediaSource::Base64 { media_type, data })
        }
        ("text", Some(media_type), Some(data), _) => Some(MediaSource::Text { media_type, data }),
        ("url", _, Some(url), _) => Some(MediaSource::Url(url)),
        ("file", _, Some(id), _) => Some(MediaSource::File(id)),
        ("content", _, _, Some(Contents { parts, plain })) => {
            Some(MediaSource::Parts { parts, plain })
        }
        _ => None,
    })
}

/// A seal of Messages; none where the text is empty, as `signature: ""` proves nothing.
pub(super) fn seal(kind: SealKind, data: JsonStr<'_>) -> Option<Seal<'_>> {
    (!data.is_empty()).then_some(Seal { vendor: Vendor::Anthropic, kind, data })
}

fn thinking<'a>(c: &mut Cursor<'a>) -> Result<Option<Part<'a>>> {
    let mut common = Common::default();
    let (mut text, mut signature) = (None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "thinking" => text = nullable(&key, c, &mut common.rest, Cursor::string)?,
            "signature" => signature = nullable(&key, c, &mut common.rest, Cursor::string)?,
            _ => common.member(&key, c)?,
        }
        Ok(())
    })?;
    if text.is_none() {
        return Ok(None);
    }
    let seal = signature.and_then(|data| seal(SealKind::Signature, data));
    Ok(common.part(Content::Reasoning { text, seal, id: None, raw: None }))
}

fn redacted_thinking<'a>(c: &mut Cursor<'a>) -> Result<Option<Part<'a>>> {
    let mut common = Common::default();
    let mut data = None;
    c.object(|key, c| {
        match &*key.decode() {
            "data" => data = nullable(&key, c, &mut common.rest, Cursor::string)?,
            _ => common.member(&key, c)?,
        }
        Ok(())
    })?;
    let Some(seal) = data.and_then(|data| seal(SealKind::Redacted, data)) else { return Ok(None) };
    Ok(common.part(Content::Reasoning { text: None, seal: Some(seal), id: None, raw: None }))
}

fn tool_use<'a>(c: &mut Cursor<'a>) -> Result<Option<Part<'a>>> {
    let mut common = Common::default();
    let (mut id, mut name, mut input) = (None, None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "id" => id = nullable(&key, c, &mut common.rest, Cursor::string)?,
            "name" => name = nullable(&key, c, &mut common.rest, Cursor::string)?,
            "input" => input = Some(c.raw()?),
            _ => common.member(&key, c)?,
        }
        Ok(())
    })?;
    let (Some(id), Some(name)) = (id, name) else { return Ok(None) };
    let mut spelling = Spelling::default();
    if input.is_none() {
        spelling.set(Spelling::NO_ARGUMENTS);
    }
    Ok(common.part(Content::ToolCall(ToolCall {
        id,
        name,
        arguments: ToolArguments::Json(input.unwrap_or(Raw::literal("{}"))),
        kind: ToolCallKind::Function,
        seal: None,
        item_id: None,
        spelling,
    })))
}

fn tool_result<'a>(level: u8, c: &mut Cursor<'a>) -> Result<Option<Part<'a>>> {
    let mut common = Common::default();
    let (mut call_id, mut contents, mut is_error) = (None, None, None);
    c.object(|key, c| {
        let rest = &mut common.rest;
        match &*key.decode() {
            "tool_use_id" => call_id = nullable(&key, c, rest, Cursor::string)?,
            "content" => contents = nullable(&key, c, rest, |c| contents_at(level + 1, c))?,
            "is_error" => is_error = nullable(&key, c, rest, Cursor::bool)?,
            _ => common.member(&key, c)?,
        }
        Ok(())
    })?;
    let Some(call_id) = call_id else { return Ok(None) };
    let mut spelling = Spelling::default();
    if contents.as_ref().is_some_and(|contents| contents.parts.is_empty()) {
        spelling.set(Spelling::EMPTY_LIST);
    }
    let Contents { parts, plain } = contents.unwrap_or_default();
    Ok(common.part(Content::ToolResult(ToolResult {
        call_id,
        name: None,
        parts,
        plain,
        is_error,
        kind: ToolCallKind::Function,
        spelling,
    })))
}
