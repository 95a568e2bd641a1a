//! What reading and writing of objects share in this folder.

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

/// Whether the text holds nothing but white space; Messages refuses such text blocks.
pub(super) fn is_blank(text: &JsonStr<'_>) -> bool {
    let mut rest = text.escaped();
    loop {
        rest = rest.trim_start();
        match ["\\n", "\\r", "\\t"].iter().find_map(|escape| rest.strip_prefix(escape)) {
            Some(after) => rest = after,
            None => return rest.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_texts() {
        for (text, blank) in [
            ("", true),
            (" \n\t\r ", true),
            ("\u{a0}", true),
            (" a ", false),
            ("\\", false),
            ("\n\"", false),
        ] {
            assert_eq!(is_blank(&JsonStr::from_plain(text)), blank, "{text:?}");
        }
    }
}
