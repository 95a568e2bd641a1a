//! The parts of a message's `content` and of a tool's `output`.

use crate::protocol::data_url::{media_source, push_data_url};
use crate::protocol::json::{ArrayWriter, Cursor, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{Content, Media, MediaKind, MediaSource, Part, Rest, Spelling};
use crate::protocol::wire::{Result, keep, nullable, push, skip, write_opt_raw, write_opt_str};

/// What a list of parts was.
#[derive(Debug, Default)]
pub(super) struct Contents<'a> {
    pub(super) parts: Vec<Part<'a>>,
    /// It was a bare string.
    pub(super) plain: bool,
}

/// Who says the words; their type tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Input,
    Output,
}

impl Side {
    fn text_type(self) -> &'static str {
        match self {
            Self::Input => "input_text",
            Self::Output => "output_text",
        }
    }
}

/// Reads a string or a list of parts.
pub(super) fn read<'a>(side: Side, c: &mut Cursor<'a>) -> Result<Contents<'a>> {
    match c.kind()? {
        Kind::String => Ok(Contents { parts: vec![Part::text(c.string()?)], plain: true }),
        Kind::Array => {
            let mut parts = Vec::new();
            c.array(|_, c| {
                parts.push(read_part(side, c)?);
                Ok(())
            })?;
            Ok(Contents { parts, plain: false })
        }
        _ => Err(c.error("expected a string or a list of parts")),
    }
}

/// Reads one part. One of an unknown type, or without what its type demands, is kept whole.
pub(super) fn read_part<'a>(side: Side, c: &mut Cursor<'a>) -> Result<Part<'a>> {
    let kind = c.peek_str("type").unwrap_or_default();
    let start = c.clone();
    let word = kind.decode();
    let known = match &*word {
        "input_text" | "output_text" | "text" => text(c)?,
        "refusal" => refusal(c)?,
        "input_image" => image(c)?,
        "input_file" => file(c)?,
        "input_audio" => audio(c)?,
        _ => skip(c).map(|()| None)?,
    };
    let raw = c.since(&start);
    let Some((content, mut rest)) = known else {
        return Ok(Part::new(Content::Other { kind: kind.clone(), raw }));
    };
    if !is_usual(side, &word, &content) {
        rest.keep_source(raw);
    }
    Ok(Part { rest, ..Part::new(content) })
}

/// Whether the writer would write the part in the form in which it stood.
fn is_usual(side: Side, word: &str, content: &Content<'_>) -> bool {
    match content {
        Content::Text { .. } => word == side.text_type(),
        Content::Media(media) => !media.spelling.has(Spelling::PLAIN_URL),
        _ => true,
    }
}

type Known<'a> = Option<(Content<'a>, Rest<'a>)>;

fn text<'a>(c: &mut Cursor<'a>) -> Result<Known<'a>> {
    let mut rest = Rest::default();
    let (mut text, mut citations) = (None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "type" => skip(c)?,
            "text" => text = nullable(&key, c, &mut rest, Cursor::string)?,
            "annotations" => citations = nullable(&key, c, &mut rest, Cursor::raw)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    Ok(text.map(|text| (Content::Text { text, citations }, rest)))
}

fn refusal<'a>(c: &mut Cursor<'a>) -> Result<Known<'a>> {
    let mut rest = Rest::default();
    let mut text = None;
    c.object(|key, c| {
        match &*key.decode() {
            "type" => skip(c)?,
            "refusal" => text = nullable(&key, c, &mut rest, Cursor::string)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    Ok(text.map(|text| (Content::Refusal(text), rest)))
}

fn medium<'a>(kind: MediaKind, source: MediaSource<'a>) -> Media<'a> {
    Media {
        kind,
        source,
        detail: None,
        title: None,
        context: None,
        citations: None,
        spelling: Spelling::default(),
    }
}

fn image<'a>(c: &mut Cursor<'a>) -> Result<Known<'a>> {
    let mut rest = Rest::default();
    let (mut url, mut id, mut detail) = (None, None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "type" => skip(c)?,
            "image_url" => url = nullable(&key, c, &mut rest, Cursor::string)?,
            "file_id" => id = nullable(&key, c, &mut rest, Cursor::string)?,
            "detail" => detail = nullable(&key, c, &mut rest, Cursor::string)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let source = match (url, id) {
        (Some(url), None) => media_source(url),
        (None, Some(id)) => MediaSource::File(id),
        _ => return Ok(None),
    };
    let media = Media { detail, ..medium(MediaKind::Image, source) };
    Ok(Some((Content::Media(media), rest)))
}

