//! Small steps that the readers and writers of this folder share.

use bytes::BytesMut;

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::Rest;

pub(super) type Result<T, E = JsonError> = std::result::Result<T, E>;

/// Reads a known member. A `null` goes to `rest`, so that it is written back.
pub(super) fn nullable<'a, T>(
    key: &JsonStr<'a>,
    c: &mut Cursor<'a>,
    rest: &mut Rest<'a>,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T>,
) -> Result<Option<T>> {
    if c.kind()? == Kind::Null {
        rest.keep(key.clone(), c.raw()?);
        return Ok(None);
    }
    read(c).map(Some)
}

/// Keeps a member that nobody here understands.
pub(super) fn keep<'a>(key: &JsonStr<'a>, c: &mut Cursor<'a>, rest: &mut Rest<'a>) -> Result<()> {
    rest.keep(key.clone(), c.raw()?);
    Ok(())
}

/// Steps over a value.
pub(super) fn skip(c: &mut Cursor<'_>) -> Result<()> {
    c.raw().map(drop)
}

/// The string in a raw value of the document.
pub(super) fn string_of<'a>(raw: &Raw<'a>) -> Option<JsonStr<'a>> {
    raw.source_str()
}

/// A quoted string, or nothing where there is none.
pub(super) fn write_opt_str(
    object: &mut ObjectWriter<'_>,
    name: &str,
    value: Option<&JsonStr<'_>>,
) {
    if let Some(value) = value {
        object.str(name, value);
    }
}

/// A value as it stood, or nothing where there is none.
pub(super) fn write_opt_raw(object: &mut ObjectWriter<'_>, name: &str, value: Option<&Raw<'_>>) {
    if let Some(value) = value {
        object.raw(name, value);
    }
}

/// Appends a literal or a slice that needs no escape.
pub(super) fn push(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Several texts as one; `separator` is escaped and stands between them. Copied only where there
/// are several.
pub(super) fn join<'a>(texts: Vec<JsonStr<'a>>, separator: &str) -> Option<JsonStr<'a>> {
    let mut texts = texts.into_iter().filter(|text| !text.is_empty());
    let first = texts.next()?;
    let Some(second) = texts.next() else { return Some(first) };
    let mut joined = String::from(first.escaped());
    for text in std::iter::once(second).chain(texts) {
        joined.push_str(separator);
        joined.push_str(text.escaped());
    }
    Some(JsonStr::from_escaped(joined))
}

/// The member of an object, with the life of the document.
pub(super) fn member_of<'a>(raw: &Raw<'a>, name: &str) -> Option<Raw<'a>> {
    let mut found = None;
    let walked = raw.source_cursor()?.object(|key, c| {
        let value = c.raw()?;
        if key == *name {
            found = Some(value);
        }
        Ok(())
    });
    walked.ok().and(found)
}
