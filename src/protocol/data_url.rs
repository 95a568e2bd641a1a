//! `data:` URLs (RFC 2397), in which OpenAI and DashScope carry bytes.

use bytes::BytesMut;

use super::json::JsonStr;
use super::model::MediaSource;

/// Where the bytes of a URL are: in itself when it is a `data:` URL in base64. The payload is cut
/// out of the escaped text without a look at it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::Cursor;

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