fn file<'a>(c: &mut Cursor<'a>) -> Result<Known<'a>> {
    let mut rest = Rest::default();
    let (mut data, mut url, mut id) = (None, None, None);
    let (mut title, mut detail) = (None, None);
    c.object(|key, c| {
        match &*key.decode() {
            "type" => skip(c)?,
            "file_data" => data = nullable(&key, c, &mut rest, Cursor::string)?,
            "file_url" => url = nullable(&key, c, &mut rest, Cursor::string)?,
            "file_id" => id = nullable(&key, c, &mut rest, Cursor::string)?,
            "filename" => title = nullable(&key, c, &mut rest, Cursor::string)?,
            "detail" => detail = nullable(&key, c, &mut rest, Cursor::string)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    let mut spelling = Spelling::default();
    let source = match (data, url, id) {
        (Some(data), None, None) => match media_source(data) {
            // Bare base64; nearly all files are of this type.
            MediaSource::Url(data) => {
                spelling.set(Spelling::PLAIN_URL);
                MediaSource::Base64 { media_type: JsonStr::from_plain("application/pdf"), data }
            }
            source => source,
        },
        (None, Some(url), None) => MediaSource::Url(url),
        (None, None, Some(id)) => MediaSource::File(id),
        _ => return Ok(None),
    };
    let media = Media { title, detail, spelling, ..medium(MediaKind::Document, source) };
    Ok(Some((Content::Media(media), rest)))
}

fn audio<'a>(c: &mut Cursor<'a>) -> Result<Known<'a>> {
    let mut rest = Rest::default();
    let mut source = None;
    c.object(|key, c| {
        match &*key.decode() {
            "type" => skip(c)?,
            "input_audio" if c.kind()? == Kind::Object => source = sound(c)?,
            _ => keep(&key, c, &mut rest)?,
        }
        Ok(())
    })?;
    Ok(source.map(|source| (Content::Media(medium(MediaKind::Audio, source)), rest)))
}

fn sound<'a>(c: &mut Cursor<'a>) -> Result<Option<MediaSource<'a>>> {
    let (mut data, mut format, mut more) = (None, None, false);
    c.object(|key, c| {
        let is_string = c.kind()? == Kind::String;
        match &*key.decode() {
            "data" if is_string => data = Some(c.string()?),
            "format" if is_string => format = Some(c.string()?),
            _ => {
                skip(c)?;
                more = true;
            }
        }
        Ok(())
    })?;
    let source = |(data, media_type)| MediaSource::Base64 { media_type, data };
    Ok(data.zip(format).filter(|_| !more).map(source))
}

/// Writes a part of this protocol's own as it stood.
pub(super) fn write_own(side: Side, list: &mut ArrayWriter<'_>, part: &Part<'_>) {
    if let (Some(raw), _) | (None, Content::Other { raw, .. }) = (part.rest.source(), &part.content)
    {
        return push(list.item(), raw.as_str());
    }
    list.object(|object| {
        match &part.content {
            Content::Text { text, citations } => write_text(side, object, text, citations.as_ref()),
            Content::Refusal(text) => write_refusal(object, text),
            Content::Media(media) => write_media(object, media),
            _ => {}
        }
        part.rest.write(object);
    });
}

/// Writes the members of words.
pub(super) fn write_text(
    side: Side,
    object: &mut ObjectWriter<'_>,
    text: &JsonStr<'_>,
    citations: Option<&Raw<'_>>,
) {
    object.plain("type", side.text_type());
    object.str("text", text);
    write_opt_raw(object, "annotations", citations);
}

/// Writes the members of a refusal.
pub(super) fn write_refusal(object: &mut ObjectWriter<'_>, text: &JsonStr<'_>) {
    object.plain("type", "refusal");
    object.str("refusal", text);
}

/// Writes the members of an image, a file or a sound. Text documents and those made of parts have
/// no form here; the caller writes their words.
pub(super) fn write_media(object: &mut ObjectWriter<'_>, media: &Media<'_>) {
    let image = media.kind == MediaKind::Image;
    match (&media.kind, &media.source) {
        (MediaKind::Audio, MediaSource::Base64 { media_type, data }) => {
            object.plain("type", "input_audio");
            return object.object("input_audio", |sound| {
                sound.str("data", data);
                sound.str("format", media_type);
            });
        }
        _ => object.plain("type", if image { "input_image" } else { "input_file" }),
    }
    if !image {
        write_opt_str(object, "filename", media.title.as_ref());
    }
    match &media.source {
        MediaSource::Base64 { media_type, data } => {
            let name = if image { "image_url" } else { "file_data" };
            push_data_url(object.key(name), media_type, data);
        }
        MediaSource::Url(url) => object.str(if image { "image_url" } else { "file_url" }, url),
        MediaSource::File(id) => object.str("file_id", id),
        MediaSource::Text { .. } | MediaSource::Parts { .. } | MediaSource::Other(_) => {}
    }
    write_opt_str(object, "detail", media.detail.as_ref());
}
