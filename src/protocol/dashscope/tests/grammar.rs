//! A strict reading of what DashScope streams and its SDKs accept. Independent of the writer.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::protocol::Layout;

type Check<T = ()> = Result<T, String>;

fn ensure(holds: bool, otherwise: &str) -> Check {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// Checks a whole stream that is laid out so.
pub(super) fn check(bytes: &[u8], layout: Layout) -> Check {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let body = text.strip_suffix("\n\n").ok_or("does not end with an empty line")?;
    let mut stream = Stream {
        layout,
        events: 0,
        id: None,
        candidates: BTreeMap::new(),
        spent: [0; 2],
        error: false,
    };
    for event in body.split("\n\n") {
        if event.starts_with(": ") && !event.contains('\n') {
            continue;
        }
        stream.event(event).map_err(|e| format!("{e}: {event}"))?;
    }
    ensure(stream.events > 0, "no event")?;
    let ended = stream.candidates.values().all(|it| it.finished) && !stream.candidates.is_empty();
    ensure(stream.error || ended, "a candidate without an end")
}

struct Stream {
    layout: Layout,
    events: u64,
    id: Option<String>,
    candidates: BTreeMap<u64, Candidate>,
    /// Input and output tokens of the last event.
    spent: [u64; 2],
    error: bool,
}

#[derive(Default)]
struct Candidate {
    finished: bool,
    content: String,
    reasoning: String,
    /// Id, name, arguments.
    calls: Vec<[String; 3]>,
}

impl Stream {
    fn event(&mut self, event: &str) -> Check {
        ensure(!self.error, "after an error")?;
        self.events += 1;
        let lines: Vec<_> = event.split('\n').collect();
        let [id, name, status, data] = lines[..] else { return Err("four lines".to_owned()) };
        ensure(id == format!("id:{}", self.events), "ids count up")?;
        let status = status.strip_prefix(":HTTP_STATUS/").ok_or("no status")?;
        let data = data.strip_prefix("data:").ok_or("no data")?;
        ensure(!data.starts_with(' ') && !data.contains('\r'), "bad data")?;
        let value: Map<String, Value> = serde_json::from_str(data).map_err(|e| e.to_string())?;
        let request = value.get("request_id").and_then(Value::as_str).ok_or("no request_id")?;
        ensure(!request.is_empty(), "an empty id")?;
        let known = self.id.get_or_insert_with(|| request.to_owned());
        ensure(known == request, "the id changed")?;
        if name == "event:error" {
            self.error = true;
            ensure(status.parse::<u16>().is_ok_and(|n| (400..600).contains(&n)), "bad status")?;
            let code = value.get("code").and_then(Value::as_str).ok_or("no code")?;
            ensure(
                !code.is_empty() && value.get("message").is_some_and(Value::is_string),
                "bad error",
            )?;
            return ensure(value.len() == 3, "an error stands alone");
        }
        ensure(name == "event:result" && status == "200", "bad event")?;
        ensure(!value.contains_key("code"), "a code under a result")?;
        self.usage(&value["usage"])?;
        self.output(value.get("output").ok_or("no output")?)
    }

    fn usage(&mut self, usage: &Value) -> Check {
        let mut spent = [0; 2];
        for (count, name) in spent.iter_mut().zip(["input_tokens", "output_tokens"]) {
            *count = usage[name].as_u64().ok_or("no count")?;
        }
        self.spent = spent;
        Ok(())
    }

    fn output(&mut self, output: &Value) -> Check {
        let Some(choices) = output["choices"].as_array() else {
            ensure(self.layout.text_only && !self.layout.content_list, "text in another layout")?;
            let text = output["text"].as_str().ok_or("no text")?;
            let finish = output["finish_reason"].as_str().ok_or("no finish_reason")?;
            let candidate = self.candidates.entry(0).or_default();
            ensure(candidate.calls.is_empty(), "text behind a call")?;
            candidate.text(text, self.layout.snapshots)?;
            return candidate.finish(finish);
        };
        ensure(choices.len() == 1, "one choice")?;
        let choice = &choices[0];
        let index = choice["index"].as_u64().ok_or("no index")?;
        let message = choice["message"].as_object().ok_or("no message")?;
        ensure(message.get("role").is_some_and(|role| role == "assistant"), "no role")?;
        let candidate = self.candidates.entry(index).or_default();
        candidate.message(message, self.layout)?;
        let calls = message.contains_key("tool_calls") || !candidate.calls.is_empty();
        let alone = index == 0 && self.layout.text_only && !self.layout.content_list;
        ensure(!alone || calls, "a message for text")?;
        candidate.finish(choice["finish_reason"].as_str().ok_or("finish_reason is a string")?)
    }
}

impl Candidate {
    fn finish(&mut self, word: &str) -> Check {
        ensure(!self.finished, "after the end")?;
        ensure(!word.is_empty(), "an empty finish_reason")?;
        self.finished = word != "null";
        Ok(())
    }

    fn text(&mut self, text: &str, snapshots: bool) -> Check {
        grow(&mut self.content, text, snapshots)
    }

    fn message(&mut self, message: &Map<String, Value>, layout: Layout) -> Check {
        let content = message.get("content").ok_or("no content")?;
        let said = if layout.content_list {
            let list = content.as_array().ok_or("content is a list")?;
            let texts: Vec<_> = list.iter().filter_map(|item| item["text"].as_str()).collect();
            ensure(texts.len() < 2, "one text")?;
            ensure(
                list.iter().all(|item| item.as_object().is_some_and(|it| it.len() == 1)),
                "items",
            )?;
            texts.concat()
        } else {
            content.as_str().ok_or("content is a string")?.to_owned()
        };
        self.text(&said, layout.snapshots)?;
        for (name, value) in message {
            match name.as_str() {
                "content" | "role" | "reasoning_signature" => {}
                "reasoning_content" => {
                    let text = value.as_str().ok_or("thinking is a string")?;
                    grow(&mut self.reasoning, text, layout.snapshots)?;
                }
                "tool_calls" => {
                    let calls = value.as_array().ok_or("calls are a list")?;
                    for (position, call) in calls.iter().enumerate() {
                        let expected = layout.snapshots.then_some(position);
                        self.call(call, expected)?;
                    }
                }
                _ => return Err(format!("unknown member {name}")),
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &Value, expected: Option<usize>) -> Check {
        let index = call["index"].as_u64().ok_or("a call without index")? as usize;
        ensure(expected.is_none_or(|position| position == index), "calls in their order")?;
        ensure(call["type"] == "function", "a call without type")?;
        let id = call["id"].as_str().ok_or("a call without id")?;
        let arguments = call["function"]["arguments"].as_str().ok_or("no arguments")?;
        let name = call["function"]["name"].as_str();
        let is_first = index == self.calls.len();
        if is_first {
            ensure(!id.is_empty() && name.is_some(), "a call without id or name")?;
            self.calls.push([id.to_owned(), name.unwrap_or_default().to_owned(), String::new()]);
        }
        let known = self.calls.get_mut(index).ok_or("a gap in the calls")?;
        if expected.is_some() {
            ensure(known[0] == id && Some(known[1].as_str()) == name, "a call changed")?;
        } else if !is_first {
            ensure(id.is_empty() && name.is_none(), "id and name stand in the first only")?;
        }
        grow(&mut known[2], arguments, expected.is_some())
    }
}

/// A snapshot holds all that was said before it.
fn grow(said: &mut String, text: &str, snapshots: bool) -> Check {
    if snapshots {
        ensure(text.starts_with(said.as_str()), "a snapshot went back")?;
        said.clear();
    }
    said.push_str(text);
    Ok(())
}

#[test]
fn the_checker_is_strict() {
    let event = |n: u32, name: &str, status: u16, data: &str| {
        format!("id:{n}\nevent:{name}\n:HTTP_STATUS/{status}\ndata:{data}\n\n")
    };
    let said = |n, message: &str, finish: &str| {
        let data = format!(
            r#"{{"output":{{"choices":[{{"message":{{{message},"role":"assistant"}},"index":0,"finish_reason":"{finish}"}}]}},"usage":{{"input_tokens":1,"output_tokens":1}},"request_id":"r"}}"#
        );
        event(n, "result", 200, &data)
    };
    let error = |n| event(n, "error", 400, r#"{"code":"c","message":"m","request_id":"r"}"#);
    let words = |n, text: &str| said(n, &format!("\"content\":\"{text}\""), "null");
    let stop = |n| said(n, "\"content\":\"\"", "stop");
    let snapshots = Layout { snapshots: true, ..Layout::default() };
    let lists = Layout { content_list: true, ..Layout::default() };
    let text_only = Layout { text_only: true, ..Layout::default() };
    let call = |n, id: &str, name: &str| {
        let call = format!(
            r#""content":"","tool_calls":[{{"index":0,"id":"{id}","type":"function","function":{{{name}"arguments":"x"}}}}]"#
        );
        said(n, &call, "null")
    };
    let named = "\"name\":\"f\",";
    let good = [
        (format!("{}{}", words(1, "a"), stop(2)), Layout::default()),
        (format!(": ping\n\n{}", error(1)), Layout::default()),
        (format!("{}{}", words(1, "a"), said(2, "\"content\":\"ab\"", "stop")), snapshots),
        (said(1, "\"content\":[{\"text\":\"a\"}]", "stop"), lists),
        (format!("{}{}{}", call(1, "c", named), call(2, "", ""), stop(3)), Layout::default()),
    ];
    for (stream, layout) in good {
        check(stream.as_bytes(), layout).unwrap();
    }
    let bad = [
        (String::new(), Layout::default()),
        (words(1, "a"), Layout::default()),
        (stop(2), Layout::default()),
        (stop(1).replace("event:", "event: "), Layout::default()),
        (stop(1).replace("data:", "data: "), Layout::default()),
        (stop(1).replace(":HTTP_STATUS/200\n", ""), Layout::default()),
        (format!("{}{}", stop(1), stop(2)), Layout::default()),
        (format!("{}{}", error(1), stop(2)), Layout::default()),
        (format!("{}{}", words(1, "a"), stop(2)), snapshots),
        (stop(1), lists),
        (stop(1), text_only),
        (stop(1).replace("\"role\":\"assistant\"", "\"x\":1"), Layout::default()),
        (stop(1).replace("\"stop\"", "null"), Layout::default()),
        (format!("{}{}", words(1, "a"), stop(2).replace("\"r\"", "\"q\"")), Layout::default()),
        (format!("{}{}{}", call(1, "c", named), call(2, "c", named), stop(3)), Layout::default()),
        (format!("{}{}", call(1, "", named), stop(2)), Layout::default()),
    ];
    for (stream, layout) in bad {
        assert!(check(stream.as_bytes(), layout).is_err(), "{stream}");
    }
}
