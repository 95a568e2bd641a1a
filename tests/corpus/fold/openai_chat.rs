use serde_json::{Map, Value, json};

use super::{Folded, parse};

pub(super) fn fold(events: &[(String, String)]) -> Result<Folded, String> {
    let mut message = Map::new();
    let mut choices: Vec<Value> = Vec::new();
    let mut done = false;
    for (_, data) in events {
        if data.starts_with("[DONE]") {
            done = true;
            continue;
        }
        if done {
            return Err("data after [DONE]".to_owned());
        }
        let chunk = parse(data)?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Ok(Folded { message: Value::Object(message), failed: true });
        }
        for member in ["id", "model", "created"] {
            if let Some(value) = chunk.get(member).filter(|v| !v.is_null() && *v != "") {
                message.insert(member.to_owned(), value.clone());
            }
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| !usage.is_null()) {
            message.insert("usage".to_owned(), usage.clone());
        }
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            fold_choice(&mut choices, choice)?;
        }
    }
    if choices.iter().any(|choice| choice["finish_reason"].is_null()) || choices.is_empty() {
        return Err("ended without a finish_reason".to_owned());
    }
    message.insert("choices".to_owned(), Value::Array(choices));
    Ok(Folded { message: Value::Object(message), failed: false })
}

pub(super) fn fold_choice(choices: &mut Vec<Value>, choice: &Value) -> Result<(), String> {
    let index = choice["index"].as_u64().unwrap_or(0) as usize;
    while choices.len() <= index {
        let number = choices.len();
        choices.push(json!({"index": number, "message": {"role": "assistant", "content": null}, "finish_reason": null}));
    }
    let folded = &mut choices[index];
    if !choice["finish_reason"].is_null() {
        folded["finish_reason"] = choice["finish_reason"].clone();
    }
    let delta = &choice["delta"];
    for member in ["content", "refusal", "reasoning_content", "reasoning"] {
        if let Some(more) = delta[member].as_str() {
            let text = folded["message"][member].as_str().unwrap_or_default().to_owned();
            folded["message"][member] = Value::String(text + more);
        }
    }
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let at = call["index"].as_u64().unwrap_or(0) as usize;
        if !folded["message"]["tool_calls"].is_array() {
            folded["message"]["tool_calls"] = json!([]);
        }
        let calls = folded["message"]["tool_calls"].as_array_mut().ok_or("no list")?;
        // Clones leave gaps in the indices.
        let known = calls.iter().position(|call| call["index"] == at);
        let known = known.unwrap_or_else(|| {
            let function = json!({"name": "", "arguments": ""});
            calls.push(json!({"index": at, "id": "", "type": "function", "function": function}));
            calls.len() - 1
        });
        for (path, more) in [
            ("/id", &call["id"]),
            ("/function/name", &call["function"]["name"]),
            ("/function/arguments", &call["function"]["arguments"]),
        ] {
            let place = calls[known].pointer_mut(path).ok_or("no member")?;
            let text = place.as_str().unwrap_or_default().to_owned();
            let more = more.as_str().unwrap_or_default();
            // Clones repeat the id and the name; the SDK would glue them together.
            *place = Value::String(if path != "/function/arguments" && text == more {
                text
            } else {
                text + more
            });
        }
    }
    Ok(())
}
