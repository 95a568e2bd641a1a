//! The demo's OpenAI Responses: reads as strictly as the real one, writes literal JSON. It stores
//! nothing, so what was answered must be played back.

mod stream;

use http::request::Parts;
use serde_json::{Value, json};

use super::generate::{Dialect, Refusal, Turn};
use super::read::{Calls, known, legal, list, media_type, nonempty, text_of};
use super::scenario::{Answer, Asked, Call, Choice, Stop, Tool};
use super::stream::Step;

const CREATED: u64 = 1_763_700_000;

/// All thinking here is sealed with this. Anything else that is played back is refused.
const SEAL: &str = "gAAAAABdemo-what-was-thought";

/// Fewest tokens that an answer may be limited to.
const MIN_TOKENS: u64 = 16;

#[rustfmt::skip]
const MEMBERS: [&str; 30] = [
    "background", "context_management", "conversation", "include", "input", "instructions",
    "max_output_tokens", "max_tool_calls", "metadata", "model", "moderation",
    "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier",
    "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice",
    "tools", "top_logprobs", "top_p", "truncation",
];

#[derive(Debug)]
pub(super) enum Responses {}

impl Dialect for Responses {
    fn read(_: &Parts, body: &Value) -> Result<Asked, Refusal> {
        known(body, &MEMBERS, "Unknown parameter")?;
        if body["max_output_tokens"].as_u64().is_some_and(|most| most < MIN_TOKENS) {
            return Err(Refusal::new(
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16",
            ));
        }
        if body["previous_response_id"].is_string() {
            return Err(Refusal::new("Previous response not found: the demo stores none"));
        }
        let effort = body["reasoning"]["effort"].as_str();
        let mut asked = Asked {
            model: body["model"]
                .as_str()
                .ok_or(Refusal::new("Missing required parameter: 'model'"))?
                .to_owned(),
            stream: body["stream"] == true,
            tools: tools(body)?,
            choice: choice(&body["tool_choice"]),
            one_call: body["parallel_tool_calls"] == false,
            thinking: effort.is_some_and(|effort| effort != "none"),
            schema: schema(&body["text"]["format"]),
            max_tokens: body["max_output_tokens"].as_u64(),
            ..Asked::default()
        };
        match &body["input"] {
            Value::String(text) => asked.said.push(text.clone()),
            input => read_input(input, body["store"] == false, &mut asked)?,
        }
        Ok(asked)
    }

    fn error(status: u16, message: &str) -> Value {
        let (kind, code) = match status {
            401 => ("invalid_request_error", Some("invalid_api_key")),
            403 => ("permission_error", None),
            404 => ("invalid_request_error", Some("model_not_found")),
            429 => ("requests", Some("rate_limit_exceeded")),
            400..=499 => ("invalid_request_error", None),
            _ => ("server_error", None),
        };
        json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
    }

    fn count(tokens: u64) -> Value {
        json!({"object": "response.input_tokens", "input_tokens": tokens})
    }

    fn whole(turn: &Turn, answer: Answer) -> Value {
        let state = State::of(&answer);
        let usage = usage(&turn.asked, &answer);
        response(turn, state, &items(turn, answer, state.word()), &usage)
    }

