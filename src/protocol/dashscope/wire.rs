//! Small steps that the readers and writers of this folder share.

use bytes::BytesMut;

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::{MediaSource, Rest};

pub(super) type Result<T, E = JsonError> = std::result::Result<T, E>;

/// Reads a member of an answer if it is of the kind that the protocol promises; anything else,
/// `null` too, is kept as it stood: a wrong detail must not cost the answer.
pub(super) fn lenient<'a, T>(
    kind: Kind,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
    rest: &mut Rest<'a>,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T>,
) -> Result<Option<T>> {
    if c.kind()? != kind {
        rest.keep(key.clone(), c.raw()?);
        return Ok(None);
    }
    read(c).map(Some)
}

/// The string in a raw value of the document.
pub(super) fn string_of<'a>(raw: &Raw<'a>) -> Option<JsonStr<'a>> {
    raw.source_str()
}

/// Reads a string where one stands, and steps over anything else.
pub(super) fn string<'a>(c: &mut Cursor<'a>) -> Result<Option<JsonStr<'a>>> {
    if c.kind()? == Kind::String {
        return c.string().map(Some);
    }
    c.raw().map(|_| None)
}

/// Reads a value of this kind, and steps over anything else.
pub(super) fn of_kind<'a>(c: &mut Cursor<'a>, kind: Kind) -> Result<Option<Raw<'a>>> {
    let raw = c.raw()?;
    Ok(Some(raw).filter(|raw| raw.kind() == kind))
}

/// Where the bytes of a URL are: in itself when it is a `data:` URL (RFC 2397) in base64, at the
/// vendor when the SDK has uploaded them (`oss://`). No payload is looked at.
pub(super) fn media_source(url: JsonStr<'_>) -> MediaSource<'_> {
    if url.escaped().starts_with("oss:") {
        return MediaSource::File(url);
    }
    let Some((head, data)) = url.split_once(',') else { return MediaSource::Url(url) };
    let media_type = match head.split_once(':') {
        Some((scheme, kind)) if scheme == "data" => match kind.split_once(';') {
            Some((media_type, encoding)) if encoding == "base64" => Some(media_type),
            _ => kind
                .decode()
                .strip_suffix(";base64")
                .map(|media_type| JsonStr::from_plain(media_type.to_owned())),
        },
        _ => None,
    };
    match media_type {
        Some(media_type) => MediaSource::Base64 { media_type, data },
        None => MediaSource::Url(url),
    }
}

/// Appends text that needs no escape.
pub(super) fn push(out: &mut BytesMut, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Appends a value on one line. Line breaks can stand only between its tokens.
pub(super) fn push_flat(out: &mut BytesMut, raw: &Raw<'_>) {
    for piece in raw.as_str().split(['\n', '\r']) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Writes several texts as one string, with `separator` (escaped) between them.
pub(super) fn push_joined<'t, 'a: 't>(
    out: &mut BytesMut,
    texts: impl Iterator<Item = &'t JsonStr<'a>>,
    separator: &str,
) {
    push(out, &["\""]);
    for (i, text) in texts.filter(|text| !text.is_empty()).enumerate() {
        push(out, &[if i > 0 { separator } else { "" }, text.escaped()]);
    }
    push(out, &["\""]);
}
