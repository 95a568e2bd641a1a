use serde_json::{Map, Value, json};

use super::{Folded, append, parse};

pub(super) fn fold(events: &[(String, String)]) -> Result<Folded, String> {
    let mut message = json!({"candidates": []});
    for (_, data) in events {
        let chunk = parse(data)?;
        if chunk.get("error").is_some() {
            return Ok(Folded { message, failed: true });
        }
        for (name, value) in chunk.as_object().ok_or("a chunk is no object")? {
            if name != "candidates" {
                message[name] = value.clone();
            }
        }
        for candidate in chunk["candidates"].as_array().into_iter().flatten() {
            fold_candidate(&mut message, candidate)?;
        }
    }
    let candidates = message["candidates"].as_array_mut().ok_or("no list")?;
    if let Some(open) = candidates.iter().find(|candidate| candidate["finishReason"].is_null()) {
        return Err(format!("ended without a finishReason: {open}"));
    }
    if candidates.is_empty() && message["promptFeedback"]["blockReason"].is_null() {
        return Err("no candidate and no reason".to_owned());
    }
    Ok(Folded { message, failed: false })
}

fn fold_candidate(message: &mut Value, candidate: &Value) -> Result<(), String> {
    let at = candidate["index"].as_u64().unwrap_or(0) as usize;
    let candidates = message["candidates"].as_array_mut().ok_or("no list")?;
    while candidates.len() <= at {
        let index = candidates.len();
        candidates.push(json!({"index": index, "content": {"role": "model", "parts": []}}));
    }
    let folded = &mut candidates[at];
    if !candidate["finishReason"].is_null() {
        folded["finishReason"] = candidate["finishReason"].clone();
    }
    let parts = folded["content"]["parts"].as_array_mut().ok_or("no list")?;
    for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
        fold_part(parts, part)?;
    }
    Ok(())
}

fn fold_part(parts: &mut Vec<Value>, part: &Value) -> Result<(), String> {
    let call = &part["functionCall"];
    let grows = |open: &Value| open["functionCall"]["willContinue"] == true;
    if call.is_object() && parts.last().is_some_and(grows) {
        let open = &mut parts.last_mut().ok_or("no call")?["functionCall"];
        open["willContinue"] = call["willContinue"].clone();
        let args = &mut open["args"];
        for piece in call["partialArgs"].as_array().into_iter().flatten() {
            partial(args, piece)?;
        }
        return Ok(());
    }
    if call.is_object() {
        let mut part = part.clone();
        let open = &mut part["functionCall"];
        if open["args"].is_null() {
            open["args"] = json!({});
        }
        let mut args = open["args"].take();
        for piece in call["partialArgs"].as_array().into_iter().flatten() {
            partial(&mut args, piece)?;
        }
        open["args"] = args;
        parts.push(part);
        return Ok(());
    }
    let alike = |open: &Value| {
        open["text"].is_string() && open["thought"] == part["thought"] && part["text"].is_string()
    };
    match parts.last_mut().filter(|open| alike(open)) {
        Some(open) => append(&mut open["text"], &part["text"]),
        None => parts.push(part.clone()),
    }
    Ok(())
}

/// One piece of streamed arguments: `{"jsonPath": "$.a.b[0]", "stringValue": "…"}`.
fn partial(args: &mut Value, piece: &Value) -> Result<(), String> {
    let path = piece["jsonPath"].as_str().ok_or("a piece without its path")?;
    let mut place = args;
    let path = path.replace('[', ".").replace([']', '\'', '"'], "");
    for step in path.split('.').skip(1).filter(|step| !step.is_empty()) {
        if let Ok(index) = step.parse::<usize>() {
            if !place.is_array() {
                *place = json!([]);
            }
            let items = place.as_array_mut().ok_or("no list")?;
            while items.len() <= index {
                items.push(Value::Null);
            }
            place = &mut items[index];
        } else {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[step];
        }
    }
    if piece["stringValue"].is_string() {
        append(place, &piece["stringValue"]);
    } else if !piece["numberValue"].is_null() {
        *place = piece["numberValue"].clone();
    } else if !piece["boolValue"].is_null() {
        *place = piece["boolValue"].clone();
    }
    Ok(())
}