    fn events(turn: &Turn, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send> {
        stream::events(turn, answer)
    }
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

impl State {
    /// How an answer ends that is not disturbed.
    pub(super) fn of(answer: &Answer) -> Self {
        if answer.stop == Stop::MaxTokens { Self::Incomplete } else { Self::Completed }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        }
    }
}

fn read_input(input: &Value, unstored: bool, asked: &mut Asked) -> Result<(), Refusal> {
    let mut calls = Calls::default();
    // Thinking without what it led to is no turn of the model.
    let mut thought = false;
    let lonely = "Item of type 'reasoning' was provided without its required following item";
    for item in nonempty(input, "Missing required parameter: 'input'")? {
        let answered = thought;
        thought = false;
        match (item["type"].as_str().unwrap_or("message"), item["role"].as_str()) {
            ("reasoning", _) => {
                read_reasoning(item, unstored)?;
                thought = true;
            }
            ("message", Some("assistant")) => {
                read_content(&item["content"], &["output_text", "refusal"], &mut Vec::new())?;
                asked.said.clear();
                asked.results.clear();
            }
            ("function_call" | "custom_tool_call", _) => {
                legal(&item["call_id"], 64, "_-")?;
                legal(&item["name"], 64, "_-")?;
                if !item["arguments"].is_string() && !item["input"].is_string() {
                    return Err(Refusal::new("Invalid type for 'input.arguments': not a string"));
                }
                calls.open(&item["call_id"]);
                asked.said.clear();
                asked.results.clear();
            }
            _ if answered => return Err(Refusal::new(lonely)),
            ("function_call_output" | "custom_tool_call_output", _) => {
                if !calls.close(&item["call_id"]) {
                    return Err(Refusal::new("No tool call found for function call output"));
                }
                let mut texts = Vec::new();
                asked.images.extend(read_content(&item["output"], &INPUTS, &mut texts)?);
                asked.results.push(texts.join(" "));
            }
            ("message", Some("system" | "developer")) => {
                read_content(&item["content"], &INPUTS, &mut Vec::new())?;
            }
            ("message", Some("user")) => {
                asked.images.extend(read_content(&item["content"], &INPUTS, &mut asked.said)?);
            }
            (_, role) => {
                let complaint = "Invalid value for 'input', no such type or role";
                return Err(Refusal::naming(complaint, role.unwrap_or("none")));
            }
        }
    }
    match (calls.are_closed(), thought) {
        (false, _) => Err(Refusal::new("No tool output found for function call")),
        (_, true) => Err(Refusal::new(lonely)),
        _ => Ok(()),
    }
}

const INPUTS: [&str; 3] = ["input_text", "input_image", "input_file"];

/// Puts what is said into `texts`; gives the media types of the images.
fn read_content(
    content: &Value,
    kinds: &[&str],
    texts: &mut Vec<String>,
) -> Result<Vec<String>, Refusal> {
    if let Some(text) = content.as_str() {
        texts.push(text.to_owned());
        return Ok(Vec::new());
    }
    let mut images = Vec::new();
    for part in content.as_array().ok_or(Refusal::new("Invalid type for 'content'"))? {
        let kind = part["type"].as_str().unwrap_or_default();
        match kind {
            _ if !kinds.contains(&kind) => {
                return Err(Refusal::naming("Invalid value for the type of content", kind));
            }
            "input_text" => texts.push(text_of(&part["text"])),
            "input_image" => images.push(media_type(&part["image_url"])),
            _ => {}
        }
    }
    Ok(images)
}

fn read_reasoning(item: &Value, unstored: bool) -> Result<(), Refusal> {
    if !item["summary"].is_array() {
        return Err(Refusal::new("Missing required parameter: 'input.summary'"));
    }
    let ours = item["id"].as_str().is_some_and(|id| id.starts_with("rs_demo"));
    match item["encrypted_content"].as_str() {
        Some(SEAL) => Ok(()),
        Some(_) => Err(Refusal::new("The encrypted content could not be verified")),
        None if ours && !unstored => Ok(()),
        None => Err(Refusal::new(
            "Item with this id not found. Items are not persisted when `store` is set to false",
        )
        .status(404)),
    }
}

fn tools(body: &Value) -> Result<Vec<Tool>, Refusal> {
    let mut tools = Vec::new();
    for tool in list(&body["tools"]) {
        let free_text = match tool["type"].as_str() {
            Some("function") => false,
            Some("custom") => true,
            Some(_) => continue,
            None => return Err(Refusal::new("Missing required parameter: 'tools.type'")),
        };
        legal(&tool["name"], 64, "_-")?;
        let (name, schema) = (text_of(&tool["name"]), tool["parameters"].clone());
        tools.push(Tool { name, schema, free_text });
    }
    Ok(tools)
}

fn choice(choice: &Value) -> Choice {
    match choice.as_str().or(choice["mode"].as_str()) {
        Some("none") => Choice::None,
        Some("required") => Choice::Any,
        None if choice.is_object() => Choice::One(text_of(&choice["name"])),
        _ => Choice::Auto,
    }
}

fn schema(format: &Value) -> Option<Value> {
    match format["type"].as_str() {
        Some("json_schema") => Some(format["schema"].clone()),
        Some("json_object") => Some(json!({})),
        _ => None,
    }
}

/// The document of a whole answer, and of the first and last events of a stream.
pub(super) fn response(turn: &Turn, state: State, output: &[Value], usage: &Value) -> Value {
    let body = &turn.body;
    let or = |name: &str, default: Value| match &body[name] {
        Value::Null => default,
        given => given.clone(),
    };
    let done = matches!(state, State::Completed | State::Incomplete);
    let error = json!({"code": "server_error", "message": "the demo fails as it was asked to"});
    let short = json!({"reason": "max_output_tokens"});
    json!({
        "id": format!("resp_demo{}", turn.number), "object": "response", "created_at": CREATED,
        "status": state.word(), "background": false,
        "completed_at": if done { json!(CREATED) } else { Value::Null },
        "error": if state == State::Failed { error } else { Value::Null },
        "incomplete_details": if state == State::Incomplete { short } else { Value::Null },
        "instructions": body["instructions"], "max_output_tokens": body["max_output_tokens"],
        "max_tool_calls": null, "model": turn.asked.model, "output": output,
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": null, "prompt_cache_key": body["prompt_cache_key"],
        "reasoning": {
            "effort": body["reasoning"]["effort"], "summary": body["reasoning"]["summary"],
        },
        "safety_identifier": null, "service_tier": "default", "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": or("text", json!({"format": {"type": "text"}, "verbosity": "medium"})),
        "tool_choice": or("tool_choice", json!("auto")), "tools": or("tools", json!([])),
        "top_logprobs": 0, "top_p": or("top_p", json!(1.0)), "truncation": "disabled",
        "usage": usage, "user": null, "metadata": or("metadata", json!({})),
    })
}

pub(super) fn usage(asked: &Asked, answer: &Answer) -> Value {
    let (input, output) = (asked.input_tokens + asked.cached_tokens, answer.output_tokens());
    json!({
        "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
        "input_tokens_details": {"cached_tokens": asked.cached_tokens, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": answer.thinking_tokens()},
    })
}

/// The output, each item as it is when it is done.
pub(super) fn items(turn: &Turn, answer: Answer, status: &str) -> Vec<Value> {
    let thinking = answer.thinking.map(|text| reasoning(turn, &text));
    let message = answer.text.map(|text| message(turn.number, Some(&text.whole()), status));
    let calls = answer.calls.iter().enumerate();
    let calls = calls.map(|(index, call)| call_item(turn.number, index, call, true));
    thinking.into_iter().chain(message).chain(calls).collect()
}

/// What was thought: shown where a summary was asked for, sealed where the seal was.
pub(super) fn reasoning(turn: &Turn, text: &str) -> Value {
    let shown = turn.body["reasoning"]["summary"].is_string();
    let summary = if shown { json!([{"type": "summary_text", "text": text}]) } else { json!([]) };
    let id = format!("rs_demo{}", turn.number);
    let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
    if list(&turn.body["include"]).contains(&json!("reasoning.encrypted_content")) {
        item["encrypted_content"] = json!(SEAL);
    }
    item
}

/// The message; without a text, as it is when it begins.
pub(super) fn message(number: u64, text: Option<&str>, status: &str) -> Value {
    let content: Vec<Value> = text.into_iter().map(text_part).collect();
    json!({
        "id": format!("msg_demo{number}"), "type": "message", "role": "assistant",
        "status": status, "content": content,
    })
}

pub(super) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// One call; as it is when it begins, it has no arguments yet.
pub(super) fn call_item(number: u64, index: usize, call: &Call, done: bool) -> Value {
    let (kind, slot, prefix) = if call.free_text {
        ("custom_tool_call", "input", "ctc")
    } else {
        ("function_call", "arguments", "fc")
    };
    json!({
        "id": format!("{prefix}_demo{number}_{index}"), "type": kind, "call_id": call.id,
        "status": if done { "completed" } else { "in_progress" },
        "name": call.name, slot: if done { call.arguments.as_str() } else { "" },
    })
}
