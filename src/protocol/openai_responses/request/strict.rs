//! What OpenAI demands of a schema before it holds a model to it.

use std::collections::HashSet;

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};

/// Whether a schema meets the rules of `strict`: every object in it closed, and each of its
/// properties required. Any other would be refused.
pub(super) fn complies(schema: &Raw<'_>) -> bool {
    matches!(check(&mut schema.cursor()), Ok(true))
}

/// Checks a schema and those in it.
fn check(c: &mut Cursor<'_>) -> Result<bool, JsonError> {
    match c.kind()? {
        Kind::Object => check_object(c),
        Kind::Array => {
            let mut fits = true;
            c.array(|_, c| {
                fits &= check(c)?;
                Ok(())
            })?;
            Ok(fits)
        }
        _ => c.raw().map(|_| true),
    }
}

fn check_object(c: &mut Cursor<'_>) -> Result<bool, JsonError> {
    let mut fits = true;
    let (mut object, mut closed) = (false, false);
    let (mut names, mut required): (Vec<JsonStr<'_>>, Vec<JsonStr<'_>>) = (Vec::new(), Vec::new());
    c.object(|key, c| {
        match &*key.decode() {
            "type" => object |= c.raw()?.as_str().contains("\"object\""),
            "properties" | "$defs" | "definitions" if c.kind()? == Kind::Object => {
                let listed = key == "properties";
                object |= listed;
                c.object(|key, c| {
                    if listed {
                        names.push(key);
                    }
                    fits &= check(c)?;
                    Ok(())
                })?;
            }
            "required" if c.kind()? == Kind::Array => c.array(|_, c| {
                let raw = c.raw()?;
                required.extend(raw.source_cursor().and_then(|mut c| c.string().ok()));
                Ok(())
            })?,
            "additionalProperties" => closed = c.raw()?.as_str() == "false",
            // Values, not schemas.
            "enum" | "const" | "default" | "examples" => drop(c.raw()?),
            _ => fits &= check(c)?,
        }
        Ok(())
    })?;
    Ok(fits && (!object || (closed && all_required(&names, &required))))
}

/// Whether each name is in the other list; schemas may hold many of both.
fn all_required(names: &[JsonStr<'_>], required: &[JsonStr<'_>]) -> bool {
    let required: HashSet<_> = required.iter().map(JsonStr::decode).collect();
    names.iter().all(|name| required.contains(&name.decode()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let rows = [
            ("{}", true),
            (r#"{"type":"string"}"#, true),
            (r#"{"type":"object","properties":{},"additionalProperties":false}"#, true),
            (r#"{"type":"object","properties":{}}"#, false),
            (r#"{"type":["object","null"]}"#, false),
            (
                r#"{"type":"object","properties":{"a":{}},"required":["a"],
                    "additionalProperties":false}"#,
                true,
            ),
            (r#"{"type":"object","properties":{"a":{}},"additionalProperties":false}"#, false),
            (
                r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"object"}}},
                    "required":["a"],"additionalProperties":false}"#,
                false,
            ),
            (r#"{"anyOf":[{"type":"string"},{"type":"object"}]}"#, false),
            (r#"{"$defs":{"a":{"type":"object"}}}"#, false),
            (r#"{"enum":[{"type":"object"}]}"#, true),
            ("true", true),
        ];
        for (schema, expected) in rows {
            assert_eq!(complies(&Raw::parse(schema).unwrap()), expected, "{schema}");
        }
    }
}
