//! The demo's Anthropic Messages: reads as strictly as the real one, writes literal JSON.

use http::request::Parts;
use serde_json::{Value, json};

use super::generate::{Dialect, Refusal, Turn};
use super::read::{Calls, known, legal, list, nonempty, strings, text_of};
use super::scenario::{Answer, Asked, Call, Choice, Ending, Stop, Tool, pieces};
use super::stream::Step;

/// The signature of all thinking here. Anything else that is played back is refused, as the real
/// one refuses what it did not sign.
const SIGNATURE: &str = "ZGVtbyBzaWduYXR1cmU=";

#[rustfmt::skip]
const MEMBERS: [&str; 26] = [
    "cache_control", "container", "context_management", "diagnostics", "inference_geo",
    "max_tokens", "mcp_servers", "messages", "metadata", "model", "output_config",
    "output_format", "service_tier", "speed", "stop_sequences", "stream", "system",
    "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p", "user_profile_id",
    "workspace_id", "compaction",
];

#[derive(Debug)]
pub(super) enum Messages {}

impl Dialect for Messages {
    fn read(parts: &Parts, body: &Value) -> Result<Asked, Refusal> {
        if !parts.headers.contains_key("anthropic-version") {
            return Err(Refusal::new("anthropic-version: header is required"));
        }
        known(body, &MEMBERS, "Extra inputs are not permitted")?;
        if body["max_tokens"].as_u64().is_none_or(|most| most == 0) {
            return Err(Refusal::new("max_tokens: field required, at least 1"));
        }
        if body["temperature"].as_f64().is_some_and(|heat| !(0.0..=1.0).contains(&heat)) {
            return Err(Refusal::new("temperature: range: 0..1"));
        }
        read(body)
    }

