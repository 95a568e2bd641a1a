//! Folds a stream into the message it makes, the way the official SDKs do, and checks the grammar
//! that they rely on. Knows nothing of the crate.

use serde_json::{Map, Value, json};
use tower_llm_gateway::protocol::Protocol;

pub(crate) struct Folded {
    pub(crate) message: Value,
    /// It ended in an error event.
    pub(crate) failed: bool,
}

/// Name and data of each event.
fn events(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string())?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut events = Vec::new();
    for block in text.split("\n\n") {
        let (mut name, mut data) = (String::new(), Vec::new());
        for line in block.lines() {
            if let Some(value) = line.strip_prefix("event:") {
                value.trim().clone_into(&mut name);
            } else if let Some(value) = line.strip_prefix("data:") {
                data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
            }
        }
        if !data.is_empty() {
            events.push((name, data.join("\n")));
        }
    }
    Ok(events)
}

pub(crate) fn fold(protocol: Protocol, bytes: &[u8]) -> Result<Folded, String> {
    let events = events(bytes)?;
    match protocol {
        Protocol::Anthropic => anthropic(&events),
        _ => openai_chat(&events),
    }
}

fn anthropic(events: &[(String, String)]) -> Result<Folded, String> {
    let mut message = Value::Null;
    let mut blocks: Vec<Value> = Vec::new();
    let mut arguments = String::new();
    let (mut open, mut stopped, mut deltas) = (None, false, 0);
    for (name, data) in events {
        if name.is_empty() {
            continue; // the SDK skips events without a name
        }
        let event: Value = serde_json::from_str(data).map_err(|e| format!("{e}: {data}"))?;
        if event["type"] != *name {
            return Err(format!("event {name} with type {}", event["type"]));
        }
        if stopped {
            return Err(format!("{name} after message_stop"));
        }
        match name.as_str() {
            "ping" => {}
            "error" => {
                event["error"]["message"].as_str().ok_or("an error without a message")?;
                return Ok(Folded { message, failed: true });
            }
            "message_start" => {
                if !message.is_null() {
                    return Err("second message_start".to_owned());
                }
                message = event["message"].clone();
                message["usage"]["output_tokens"].as_u64().ok_or("no usage at the start")?;
            }
            _ if message.is_null() => return Err(format!("{name} before message_start")),
            "content_block_start" => {
                if open.is_some() || event["index"] != blocks.len() {
                    return Err(format!("block {} out of order", event["index"]));
                }
                open = Some(blocks.len());
                blocks.push(event["content_block"].clone());
                arguments.clear();
            }
            "content_block_delta" => {
                let block =
                    open.filter(|open| event["index"] == *open).ok_or("delta of no open block")?;
                block_delta(&mut blocks[block], &event["delta"], &mut arguments)?;
            }
            "content_block_stop" => {
                let block = open
                    .take()
                    .filter(|open| event["index"] == *open)
                    .ok_or("stop of no open block")?;
                if !arguments.is_empty() {
                    blocks[block]["input"] = serde_json::from_str(&arguments)
                        .unwrap_or_else(|_| Value::String(arguments.clone()));
                }
            }
            "message_delta" => {
                if open.is_some() {
                    return Err("message_delta inside a block".to_owned());
                }
                deltas += 1;
                event["usage"]["output_tokens"].as_u64().ok_or("no usage in message_delta")?;
                merge(&mut message, &event["delta"]);
                let usage = event["usage"].clone();
                merge(&mut message["usage"], &usage);
            }
            "message_stop" => stopped = true,
            _ => {}
        }
    }
    if !stopped || deltas == 0 {
        return Err("ended without message_delta and message_stop".to_owned());
    }
    message["content"] = Value::Array(blocks);
    Ok(Folded { message, failed: false })
}

fn block_delta(block: &mut Value, delta: &Value, arguments: &mut String) -> Result<(), String> {
    let kind = delta["type"].as_str().unwrap_or_default();
    let (member, fits) = match kind {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("signature", "thinking"),
        "input_json_delta" => {
            arguments.push_str(delta["partial_json"].as_str().ok_or("no partial_json")?);
            return Ok(());
        }
        _ => return Ok(()),
    };
    if block["type"] != fits {
        return Err(format!("{kind} in a block of {}", block["type"]));
    }
    let more = delta[member].as_str().ok_or("a delta without its text")?;
    let text = block[member].as_str().unwrap_or_default().to_owned();
    block[member] =
        Value::String(if kind == "signature_delta" { more.to_owned() } else { text + more });
    Ok(())
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        for (key, value) in from {
            if !(value.is_null() && into.contains_key(key)) {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

fn openai_chat(events: &[(String, String)]) -> Result<Folded, String> {
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
        let chunk: Value = serde_json::from_str(data).map_err(|e| format!("{e}: {data}"))?;
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

fn fold_choice(choices: &mut Vec<Value>, choice: &Value) -> Result<(), String> {
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
