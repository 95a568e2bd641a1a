use serde_json::{Map, Value, json};

use super::{Conversation, Essence, arguments, list, strings, text};

pub(super) fn answer(value: &Value) -> Essence {
    let mut essence = Essence::default();
    let candidate = &value["candidates"][0];
    for part in list(&candidate["content"]["parts"]) {
        if part["functionCall"].is_object() {
            let call = &part["functionCall"];
            essence.calls.push((text(&call["name"]).to_owned(), arguments(&call["args"])));
        } else if part["thought"] == true {
            essence.reasoning.push_str(text(&part["text"]));
        } else {
            essence.text.push_str(text(&part["text"]));
        }
    }
    let blocked = value["promptFeedback"]["blockReason"].is_string();
    essence.stop = match text(&candidate["finishReason"]) {
        "MAX_TOKENS" => "length",
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE"
        | "MODEL_ARMOR" => "filter",
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => "error",
        word if word.starts_with("IMAGE_") => "filter",
        _ if blocked => "filter",
        _ => "end",
    };
    let usage = &value["usageMetadata"];
    if usage["promptTokenCount"].is_u64() {
        let count = |name: &str| usage[name].as_u64().unwrap_or(0);
        essence.input_tokens = Some(count("promptTokenCount") + count("toolUsePromptTokenCount"));
        essence.output_tokens = Some(count("candidatesTokenCount") + count("thoughtsTokenCount"));
    }
    essence
}

/// With all names in camel case, whatever stood there.
fn camel(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut renamed = Map::new();
            for (name, inner) in object {
                let mut words = name.split('_');
                let mut camel = words.next().unwrap_or_default().to_owned();
                for word in words {
                    let mut letters = word.chars();
                    camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
                    camel.push_str(letters.as_str());
                }
                // What the caller's tools are called with keeps its names.
                let own = ["args", "response", "parameters"].contains(&camel.as_str());
                renamed.insert(camel, if own { inner.clone() } else { self::camel(inner) });
            }
            Value::Object(renamed)
        }
        Value::Array(items) => items.iter().map(camel).collect(),
        other => other.clone(),
    }
}

pub(super) fn conversation(value: &Value) -> Conversation {
    let value = camel(value);
    let system = match &value["systemInstruction"] {
        Value::String(text) => text.clone(),
        content => match &content["parts"] {
            Value::Object(part) => text(&part["text"]).to_owned(),
            parts => strings(parts, "text").collect(),
        },
    };
    let mut conversation = Conversation { system, ..Default::default() };
    let contents = match &value["contents"] {
        Value::Array(contents) => contents.clone(),
        other => vec![other.clone()],
    };
    for content in &contents {
        let who = if content["role"] == "model" { "assistant" } else { "user" };
        let parts = match &content["parts"] {
            Value::Array(parts) => parts.clone(),
            other => vec![other.clone()],
        };
        for part in &parts {
            say(part, who, &mut conversation);
        }
    }
    for tool in list(&value["tools"]) {
        let names = strings(&tool["functionDeclarations"], "name");
        conversation.tools.extend(names.map(str::to_owned));
    }
    let config = &value["toolConfig"]["functionCallingConfig"];
    let allowed = &config["allowedFunctionNames"];
    conversation.choice = match &*text(&config["mode"]).to_uppercase() {
        "ANY" if allowed.as_array().is_some_and(|names| names.len() == 1) => {
            text(&allowed[0]).to_owned()
        }
        "ANY" => "required".to_owned(),
        "NONE" => "none".to_owned(),
        _ => "auto".to_owned(),
    };
    conversation
}

fn say(part: &Value, who: &'static str, conversation: &mut Conversation) {
    let (call, answer) = (&part["functionCall"], &part["functionResponse"]);
    if call.is_object() {
        let none = json!({});
        let args = if call["args"].is_null() { &none } else { &call["args"] };
        conversation.call(&call["name"], args);
    } else if answer.is_object() {
        conversation.result(&answer["response"].to_string());
        list(&answer["parts"]).for_each(|part| medium(part, conversation));
    } else if part["thought"] != true {
        conversation.say(who, text(&part["text"]));
    }
    medium(part, conversation);
}

fn medium(part: &Value, conversation: &mut Conversation) {
    for place in ["/inlineData/data", "/fileData/fileUri"] {
        if let Some(found) = part.pointer(place).and_then(Value::as_str) {
            conversation.medium(found);
        }
    }
}
