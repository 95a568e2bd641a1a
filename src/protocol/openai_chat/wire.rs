//! Small steps that the readers and writers of this folder share.

use bytes::BytesMut;

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::{MediaSource, Rest};

/// Reads a member of an answer if it is of the kind that the protocol promises; anything else,
/// `null` too, is kept as it stood: upstreams are many, and a wrong detail must not cost the answer.
pub(super) fn lenient<'a, T>(
    kind: Kind,
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
    rest: &mut Rest<'a>,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T, JsonError>,
) -> Result<Option<T>, JsonError> {
    if c.kind()? != kind {
        rest.keep(key.clone(), c.raw()?);
        return Ok(None);
    }
    read(c).map(Some)
}

/// The string in a raw value of the document.
pub(super) fn string_of<'a>(raw: &Raw<'a>) -> Option<JsonStr<'a>> {
    raw.source_cursor()?.string().ok()
}

/// Where the bytes of a URL are: in itself when it is a `data:` URL (RFC 2397) in base64. The
/// payload is cut out of the escaped text without a look at it.
pub(super) fn media_source(url: JsonStr<'_>) -> MediaSource<'_> {
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

/// Writes base64 bytes as a `data:` URL.
pub(super) fn push_data_url(out: &mut BytesMut, media_type: &JsonStr<'_>, data: &JsonStr<'_>) {
    for piece in ["\"data:", media_type.escaped(), ";base64,", data.escaped(), "\""] {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Writes several texts as one string, with `separator` (escaped) between them.
pub(super) fn push_joined<'t, 'a: 't>(
    out: &mut BytesMut,
    texts: impl Iterator<Item = &'t JsonStr<'a>>,
    separator: &str,
) {
    out.extend_from_slice(b"\"");
    for (i, text) in texts.filter(|text| !text.is_empty()).enumerate() {
        if i > 0 {
            out.extend_from_slice(separator.as_bytes());
        }
        out.extend_from_slice(text.escaped().as_bytes());
    }
    out.extend_from_slice(b"\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls() {
        let rows: &[(&str, Option<(&str, &str)>)] = &[
            (r#""data:image/png;base64,AAAA""#, Some(("image/png", "AAAA"))),
            (r#""data:image\/png;base64,AA\/A""#, Some(("image/png", "AA/A"))),
            (
                r#""data:text/plain;charset=utf-8;base64,QQ==""#,
                Some(("text/plain;charset=utf-8", "QQ==")),
            ),
            (r#""data:;base64,""#, Some(("", ""))),
            (r#""data:text/plain,hello""#, None),
            (r#""https://a.example/b?c=1,2""#, None),
            (r#""""#, None),
        ];
        for (text, expected) in rows {
            let url = Cursor::new(text).string().unwrap();
            let source = media_source(url);
            match (&source, expected) {
                (MediaSource::Base64 { media_type, data }, Some((kind, bytes))) => {
                    assert_eq!((&*media_type.decode(), &*data.decode()), (*kind, *bytes));
                    let mut out = BytesMut::new();
                    push_data_url(&mut out, media_type, data);
                    let again: String = serde_json::from_slice(&out).unwrap();
                    assert_eq!(again, serde_json::from_str::<String>(text).unwrap());
                }
                (MediaSource::Url(_), None) => {}
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
