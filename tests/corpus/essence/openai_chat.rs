use serde_json::{Value, json};

use super::{Conversation, Essence, arguments, list, strings, text};

pub(super) fn answer(value: &Value) -> Essence {
    let choice = &value["choices"][0];
    let message = &choice["message"];
    let mut essence = message_of(message);
    let refused = message["refusal"].as_str().is_some_and(|text| !text.is_empty());
    essence.stop = match text(&choice["finish_reason"]) {
        "length" => "length",
        "content_filter" => "filter",
        _ if refused => "filter",
        "tool_calls" | "function_call" => "tool",
        _ => "end",
    };
    let usage = &value["usage"];
    essence.input_tokens = usage["prompt_tokens"].as_u64();
    essence.output_tokens = usage["completion_tokens"].as_u64();
    essence
}

/// Text, thinking and calls of a message; DashScope's is of the same make.
pub(super) fn message_of(message: &Value) -> Essence {
    let mut essence = Essence::default();
    match &message["content"] {
        Value::String(text) => essence.text.push_str(text),
        parts => essence.text.extend(strings(parts, "text")),
    }
    for member in ["reasoning_content", "reasoning"] {
        if essence.reasoning.is_empty() {
            essence.reasoning.push_str(text(&message[member]));
        }
    }
    for call in list(&message["tool_calls"]) {
        let inner = if call["function"].is_object() { &call["function"] } else { &call["custom"] };
        essence.calls.push((text(&inner["name"]).to_owned(), input_of(inner)));
    }
    if message["function_call"].is_object() {
        let call = &message["function_call"];
        essence.calls.push((text(&call["name"]).to_owned(), arguments(&call["arguments"])));
    }
    essence
}

/// Free text as the object that carries it elsewhere.
fn input_of(inner: &Value) -> Value {
    if inner["input"].is_string() {
        return json!({"input": inner["input"]});
    }
    arguments(&inner["arguments"])
}

pub(super) fn conversation(value: &Value) -> Conversation {
    let mut conversation = Conversation::default();
    list(&value["messages"]).for_each(|message| say(message, &mut conversation));
    let declared = list(&value["tools"]).filter_map(|tool| {
        // Some write a free-text tool flat.
        let nested =
            ["function", "custom"].into_iter().find_map(|kind| tool[kind]["name"].as_str());
        nested.or_else(|| tool["name"].as_str())
    });
    conversation.tools =
        declared.chain(strings(&value["functions"], "name")).map(str::to_owned).collect();
    conversation.choice = choice(&value["tool_choice"]);
    conversation
}

pub(super) fn choice(choice: &Value) -> String {
    match choice {
        Value::String(word) => word.clone(),
        Value::Object(_) if choice["type"] == "allowed_tools" => {
            text(&choice["allowed_tools"]["mode"]).to_owned()
        }
        Value::Object(_) => text(&choice["function"]["name"]).to_owned(),
        _ => "auto".to_owned(),
    }
}

pub(super) fn say(message: &Value, conversation: &mut Conversation) {
    let content = &message["content"];
    let texts: String = match content {
        Value::String(text) => text.clone(),
        parts => strings(parts, "text").collect(),
    };
    match text(&message["role"]) {
        "system" | "developer" => conversation.system.push_str(&texts),
        "tool" | "function" => conversation.result(&texts),
        "assistant" => {
            conversation.say("assistant", texts);
            for call in list(&message["tool_calls"]) {
                let inner =
                    if call["function"].is_object() { &call["function"] } else { &call["custom"] };
                conversation.call(&inner["name"], &input_of(inner));
            }
        }
        _ => {
            conversation.say("user", texts);
            list(content).for_each(|part| medium(part, conversation));
        }
    }
}

fn medium(part: &Value, conversation: &mut Conversation) {
    for place in
        ["/image_url/url", "/file/file_data", "/input_audio/data", "/image", "/audio", "/video"]
    {
        if let Some(found) = part.pointer(place).and_then(Value::as_str) {
            conversation.medium(found);
        }
    }
}
