//! What reading and writing of objects share in this folder.

use std::borrow::Cow;

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, Raw};
use crate::protocol::model::Rest;

pub(super) type Result<T, E = JsonError> = std::result::Result<T, E>;

/// The name of a member in the camel case of Gemini's JSON. Its parsers take the snake case of
/// the proto files too (`function_call`), and some clients send it; see [`is_usual`].
pub(super) fn camel<'k>(key: &'k JsonStr<'_>) -> Cow<'k, str> {
    let name = key.decode();
    if !name.contains('_') {
        return name;
    }
    let mut camel = String::with_capacity(name.len());
    let mut up = false;
    for c in name.chars() {
        match c {
            '_' => up = true,
            c if std::mem::take(&mut up) => camel.push(c.to_ascii_uppercase()),
            c => camel.push(c),
        }
    }
    Cow::Owned(camel)
}

/// Whether a known member is written back under the name that it had.
#[allow(clippy::ptr_arg, reason = "what tells is whether `camel` had to change it")]
pub(super) fn is_usual(name: &Cow<'_, str>) -> bool {
    matches!(name, Cow::Borrowed(_))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, wanted, usual) in [
            ("functionCall", "functionCall", true),
            ("function_call", "functionCall", false),
            ("parameters_json_schema", "parametersJsonSchema", false),
            ("text", "text", true),
            ("_", "", false),
        ] {
            let key = JsonStr::from_plain(name);
            let name = camel(&key);
            assert_eq!(name, wanted);
            assert_eq!(is_usual(&name), usual);
        }
    }
}
