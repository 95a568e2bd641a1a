//! Small steps that the readers and writers of this folder share.

use bytes::BytesMut;

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};
use crate::protocol::model::Rest;

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
    raw.source_str()
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
