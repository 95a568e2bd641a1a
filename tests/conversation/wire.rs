//! Server-sent events, read and written.

use serde_json::Value;

/// The data of all events.
pub(crate) fn events(body: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for line in body.lines() {
        let Some(data) = line.strip_prefix("data:") else { continue };
        let data = data.trim();
        if data != "[DONE]" && !data.is_empty() {
            let event: Value = serde_json::from_str(data).unwrap();
            let kind = event["type"].as_str().unwrap_or_default();
            assert!(event.get("error").is_none_or(Value::is_null), "{event}");
            assert!(kind != "error" && kind != "response.failed", "{event}");
            found.push(event);
        }
    }
    found
}

/// Events named by their `type`.
pub(crate) fn named(events: &[Value]) -> String {
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

/// Events of data alone.
pub(crate) fn unnamed(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

/// A text in two pieces.
pub(crate) fn halves(text: &str) -> [&str; 2] {
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    let (head, tail) = text.split_at(middle);
    [head, tail]
}

/// The items of a list; none where there is no list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
