//! Schemas that are none.

use bytes::BytesMut;

use crate::protocol::json::{Cursor, JsonError, Kind, ObjectWriter, Raw, push_str};
use crate::protocol::model::{Request, ToolKind};
use crate::protocol::report::{Reporter, Severity};

/// Gives every function a schema that is an object.
///
/// Agents of the Qwen family describe parameters as a list (`[{"name","type","description",
/// "required"}]`), which becomes the schema that it means. Anything else is reported and left out.
pub(super) fn mend(request: &mut Request<'_>, report: &mut Reporter<'_>) {
    for tool in &mut request.tools {
        let ToolKind::Function { schema, .. } = &mut tool.kind else { continue };
        let Some(raw) = schema.as_ref().filter(|raw| raw.kind() != Kind::Object) else { continue };
        let mended = if raw.kind() == Kind::Array { of_list(raw) } else { None };
        if mended.is_none() && raw.kind() != Kind::Null {
            report.piece(raw.as_str(), Severity::Degrade, "a schema that is no object");
        }
        *schema = mended;
    }
}

fn of_list(list: &Raw<'_>) -> Option<Raw<'static>> {
    let mut required = BytesMut::new();
    let mut out = BytesMut::new();
    let mut object = ObjectWriter::begin(&mut out);
    object.plain("type", "object");
    let mut walked = Ok(());
    object.object("properties", |properties| {
        walked = list.cursor().array(|_, c| property(c, properties, &mut required));
    });
    walked.ok()?;
    if !required.is_empty() {
        let required = String::from_utf8(required.to_vec()).ok()?;
        object.raw("required", &Raw::parse_owned(format!("[{required}]")).ok()?);
    }
    object.end();
    Raw::parse_owned(String::from_utf8(out.to_vec()).ok()?).ok()
}

fn property(
    c: &mut Cursor<'_>,
    properties: &mut ObjectWriter<'_>,
    required: &mut BytesMut,
) -> Result<(), JsonError> {
    let item = c.raw()?;
    let name = item.member("name");
    let Some(name) = name.as_ref().and_then(Raw::as_json_str) else {
        return Err(c.error("a parameter without its name"));
    };
    if item.member("required").is_some_and(|raw| raw.as_str() == "true") {
        if !required.is_empty() {
            required.extend_from_slice(b",");
        }
        push_str(required, &name);
    }
    properties.object(name.escaped(), |property| {
        // It was cut as a whole value, so it can be walked.
        let _ = item.cursor().object(|key, c| {
            let value = c.raw()?;
            if key != "name" && key != "required" {
                property.raw(key.escaped(), &value);
            }
            Ok(())
        });
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_parameters() {
        let list = Raw::literal(
            r#"[{"name":"city","type":"string","description":"Where","required":true},{"name":"n","type":"integer"}]"#,
        );
        assert_eq!(
            of_list(&list).unwrap().as_str(),
            r#"{"type":"object","properties":{"city":{"type":"string","description":"Where"},"n":{"type":"integer"}},"required":["city"]}"#
        );
        assert!(of_list(&Raw::literal(r#"[{"type":"string"}]"#)).is_none());
        assert!(of_list(&Raw::literal("[1]")).is_none());
        let none = of_list(&Raw::literal("[]")).unwrap();
        assert_eq!(none.as_str(), r#"{"type":"object","properties":{}}"#);
    }
}
