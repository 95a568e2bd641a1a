//! The demo's OpenAI Chat Completions: reads as strictly as the real one, writes literal JSON.

use http::request::Parts;
use serde_json::{Value, json};

use super::generate::{Dialect, Refusal, Turn};
use super::read::{Calls, known, legal, list, media_type, nonempty, one_or_more, text_of};
use super::scenario::{Answer, Asked, Call, Choice, Ending, Stop, Text, Tool, pieces};
use super::stream::Step;

/// Unix seconds of every answer.
pub(super) const CREATED: u64 = 1_763_700_000;

#[rustfmt::skip]
const MEMBERS: [&str; 37] = [
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model",
    "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort",
    "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user",
    "verbosity", "web_search_options",
];

#[derive(Debug)]
pub(super) enum Chat {}

impl Dialect for Chat {
    fn read(_: &Parts, body: &Value) -> Result<Asked, Refusal> {
        known(body, &MEMBERS, "Unrecognized request argument supplied")?;
        let mut asked = Asked {
            model: body["model"]
                .as_str()
                .ok_or(Refusal::new("you must provide a model parameter"))?
                .to_owned(),
            stream: body["stream"] == true,
            tools: tools(body)?,
            choice: choice(&body["tool_choice"]),
            one_call: body["parallel_tool_calls"] == false,
            thinking: body["reasoning_effort"].as_str().is_some_and(|effort| effort != "none"),
            schema: schema(&body["response_format"]),
            max_tokens: body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()),
            stop: one_or_more(&body["stop"]),
            include_usage: body["stream_options"]["include_usage"] == true,
            ..Asked::default()
        };
        read_messages(&body["messages"], &mut asked)?;
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

    fn whole(Turn { number, asked, .. }: &Turn, answer: Answer) -> Value {
        let usage = usage(asked, &answer);
        let finish = finish(&answer.stop);
        let mut message = json!({
            "role": "assistant", "content": answer.text.map(Text::whole), "refusal": null,
        });
        if let Some(text) = answer.thinking {
            message["reasoning_content"] = json!(text);
        }
        if !answer.calls.is_empty() {
            message["tool_calls"] = answer.calls.iter().map(call_json).collect();
        }
        json!({
            "id": format!("chatcmpl-demo{number}"), "object": "chat.completion", "created": CREATED,
            "model": asked.model, "service_tier": "default", "system_fingerprint": null,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
            "usage": usage,
        })
    }

    fn events(turn: &Turn, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send> {
        let Turn { number, asked, .. } = turn;
        let chunks = Chunks::new(*number, asked);
        let mut start =
            vec![chunks.delta(&json!({"role": "assistant", "content": "", "refusal": null}))];
        if let Some(text) = &answer.thinking {
            let words = text.split_inclusive(' ');
            start.extend(words.map(|word| chunks.delta(&json!({"reasoning_content": word}))));
        }
        for (index, call) in answer.calls.iter().enumerate() {
            start.extend(chunks.call(index, call));
        }
        let end = chunks.ending(asked, &answer);
        let clean = answer.ending == Ending::Clean;
        let Some(text) = answer.text else { return Box::new(start.into_iter().chain(end)) };
        let deltas = text.fragments().map(move |text| chunks.text(&text));
        if clean {
            let deltas = deltas.flat_map(|delta| [Step::Pace, delta]);
            Box::new(start.into_iter().chain(deltas).chain(end))
        } else {
            Box::new(start.into_iter().chain(deltas.take(2)).chain(end))
        }
    }
}

fn read_messages(messages: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let mut open = Calls::default();
    for message in nonempty(messages, "messages: expected a non-empty list")? {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" && !open.are_closed() {
            return Err(Refusal::new(
                "an assistant message with 'tool_calls' must be followed by tool messages \
                 responding to each 'tool_call_id'",
            ));
        }
        match role {
            "system" | "developer" => {}
            "user" => read_user(&message["content"], asked)?,
            "assistant" => {
                asked.said.clear();
                asked.results.clear();
                for call in list(&message["tool_calls"]) {
                    legal(&call["id"], 64, "_-")?;
                    open.open(&call["id"]);
                }
                if message["content"].is_null() && open.are_closed() {
                    return Err(Refusal::new("messages: content must not be null"));
                }
            }
            "tool" => {
                if !open.close(&message["tool_call_id"]) {
                    return Err(Refusal::new(
                        "messages with role 'tool' must be a response to a preceding message \
                         with 'tool_calls'",
                    ));
                }
                asked.results.push(result_text(&message["content"])?);
            }
            _ => return Err(Refusal::new("messages: unknown role")),
        }
    }
    Ok(())
}