    fn error(status: u16, message: &str) -> Value {
        let kind = match status {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 | 529 => "overloaded_error",
            504 => "timeout_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        };
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_demo"})
    }

    fn whole(Turn { number, asked, .. }: &Turn, answer: Answer) -> Value {
        let (stop, sequence) = stop_words(&answer.stop);
        let usage = usage(asked, answer.output_tokens());
        let thinking = answer
            .thinking
            .map(|text| json!({"type": "thinking", "thinking": text, "signature": SIGNATURE}));
        let text = answer.text.map(|text| json!({"type": "text", "text": text.whole()}));
        let calls = answer.calls.into_iter().map(|call| {
            let input = serde_json::from_str(&call.arguments).unwrap_or(Value::Null);
            json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
        });
        let content: Vec<Value> = thinking.into_iter().chain(text).chain(calls).collect();
        json!({
            "id": format!("msg_demo{number}"), "type": "message", "role": "assistant",
            "model": asked.model, "content": content, "stop_reason": stop,
            "stop_sequence": sequence, "usage": usage,
        })
    }

    fn events(turn: &Turn, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send> {
        let Turn { number, asked, .. } = turn;
        let mut start = vec![
            event(&json!({"type": "message_start", "message": {
                "id": format!("msg_demo{number}"), "type": "message", "role": "assistant",
                "model": asked.model, "content": [], "stop_reason": null, "stop_sequence": null,
                "usage": usage(asked, 1),
            }})),
            event(&json!({"type": "ping"})),
        ];
        let end = ending(asked, &answer);
        let mut index = 0;
        if let Some(text) = &answer.thinking {
            start.extend(thinking(text));
            index += 1;
        }
        let Some(text) = answer.text else {
            let calls = answer.calls.iter().enumerate();
            start.extend(calls.flat_map(|(offset, call)| tool_use(index + offset, call)));
            return Box::new(start.into_iter().chain(end));
        };
        start.push(block_start(index, &json!({"type": "text", "text": ""})));
        let deltas = text.fragments().map(move |text| text_delta(index, &text));
        match answer.ending {
            Ending::Clean => {
                let deltas = deltas.flat_map(|delta| [Step::Pace, delta]);
                Box::new(start.into_iter().chain(deltas).chain([block_stop(index)]).chain(end))
            }
            Ending::Error | Ending::Cut => {
                Box::new(start.into_iter().chain(deltas.take(2)).chain(end))
            }
        }
    }
}

fn read(body: &Value) -> Result<Asked, Refusal> {
    let mut asked = Asked {
        model: body["model"].as_str().ok_or(Refusal::new("model: field required"))?.to_owned(),
        stream: body["stream"] == true,
        tools: tools(body)?,
        choice: match body["tool_choice"]["type"].as_str() {
            Some("none") => Choice::None,
            Some("any") => Choice::Any,
            Some("tool") => Choice::One(text_of(&body["tool_choice"]["name"])),
            _ => Choice::Auto,
        },
        one_call: body["tool_choice"]["disable_parallel_tool_use"] == true,
        thinking: matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive")),
        schema: body["output_config"]["format"].get("schema").cloned(),
        max_tokens: body["max_tokens"].as_u64(),
        stop: strings(&body["stop_sequences"]),
        ..Asked::default()
    };
    check_thinking(body, &asked)?;
    let messages = nonempty(&body["messages"], "messages: at least one message is required")?;
    let mut open = Calls::default();
    for message in messages {
        let (text, blocks) = match &message["content"] {
            Value::String(text) => (Some(text), [].as_slice()),
            Value::Array(blocks) => (None, blocks.as_slice()),
            _ => return Err(Refusal::new("messages: content must be a string or a list")),
        };
        match message["role"].as_str() {
            Some("user") => {
                asked.said.extend(text.cloned());
                read_user(blocks, &mut open, &mut asked)?;
                if !open.are_closed() {
                    return Err(Refusal::new(
                        "`tool_use` ids were found without `tool_result` blocks immediately after",
                    ));
                }
            }
            Some("assistant") => {
                open = read_assistant(blocks)?;
                asked.said.clear();
                asked.results.clear();
            }
            _ => return Err(Refusal::new("messages: role must be user or assistant")),
        }
    }
    check_thought(messages, &asked)?;
    Ok(asked)
}

fn check_thinking(body: &Value, asked: &Asked) -> Result<(), Refusal> {
    let forced = matches!(asked.choice, Choice::Any | Choice::One(_));
    let budget = body["thinking"]["budget_tokens"].as_u64();
    if body["thinking"]["type"] != "enabled" {
        Ok(())
    } else if budget.is_none_or(|budget| budget < 1024) {
        Err(Refusal::new("thinking.budget_tokens: must be at least 1024"))
    } else if budget >= asked.max_tokens {
        Err(Refusal::new("`max_tokens` must be greater than `thinking.budget_tokens`"))
    } else if forced {
        Err(Refusal::new("Thinking may not be enabled when tool_choice forces tool use."))
    } else {
        Ok(())
    }
}

/// Closes the calls in `open` that it has results for.
fn read_user(blocks: &[Value], open: &mut Calls<'_>, asked: &mut Asked) -> Result<(), Refusal> {
    for block in blocks {
        match block["type"].as_str() {
            Some("text") => asked.said.push(words(block)?.to_owned()),
            Some("image") => asked.images.push(media_type(block)),
            Some("document") => {}
            Some("tool_result") => {
                if !open.close(&block["tool_use_id"]) {
                    return Err(Refusal::new(
                        "unexpected `tool_use_id` found in `tool_result` blocks",
                    ));
                }
                asked.results.push(result_text(&block["content"], &mut asked.images));
            }
            _ => return Err(Refusal::new("messages: unknown type of content block")),
        }
    }
    Ok(())
}

/// While thinking is on, what was thought before the calls of the last answer must come back.
fn check_thought(messages: &[Value], asked: &Asked) -> Result<(), Refusal> {
    let last = messages.iter().rfind(|message| message["role"] == "assistant");
    let first = last.and_then(|last| last["content"][0]["type"].as_str());
    let thought = matches!(first, Some("thinking" | "redacted_thinking"));
    if thought || !asked.thinking || asked.results.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is \
         enabled, a final `assistant` message must start with a thinking block",
    ))
}

/// The ids of the calls in it.
fn read_assistant(blocks: &[Value]) -> Result<Calls<'_>, Refusal> {
    let mut ids = Calls::default();
    for block in blocks {
        match block["type"].as_str() {
            Some("text") => {
                words(block)?;
            }
            Some("thinking") if block["signature"] != SIGNATURE => {
                return Err(Refusal::new("Invalid `signature` in `thinking` block"));
            }
            Some("thinking" | "redacted_thinking") => {}
            Some("tool_use") if block["input"].is_object() => {
                legal(&block["id"], 128, "_-")?;
                legal(&block["name"], 128, "_-")?;
                ids.open(&block["id"]);
            }
            Some("tool_use") => return Err(Refusal::new("tool_use.input: must be an object")),
            _ => return Err(Refusal::new("messages: unknown type of content block")),
        }
    }
    Ok(ids)
}

