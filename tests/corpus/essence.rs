//! What must survive a translation, read out of plain JSON. Knows nothing of the crate but the
//! names of the protocols.

use serde_json::Value;
use tower_llm_gateway::protocol::Protocol;

/// What an answer says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Essence {
    text: String,
    reasoning: String,
    refusal: bool,
    calls: Vec<(String, Value)>,
    stop: &'static str,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

fn strings<'a>(list: &'a Value, member: &str) -> impl Iterator<Item = &'a str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(move |item| item[member].as_str())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Arguments as JSON where they are, else as the text they are; nothing is an empty object.
fn arguments(value: &Value) -> Value {
    match value.as_str() {
        Some("") => serde_json::json!({}),
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        None => value.clone(),
    }
}

impl Essence {
    pub(crate) fn of_response(protocol: Protocol, value: &Value) -> Self {
        match protocol {
            Protocol::Anthropic => Self::anthropic(value),
            _ => Self::openai_chat(value),
        }
    }

    fn anthropic(value: &Value) -> Self {
        let mut essence = Self::default();
        for block in value["content"].as_array().into_iter().flatten() {
            match block["type"].as_str().unwrap_or_default() {
                "text" => essence.text.push_str(block["text"].as_str().unwrap_or_default()),
                "thinking" => {
                    essence.reasoning.push_str(block["thinking"].as_str().unwrap_or_default());
                }
                "tool_use" => {
                    let name = block["name"].as_str().unwrap_or_default().to_owned();
                    essence.calls.push((name, arguments(&block["input"])));
                }
                _ => {}
            }
        }
        essence.stop = match value["stop_reason"].as_str().unwrap_or_default() {
            "tool_use" => "tool",
            "max_tokens" | "model_context_window_exceeded" => "length",
            "refusal" => "filter",
            _ if !essence.calls.is_empty() => "tool",
            _ => "end",
        };
        essence.refusal = essence.stop == "filter";
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

    fn openai_chat(value: &Value) -> Self {
        let mut essence = Self::default();
        let choice = &value["choices"][0];
        let message = &choice["message"];
        match &message["content"] {
            Value::String(text) => essence.text.push_str(text),
            parts => essence.text.extend(strings(parts, "text")),
        }
        for member in ["reasoning_content", "reasoning"] {
            if let Some(text) = message[member].as_str().filter(|_| essence.reasoning.is_empty()) {
                essence.reasoning.push_str(text);
            }
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let inner =
                if call["function"].is_object() { &call["function"] } else { &call["custom"] };
            let name = inner["name"].as_str().unwrap_or_default().to_owned();
            let input = if inner["arguments"].is_string() {
                arguments(&inner["arguments"])
            } else {
                serde_json::json!({"input": inner["input"]})
            };
            essence.calls.push((name, input));
        }
        if let Some(call) = message.get("function_call").filter(|call| call.is_object()) {
            let name = call["name"].as_str().unwrap_or_default().to_owned();
            essence.calls.push((name, arguments(&call["arguments"])));
        }
        let refused = message["refusal"].as_str().is_some_and(|text| !text.is_empty());
        essence.stop = match choice["finish_reason"].as_str().unwrap_or_default() {
            "length" => "length",
            "content_filter" => "filter",
            _ if refused => "filter",
            "tool_calls" | "function_call" => "tool",
            _ if !essence.calls.is_empty() => "tool",
            _ => "end",
        };
        essence.refusal = essence.stop == "filter";
        let usage = &value["usage"];
        essence.input_tokens = usage["prompt_tokens"].as_u64();
        essence.output_tokens = usage["completion_tokens"].as_u64();
        essence
    }

    /// Whether `found`, in protocol `to`, says the same.
    pub(crate) fn same(&self, found: &Self, to: Protocol) -> Result<(), String> {
        let mut expected = Self {
            calls: self.calls.clone(),
            text: self.text.clone(),
            reasoning: self.reasoning.clone(),
            ..*self
        };
        let mut found = Self {
            calls: found.calls.clone(),
            text: found.text.clone(),
            reasoning: found.reasoning.clone(),
            ..*found
        };
        // Messages must count; a source that does not leaves nothing to compare with.
        if expected.input_tokens.is_none() {
            (found.input_tokens, found.output_tokens) = (None, None);
        }
        if to == Protocol::Anthropic {
            for (_, input) in &mut expected.calls {
                // A model's broken JSON becomes an object around it.
                if input.is_string() {
                    *input = Value::Null;
                }
            }
            for ((_, found), (_, expected)) in found.calls.iter_mut().zip(&expected.calls) {
                if expected.is_null() {
                    *found = Value::Null;
                }
            }
            // A refusal's words stand in a text block there.
            if expected.refusal {
                expected.text.clone_from(&found.text);
            }
        }
        if expected == found {
            return Ok(());
        }
        Err(format!("expected {expected:?}\n  found    {found:?}"))
    }
}

/// A conversation, flattened to what each side says.
#[derive(Debug, PartialEq)]
struct Conversation {
    system: String,
    said: Vec<(&'static str, String)>,
    tools: Vec<String>,
    choice: String,
}

pub(crate) fn same_request(
    from: Protocol,
    source: &Value,
    to: Protocol,
    written: &Value,
) -> Result<(), String> {
    let (expected, found) = (conversation(from, source), conversation(to, written));
    if expected != found {
        return Err(format!("expected {expected:?}\n  found    {found:?}"));
    }
    if to == Protocol::Anthropic && !written["max_tokens"].is_u64() {
        return Err("no max_tokens".to_owned());
    }
    for member in ["model", "stream"] {
        let given =
            |value: &Value| value.get(member).filter(|v| !v.is_null() && **v != "").cloned();
        if given(source) != given(written) {
            return Err(format!("{member}: {} became {}", source[member], written[member]));
        }
    }
    Ok(())
}

fn conversation(protocol: Protocol, value: &Value) -> Conversation {
    let mut conversation = match protocol {
        Protocol::Anthropic => anthropic_conversation(value),
        _ => chat_conversation(value),
    };
    for (_, text) in &mut conversation.said {
        text.retain(|c| !c.is_whitespace());
    }
    conversation.said.retain(|(_, text)| !text.is_empty());
    // One turn of several messages, or several of one: what counts is who says what, in order.
    let mut merged: Vec<(&'static str, String)> = Vec::new();
    for (who, text) in conversation.said {
        match merged.last_mut() {
            Some((last, all)) if *last == who && ["user", "assistant"].contains(&who) => {
                all.push_str(&text);
            }
            _ => merged.push((who, text)),
        }
    }
    conversation.said = merged;
    conversation.system.retain(|c| !c.is_whitespace());
    conversation
}

fn anthropic_conversation(value: &Value) -> Conversation {
    let texts = |content: &Value| match content {
        Value::String(text) => text.clone(),
        blocks => strings(blocks, "text").collect(),
    };
    let mut system = texts(&value["system"]);
    let mut said = Vec::new();
    for message in value["messages"].as_array().into_iter().flatten() {
        let who = match message["role"].as_str() {
            Some("assistant") => "assistant",
            Some("system") => {
                system.push_str(&texts(&message["content"]));
                continue;
            }
            _ => "user",
        };
        let Some(blocks) = message["content"].as_array() else {
            said.push((who, texts(&message["content"])));
            continue;
        };
        let results = || blocks.iter().filter(|block| block["type"] == "tool_result");
        said.extend(results().map(|result| ("result", texts(&result["content"]))));
        // Chat takes only text as a result: media follow the whole batch.
        for media in results().filter_map(|result| result["content"].as_array()).flatten() {
            said.extend(medium(media).map(|m| ("user", m)));
        }
        for block in blocks {
            match block["type"].as_str().unwrap_or_default() {
                "text" => said.push((who, block["text"].as_str().unwrap_or_default().to_owned())),
                "tool_use" => {
                    said.push((
                        "call",
                        format!("{}{}", block["name"].as_str().unwrap_or_default(), block["input"]),
                    ));
                }
                _ => said.extend(medium(block).map(|m| (who, m))),
            }
        }
    }
    let tools = value["tools"].as_array().into_iter().flatten();
    let tools = tools
        .filter(|tool| tool["input_schema"].is_object())
        .filter_map(|tool| tool["name"].as_str());
    let choice = &value["tool_choice"];
    Conversation {
        system,
        said,
        tools: tools.map(str::to_owned).collect(),
        choice: match choice["type"].as_str() {
            Some("any") => "required".to_owned(),
            Some("tool") => choice["name"].as_str().unwrap_or_default().to_owned(),
            Some("none") => "none".to_owned(),
            _ => "auto".to_owned(),
        },
    }
}

/// An image or document by its data, so that it can be found again.
fn medium(block: &Value) -> Option<String> {
    let source = &block["source"];
    if block["type"] == "document" && source["type"] == "url" {
        return None; // Chat takes no document by URL; the report says so
    }
    let text = ["data", "url"].into_iter().find_map(|member| source[member].as_str())?;
    Some(text.chars().take(64).collect())
}

fn chat_conversation(value: &Value) -> Conversation {
    let mut system = String::new();
    let mut said = Vec::new();
    for message in value["messages"].as_array().into_iter().flatten() {
        let texts: String = match &message["content"] {
            Value::String(text) => text.clone(),
            parts => strings(parts, "text").collect(),
        };
        match message["role"].as_str().unwrap_or_default() {
            "system" | "developer" => system.push_str(&texts),
            "tool" | "function" => said.push(("result", texts)),
            "assistant" => {
                said.push(("assistant", texts));
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let function = &call["function"];
                    let name = function["name"].as_str().unwrap_or_default();
                    said.push(("call", format!("{name}{}", arguments(&function["arguments"]))));
                }
            }
            _ => {
                let Some(parts) = message["content"].as_array() else {
                    said.push(("user", texts));
                    continue;
                };
                for part in parts {
                    said.extend(chat_part(part).map(|text| ("user", text)));
                }
            }
        }
    }
    let tools = value["tools"].as_array().into_iter().flatten();
    let legacy = strings(&value["functions"], "name");
    let choice = &value["tool_choice"];
    Conversation {
        system,
        said,
        tools: tools
            .filter_map(|tool| {
                let inner =
                    if tool["function"].is_object() { &tool["function"] } else { &tool["custom"] };
                inner["name"].as_str()
            })
            .chain(legacy)
            .map(str::to_owned)
            .collect(),
        choice: match choice {
            Value::String(word) => word.clone(),
            Value::Object(_) => choice["function"]["name"].as_str().unwrap_or_default().to_owned(),
            _ => "auto".to_owned(),
        },
    }
}

fn chat_part(part: &Value) -> Option<String> {
    if let Some(text) = part["text"].as_str() {
        return Some(text.to_owned());
    }
    let url = part["image_url"]["url"].as_str().or_else(|| part["file"]["file_data"].as_str())?;
    let data = url.split_once(";base64,").map_or(url, |(_, data)| data);
    Some(data.chars().take(64).collect())
}
