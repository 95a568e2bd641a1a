//! A strict reading of what OpenAI streams, as its SDKs hold it. Independent of the writer.

use serde_json::{Map, Value, json};

/// How a stream ended, and its last `response`.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) event: String,
    pub(super) response: Value,
}

/// Checks a whole stream.
pub(super) fn check(bytes: &[u8]) -> Result<Ended, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let body = text.strip_suffix("\n\n").ok_or("does not end with an empty line")?;
    let mut stream = Stream::default();
    for event in body.split("\n\n") {
        if event.starts_with(": ") && !event.contains('\n') {
            continue;
        }
        let (name, data) = event.split_once('\n').ok_or_else(|| format!("one line: {event}"))?;
        let name = name.strip_prefix("event: ").ok_or_else(|| format!("no event: {event}"))?;
        let data = data.strip_prefix("data: ").ok_or_else(|| format!("no data: {event}"))?;
        let value: Value = serde_json::from_str(data).map_err(|e| format!("{e}: {data}"))?;
        stream.event(name, &value).map_err(|e| format!("{e}: {data}"))?;
    }
    stream.end.ok_or_else(|| "no last event".to_owned())
}

type Check<T = ()> = Result<T, String>;

fn ensure(holds: bool, otherwise: &str) -> Check {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn text<'v>(value: &'v Value, name: &str) -> Check<&'v str> {
    value[name].as_str().ok_or_else(|| format!("no text {name}"))
}

#[derive(Default)]
struct Stream {
    number: u64,
    /// id, object, created_at, model of the first event.
    head: Option<[Value; 4]>,
    items: Vec<Item>,
    failed: bool,
    end: Option<Ended>,
}

/// An item as it grows.
struct Item {
    value: Value,
    done: bool,
    open: Option<Open>,
}

struct Open {
    kind: String,
    text: String,
    /// The end of its text was told.
    told: bool,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
}

/// Members that the SDK's types demand of a `response`.
pub(super) const DEMANDED: [&str; 16] = [
    "id",
    "object",
    "created_at",
    "status",
    "error",
    "incomplete_details",
    "instructions",
    "model",
    "output",
    "parallel_tool_calls",
    "tool_choice",
    "tools",
    "temperature",
    "top_p",
    "metadata",
    "usage",
];

/// Checks a `response` object.
pub(super) fn check_response(response: &Value) -> Check {
    for name in DEMANDED {
        ensure(response.get(name).is_some(), &format!("no member {name}"))?;
    }
    ensure(response["object"] == "response", "bad object")?;
    ensure(!text(response, "id")?.is_empty() && response["created_at"].is_u64(), "bad head")?;
    ensure(response["tools"].is_array() && response["metadata"].is_object(), "bad echo")?;
    ensure(response["parallel_tool_calls"].is_boolean(), "bad parallel_tool_calls")?;
    let reason = &response["incomplete_details"]["reason"];
    let failed = response["status"] == "failed";
    ensure(reason.is_string() == (response["status"] == "incomplete"), "bad incomplete_details")?;
    ensure(response["error"]["message"].is_string() == failed, "bad error")?;
    ensure(response["error"]["code"].is_string() == failed, "bad error")?;
    let usage = &response["usage"];
    if usage.is_null() {
        return ensure(
            !matches!(&response["status"], Value::String(s) if s == "completed"),
            "no usage",
        );
    }
    let counts = ["input_tokens", "output_tokens", "total_tokens"];
    ensure(counts.iter().all(|name| usage[name].is_u64()), "bad usage")?;
    ensure(usage["input_tokens_details"]["cached_tokens"].is_u64(), "bad input details")?;
    ensure(usage["output_tokens_details"]["reasoning_tokens"].is_u64(), "bad output details")
}

impl Stream {
    fn event(&mut self, name: &str, value: &Value) -> Check {
        ensure(self.end.is_none(), "behind the last event")?;
        ensure(value["type"] == name, "event and type differ")?;
        ensure(value["sequence_number"] == self.number, "bad sequence_number")?;
        self.number += 1;
        match self.number {
            1 => ensure(name == "response.created", "the first is response.created")?,
            2 => ensure(name == "response.in_progress", "the second is response.in_progress")?,
            _ => {}
        }
        ensure(!self.failed || name == "response.failed", "behind an error")?;
        match name {
            "response.created" | "response.in_progress" => {
                ensure(self.number <= 2, "too late")?;
                let response = self.response(value)?;
                ensure(response["status"] == "in_progress", "bad status")?;
                ensure(response["output"] == json!([]), "output at the start")?;
                ensure(response["usage"].is_null(), "usage at the start")
            }
            "error" => {
                self.failed = true;
                text(value, "message")?;
                ensure(value["error"]["message"] == value["message"], "bad error")?;
                let has = |name| value.get(name).is_some();
                ensure(has("code") && has("param"), "bad error")
            }
            "response.output_item.added" => self.added(value),
            "response.output_item.done" => {
                let item = self.item(value)?;
                item.done(&value["item"])
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.last(name, value)
            }
            _ => {
                let item = self.item(value)?;
                ensure(value["item_id"] == item.value["id"], "another item_id")?;
                item.event(name, value)
            }
        }
    }

