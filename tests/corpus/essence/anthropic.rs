use serde_json::Value;

use super::{Conversation, Essence, arguments, list, strings, text};

pub(super) fn answer(value: &Value) -> Essence {
    let mut essence = Essence::default();
    for block in list(&value["content"]) {
        match text(&block["type"]) {
            "text" => essence.text.push_str(text(&block["text"])),
            "thinking" => essence.reasoning.push_str(text(&block["thinking"])),
            "tool_use" => {
                let name = text(&block["name"]).to_owned();
                essence.calls.push((name, arguments(&block["input"])));
            }
            _ => {}
        }
    }
    essence.stop = match text(&value["stop_reason"]) {
        "tool_use" => "tool",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "filter",
        _ => "end",
    };
    let usage = &value["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    if usage["input_tokens"].is_u64() {
        essence.input_tokens = Some(
            count("input_tokens")
                + count("cache_read_input_tokens")
                + count("cache_creation_input_tokens"),
        );
        essence.output_tokens = Some(count("output_tokens"));
    }
    essence
}

fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        blocks => strings(blocks, "text").collect(),
    }
}

pub(super) fn conversation(value: &Value) -> Conversation {
    let mut conversation = Conversation { system: texts(&value["system"]), ..Default::default() };
    for message in list(&value["messages"]) {
        let who = match text(&message["role"]) {
            "assistant" => "assistant",
            "system" => {
                conversation.system.push_str(&texts(&message["content"]));
                continue;
            }
            _ => "user",
        };
        let content = &message["content"];
        if content.is_string() {
            conversation.say(who, text(content));
        }
        // Results come first.
        for result in list(content).filter(|block| block["type"] == "tool_result") {
            conversation.result(&texts(&result["content"]));
            list(&result["content"]).for_each(|block| medium(block, &mut conversation));
        }
        for block in list(content) {
            match text(&block["type"]) {
                "text" => conversation.say(who, text(&block["text"])),
                "tool_use" => conversation.call(&block["name"], &block["input"]),
                _ => medium(block, &mut conversation),
            }
        }
    }
    let tools = list(&value["tools"]).filter(|tool| tool["input_schema"].is_object());
    conversation.tools = tools.map(|tool| text(&tool["name"]).to_owned()).collect();
    let choice = &value["tool_choice"];
    conversation.choice = match text(&choice["type"]) {
        "any" => "required".to_owned(),
        "tool" => text(&choice["name"]).to_owned(),
        "none" => "none".to_owned(),
        _ => "auto".to_owned(),
    };
    conversation
}

fn medium(block: &Value, conversation: &mut Conversation) {
    let source = &block["source"];
    match text(&source["type"]) {
        "base64" => conversation.medium(text(&source["data"])),
        "url" => conversation.medium(text(&source["url"])),
        "text" => conversation.say("user", text(&source["data"])),
        _ => {}
    }
}
