//! Callers that take nothing for granted: every rule of their protocol's stream is asserted.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tower_llm_gateway::protocol::Protocol::{
    self, Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses,
};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Think(String),
    Say(String),
    /// The tool and its arguments.
    Call(String, Value),
}

/// An answer, to its end.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Heard {
    pub(crate) pieces: Vec<Piece>,
    /// Input and output.
    pub(crate) usage: Option<(u64, u64)>,
    /// What the protocol's error event says; then there was no clean end.
    pub(crate) error: Option<String>,
}

impl Heard {
    pub(crate) fn text(&self) -> String {
        let said = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Say(text) => Some(text.as_str()),
            _ => None,
        });
        said.collect()
    }

    fn think(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Think(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.pieces.push(Piece::Think(text.to_owned())),
        }
    }

    fn say(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Say(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.pieces.push(Piece::Say(text.to_owned())),
        }
    }

    fn call(&mut self, name: &Value, arguments: &str) {
        let name = string(name);
        let arguments = serde_json::from_str(arguments)
            .unwrap_or_else(|error| panic!("{name}({arguments}): {error}"));
        self.pieces.push(Piece::Call(name, arguments));
    }
}

/// One server-sent event: its name, and its data.
#[derive(Debug)]
struct Event {
    name: Option<String>,
    data: String,
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Whole events only, with nothing between or behind them.
fn split(stream: &str) -> Vec<Event> {
    // Gemini ends its lines so.
    let stream = &stream.replace("\r\n", "\n");
    assert!(stream.ends_with("\n\n"), "the stream ends inside an event: {stream:?}");
    let mut events = Vec::new();
    for block in stream.split_terminator("\n\n") {
        let (mut name, mut data) = (None, None);
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?}"));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" | "id" => {}
                "event" => assert!(name.replace(value.to_owned()).is_none(), "{block:?}"),
                "data" => assert!(data.replace(value.to_owned()).is_none(), "{block:?}"),
                _ => panic!("{block:?}"),
            }
        }
        // A comment alone is no event.
        if let Some(data) = data {
            events.push(Event { name, data });
        }
    }
    events
}

