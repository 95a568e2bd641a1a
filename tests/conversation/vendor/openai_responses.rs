//! Responses: items, of which reasoning has encrypted content for those who ask for it.

use serde_json::{Value, json};

use super::{Vendor, contains, joined};
use crate::script::{Act, acts};
use crate::wire::{halves, list, text};

pub(super) fn check(vendor: &mut Vendor, request: &Value) -> Result<(), String> {
    let input = list(&request["input"]);
    vendor.always_thought &= request["reasoning"]["effort"].is_string();
    if request["store"] != false {
        return Err("store is not false".to_owned());
    }
    for item in input.iter().filter(|item| item["type"] == "reasoning") {
        if !vendor.seals.contains(&text(&item["encrypted_content"])) {
            return Err(format!("The encrypted content could not be verified: {item}"));
        }
    }
    let items: Vec<_> = input.iter().filter_map(item).collect();
    for turn in vendor.demanded() {
        let turn: Vec<_> = turn.iter().filter_map(item).collect();
        if !contains(&joined(items.clone()), &joined(turn.clone())) {
            return Err(format!("Item 'rs_' was provided without its required item: {turn:?}"));
        }
    }
    Ok(())
}

/// What matters of an item of the model's.
fn item(item: &Value) -> Option<Value> {
    match item["type"].as_str().unwrap_or("message") {
        "reasoning" => {
            let summary = list(&item["summary"]);
            Some(json!({"seal": item["encrypted_content"], "summary": summary}))
        }
        "message" if item["role"] == "assistant" => {
            let texts = list(&item["content"]).iter().map(|part| text(&part["text"]));
            let text =
                item["content"].as_str().map_or_else(|| texts.collect::<String>(), str::to_owned);
            Some(json!({"text": text}))
        }
        "message" => Some(json!({"role": item["role"]})),
        "function_call" => Some(json!({"call": item["call_id"], "name": item["name"]})),
        _ => Some(json!({"result": item["call_id"]})),
    }
}

/// The turn in the vendor's own form.
pub(super) fn items(vendor: &mut Vendor, request: &Value, turn: usize) -> Vec<Value> {
    let (count, host) = (vendor.issued.len(), vendor.host);
    let sealed = list(&request["include"]).contains(&json!("reasoning.encrypted_content"));
    let mut items = Vec::new();
    for (at, act) in acts(turn).iter().enumerate() {
        let id = format!("{count}{host}{at}");
        items.push(match act {
            Act::Think(thought) => {
                // Some thinking has no summary.
                let summary = if turn == 1 { json!([]) } else {
                    json!([{"type": "summary_text", "text": thought}])
                };
                let mut item = json!({"type": "reasoning", "id": format!("rs_{id}"), "summary": summary});
                if sealed {
                    item["encrypted_content"] = json!(vendor.seal());
                }
                item
            }
            Act::Say(words) => json!({
                "type": "message", "id": format!("msg_{id}"), "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": words, "annotations": [], "logprobs": []}],
            }),
            Act::Call(name, arguments) => json!({
                "type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"),
                "status": "completed", "name": name, "arguments": arguments().to_string(),
            }),
        });
    }
    items
}

pub(super) fn whole(items: &[Value]) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": null,
        "incomplete_details": null, "instructions": null, "model": "m", "output": items,
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0,
        "metadata": {}, "usage": {
            "input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
        },
    })
}

pub(super) fn events(items: &[Value]) -> Vec<Value> {
    let whole = whole(items);
    let mut begun = whole.clone();
    begun["output"] = json!([]);
    begun["status"] = json!("in_progress");
    begun["usage"] = Value::Null;
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
    ];
    for (at, item) in items.iter().enumerate() {
        let mut begun = item.clone();
        let mut body = Vec::new();
        let with = |kind: &str, more: Value| {
            let mut event = json!({"type": kind, "item_id": item["id"], "output_index": at});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        match item["type"].as_str().unwrap() {
            "reasoning" => {
                begun["summary"] = json!([]);
                for part in list(&item["summary"]) {
                    let words = text(&part["text"]);
                    let empty = json!({"type": "summary_text", "text": ""});
                    body.push(with(
                        "response.reasoning_summary_part.added",
                        json!({"summary_index": 0, "part": empty}),
                    ));
                    for half in halves(&words) {
                        body.push(with(
                            "response.reasoning_summary_text.delta",
                            json!({"summary_index": 0, "delta": half}),
                        ));
                    }
                    body.push(with(
                        "response.reasoning_summary_text.done",
                        json!({"summary_index": 0, "text": words}),
                    ));
                    body.push(with(
                        "response.reasoning_summary_part.done",
                        json!({"summary_index": 0, "part": part}),
                    ));
                }
            }
            "message" => {
                begun["content"] = json!([]);
                begun["status"] = json!("in_progress");
                let part = &item["content"][0];
                let mut empty = part.clone();
                empty["text"] = json!("");
                body.push(with(
                    "response.content_part.added",
                    json!({"content_index": 0, "part": empty}),
                ));
                for half in halves(&text(&part["text"])) {
                    body.push(with(
                        "response.output_text.delta",
                        json!({"content_index": 0, "delta": half, "logprobs": []}),
                    ));
                }
                body.push(with(
                    "response.output_text.done",
                    json!({"content_index": 0, "text": part["text"], "logprobs": []}),
                ));
                body.push(with(
                    "response.content_part.done",
                    json!({"content_index": 0, "part": part}),
                ));
            }
            _ => {
                begun["arguments"] = json!("");
                begun["status"] = json!("in_progress");
                for half in halves(&text(&item["arguments"])) {
                    body.push(with(
                        "response.function_call_arguments.delta",
                        json!({"delta": half}),
                    ));
                }
                body.push(with(
                    "response.function_call_arguments.done",
                    json!({"arguments": item["arguments"]}),
                ));
            }
        }
        events
            .push(json!({"type": "response.output_item.added", "output_index": at, "item": begun}));
        events.append(&mut body);
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": whole}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}
