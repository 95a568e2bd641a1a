use serde_json::Value;

use super::{Folded, parse};

pub(super) fn fold(events: &[(String, String)]) -> Result<Folded, String> {
    let mut message = Value::Null;
    let mut blocks: Vec<Value> = Vec::new();
    let mut arguments = String::new();
    let (mut open, mut stopped, mut deltas) = (None, false, 0);
    for (name, data) in events {
        if name.is_empty() {
            continue; // the SDK skips events without a name
        }
        let event = parse(data)?;
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