pub(crate) fn stream(caller: Protocol, stream: &str) -> Heard {
    let events = split(stream);
    match caller {
        Anthropic => messages(&events),
        OpenAiResponses => responses(&events),
        OpenAiChat => chat(&events),
        Gemini => gemini(&events),
        _ => dashscope(&events),
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}")).to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// One message; its blocks one after the other, numbered from nothing, each delta of its block's
/// type; a stop reason, and the end. Or an error, and nothing behind it.
fn messages(events: &[Event]) -> Heard {
    let mut heard = Heard::default();
    let mut open: Option<(Value, String)> = None;
    let (mut next, mut input, mut stopped, mut ended) = (0, None, false, false);
    for (at, event) in events.iter().enumerate() {
        let data = event.json();
        let kind = string(&data["type"]);
        assert_eq!(event.name.as_ref(), Some(&kind), "{data}");
        assert!(!ended, "behind the end: {data}");
        // An error may come before anything else.
        assert!((kind == "message_start") == (at == 0) || kind == "error", "{data}");
        match kind.as_str() {
            "message_start" => {
                assert_eq!(data["message"]["content"], json!([]), "{data}");
                assert_eq!(data["message"]["stop_reason"], Value::Null, "{data}");
                string(&data["message"]["id"]);
                input = Some(number(&data["message"]["usage"]["input_tokens"]));
            }
            "ping" => {}
            "content_block_start" => {
                assert!(open.is_none() && !stopped, "a block in a block: {data}");
                assert_eq!(data["index"], next, "{data}");
                let block = data["content_block"].clone();
                match block["type"].as_str().unwrap() {
                    "text" => assert_eq!(block["text"], "", "{data}"),
                    "thinking" => assert_eq!(block["thinking"], "", "{data}"),
                    "tool_use" => {
                        assert_eq!(block["input"], json!({}), "{data}");
                        assert!(!string(&block["id"]).is_empty(), "{data}");
                    }
                    "redacted_thinking" => {}
                    other => panic!("{other}"),
                }
                open = Some((block, String::new()));
            }
            "content_block_delta" => {
                let (block, text) = open.as_mut().unwrap_or_else(|| panic!("no block: {data}"));
                assert_eq!(data["index"], next, "{data}");
                let delta = &data["delta"];
                let (of, piece) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", &delta["text"]),
                    "thinking_delta" => ("thinking", &delta["thinking"]),
                    "input_json_delta" => ("tool_use", &delta["partial_json"]),
                    "signature_delta" => {
                        string(&delta["signature"]);
                        ("thinking", &Value::Null)
                    }
                    other => panic!("{other}"),
                };
                assert_eq!(block["type"], of, "{data}");
                text.push_str(piece.as_str().unwrap_or_default());
            }
            "content_block_stop" => {
                assert_eq!(data["index"], next, "{data}");
                next += 1;
                let (block, text) = open.take().unwrap_or_else(|| panic!("no block: {data}"));
                match block["type"].as_str().unwrap() {
                    "text" => heard.say(&text),
                    "thinking" => heard.think(&text),
                    "tool_use" => {
                        heard.call(&block["name"], if text.is_empty() { "{}" } else { &text });
                    }
                    _ => {}
                }
            }
            "message_delta" => {
                assert!(open.is_none() && !stopped, "{data}");
                string(&data["delta"]["stop_reason"]);
                let input = data["usage"]["input_tokens"].as_u64().or(input).unwrap();
                heard.usage = Some((input, number(&data["usage"]["output_tokens"])));
                stopped = true;
            }
            "message_stop" => {
                assert!(stopped, "no stop reason");
                ended = true;
            }
            "error" => {
                string(&data["error"]["type"]);
                heard.error = Some(string(&data["error"]["message"]));
                ended = true;
            }
            other => panic!("{other}"),
        }
    }
    assert!(ended, "no end: {events:?}");
    heard
}

/// Calls that come in pieces, by their index.
#[derive(Default)]
struct Calls(BTreeMap<u64, (Value, String)>);

impl Calls {
    fn take(&mut self, call: &Value) {
        let index = number(&call["index"]);
        let next = self.0.len() as u64;
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        if let Some((_, before)) = self.0.get_mut(&index) {
            assert!(
                call.get("id").is_none_or(|id| id.is_null() || id == ""),
                "named twice: {call}"
            );
            before.push_str(arguments);
            return;
        }
        assert_eq!(index, next, "the indices have a gap: {call}");
        assert!(!string(&call["id"]).is_empty() && call["type"] == "function", "{call}");
        self.0.insert(index, (call["function"]["name"].clone(), arguments.to_owned()));
    }

    fn end(self, heard: &mut Heard) {
        for (name, arguments) in self.0.into_values() {
            heard.call(&name, &arguments);
        }
    }
}

