//! Gemini: parts, of which the first call and the last words have a signature.

use serde_json::{Value, json};

use super::{Vendor, contains, joined};
use crate::script::{Act, acts};
use crate::wire::{halves, list, text};

pub(super) fn check(vendor: &mut Vendor, request: &Value) -> Result<(), String> {
    let thinking = &request["generationConfig"]["thinkingConfig"];
    vendor.always_thought &= thinking.is_object();
    let mut contents: Vec<(&Value, Vec<Value>)> = Vec::new();
    for content in list(&request["contents"]) {
        let parts = list(&content["parts"]).iter().filter_map(meaning);
        match contents.last_mut() {
            Some((role, before)) if **role == content["role"] => before.extend(parts),
            _ => contents.push((&content["role"], parts.collect())),
        }
    }
    for (_, parts) in &contents {
        for part in parts {
            let seal = text(&part["thoughtSignature"]);
            if !seal.is_empty() && !vendor.seals.contains(&seal) {
                return Err(format!("Corrupted thought signature: {part}"));
            }
        }
    }
    let pairs = contents.windows(2).filter(|pair| *pair[0].0 == "model");
    for pair in pairs {
        let calls = pair[0].1.iter().filter(|part| part.get("functionCall").is_some()).count();
        let results = pair[1].1.iter().filter(|part| part.get("functionResponse").is_some());
        if calls != results.count() {
            return Err("the number of function responses is not that of the calls".to_owned());
        }
    }
    for turn in vendor.demanded() {
        let turn = joined(turn.iter().filter_map(meaning).collect());
        let found = contents.iter().any(|(_, parts)| contains(&joined(parts.clone()), &turn));
        if !found {
            return Err(format!("Function call is missing a thought_signature: {}", json!(turn)));
        }
    }
    Ok(())
}

/// What matters of a part: thoughts do not.
fn meaning(part: &Value) -> Option<Value> {
    if part["thought"] == true {
        return None;
    }
    let mut part = part.clone();
    if let Some(call) = part.get_mut("functionCall").and_then(Value::as_object_mut) {
        call.remove("id");
    }
    Some(part)
}

/// The turn in the vendor's own form.
pub(super) fn parts(vendor: &mut Vendor, turn: usize, stream: bool) -> Vec<Value> {
    let acts = acts(turn);
    let (mut parts, mut called) = (Vec::new(), false);
    let last = acts.len() - 1;
    for (at, act) in acts.iter().enumerate() {
        match act {
            Act::Think(thought) => {
                parts.push(json!({"text": thought, "thought": true}));
            }
            Act::Say(words) if at == last => {
                let signature = vendor.seal();
                if stream {
                    parts.push(json!({"text": words}));
                    parts.push(json!({"text": "", "thoughtSignature": signature}));
                } else {
                    parts.push(json!({"text": words, "thoughtSignature": signature}));
                }
            }
            Act::Say(words) => parts.push(json!({"text": words})),
            Act::Call(name, args) => {
                let mut part = json!({"functionCall": {"name": name, "args": args()}});
                // Of several calls only the first.
                if !called {
                    part["thoughtSignature"] = json!(vendor.seal());
                }
                called = true;
                parts.push(part);
            }
        }
    }
    parts
}

pub(super) fn answer(parts: &[Value], last: bool) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if last {
        candidate["finishReason"] = json!("STOP");
    }
    json!({
        "candidates": [candidate], "modelVersion": "m", "responseId": "r1",
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    })
}

/// The answers of a stream: a part each, long texts in two.
pub(super) fn pieces(parts: Vec<Value>) -> Vec<Value> {
    let mut pieces: Vec<Value> = Vec::new();
    for part in parts {
        match part["text"].as_str().filter(|text| text.len() > 1) {
            Some(text) => pieces.extend(halves(text).map(|half| {
                let mut piece = part.clone();
                piece["text"] = json!(half);
                piece
            })),
            None => pieces.push(part),
        }
    }
    let last = pieces.len() - 1;
    pieces.into_iter().enumerate().map(|(at, part)| answer(&[part], at == last)).collect()
}
