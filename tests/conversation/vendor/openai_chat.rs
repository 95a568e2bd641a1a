//! Chat Completions: one message. Nothing in it is sealed.

use serde_json::{Value, json};

use crate::script::{Act, acts};
use crate::wire::{halves, list, text, unnamed};

/// Every call is answered behind its message, and nothing sealed is there.
pub(super) fn check(messages: &Value) -> Result<(), String> {
    let mut waiting: Vec<Value> = Vec::new();
    for message in list(messages) {
        if message["role"] == "tool" {
            let at = waiting.iter().position(|id| *id == message["tool_call_id"]);
            waiting.remove(at.ok_or_else(|| format!("no call for {message}"))?);
            continue;
        }
        if !waiting.is_empty() {
            return Err(format!("calls without results: {waiting:?}"));
        }
        waiting = list(&message["tool_calls"]).iter().map(|call| call["id"].clone()).collect();
    }
    Ok(())
}

/// The turn as a message; DashScope has the same.
pub(super) fn message(count: usize, turn: usize) -> Value {
    let (mut thought, mut words, mut calls) = (String::new(), String::new(), Vec::new());
    for (at, act) in acts(turn).iter().enumerate() {
        match act {
            Act::Think(text) => thought.push_str(text),
            Act::Say(text) => words.push_str(text),
            Act::Call(name, arguments) => calls.push(json!({
                "id": format!("call_{count}_{at}"), "type": "function", "index": calls.len(),
                "function": {"name": name, "arguments": arguments().to_string()},
            })),
        }
    }
    let mut message = json!({"role": "assistant", "content": words, "reasoning_content": thought});
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    message
}

pub(super) fn finish(message: &Value) -> &'static str {
    if message.get("tool_calls").is_some() { "tool_calls" } else { "stop" }
}

pub(super) fn whole(message: &Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish(message), "logprobs": null}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    })
}

/// The message of Chat in pieces.
pub(super) fn deltas(message: &Value) -> Vec<Value> {
    let mut deltas = Vec::new();
    for name in ["reasoning_content", "content"] {
        for half in halves(&text(&message[name])) {
            if !half.is_empty() {
                deltas.push(json!({name: half}));
            }
        }
    }
    for call in list(&message["tool_calls"]) {
        let [head, tail] =
            halves(call["function"]["arguments"].as_str().unwrap()).map(str::to_owned);
        let mut first = call.clone();
        first["function"]["arguments"] = json!(head);
        deltas.push(json!({"tool_calls": [first]}));
        let more = json!({"index": call["index"], "function": {"arguments": tail}});
        deltas.push(json!({"tool_calls": [more]}));
    }
    deltas
}

pub(super) fn streamed(message: &Value) -> String {
    let chunk = |delta: Value, reason: Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        })
    };
    let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    chunks.extend(deltas(message).into_iter().map(|delta| chunk(delta, Value::Null)));
    chunks.push(chunk(json!({}), json!(finish(message))));
    unnamed(&chunks) + "data: [DONE]\n\n"
}