/// One id, one finish reason behind all words, `[DONE]` last.
fn chat(events: &[Event]) -> Heard {
    let mut heard = Heard::default();
    let mut calls = Calls::default();
    let (mut id, mut finished, mut done, mut first) = (None, false, false, true);
    for event in events {
        assert!(!done && event.name.is_none(), "{event:?}");
        if event.data == "[DONE]" {
            done = true;
            continue;
        }
        let data = event.json();
        assert!(heard.error.is_none(), "behind the error: {data}");
        if let Some(error) = data.get("error").filter(|error| !error.is_null()) {
            heard.error = Some(string(&error["message"]));
            continue;
        }
        assert_eq!(data["object"], "chat.completion.chunk");
        assert_eq!(*id.get_or_insert(data["id"].clone()), data["id"], "another id: {data}");
        if let Some(usage) = data.get("usage").filter(|usage| !usage.is_null()) {
            heard.usage =
                Some((number(&usage["prompt_tokens"]), number(&usage["completion_tokens"])));
        }
        for choice in list(&data["choices"]) {
            assert!(!finished, "behind the finish: {data}");
            assert_eq!(choice["index"], 0);
            let delta = &choice["delta"];
            assert_eq!(first, delta["role"] == "assistant", "{data}");
            first = false;
            heard.think(delta["reasoning_content"].as_str().unwrap_or_default());
            heard.say(delta["content"].as_str().unwrap_or_default());
            list(&delta["tool_calls"]).iter().for_each(|call| calls.take(call));
            finished = choice["finish_reason"].is_string();
        }
    }
    // What was cut may end inside of a call.
    if heard.error.is_none() {
        calls.end(&mut heard);
    }
    assert_ne!(finished, heard.error.is_some(), "a finish or an error: {events:?}");
    assert!(done || heard.error.is_some(), "no [DONE]");
    heard
}

/// Numbered without a gap; every item is added, filled and done in that order; what is done is
/// what its deltas were, and what the response has in the end.
fn responses(events: &[Event]) -> Heard {
    let mut heard = Heard::default();
    let mut items: Vec<Value> = Vec::new();
    let mut texts: BTreeMap<(u64, String), String> = BTreeMap::new();
    let mut done: BTreeMap<u64, Value> = BTreeMap::new();
    let mut ended = false;
    for (at, event) in events.iter().enumerate() {
        let data = event.json();
        let kind = string(&data["type"]);
        assert_eq!(event.name.as_ref(), Some(&kind), "{data}");
        assert_eq!(data["sequence_number"], at, "{data}");
        assert!(!ended, "behind the end: {data}");
        let may_follow = heard.error.is_none() || kind == "response.failed";
        assert!(may_follow, "behind the error: {data}");
        let begins = kind == "response.created" || kind == "error";
        assert!(begins == (at == 0) || kind == "error", "{data}");
        let index = data["output_index"].as_u64();
        if let Some(index) = index.filter(|_| kind != "response.output_item.added") {
            let item = items.get(index as usize).unwrap_or_else(|| panic!("not added: {data}"));
            assert!(!done.contains_key(&index), "behind the end of the item: {data}");
            let id = data.get("item_id").unwrap_or(&data["item"]["id"]);
            assert_eq!(*id, item["id"], "{data}");
        }
        let part = |name: &str| (index.unwrap(), format!("{name} {}", data[name]));
        match kind.as_str() {
            "response.created" | "response.in_progress" => {
                assert_eq!(data["response"]["status"], "in_progress");
            }
            "response.output_item.added" => {
                assert_eq!(index, Some(items.len() as u64), "{data}");
                items.push(data["item"].clone());
            }
            "response.content_part.added" => {
                assert!(texts.insert(part("content_index"), String::new()).is_none(), "{data}");
            }
            "response.reasoning_summary_part.added" => {
                assert!(texts.insert(part("summary_index"), String::new()).is_none(), "{data}");
            }
            "response.output_text.delta" => {
                let text = texts.get_mut(&part("content_index")).expect("the part was added");
                text.push_str(&string(&data["delta"]));
            }
            "response.reasoning_summary_text.delta" => {
                let text = texts.get_mut(&part("summary_index")).expect("the part was added");
                text.push_str(&string(&data["delta"]));
            }
            "response.output_text.done" => assert_eq!(data["text"], texts[&part("content_index")]),
            "response.reasoning_summary_text.done" => {
                assert_eq!(data["text"], texts[&part("summary_index")]);
            }
            "response.content_part.done" => {
                assert_eq!(data["part"]["text"], texts[&part("content_index")]);
            }
            "response.reasoning_summary_part.done" => {
                assert_eq!(data["part"]["text"], texts[&part("summary_index")]);
            }
            "response.function_call_arguments.delta" => {
                let key = (index.unwrap(), String::new());
                texts.entry(key).or_default().push_str(&string(&data["delta"]));
            }
            "response.custom_tool_call_input.delta" => {
                let key = (index.unwrap(), String::new());
                texts.entry(key).or_default().push_str(&string(&data["delta"]));
            }
            "response.function_call_arguments.done" => {
                let before = texts.get(&(index.unwrap(), String::new()));
                assert_eq!(data["arguments"], before.cloned().unwrap_or_default());
            }
            "response.custom_tool_call_input.done" => {
                assert_eq!(data["input"], texts[&(index.unwrap(), String::new())]);
            }
            "response.output_item.done" => {
                let key = (index.unwrap(), String::new());
                if let Some(arguments) = texts.get(&key) {
                    let item = &data["item"];
                    assert_eq!(*arguments, string(item.get("arguments").unwrap_or(&item["input"])));
                }
                done.insert(index.unwrap(), data["item"].clone());
            }
            "response.completed" | "response.incomplete" => {
                let response = &data["response"];
                assert_eq!(kind, format!("response.{}", response["status"].as_str().unwrap()));
                let done: Vec<_> = done.values().cloned().collect();
                assert_eq!(done.len(), items.len(), "an item is not done");
                assert_eq!(response["output"], json!(done));
                let usage = &response["usage"];
                heard.usage =
                    Some((number(&usage["input_tokens"]), number(&usage["output_tokens"])));
                take_output(&mut heard, &response["output"]);
                ended = true;
            }
            "response.failed" => {
                let message = string(&data["response"]["error"]["message"]);
                assert_eq!(*heard.error.get_or_insert(message.clone()), message);
                assert_eq!(data["response"]["status"], "failed");
                ended = true;
            }
            "error" => {
                // Codex reads the response behind it.
                heard.error = Some(string(&data["message"]));
            }
            other => panic!("{other}"),
        }
    }
    assert!(ended, "no end: {events:?}");
    heard
}

