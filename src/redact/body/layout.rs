//! How a body stands on the lines of a log.

use serde_json::Value;

/// An object has a line for each member, a list of objects one for each; all else is on one line.
pub(super) fn write(body: &Value) -> String {
    match body {
        Value::Object(members) if !members.is_empty() => {
            let lines = members.iter().map(|(name, member)| {
                format!("  {}: {}", Value::from(name.as_str()), list(member, "  "))
            });
            format!("{{\n{}\n}}", lines.collect::<Vec<_>>().join(",\n"))
        }
        body => list(body, ""),
    }
}

fn list(value: &Value, indent: &str) -> String {
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let lines = items.iter().map(|item| format!("{indent}  {item}"));
            format!("[\n{}\n{indent}]", lines.collect::<Vec<_>>().join(",\n"))
        }
        value => value.to_string(),
    }
}
