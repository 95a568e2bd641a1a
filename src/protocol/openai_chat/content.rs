//! The parts of a message's `content` list.

use super::reasoning;
use crate::protocol::data_url::{media_source, push_data_url};
use crate::protocol::json::{ArrayWriter, Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::{
    CacheMark, Content, Media, MediaKind, MediaSource, Part, Rest, Spelling,
};
use crate::protocol::wire::lenient;

/// What `content` was.
#[derive(Debug, Default)]
pub(super) enum Body<'a> {
    #[default]
    Absent,
    Plain(JsonStr<'a>),
    Parts(Vec<Part<'a>>),
}

/// Reads `content`; `null` and `[]` are kept.
pub(super) fn read<'a>(
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
    rest: &mut Rest<'a>,
) -> Result<Body<'a>, JsonError> {
    match c.kind()? {
        Kind::String => Ok(Body::Plain(c.string()?)),
        Kind::Array => {
            let whole = c.clone();
            let mut parts = Vec::new();
            c.array(|_, c| {
                parts.push(part(c)?);
                Ok(())
            })?;
            if !parts.is_empty() {
                return Ok(Body::Parts(parts));
            }
            rest.keep(key.clone(), c.since(&whole));
            Ok(Body::Absent)
        }
        Kind::Null => {
            rest.keep(key.clone(), c.raw()?);
            Ok(Body::Absent)
        }
        _ => Err(c.error("expected a string or a list of parts")),
    }
}

/// Reads one part. What is not exactly one of the known forms is kept whole.
fn part<'a>(c: &mut Cursor<'a>) -> Result<Part<'a>, JsonError> {
    let whole = c.clone();
    let mut kind = JsonStr::default();
    let (mut words, mut thinking, mut media, mut cache) = (None, None, None, None);
    let mut rest = Rest::default();
    c.object(|key, c| {
        match &*key.decode() {
            "type" => kind = c.string()?,
            "text" | "refusal" => {
                words = lenient(Kind::String, &key, c, &mut rest, Cursor::string)?;
            }
            "image_url" | "input_audio" | "file" => media = Some((key.clone(), c.raw()?)),
            "thinking" => {
                thinking = Some(reasoning::listed(&mut c.clone())?);
                rest.keep(key.clone(), c.raw()?);
            }
            "cache_control" => {
                cache = lenient(Kind::Object, &key, c, &mut rest, Cursor::raw)?.map(CacheMark);
            }
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    let content = match (&*kind.decode(), words, media) {
        ("text", Some(text), None) => Some(Content::Text { text, citations: None }),
        ("refusal", Some(text), None) => Some(Content::Refusal(text)),
        ("thinking", None, None) => thinking.map(|text| Content::Reasoning {
            text: Some(text),
            seal: None,
            id: None,
            raw: None,
        }),
        (kind, None, Some((key, raw))) if key == *kind => read_media(kind, &key, &raw, &mut rest),
        _ => None,
    };
    match content {
        Some(content) => Ok(Part { cache, rest, ..Part::new(content) }),
        None => Ok(Part::new(Content::Other { kind, raw: c.since(&whole) })),
    }
}

/// Reads a medium; one with members of its own is kept beside what is understood of it.
fn read_media<'a>(
    kind: &str,
    key: &JsonStr<'a>,
    raw: &Raw<'a>,
    rest: &mut Rest<'a>,
) -> Option<Content<'a>> {
    let mut media = Media {
        kind: MediaKind::Image,
        source: MediaSource::Other(raw.clone()),
        detail: None,
        title: None,
        context: None,
        citations: None,
        spelling: Spelling::default(),
    };
    if let Some(url) = raw.source_str().filter(|_| kind == "image_url") {
        media.spelling.set(Spelling::PLAIN_URL);
        media.source = media_source(url);
        return Some(Content::Media(media));
    }
    let mut known = Rest::default();
    let mut strings = |name: &str, c: &mut Cursor<'a>| match (kind, name) {
        ("image_url", "url" | "detail")
        | ("input_audio", "data" | "format")
        | ("file", "file_id" | "file_data" | "filename")
            if c.kind()? == Kind::String =>
        {
            known.keep(JsonStr::from_plain(name.to_owned()), c.raw()?);
            Ok(true)
        }
        _ => c.raw().map(|_| false),
    };
    let mut whole = false;
    raw.source_cursor()?
        .object(|key, c| {
            whole |= !strings(&key.decode(), c)?;
            Ok(())
        })
        .ok()?;
    let get = |name: &str| known.get(name).and_then(Raw::source_str);
    match kind {
        "image_url" => {
            media.source = media_source(get("url")?);
            media.detail = get("detail");
        }
        "input_audio" => {
            media.kind = MediaKind::Audio;
            media.source = MediaSource::Base64 { media_type: get("format")?, data: get("data")? };
        }
        _ => {
            media.kind = MediaKind::Document;
            media.title = get("filename");
            media.source = match (get("file_id"), get("file_data")) {
                (Some(id), None) => MediaSource::File(id),
                (None, Some(data)) => media_source(data),
                _ => return None,
            };
        }
    }
    if whole {
        rest.keep(key.clone(), raw.clone());
    }
    Some(Content::Media(media))
}