fn take_output(heard: &mut Heard, output: &Value) {
    for item in list(output) {
        match item["type"].as_str().unwrap() {
            "reasoning" => {
                list(&item["summary"]).iter().for_each(|part| heard.think(&string(&part["text"])));
            }
            "message" => {
                list(&item["content"]).iter().for_each(|part| heard.say(&string(&part["text"])));
            }
            "function_call" => {
                assert!(!string(&item["call_id"]).is_empty());
                heard.call(&item["name"], &string(&item["arguments"]));
            }
            other => panic!("{other}"),
        }
    }
}

/// The finish reason stands in the last answer.
fn gemini(events: &[Event]) -> Heard {
    let mut heard = Heard::default();
    let mut finished = false;
    for event in events {
        assert!(event.name.is_none(), "{event:?}");
        let data = event.json();
        assert!(heard.error.is_none(), "behind the error: {data}");
        if let Some(error) = data.get("error") {
            number(&error["code"]);
            string(&error["status"]);
            heard.error = Some(string(&error["message"]));
            continue;
        }
        for candidate in list(&data["candidates"]) {
            assert!(!finished, "behind the finish: {data}");
            take_parts(&mut heard, &candidate["content"]["parts"]);
            finished = candidate["finishReason"].is_string();
        }
        take_gemini_usage(&mut heard, &data);
    }
    assert_ne!(finished, heard.error.is_some(), "a finish or an error: {events:?}");
    heard
}

fn take_parts(heard: &mut Heard, parts: &Value) {
    for part in list(parts) {
        if let Some(call) = part.get("functionCall") {
            let arguments = call.get("args").cloned().unwrap_or_else(|| json!({}));
            heard.call(&call["name"], &arguments.to_string());
        } else if part["thought"] == true {
            heard.think(&string(&part["text"]));
        } else {
            heard.say(&string(&part["text"]));
        }
    }
}

