//! A strict reading of what OpenAI streams and its SDKs accept.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Checks a whole stream.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let mut stream = Stream::default();
    let body = text.strip_suffix("\n\n").ok_or("does not end with an empty line")?;
    for event in body.split("\n\n") {
        if event.starts_with(": ") && !event.contains('\n') {
            continue;
        }
        let data = event.strip_prefix("data: ").ok_or_else(|| format!("no data line: {event}"))?;
        if data.contains(['\n', '\r']) {
            return Err(format!("more than one line: {event}"));
        }
        stream.data(data).map_err(|e| format!("{e}: {data}"))?;
    }
    stream.end()
}

#[derive(Default)]
struct Stream {
    /// id, object, created, model of the first chunk.
    head: Option<[Value; 4]>,
    has_usage_member: Option<bool>,
    candidates: BTreeMap<u64, Candidate>,
    usage: bool,
    error: bool,
    done: bool,
}

#[derive(Default)]
struct Candidate {
    finished: bool,
    /// Types of its calls, by index.
    calls: Vec<String>,
}

type Check<T = ()> = Result<T, String>;

fn ensure(holds: bool, otherwise: &str) -> Check {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

impl Stream {
    fn data(&mut self, data: &str) -> Check {
        ensure(!self.done, "after [DONE]")?;
        if data == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        ensure(!self.error, "after an error")?;
        ensure(!self.usage, "after the usage chunk")?;
        let chunk: Map<String, Value> = serde_json::from_str(data).map_err(|e| e.to_string())?;
        if let Some(error) = chunk.get("error") {
            self.error = true;
            ensure(chunk.len() == 1, "an error stands alone")?;
            ensure(error["message"].is_string() && error["type"].is_string(), "bad error")?;
            return ensure(
                error.get("param").is_some() && error.get("code").is_some(),
                "bad error",
            );
        }
        self.chunk(&chunk)
    }

    fn chunk(&mut self, chunk: &Map<String, Value>) -> Check {
        let head = ["id", "object", "created", "model"]
            .map(|name| chunk.get(name).cloned().unwrap_or(Value::Null));
        ensure(head[0].is_string() && head[2].is_u64() && head[3].is_string(), "bad head")?;
        ensure(head[1] == "chat.completion.chunk", "bad object")?;
        let first = self.head.get_or_insert_with(|| head.clone());
        ensure(*first == head, "the head changed")?;
        let usage = chunk.get("usage");
        let wanted = *self.has_usage_member.get_or_insert(usage.is_some());
        ensure(wanted == usage.is_some(), "usage in some chunks only")?;
        let choices = chunk.get("choices").and_then(Value::as_array).ok_or("no choices")?;
        if choices.is_empty() {
            self.usage = true;
            let usage = usage.ok_or("no choices, no usage")?;
            let counts = ["prompt_tokens", "completion_tokens", "total_tokens"];
            ensure(counts.iter().all(|name| usage[name].is_u64()), "bad usage")?;
            return ensure(self.candidates.values().all(|it| it.finished), "usage before the end");
        }
        ensure(usage.is_none_or(Value::is_null), "usage beside choices")?;
        choices.iter().try_for_each(|choice| self.choice(choice))
    }

    fn choice(&mut self, choice: &Value) -> Check {
        let index = choice["index"].as_u64().ok_or("no index")?;
        let delta = choice["delta"].as_object().ok_or("no delta")?;
        let reason = choice.get("finish_reason").ok_or("no finish_reason")?;
        ensure(choice.get("logprobs").is_some(), "no logprobs")?;
        let is_first = !self.candidates.contains_key(&index);
        let candidate = self.candidates.entry(index).or_default();
        ensure(!candidate.finished, "after the finish")?;
        ensure(delta.contains_key("role") == is_first, "role not in the first chunk only")?;
        if is_first {
            ensure(delta["role"] == "assistant", "bad role")?;
            let content = delta.get("content").ok_or("no content beside the role")?;
            return ensure(content.is_null() || content == "", "content beside the role");
        }
        if let Some(reason) = reason.as_str() {
            candidate.finished = true;
            return ensure(!reason.is_empty() && delta.is_empty(), "bad finish");
        }
        ensure(reason.is_null(), "bad finish_reason")?;
        delta.iter().try_for_each(|(name, value)| candidate.member(name, value))
    }

    fn end(self) -> Check {
        ensure(self.done, "no [DONE]")?;
        if self.error {
            return Ok(());
        }
        ensure(!self.candidates.is_empty(), "no candidate")?;
        ensure(self.candidates.values().all(|it| it.finished), "an open candidate")
    }
}

impl Candidate {
    fn member(&mut self, name: &str, value: &Value) -> Check {
        match name {
            "content" | "refusal" | "reasoning_content" => {
                ensure(value.is_string(), "a text that is none")
            }
            "reasoning_details" => {
                value.as_array().ok_or("no list")?.iter().try_for_each(|entry| {
                    let sealed = entry["signature"].is_string() || entry["data"].is_string();
                    ensure(
                        entry["index"].is_u64() && entry["type"].is_string() && sealed,
                        "bad entry",
                    )
                })
            }
            "annotations" => ensure(value.is_array(), "no list"),
            "tool_calls" => {
                value.as_array().ok_or("no list")?.iter().try_for_each(|call| self.call(call))
            }
            _ => Err(format!("unknown member {name}")),
        }
    }

    fn call(&mut self, call: &Value) -> Check {
        let index = call["index"].as_u64().ok_or("a call without index")? as usize;
        let is_first = index == self.calls.len();
        if is_first {
            let kind = call["type"].as_str().ok_or("a call without type")?;
            ensure(call["id"].as_str().is_some_and(|id| !id.is_empty()), "a call without id")?;
            self.calls.push(kind.to_owned());
        }
        let kind = self.calls.get(index).ok_or("a gap in the calls")?;
        let (inner, name) = match kind.as_str() {
            "function" => (&call["function"], "arguments"),
            "custom" => (&call["custom"], "input"),
            _ => return Err("bad type".to_owned()),
        };
        ensure(inner[name].is_string(), "no arguments")?;
        let repeated = ["id", "type"].iter().any(|name| call.get(name).is_some())
            || inner.get("name").is_some();
        ensure(is_first == repeated, "id, type or name not in the first fragment only")?;
        ensure(!is_first || inner["name"].is_string() && inner[name] == "", "bad first fragment")
    }
}

#[test]
fn the_checker_is_strict() {
    let chunk = |choice: &str| {
        format!(
            "data: {{\"id\":\"i\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
             \"choices\":[{{\"index\":0,\"logprobs\":null,{choice}}}]}}\n\n"
        )
    };
    let role = chunk(r#""delta":{"role":"assistant","content":""},"finish_reason":null"#);
    let text = chunk(r#""delta":{"content":"x"},"finish_reason":null"#);
    let call = chunk(
        r#""delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null"#,
    );
    let stop = chunk(r#""delta":{},"finish_reason":"stop""#);
    let done = "data: [DONE]\n\n";
    let good = [
        format!("{role}{text}{stop}{done}"),
        format!("{role}: ping\n\n{call}{stop}{done}"),
        format!(
            "data: {{\"error\":{{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":null}}}}\n\n{done}"
        ),
    ];
    for stream in good {
        check(stream.as_bytes()).unwrap();
    }
    let bad = [
        String::new(),
        done.to_owned(),
        format!("{role}{text}{stop}"),
        format!("{text}{stop}{done}"),
        format!("{role}{role}{stop}{done}"),
        format!("{role}{text}{done}"),
        format!("{role}{stop}{text}{done}"),
        format!("{role}{call}{call}{stop}{done}"),
        format!("{role}{stop}{done}{done}"),
        format!("event: x\n{role}{stop}{done}"),
        format!("{}{stop}{done}", role.replace("\"i\"", "\"j\"")),
    ];
    for stream in bad {
        assert!(check(stream.as_bytes()).is_err(), "{stream}");
    }
}
