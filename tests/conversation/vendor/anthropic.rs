//! Messages: blocks, of which thinking has a signature.

use serde_json::{Value, json};

use super::{Vendor, contains, has_call, joined};
use crate::script::{Act, acts};
use crate::wire::{halves, list, text};

pub(super) fn check(vendor: &mut Vendor, request: &Value) -> Result<(), String> {
    let messages = list(&request["messages"]);
    let thinks = request["thinking"]["type"] == "enabled";
    vendor.always_thought &= thinks;
    for message in messages {
        for block in list(&message["content"]) {
            if block["type"] == "thinking" && !vendor.seals.contains(&text(&block["signature"])) {
                return Err(format!("Invalid `signature` in `thinking` block: {block}"));
            }
            if block["type"] == "redacted_thinking" && !vendor.seals.contains(&text(&block["data"]))
            {
                return Err(format!("Invalid `data` in `redacted_thinking` block: {block}"));
            }
        }
    }
    for turn in vendor.demanded() {
        let found = messages.iter().filter(|it| it["role"] == "assistant").any(|message| {
            contains(&joined(list(&message["content"]).to_vec()), &joined(turn.clone()))
        });
        if !found {
            return Err(format!("`thinking` blocks cannot be modified: {}", json!(turn)));
        }
    }
    if let [.., asked, answered] = messages {
        let results: Vec<_> =
            list(&answered["content"]).iter().filter(|it| it["type"] == "tool_result").collect();
        let first = list(&asked["content"]).first().map(|it| text(&it["type"])).unwrap_or_default();
        if thinks && !results.is_empty() && !first.ends_with("thinking") {
            return Err(format!("Expected `thinking` or `redacted_thinking`, but found {first}"));
        }
        let uses = list(&asked["content"]).iter().filter(|it| it["type"] == "tool_use");
        let ids: Vec<_> = uses.map(|it| it["id"].clone()).collect();
        let answered: Vec<_> = results.iter().map(|it| it["tool_use_id"].clone()).collect();
        if ids != answered {
            return Err(format!("tool_use {ids:?} and tool_result {answered:?}"));
        }
    }
    Ok(())
}

/// The turn in the vendor's own form.
pub(super) fn blocks(vendor: &mut Vendor, turn: usize) -> Vec<Value> {
    let (count, host) = (vendor.issued.len(), vendor.host);
    let mut blocks = Vec::new();
    for (at, act) in acts(turn).iter().enumerate() {
        match act {
            Act::Think(thought) => {
                let signature = vendor.seal();
                blocks.push(json!({"type": "thinking", "thinking": thought, "signature": signature}));
                if turn == 1 {
                    blocks.push(json!({"type": "redacted_thinking", "data": vendor.seal()}));
                }
            }
            Act::Say(words) => blocks.push(json!({"type": "text", "text": words})),
            Act::Call(name, input) => blocks.push(json!({
                "type": "tool_use", "id": format!("toolu_{count}{host}_{at}"), "name": name, "input": input(),
            })),
        }
    }
    blocks
}

pub(super) fn whole(blocks: &[Value]) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks,
        "stop_reason": if has_call(blocks) { "tool_use" } else { "end_turn" }, "stop_sequence": null,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    })
}

pub(super) fn events(blocks: &[Value]) -> Vec<Value> {
    let mut events = vec![json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1},
    }})];
    for (index, block) in blocks.iter().enumerate() {
        let mut start = block.clone();
        let mut deltas = Vec::new();
        match block["type"].as_str().unwrap() {
            "thinking" => {
                start["thinking"] = json!("");
                start["signature"] = json!("");
                for half in halves(&text(&block["thinking"])) {
                    deltas.push(json!({"type": "thinking_delta", "thinking": half}));
                }
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            }
            "text" => {
                start["text"] = json!("");
                for half in halves(&text(&block["text"])) {
                    deltas.push(json!({"type": "text_delta", "text": half}));
                }
            }
            "tool_use" => {
                start["input"] = json!({});
                let input = block["input"].to_string();
                for half in halves(&input) {
                    deltas.push(json!({"type": "input_json_delta", "partial_json": half}));
                }
            }
            _ => {}
        }
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        events.extend(
            deltas.into_iter().map(
                |delta| json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let reason = if has_call(blocks) { "tool_use" } else { "end_turn" };
    events.push(json!({
        "type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": 1},
    }));
    events.push(json!({"type": "message_stop"}));
    events
}
