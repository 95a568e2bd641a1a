//! The `content` of a message: a string, or a list of `{"text"}`, `{"image"}`, `{"audio"}` and
//! `{"video"}`.

use bytes::BytesMut;

use super::wire::{media_source, push};
use crate::protocol::json::{ArrayWriter, Cursor, JsonStr, Kind, ObjectWriter, Raw, push_str};
use crate::protocol::model::{
    CacheMark, Content, Media, MediaKind, MediaSource, Part, Rest, Spelling,
};
use crate::protocol::wire::{Result, lenient, push_joined};

/// What `content` was.
#[derive(Debug, Default)]
pub(super) enum Body<'a> {
    #[default]
    Absent,
    Plain(JsonStr<'a>),
    Parts(Vec<Part<'a>>),
}

impl<'a> Body<'a> {
    /// The parts, and whether they were a bare string.
    pub(super) fn into_parts(self) -> (Vec<Part<'a>>, bool) {
        match self {
            Self::Absent => (Vec::new(), false),
            Self::Plain(text) if text.is_empty() => (Vec::new(), true),
            Self::Plain(text) => (vec![Part::text(text)], true),
            Self::Parts(parts) => (parts, false),
        }
    }
}

/// Reads `content`; `null` and `[]` are kept.
pub(super) fn read<'a>(
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
    rest: &mut Rest<'a>,
) -> Result<Body<'a>> {
    match c.kind()? {
        Kind::String => return Ok(Body::Plain(c.string()?)),
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
        }
        Kind::Null => rest.keep(key.clone(), c.raw()?),
        _ => return Err(c.error("expected a string or a list of parts")),
    }
    Ok(Body::Absent)
}

/// Reads one part. What is not exactly one of the known forms is kept whole.
fn part<'a>(c: &mut Cursor<'a>) -> Result<Part<'a>> {
    if c.kind()? != Kind::Object {
        let raw = c.raw()?;
        return Ok(Part::new(Content::Other { kind: JsonStr::default(), raw }));
    }
    let whole = c.clone();
    let mut kind = None;
    let mut found = Vec::new();
    let mut cache = None;
    let mut rest = Rest::default();
    c.object(|key, c| {
        match &*key.decode() {
            "type" => kind = Some(c.raw()?),
            "text" | "image" | "audio" | "video" => found.push((key.clone(), c.raw()?)),
            "cache_control" => {
                cache = lenient(Kind::Object, &key, c, &mut rest, Cursor::raw)?.map(CacheMark);
            }
            _ => rest.keep(key.clone(), c.raw()?),
        }
        Ok(())
    })?;
    let whole = c.since(&whole);
    let kind_word = kind.as_ref().and_then(Raw::source_str);
    let content = match &found[..] {
        // Some models demand the type, most know none.
        [(name, value)] if kind_word.as_ref().is_none_or(|word| word == name) => {
            known(&name.decode(), value)
        }
        _ => None,
    };
    let Some(content) = content else {
        let kind = kind_word.unwrap_or_default();
        return Ok(Part::new(Content::Other { kind, raw: whole }));
    };
    if kind.is_some() {
        rest.keep_source(whole);
    }
    Ok(Part { cache, rest, ..Part::new(content) })
}

fn known<'a>(name: &str, value: &Raw<'a>) -> Option<Content<'a>> {
    let kind = match name {
        "text" => {
            return value.source_str().map(|text| Content::Text { text, citations: None });
        }
        "image" => MediaKind::Image,
        "audio" => MediaKind::Audio,
        _ => MediaKind::Video,
    };
    let source = match value.kind() {
        Kind::String => media_source(value.source_str()?),
        Kind::Array if kind == MediaKind::Video => {
            MediaSource::Parts { parts: frames(value)?, plain: false }
        }
        _ => return None,
    };
    Some(Content::Media(media(kind, source)))
}

fn media(kind: MediaKind, source: MediaSource<'_>) -> Media<'_> {
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

/// The pictures that a video is given as.
fn frames<'a>(list: &Raw<'a>) -> Option<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    let walked = list.source_cursor()?.array(|_, c| {
        let source = media_source(c.string()?);
        parts.push(Part::new(Content::Media(media(MediaKind::Image, source))));
        Ok(())
    });
    walked.is_ok().then_some(parts)
}

/// Writes `content` as it was; a `null` or an empty list stands among the members not understood.
pub(super) fn write_own(message: &mut ObjectWriter<'_>, parts: &[Part<'_>], plain: bool) {
    if plain {
        push_joined(message.key("content"), texts(parts), "");
    } else if !parts.is_empty() {
        message.array("content", |list| parts.iter().for_each(|part| write_part(list, part)));
    }
}

/// Writes a part that came from DashScope as it stood.
pub(super) fn write_part(items: &mut ArrayWriter<'_>, part: &Part<'_>) {
    if let Some(source) = part.rest.source() {
        return push(items.item(), &[source.as_str()]);
    }
    match &part.content {
        Content::Other { raw, .. } => push(items.item(), &[raw.as_str()]),
        content => items.object(|object| {
            match content {
                Content::Text { text, .. } => object.str("text", text),
                Content::Media(media) => write_media(object, media),
                _ => {}
            }
            if let Some(CacheMark(mark)) = &part.cache {
                object.raw("cache_control", mark);
            }
            part.rest.write(object);
        }),
    }
}

/// Writes the member of a medium.
pub(super) fn write_media(object: &mut ObjectWriter<'_>, media: &Media<'_>) {
    let (name, family) = match media.kind {
        MediaKind::Image => ("image", "image/"),
        MediaKind::Audio => ("audio", "audio/"),
        MediaKind::Video | MediaKind::Document => ("video", "video/"),
    };
    match &media.source {
        MediaSource::Parts { parts, .. } => object.array(name, |list| {
            for part in parts {
                if let Content::Media(frame) = &part.content {
                    push_url(list.item(), &frame.source, "image/");
                }
            }
        }),
        source => push_url(object.key(name), source, family),
    }
}

/// Writes a URL, or the bytes as one. Chat names the format of a sound alone (`wav`).
fn push_url(out: &mut BytesMut, source: &MediaSource<'_>, family: &str) {
    match source {
        MediaSource::Url(url) | MediaSource::File(url) => push_str(out, url),
        MediaSource::Base64 { media_type, data } => {
            let bare = !media_type.is_empty() && !media_type.escaped().contains('/');
            let family = if bare { family } else { "" };
            let media_type = media_type.escaped();
            push(out, &["\"data:", family, media_type, ";base64,", data.escaped(), "\""]);
        }
        MediaSource::Text { .. } | MediaSource::Parts { .. } | MediaSource::Other(_) => {
            push(out, &["null"]);
        }
    }
}

/// The texts of the parts.
pub(super) fn texts<'p, 'a>(
    parts: &'p [Part<'a>],
) -> impl Iterator<Item = &'p JsonStr<'a>> + Clone {
    parts.iter().filter_map(|part| match &part.content {
        Content::Text { text, .. } => Some(text),
        _ => None,
    })
}
