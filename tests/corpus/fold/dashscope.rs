use serde_json::{Value, json};

use super::openai_chat::fold_choice;
use super::{Folded, append, parse};

pub(super) fn fold(events: &[(String, String)], snapshots: bool) -> Result<Folded, String> {
    let mut message = json!({"output": {}});
    let mut choices: Vec<Value> = Vec::new();
    for (name, data) in events {
        let chunk = parse(data)?;
        if name == "error" || chunk["code"].as_str().is_some_and(|code| !code.is_empty()) {
            return Ok(Folded { message, failed: true });
        }
        for member in ["usage", "request_id"] {
            message[member] = chunk[member].clone();
        }
        let output = &chunk["output"];
        if output["text"].is_string() {
            fold_text(&mut message["output"], output, snapshots);
        }
        for (at, choice) in output["choices"].as_array().into_iter().flatten().enumerate() {
            let mut delta = choice["message"].clone();
            flatten(&mut delta["content"]);
            let index = choice["index"].as_u64().unwrap_or(at as u64);
            let mut finish = choice["finish_reason"].clone();
            if finish == "null" {
                finish = Value::Null;
            }
            if snapshots {
                choices.retain(|folded| folded["index"] != index);
            }
            fold_choice(
                &mut choices,
                &json!({"index": index, "delta": delta, "finish_reason": finish}),
            )?;
        }
    }
    let texts = message["output"]["text"].is_string();
    let finish = &message["output"]["finish_reason"];
    let ended = if texts {
        finish.is_string() && finish != "null"
    } else {
        !choices.is_empty() && choices.iter().all(|choice| choice["finish_reason"].is_string())
    };
    if !ended {
        return Err("ended without a finish_reason".to_owned());
    }
    if !texts {
        message["output"]["choices"] = Value::Array(choices);
    }
    Ok(Folded { message, failed: false })
}

fn fold_text(folded: &mut Value, output: &Value, snapshots: bool) {
    if snapshots {
        folded["text"] = output["text"].clone();
    } else {
        append(&mut folded["text"], &output["text"]);
    }
    folded["finish_reason"] = output["finish_reason"].clone();
}

/// A list of texts as one.
fn flatten(content: &mut Value) {
    if let Value::Array(parts) = content {
        let text: String = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        *content = Value::String(text);
    }
}
