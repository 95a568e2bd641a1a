//! The names of members, which come in two cases.

use std::borrow::Cow;

use crate::protocol::json::JsonStr;

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
