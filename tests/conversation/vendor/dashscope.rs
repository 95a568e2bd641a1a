//! DashScope: the message of Chat in an envelope of its own.

use serde_json::{Value, json};

use super::openai_chat::{deltas, finish};

pub(super) fn whole(message: &Value) -> Value {
    answer(message, finish(message))
}

pub(super) fn streamed(message: &Value) -> String {
    let event = |mut delta: Value, reason: &str| {
        delta["role"] = json!("assistant");
        if delta.get("content").is_none() {
            delta["content"] = json!("");
        }
        let answer = answer(&delta, reason);
        format!("id:1\nevent:result\n:HTTP_STATUS/200\ndata:{answer}\n\n")
    };
    let pieces = deltas(message).into_iter().map(|delta| event(delta, "null"));
    let last = event(json!({}), finish(message));
    pieces.chain([last]).collect()
}

fn answer(message: &Value, reason: &str) -> Value {
    json!({
        "request_id": "req-1",
        "output": {"choices": [{"message": message, "finish_reason": reason}]},
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    })
}
