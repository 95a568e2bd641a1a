//! Small steps that the readers and writers of several protocols share.

use bytes::BytesMut;

use super::json::{Cursor, JsonError, JsonStr, Kind, Number, ObjectWriter, Raw};
use super::model::Rest;

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

/// Reads a member of an answer if it is of the kind that the protocol promises; anything else,
/// `null` too, is kept as it stood: upstreams are many, and a wrong detail must not cost the answer.
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

/// Reads a string where one stands, and steps over anything else.
pub(super) fn lenient_str<'a>(c: &mut Cursor<'a>) -> Result<Option<JsonStr<'a>>> {
    if c.kind()? == Kind::String {
        return c.string().map(Some);
    }
    skip(c)?;
    Ok(None)
}

/// Reads a count where one stands, and steps over anything else.
pub(super) fn lenient_u64(c: &mut Cursor<'_>) -> Result<Option<u64>> {
    if c.kind()? == Kind::Number {
        return Ok(c.number()?.as_u64());
    }
    skip(c)?;
    Ok(None)
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

/// The member of an object, with the life of the document; the last one of that name.
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

/// The `name` of an object that has no other member.
pub(super) fn sole_name<'a>(raw: &Raw<'a>) -> Option<JsonStr<'a>> {
    let (mut name, mut more) = (None, false);
    let walked = raw.source_cursor()?.object(|key, c| {
        let raw = c.raw()?;
        if key == "name" {
            name = raw.source_str();
        } else {
            more = true;
        }
        Ok(())
    });
    walked.ok().and(name).filter(|_| !more)
}

/// Whether it is a list without items.
pub(super) fn is_empty_list(raw: &Raw<'_>) -> bool {
    raw.as_str().trim_start_matches('[').trim_start() == "]"
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

/// Writes several texts as one string, with `separator` (escaped) between them.
pub(super) fn push_joined<'t, 'a: 't>(
    out: &mut BytesMut,
    texts: impl Iterator<Item = &'t JsonStr<'a>>,
    separator: &str,
) {
    push(out, "\"");
    for (i, text) in texts.filter(|text| !text.is_empty()).enumerate() {
        if i > 0 {
            push(out, separator);
        }
        push(out, text.escaped());
    }
    push(out, "\"");
}

/// Appends a literal or a slice that needs no escape.
pub(super) fn push(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
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

/// A number, or nothing where there is none.
pub(super) fn write_opt_number(
    object: &mut ObjectWriter<'_>,
    name: &str,
    value: Option<&Number<'_>>,
) {
    if let Some(value) = value {
        object.number(name, value);
    }
}
