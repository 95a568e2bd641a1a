use serde_json::{Value, json};

use super::{Conversation, Essence, arguments, list, strings, text};

pub(super) fn answer(value: &Value) -> Essence {
    let mut essence = Essence::default();
    let mut refused = false;
    for item in list(&value["output"]) {
        match text(&item["type"]) {
            "message" => {
                for part in list(&item["content"]) {
                    refused |= part["type"] == "refusal";
                    essence.text.push_str(text(&part["text"]));
                }
            }
            "reasoning" => {
                let before = essence.reasoning.len();
                essence.reasoning.extend(strings(&item["summary"], "text"));
                if essence.reasoning.len() == before {
                    essence.reasoning.extend(strings(&item["content"], "text"));
                }
            }
            "function_call" => {
                essence.calls.push((text(&item["name"]).to_owned(), arguments(&item["arguments"])));
            }
            "custom_tool_call" => {
                let input = json!({"input": item["input"]});
                essence.calls.push((text(&item["name"]).to_owned(), input));
            }
            _ => {}
        }
    }
    let why = text(&value["incomplete_details"]["reason"]);
    essence.stop = match text(&value["status"]) {
        "failed" => "error",
        "incomplete" if why == "content_filter" => "filter",
        "incomplete" => "length",
        _ if refused => "filter",
        _ => "end",
    };
    let usage = &value["usage"];
    essence.input_tokens = usage["input_tokens"].as_u64();
    essence.output_tokens = usage["output_tokens"].as_u64();
    essence
}

pub(super) fn conversation(value: &Value) -> Conversation {
    let mut conversation = Conversation::default();
    conversation.system.push_str(text(&value["instructions"]));
    if value["input"].is_string() {
        conversation.say("user", text(&value["input"]));
    }
    for item in list(&value["input"]) {
        match item["type"].as_str().unwrap_or("message") {
            "message" => message(item, &mut conversation),
            "function_call" => conversation.call(&item["name"], &item["arguments"]),
            "custom_tool_call" => {
                conversation.call(&item["name"], &json!({"input": item["input"]}));
            }
            "function_call_output" | "custom_tool_call_output" => {
                conversation.result(&texts(&item["output"]));
                list(&item["output"]).for_each(|part| medium(part, &mut conversation));
            }
            _ => {}
        }
    }
    for tool in list(&value["tools"]) {
        if tool["type"] == "function" || tool["type"] == "custom" {
            conversation.tools.push(text(&tool["name"]).to_owned());
        }
    }
    // Tools that a developer adds on the way.
    for item in list(&value["input"]).filter(|item| item["type"] == "additional_tools") {
        conversation.tools.extend(strings(&item["tools"], "name").map(str::to_owned));
    }
    let choice = &value["tool_choice"];
    conversation.choice = match choice {
        Value::String(word) => word.clone(),
        Value::Object(_) if choice["type"] == "allowed_tools" => text(&choice["mode"]).to_owned(),
        // Some write Chat's form here.
        Value::Object(_) if choice["function"].is_object() => {
            text(&choice["function"]["name"]).to_owned()
        }
        Value::Object(_) => text(&choice["name"]).to_owned(),
        _ => "auto".to_owned(),
    };
    conversation
}

fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        parts => strings(parts, "text").collect(),
    }
}

fn message(item: &Value, conversation: &mut Conversation) {
    let words = texts(&item["content"]);
    match text(&item["role"]) {
        "system" | "developer" => conversation.system.push_str(&words),
        "assistant" => conversation.say("assistant", words),
        _ => {
            conversation.say("user", words);
            list(&item["content"]).for_each(|part| medium(part, conversation));
        }
    }
}

fn medium(part: &Value, conversation: &mut Conversation) {
    for member in ["image_url", "file_data", "file_url"] {
        if let Some(found) = part[member].as_str() {
            conversation.medium(found);
        }
    }
}
