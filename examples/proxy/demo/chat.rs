//! The demo's OpenAI Chat Completions: reads as strictly as the real one, writes literal JSON.

use std::collections::HashSet;

use http::HeaderMap;
use serde_json::{Value, json};

use super::generate::{Dialect, Refusal};
use super::messages::{strings, text_of};
use super::scenario::{Answer, Asked, Call, Choice, Ending, Stop, Text, Tool, pieces};
use super::stream::Step;

/// Unix seconds of every answer.
const CREATED: u64 = 1_763_700_000;

#[derive(Debug)]
pub(super) enum Chat {}

impl Dialect for Chat {
    fn read(_: &HeaderMap, body: &Value) -> Result<Asked, Refusal> {
        let mut asked = Asked {
            model: body["model"]
                .as_str()
                .ok_or(Refusal::new("you must provide a model parameter"))?
                .to_owned(),
            stream: body["stream"] == true,
            tools: tools(body),
            choice: match &body["tool_choice"] {
                Value::String(word) if word == "none" => Choice::None,
                Value::String(word) if word == "required" => Choice::Any,
                Value::Object(_) => Choice::One(text_of(&body["tool_choice"]["function"]["name"])),
                _ => Choice::Auto,
            },
            one_call: body["parallel_tool_calls"] == false,
            thinking: body["reasoning_effort"].as_str().is_some_and(|effort| effort != "none"),
            schema: body["response_format"]["json_schema"].get("schema").cloned(),
            max_tokens: body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()),
            stop: match &body["stop"] {
                Value::String(one) => vec![one.clone()],
                list => strings(list),
            },
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

    fn whole(number: u64, asked: &Asked, answer: Answer) -> Value {
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

    fn events(number: u64, asked: &Asked, answer: Answer) -> Box<dyn Iterator<Item = Step> + Send> {
        let chunks = Chunks::new(number, asked);
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
    let messages = messages.as_array().filter(|messages| !messages.is_empty());
    let messages = messages.ok_or(Refusal::new("messages: expected a non-empty list"))?;
    let mut open: HashSet<&str> = HashSet::new();
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" && !open.is_empty() {
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
                open = call_ids(&message["tool_calls"]);
                if message["content"].is_null() && open.is_empty() {
                    return Err(Refusal::new("messages: content must not be null"));
                }
            }
            "tool" => {
                if !open.remove(message["tool_call_id"].as_str().unwrap_or_default()) {
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

fn call_ids(calls: &Value) -> HashSet<&str> {
    calls.as_array().into_iter().flatten().filter_map(|call| call["id"].as_str()).collect()
}

/// Text only: an image in a tool message is refused.
fn result_text(content: &Value) -> Result<String, Refusal> {
    let Some(parts) = content.as_array() else { return Ok(text_of(content)) };
    let texts: Option<Vec<&str>> = parts.iter().map(|part| part["text"].as_str()).collect();
    let texts = texts.ok_or(Refusal::new("messages: tool messages hold text only"))?;
    Ok(texts.join(" "))
}

fn media_type(url: &Value) -> String {
    let data = url.as_str().and_then(|url| url.strip_prefix("data:"));
    data.and_then(|data| data.split_once(';')).map_or("url", |(kind, _)| kind).to_owned()
}

fn tools(body: &Value) -> Vec<Tool> {
    let tools = body["tools"].as_array().into_iter().flatten();
    let tool = |tool: &Value| Tool {
        name: text_of(&tool["function"]["name"]),
        schema: tool["function"]["parameters"].clone(),
    };
    tools.map(tool).collect()
}

fn call_json(call: &Call) -> Value {
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

fn usage(asked: &Asked, answer: &Answer) -> Value {
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
        let first = json!({"tool_calls": [{
            "index": index, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }]});
        let mut steps = vec![self.delta(&first)];
        for piece in pieces(&call.arguments) {
            let function = json!({"arguments": piece});
            steps
                .push(self.delta(&json!({"tool_calls": [{"index": index, "function": function}]})));
        }
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