/// Writes a text part.
pub(super) fn write_text(items: &mut ArrayWriter<'_>, text: &JsonStr<'_>) {
    items.object(|part| {
        part.plain("type", "text");
        part.str("text", text);
    });
}

/// Writes a part that came from Chat as it stood.
pub(super) fn write_own(items: &mut ArrayWriter<'_>, part: &Part<'_>) {
    match &part.content {
        Content::Other { raw, .. } => items.item().extend_from_slice(raw.as_str().as_bytes()),
        content => items.object(|object| {
            match content {
                Content::Text { text, .. } => {
                    object.plain("type", "text");
                    object.str("text", text);
                }
                Content::Refusal(text) => {
                    object.plain("type", "refusal");
                    object.str("refusal", text);
                }
                Content::Media(media) => write_media(object, media, &part.rest),
                // Its text stands among the other members.
                Content::Reasoning { .. } => object.plain("type", "thinking"),
                _ => {}
            }
            if let Some(CacheMark(mark)) = &part.cache {
                object.raw("cache_control", mark);
            }
            part.rest.write(object);
        }),
    }
}

/// Writes the members of a medium that Chat can carry: images, sounds, files in the request. Where
/// `rest` holds the inner object whole, it is left to that.
pub(super) fn write_media(object: &mut ObjectWriter<'_>, media: &Media<'_>, rest: &Rest<'_>) {
    let name = match media.kind {
        MediaKind::Image => "image_url",
        MediaKind::Audio => "input_audio",
        MediaKind::Document | MediaKind::Video => "file",
    };
    object.plain("type", name);
    if rest.get(name).is_some() {
        return;
    }
    if media.spelling.has(Spelling::PLAIN_URL) {
        return write_source(object, name, media);
    }
    object.object(name, |inner| {
        match media.kind {
            MediaKind::Image => write_source(inner, "url", media),
            MediaKind::Audio => write_source(inner, "data", media),
            MediaKind::Document | MediaKind::Video => {
                let file = matches!(media.source, MediaSource::File(_));
                if let Some(title) = &media.title {
                    inner.str("filename", title);
                }
                write_source(inner, if file { "file_id" } else { "file_data" }, media);
            }
        }
        if let Some(detail) = media.detail.as_ref().filter(|_| media.kind == MediaKind::Image) {
            inner.str("detail", detail);
        }
    });
}

fn write_source(object: &mut ObjectWriter<'_>, name: &str, media: &Media<'_>) {
    match &media.source {
        MediaSource::Base64 { media_type, data } if media.kind == MediaKind::Audio => {
            object.str(name, data);
            object.str("format", media_type);
        }
        MediaSource::Base64 { media_type, data } => {
            push_data_url(object.key(name), media_type, data);
        }
        MediaSource::Url(text) | MediaSource::File(text) => object.str(name, text),
        MediaSource::Text { .. } | MediaSource::Parts { .. } | MediaSource::Other(_) => {
            object.null(name);
        }
    }
}
