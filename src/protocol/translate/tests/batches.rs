//! A caller speaks while his tools still run: nothing of it stands between calls and results.

use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};
use serde_json::{Value, json};

use crate::protocol::Protocol;
use crate::protocol::translate::{RequestOptions, request};

fn chat() -> Value {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    json!({"model": "m", "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "system", "content": "s"},
        {"role": "user", "content": "wait"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "assistant", "content": "r"}]})
}

fn responses() -> Value {
    let call =
        |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let result = |id: &str, output: &str| json!({"type": "function_call_output", "call_id": id, "output": output});
    json!({"model": "m", "input": [
        {"role": "user", "content": "q"},
        call("a"), {"role": "developer", "content": "s"}, call("b"),
        result("a", "1"), {"role": "user", "content": "wait"}, result("b", "2"),
        {"role": "assistant", "content": "r"}]})
}

/// The conversation in short: who speaks, with the ids of calls and results.
fn order(to: Protocol, body: &Value) -> Vec<String> {
    let list = match to {
        Anthropic | OpenAiChat => &body["messages"],
        OpenAiResponses => &body["input"],
        Gemini => &body["contents"],
        DashScope => &body["input"]["messages"],
    };
    list.as_array().unwrap().iter().flat_map(pieces).collect()
}

fn pieces(message: &Value) -> Vec<String> {
    let id = |value: &Value| value.as_str().unwrap().to_owned();
    let role = message["role"].as_str();
    if let Some(calls) = message["tool_calls"].as_array() {
        return calls.iter().map(|call| format!("call {}", id(&call["id"]))).collect();
    }
    if let Some(parts) = message["parts"].as_array().or(message["content"].as_array()) {
        let piece = |part: &Value| match part["type"].as_str() {
            Some("tool_use") => format!("call {}", id(&part["id"])),
            Some("tool_result") => format!("result {}", id(&part["tool_use_id"])),
            _ if part["functionCall"].is_object() => {
                format!("call {}", id(&part["functionCall"]["id"]))
            }
            _ if part["functionResponse"].is_object() => {
                format!("result {}", id(&part["functionResponse"]["id"]))
            }
            _ => role.unwrap_or_default().replace("model", "assistant"),
        };
        return parts.iter().map(piece).collect();
    }
    vec![match (role, message["type"].as_str()) {
        (Some("tool"), _) => format!("result {}", id(&message["tool_call_id"])),
        (_, Some("function_call")) => format!("call {}", id(&message["call_id"])),
        (_, Some("function_call_output")) => format!("result {}", id(&message["call_id"])),
        (role, _) => role.unwrap_or_default().to_owned(),
    }]
}

#[test]
fn words_between_results_follow_them() {
    for (from, body) in [(OpenAiChat, chat()), (OpenAiResponses, responses())] {
        for to in Protocol::ALL.into_iter().filter(|to| *to != from) {
            let sent = request(from, to, body.to_string().as_bytes(), &RequestOptions::default());
            let sent = serde_json::from_slice(&sent.unwrap().body).unwrap();
            let mut order = order(to, &sent);
            // Said where it stood, or at the front.
            order.retain(|piece| piece != "system" && piece != "developer");
            let expected =
                ["user", "call a", "call b", "result a", "result b", "user", "assistant"];
            assert_eq!(order, expected, "{from} to {to}: {sent}");
        }
    }
}

#[test]
fn instructions_between_results_follow_them() {
    for (from, body) in [(OpenAiChat, chat()), (OpenAiResponses, responses())] {
        for to in [OpenAiChat, OpenAiResponses, DashScope].into_iter().filter(|to| *to != from) {
            let sent = request(from, to, body.to_string().as_bytes(), &RequestOptions::default());
            let sent = serde_json::from_slice(&sent.unwrap().body).unwrap();
            let order = order(to, &sent);
            let told = order.iter().position(|piece| piece == "system" || piece == "developer");
            let answered = order.iter().position(|piece| piece == "result b");
            assert!(told > answered, "{from} to {to}: {sent}");
        }
    }
}