fn take_gemini_usage(heard: &mut Heard, data: &Value) {
    let usage = &data["usageMetadata"];
    if let Some(output) = usage["candidatesTokenCount"].as_u64() {
        let thoughts = usage["thoughtsTokenCount"].as_u64().unwrap_or_default();
        heard.usage = Some((number(&usage["promptTokenCount"]), output + thoughts));
    }
}

/// Increments, the finish reason `"null"` until the last.
fn dashscope(events: &[Event]) -> Heard {
    let mut heard = Heard::default();
    let mut calls = Calls::default();
    let mut finished = false;
    for event in events {
        let data = event.json();
        assert!(heard.error.is_none() && !finished, "behind the end: {data}");
        if event.name.as_deref() == Some("error") {
            string(&data["code"]);
            heard.error = Some(string(&data["message"]));
            continue;
        }
        assert_eq!(event.name.as_deref(), Some("result"), "{data}");
        let choice = &data["output"]["choices"][0];
        let message = &choice["message"];
        heard.think(message["reasoning_content"].as_str().unwrap_or_default());
        heard.say(message["content"].as_str().unwrap_or_default());
        list(&message["tool_calls"]).iter().for_each(|call| calls.take(call));
        finished = string(&choice["finish_reason"]) != "null";
        if data["usage"].is_object() {
            let usage = &data["usage"];
            heard.usage = Some((number(&usage["input_tokens"]), number(&usage["output_tokens"])));
        }
    }
    // What was cut may end inside of a call.
    if heard.error.is_none() {
        calls.end(&mut heard);
    }
    assert_ne!(finished, heard.error.is_some(), "a finish or an error: {events:?}");
    heard
}

/// An answer in one document.
pub(crate) fn document(caller: Protocol, body: &Value) -> Heard {
    let mut heard = Heard::default();
    match caller {
        Anthropic => {
            for block in list(&body["content"]) {
                match block["type"].as_str().unwrap() {
                    "text" => heard.say(&string(&block["text"])),
                    "thinking" => heard.think(&string(&block["thinking"])),
                    "tool_use" => heard.call(&block["name"], &block["input"].to_string()),
                    other => panic!("{other}"),
                }
            }
            let usage = &body["usage"];
            heard.usage = Some((number(&usage["input_tokens"]), number(&usage["output_tokens"])));
        }
        OpenAiResponses => {
            take_output(&mut heard, &body["output"]);
            let usage = &body["usage"];
            heard.usage = Some((number(&usage["input_tokens"]), number(&usage["output_tokens"])));
        }
        Gemini => {
            take_parts(&mut heard, &body["candidates"][0]["content"]["parts"]);
            take_gemini_usage(&mut heard, body);
        }
        OpenAiChat | DashScope => {
            let (message, names) = if caller == OpenAiChat {
                (&body["choices"][0]["message"], ["prompt_tokens", "completion_tokens"])
            } else {
                (&body["output"]["choices"][0]["message"], ["input_tokens", "output_tokens"])
            };
            heard.think(message["reasoning_content"].as_str().unwrap_or_default());
            heard.say(message["content"].as_str().unwrap_or_default());
            for call in list(&message["tool_calls"]) {
                heard.call(&call["function"]["name"], &string(&call["function"]["arguments"]));
            }
            heard.usage =
                Some((number(&body["usage"][names[0]]), number(&body["usage"][names[1]])));
        }
        _ => panic!("{caller}"),
    }
    heard
}

/// What an error's body says in this protocol.
pub(crate) fn refusal(caller: Protocol, body: &Value) -> String {
    match caller {
        Anthropic => {
            assert_eq!(body["type"], "error", "{body}");
            string(&body["error"]["type"]);
            string(&body["error"]["message"])
        }
        Gemini => {
            number(&body["error"]["code"]);
            string(&body["error"]["status"]);
            string(&body["error"]["message"])
        }
        DashScope => {
            string(&body["code"]);
            string(&body["message"])
        }
        _ => {
            string(&body["error"]["type"]);
            string(&body["error"]["message"])
        }
    }
}