    fn response<'v>(&mut self, value: &'v Value) -> Check<&'v Value> {
        let response = &value["response"];
        check_response(response)?;
        let head = ["id", "object", "created_at", "model"].map(|name| response[name].clone());
        let first = self.head.get_or_insert_with(|| head.clone());
        ensure(*first == head, "the head changed")?;
        Ok(response)
    }

    fn added(&mut self, value: &Value) -> Check {
        ensure(value["output_index"] == self.items.len(), "output_index in a row")?;
        let item = &value["item"];
        let id = text(item, "id")?;
        ensure(!id.is_empty(), "an empty id")?;
        ensure(self.items.iter().all(|known| known.value["id"] != id), "an id came again")?;
        match text(item, "type")? {
            "message" => {
                ensure(item["role"] == "assistant" && item["content"] == json!([]), "bad message")?;
                ensure(item["status"] == "in_progress", "bad status")?;
            }
            "function_call" => {
                ensure(item["arguments"] == "", "arguments at the start")?;
                ensure(!text(item, "call_id")?.is_empty(), "no call_id")?;
                text(item, "name")?;
            }
            "custom_tool_call" => {
                ensure(item["input"] == "", "input at the start")?;
                ensure(!text(item, "call_id")?.is_empty(), "no call_id")?;
                text(item, "name")?;
            }
            "reasoning" => ensure(item["summary"] == json!([]), "bad reasoning")?,
            _ => {}
        }
        self.items.push(Item { value: item.clone(), done: false, open: None });
        Ok(())
    }

    fn item(&mut self, value: &Value) -> Check<&mut Item> {
        let index = value["output_index"].as_u64().ok_or("no output_index")? as usize;
        let item = self.items.get_mut(index).ok_or("an item that did not begin")?;
        ensure(!item.done, "an item that is done")?;
        Ok(item)
    }

    fn last(&mut self, name: &str, value: &Value) -> Check {
        let response = self.response(value)?.clone();
        let status = name.strip_prefix("response.").unwrap_or_default();
        ensure(response["status"] == status, "bad status")?;
        if status == "failed" {
            ensure(self.failed, "failed without an error")?;
        } else {
            ensure(self.items.iter().all(|item| item.done), "an item that is not done")?;
        }
        let done: Vec<_> = self.items.iter().filter(|it| it.done).map(|it| &it.value).collect();
        ensure(response["output"] == json!(done), "output is not what was told")?;
        self.end = Some(Ended { event: status.to_owned(), response });
        Ok(())
    }
}

impl Item {
    /// The list that an event's place counts in.
    fn list(&mut self, value: &Value) -> Check<(&mut Vec<Value>, u64)> {
        let (name, place) = match value["summary_index"].as_u64() {
            Some(place) => ("summary", place),
            None => ("content", value["content_index"].as_u64().ok_or("no place")?),
        };
        let object = self.value.as_object_mut().ok_or("no item")?;
        let list = object.entry(name).or_insert_with(|| json!([]));
        Ok((list.as_array_mut().ok_or("no list")?, place))
    }

    fn event(&mut self, name: &str, value: &Value) -> Check {
        match name {
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                ensure(self.open.is_none(), "a part inside of a part")?;
                let (list, place) = self.list(value)?;
                ensure(place == list.len() as u64, "places in a row")?;
                let kind = text(&value["part"], "type")?.to_owned();
                let member = if kind == "refusal" { "refusal" } else { "text" };
                ensure(value["part"][member] == "", "a text at the start")?;
                self.open = Some(Open {
                    kind,
                    text: String::new(),
                    told: false,
                    annotations: Vec::new(),
                    logprobs: Vec::new(),
                });
                Ok(())
            }
            "response.function_call_arguments.delta" => self.grow("arguments", value),
            "response.custom_tool_call_input.delta" => self.grow("input", value),
            "response.function_call_arguments.done" => {
                ensure(value["arguments"] == self.value["arguments"], "other arguments")
            }
            "response.custom_tool_call_input.done" => {
                ensure(value["input"] == self.value["input"], "other input")
            }
            _ => self.inside(name, value),
        }
    }

    fn grow(&mut self, member: &str, value: &Value) -> Check {
        let grown = format!("{}{}", text(&self.value, member)?, text(value, "delta")?);
        self.value[member] = json!(grown);
        Ok(())
    }

    /// An event of an open part.
    fn inside(&mut self, name: &str, value: &Value) -> Check {
        let place = self.list(value).map(|(list, place)| place == list.len() as u64)?;
        ensure(place, "a part that is not open")?;
        let open = self.open.as_mut().ok_or("no open part")?;
        let own = match open.kind.as_str() {
            "output_text" => "response.output_text.",
            "refusal" => "response.refusal.",
            "summary_text" => "response.reasoning_summary_text.",
            "reasoning_text" => "response.reasoning_text.",
            _ => return Err("an unknown part".to_owned()),
        };
        let member = if open.kind == "refusal" { "refusal" } else { "text" };
        if let Some(what) = name.strip_prefix(own) {
            let is_text = open.kind == "output_text";
            ensure(!open.told, "behind the end of a text")?;
            match what {
                "delta" => open.text += text(value, "delta")?,
                "done" => {
                    ensure(value[member] == open.text, "another text")?;
                    open.told = true;
                }
                "annotation.added" if is_text => {
                    ensure(value["annotation_index"] == open.annotations.len(), "bad index")?;
                    open.annotations.push(value["annotation"].clone());
                    return Ok(());
                }
                _ => return Err("an unknown event".to_owned()),
            }
            if is_text {
                let list = value["logprobs"].as_array().ok_or("no logprobs")?;
                if what == "done" {
                    return ensure(*list == open.logprobs, "other logprobs");
                }
                open.logprobs.extend(list.iter().cloned());
            }
            return Ok(());
        }
        let ends = ["response.content_part.done", "response.reasoning_summary_part.done"];
        ensure(ends.contains(&name) && open.told, "an event of another part")?;
        let part = &value["part"];
        ensure(part["type"] == open.kind && part[member] == open.text, "another part")?;
        if open.kind == "output_text" {
            ensure(part["annotations"] == json!(open.annotations), "other annotations")?;
            ensure(part["logprobs"] == json!(open.logprobs), "other logprobs")?;
        }
        self.open = None;
        self.list(value)?.0.push(part.clone());
        Ok(())
    }

    fn done(&mut self, item: &Value) -> Check {
        ensure(self.open.is_none(), "a part that is not done")?;
        let growing = ["id", "type", "content", "summary", "arguments", "input", "call_id", "name"];
        let none = Map::new();
        let known = self.value.as_object().unwrap_or(&none);
        for name in growing {
            ensure(item.get(name) == known.get(name), &format!("another {name}"))?;
        }
        if ["message", "function_call"].contains(&text(item, "type")?) {
            let status = text(item, "status")?;
            ensure(["completed", "incomplete"].contains(&status), "bad status")?;
        }
        self.value = item.clone();
        self.done = true;
        Ok(())
    }
}