fn words(block: &Value) -> Result<&str, Refusal> {
    let text = block["text"].as_str().filter(|text| !text.is_empty());
    text.ok_or(Refusal::new("text content blocks must be non-empty"))
}

fn result_text(content: &Value, images: &mut Vec<String>) -> String {
    let Some(blocks) = content.as_array() else { return text_of(content) };
    images.extend(blocks.iter().filter(|block| block["type"] == "image").map(media_type));
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    texts.join(" ")
}

fn media_type(image: &Value) -> String {
    image["source"]["media_type"].as_str().unwrap_or("url").to_owned()
}

fn tools(body: &Value) -> Result<Vec<Tool>, Refusal> {
    let tool = |tool: &Value| {
        // The vendor's own tools have a type, and no schema.
        let own = tool["type"].as_str().is_some_and(|kind| kind != "custom");
        legal(&tool["name"], 128, "_-")?;
        if !own && tool["input_schema"]["type"] != "object" {
            return Err(Refusal::new("tools.input_schema.type: must be object"));
        }
        let (name, schema) = (text_of(&tool["name"]), tool["input_schema"].clone());
        Ok(Tool { name, schema, free_text: false })
    };
    list(&body["tools"]).iter().map(tool).collect()
}

fn stop_words(stop: &Stop) -> (&'static str, Option<&str>) {
    match stop {
        Stop::End => ("end_turn", None),
        Stop::MaxTokens => ("max_tokens", None),
        Stop::Sequence(sequence) => ("stop_sequence", Some(sequence)),
        Stop::Calls => ("tool_use", None),
    }
}

fn usage(asked: &Asked, output: u64) -> Value {
    json!({
        "input_tokens": asked.input_tokens, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": asked.cached_tokens, "output_tokens": output,
    })
}

fn thinking(text: &str) -> Vec<Step> {
    let mut steps =
        vec![block_start(0, &json!({"type": "thinking", "thinking": "", "signature": ""}))];
    let delta =
        |delta: Value| event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    for text in text.split_inclusive(' ') {
        steps.push(delta(json!({"type": "thinking_delta", "thinking": text})));
    }
    steps.push(delta(json!({"type": "signature_delta", "signature": SIGNATURE})));
    steps.push(block_stop(0));
    steps
}

fn tool_use(index: usize, call: &Call) -> Vec<Step> {
    let block = json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
    let mut steps = vec![block_start(index, &block)];
    for piece in [String::new()].into_iter().chain(pieces(&call.arguments)) {
        steps.push(event(&json!({
            "type": "content_block_delta", "index": index,
            "delta": {"type": "input_json_delta", "partial_json": piece},
        })));
    }
    steps.push(block_stop(index));
    steps
}

fn ending(asked: &Asked, answer: &Answer) -> Vec<Step> {
    match answer.ending {
        Ending::Cut => vec![Step::Flush, Step::Cut],
        Ending::Error => vec![event(&Messages::error(529, "the demo fails as it was asked to"))],
        Ending::Clean => {
            let (stop, sequence) = stop_words(&answer.stop);
            let delta = json!({
                "type": "message_delta",
                "delta": {"stop_reason": stop, "stop_sequence": sequence},
                "usage": usage(asked, answer.output_tokens()),
            });
            vec![event(&delta), event(&json!({"type": "message_stop"}))]
        }
    }
}

fn block_start(index: usize, block: &Value) -> Step {
    event(&json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn block_stop(index: usize) -> Step {
    event(&json!({"type": "content_block_stop", "index": index}))
}

/// Written by hand: real deltas have `type` first, and nearly all events of a stream are these.
fn text_delta(index: usize, text: &str) -> Step {
    let text = json!(text);
    Step::Data(format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\
         \"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}\n\n"
    ))
}

fn event(data: &Value) -> Step {
    let name = data["type"].as_str().unwrap_or_default();
    Step::Data(format!("event: {name}\ndata: {data}\n\n"))
}