fn read_user(content: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(parts) = content.as_array() else {
        let text = content.as_str().ok_or(Refusal::new("messages: content must be text"))?;
        asked.said.push(text.to_owned());
        return Ok(());
    };
    for part in parts {
        match part["type"].as_str() {
            Some("text") => asked.said.push(text_of(&part["text"])),
            Some("image_url") => asked.images.push(media_type(&part["image_url"]["url"])),
            Some("file" | "input_audio") => {}
            _ => return Err(Refusal::new("messages: unknown type of content part")),
        }
    }
    Ok(())
}

/// Text only: an image in a tool message is refused.
fn result_text(content: &Value) -> Result<String, Refusal> {
    let Some(parts) = content.as_array() else { return Ok(text_of(content)) };
    let texts: Option<Vec<&str>> = parts.iter().map(|part| part["text"].as_str()).collect();
    let texts = texts.ok_or(Refusal::new("messages: tool messages hold text only"))?;
    Ok(texts.join(" "))
}

fn choice(choice: &Value) -> Choice {
    let kind = choice["type"].as_str().unwrap_or("none");
    match choice.as_str().or(choice["allowed_tools"]["mode"].as_str()) {
        Some("none") => Choice::None,
        Some("required") => Choice::Any,
        None if choice.is_object() => Choice::One(text_of(&choice[kind]["name"])),
        _ => Choice::Auto,
    }
}

fn tools(body: &Value) -> Result<Vec<Tool>, Refusal> {
    let tool = |tool: &Value| {
        let free_text = tool["type"] == "custom";
        let inner = &tool[if free_text { "custom" } else { "function" }];
        legal(&inner["name"], 64, "_-")?;
        let (name, schema) = (text_of(&inner["name"]), inner["parameters"].clone());
        Ok(Tool { name, schema, free_text })
    };
    list(&body["tools"]).iter().map(tool).collect()
}

fn schema(format: &Value) -> Option<Value> {
    match format["type"].as_str() {
        Some("json_schema") => Some(format["json_schema"]["schema"].clone()),
        Some("json_object") => Some(json!({})),
        _ => None,
    }
}

fn call_json(call: &Call) -> Value {
    if call.free_text {
        let custom = json!({"name": call.name, "input": call.arguments});
        return json!({"id": call.id, "type": "custom", "custom": custom});
    }
    json!({
        "id": call.id, "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    })
}

fn finish(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::MaxTokens => "length",
        Stop::Calls => "tool_calls",
    }
}

pub(super) fn usage(asked: &Asked, answer: &Answer) -> Value {
    let (input, output) = (asked.input_tokens + asked.cached_tokens, answer.output_tokens());
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": asked.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": answer.thinking_tokens()},
    })
}

/// Writes the chunks of one stream.
struct Chunks {
    /// The members that all chunks begin with.
    head: String,
    /// `,"usage":null` where a chunk with the usage will follow.
    tail: &'static str,
}

impl Chunks {
    fn new(number: u64, asked: &Asked) -> Self {
        let model = json!(asked.model);
        let head = format!(
            "data: {{\"id\":\"chatcmpl-demo{number}\",\"object\":\"chat.completion.chunk\",\
             \"created\":{CREATED},\"model\":{model},\"system_fingerprint\":null,\"choices\":["
        );
        Self { head, tail: if asked.include_usage { ",\"usage\":null" } else { "" } }
    }

    fn delta(&self, delta: &Value) -> Step {
        self.choice(&delta.to_string(), "null")
    }

    fn text(&self, text: &str) -> Step {
        self.choice(&format!("{{\"content\":{}}}", json!(text)), "null")
    }

    fn choice(&self, delta: &str, finish: &str) -> Step {
        let Self { head, tail } = self;
        Step::Data(format!(
            "{head}{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\
             \"finish_reason\":{finish}}}]{tail}}}\n\n"
        ))
    }

    fn call(&self, index: usize, call: &Call) -> Vec<Step> {
        let (kind, slot) =
            if call.free_text { ("custom", "input") } else { ("function", "arguments") };
        let delta = |member: Value| self.delta(&json!({"tool_calls": [member]}));
        let mut steps = vec![delta(json!({
            "index": index, "id": call.id, "type": kind, kind: {"name": call.name, slot: ""},
        }))];
        let more = |piece: String| delta(json!({"index": index, kind: {slot: piece}}));
        steps.extend(pieces(&call.arguments).into_iter().map(more));
        steps
    }

    fn ending(&self, asked: &Asked, answer: &Answer) -> Vec<Step> {
        match answer.ending {
            Ending::Cut => vec![Step::Flush, Step::Cut],
            Ending::Error => {
                let error = Chat::error(500, "the demo fails as it was asked to");
                vec![Step::Data(format!("data: {error}\n\n"))]
            }
            Ending::Clean => {
                let mut steps = vec![self.choice("{}", &json!(finish(&answer.stop)).to_string())];
                if asked.include_usage {
                    let usage = usage(asked, answer);
                    steps.push(Step::Data(format!("{}],\"usage\":{usage}}}\n\n", self.head)));
                }
                steps.push(Step::Data("data: [DONE]\n\n".into()));
                steps
            }
        }
    }
}