#[test]
fn the_checker_is_strict() {
    let response = |status: &str, output: &str| {
        format!(
            r#""response":{{"id":"r","object":"response","created_at":1,"status":"{status}","error":null,"incomplete_details":null,"instructions":null,"model":"m","output":[{output}],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"temperature":null,"top_p":null,"metadata":{{}},"usage":{}}}"#,
            if status == "in_progress" {
                "null".to_owned()
            } else {
                r#"{"input_tokens":1,"input_tokens_details":{"cached_tokens":0},"output_tokens":1,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":2}"#.to_owned()
            }
        )
    };
    let item = |status: &str, content: &str| {
        format!(
            r#"{{"id":"i","type":"message","status":"{status}","role":"assistant","content":[{content}]}}"#
        )
    };
    let part = |text: &str| {
        format!(r#"{{"type":"output_text","text":"{text}","annotations":[],"logprobs":[]}}"#)
    };
    let at = r#""item_id":"i","output_index":0,"content_index":0"#;
    let rows: Vec<(&str, String)> = vec![
        ("response.created", response("in_progress", "")),
        ("response.in_progress", response("in_progress", "")),
        (
            "response.output_item.added",
            format!(r#""output_index":0,"item":{}"#, item("in_progress", "")),
        ),
        ("response.content_part.added", format!(r#"{at},"part":{}"#, part(""))),
        ("response.output_text.delta", format!(r#"{at},"delta":"a","logprobs":[]"#)),
        ("response.output_text.done", format!(r#"{at},"text":"a","logprobs":[]"#)),
        ("response.content_part.done", format!(r#"{at},"part":{}"#, part("a"))),
        (
            "response.output_item.done",
            format!(r#""output_index":0,"item":{}"#, item("completed", &part("a"))),
        ),
        ("response.completed", response("completed", &item("completed", &part("a")))),
    ];
    let stream = |order: &[usize]| -> String {
        let event = |(number, at): (usize, &usize)| {
            let (name, members) = &rows[*at];
            format!(
                "event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{number},{members}}}\n\n"
            )
        };
        order.iter().enumerate().map(event).collect()
    };
    let all: Vec<usize> = (0..rows.len()).collect();
    check(stream(&all).as_bytes()).unwrap();
    for left_out in all.iter().copied() {
        let order: Vec<_> = all.iter().copied().filter(|at| *at != left_out).collect();
        // One event less breaks it; without its delta the text is another.
        assert!(check(stream(&order).as_bytes()).is_err(), "without {}", rows[left_out].0);
    }
    for swapped in 0..rows.len() - 1 {
        let mut order = all.clone();
        order.swap(swapped, swapped + 1);
        assert!(check(stream(&order).as_bytes()).is_err(), "{swapped}");
    }
    let good = stream(&all);
    assert!(
        check(good.replace("\"sequence_number\":4", "\"sequence_number\":5").as_bytes()).is_err()
    );
    assert!(check(good.replace("event: response.created", "event: x").as_bytes()).is_err());
    assert!(check(good.replacen("\"item_id\":\"i\"", "\"item_id\":\"j\"", 1).as_bytes()).is_err());
}
