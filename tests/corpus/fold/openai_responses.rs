use serde_json::{Value, json};

use super::{Folded, append, parse};

/// As the official SDK does: the items grow by events, and the final answer repeats them.
#[derive(Default)]
struct Items {
    items: Vec<Value>,
    done: Vec<bool>,
}

pub(super) fn fold(events: &[(String, String)]) -> Result<Folded, String> {
    let mut items = Items::default();
    let mut id: Option<Value> = None;
    let mut last: Option<Value> = None;
    for (name, data) in events.iter().filter(|(_, data)| data != "[DONE]") {
        let event = parse(data)?;
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        if !name.is_empty() && *name != kind {
            return Err(format!("event {name} with type {kind}"));
        }
        if let Some(last) = &last {
            return Err(format!("{kind} after {}", last["type"]));
        }
        match kind.as_str() {
            "error" => return Ok(Folded { message: Value::Null, failed: true }),
            "response.failed" => {
                return Ok(Folded { message: event["response"].clone(), failed: true });
            }
            "response.created" if id.is_some() => return Err("created twice".to_owned()),
            _ if id.is_none() && kind != "response.created" => {
                return Err(format!("{kind} before response.created"));
            }
            _ => {}
        }
        if let Some(response) = event.get("response").filter(|response| response.is_object()) {
            let known = id.get_or_insert_with(|| response["id"].clone());
            if *known != response["id"] {
                return Err("the id of the answer changed".to_owned());
            }
        }
        if kind == "response.completed" || kind == "response.incomplete" {
            last = Some(event);
        } else {
            items.event(&kind, &event)?;
        }
    }
    let mut message = last.ok_or("ended without a final event")?["response"].take();
    if items.done.contains(&false) {
        return Err("an item was not done".to_owned());
    }
    // Some send the final answer without what it says.
    if message["output"].as_array().is_none_or(Vec::is_empty) {
        message["output"] = Value::Array(items.items);
    }
    Ok(Folded { message, failed: false })
}

impl Items {
    fn event(&mut self, kind: &str, event: &Value) -> Result<(), String> {
        let at = event["output_index"].as_u64().map(|at| at as usize);
        match (kind, at) {
            ("response.output_item.added", Some(at)) => {
                if at != self.items.len() {
                    return Err(format!("item {at} out of order"));
                }
                self.items.push(event["item"].clone());
                self.done.push(false);
            }
            ("response.output_item.done", Some(at)) => {
                let item = self.items.get_mut(at).ok_or("done of no item")?;
                *item = event["item"].clone();
                self.done[at] = true;
            }
            (_, Some(at)) => {
                let item = self.items.get_mut(at).ok_or_else(|| format!("{kind} of no item"))?;
                grow(item, kind, event)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn grow(item: &mut Value, kind: &str, event: &Value) -> Result<(), String> {
    let part = event["content_index"].as_u64().unwrap_or(0) as usize;
    match kind {
        "response.content_part.added" => {
            if !item["content"].is_array() {
                item["content"] = json!([]);
            }
            let parts = item["content"].as_array_mut().ok_or("no list")?;
            if part != parts.len() {
                return Err(format!("part {part} out of order"));
            }
            parts.push(event["part"].clone());
        }
        "response.output_text.delta" | "response.refusal.delta" => {
            let member = if kind.contains("refusal") { "refusal" } else { "text" };
            let part = item["content"].get_mut(part).ok_or("delta of no part")?;
            append(&mut part[member], &event["delta"]);
        }
        "response.output_text.done" => {
            let part = item["content"].get(part).ok_or("done of no part")?;
            if part["text"] != event["text"] {
                return Err(format!("{} became {}", part["text"], event["text"]));
            }
        }
        "response.function_call_arguments.delta" => {
            append(&mut item["arguments"], &event["delta"]);
        }
        "response.custom_tool_call_input.delta" => append(&mut item["input"], &event["delta"]),
        _ => {}
    }
    Ok(())
}
