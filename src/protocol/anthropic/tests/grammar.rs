//! The grammar of a Messages stream, held strictly over bytes. Independent of the writer.

use serde_json::{Value, json};

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With `message_stop`.
    Complete,
    /// With `error`.
    Error,
}

/// One event: its name and its data.
pub(crate) type Event = (String, String);

/// Splits a stream into events. Enough for recordings; not a full decoder.
pub(crate) fn split(bytes: &[u8]) -> Vec<Event> {
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace("\r\n", "\n");
    let field = |block: &str, name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name));
        let lines: Vec<_> = lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect();
        lines.join("\n")
    };
    text.split("\n\n")
        .filter(|block| !block.trim().is_empty() && !block.starts_with(':'))
        .map(|block| (field(block, "event:"), field(block, "data:")))
        .collect()
}

/// Checks a whole stream.
pub(crate) fn check(bytes: &[u8]) -> Result<Outcome, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    if !text.ends_with("\n\n") {
        return Err("the last event is cut off".into());
    }
    let mut checker = Checker::default();
    for (name, data) in split(bytes) {
        let value: Value = serde_json::from_str(&data).map_err(|e| format!("{e}: {data}"))?;
        if value["type"] != name {
            return Err(format!("event {name:?} with data {data}"));
        }
        checker.event(&name, &value).map_err(|e| format!("{e}: {data}"))?;
    }
    checker.outcome.ok_or_else(|| "no end".into())
}

#[derive(Default)]
struct Checker {
    started: bool,
    blocks: u64,
    open: Option<Open>,
    stopped: bool,
    outcome: Option<Outcome>,
}

struct Open {
    kind: String,
    shown: bool,
    sealed: bool,
}

type Verdict = Result<(), &'static str>;

fn must(holds: bool, otherwise: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise) }
}

impl Checker {
    fn event(&mut self, name: &str, value: &Value) -> Verdict {
        must(self.outcome.is_none(), "an event behind the end")?;
        if name == "error" {
            self.outcome = Some(Outcome::Error);
            must(value["error"]["type"].is_string(), "an error without a type")?;
            return must(value["error"]["message"].is_string(), "an error without a message");
        }
        must(self.started == (name != "message_start"), "message_start once and first")?;
        match name {
            "message_start" => self.message_start(&value["message"]),
            "ping" => must(*value == json!({"type": "ping"}), "a strange ping"),
            _ if self.stopped => {
                must(name == "message_stop", "behind message_delta")?;
                self.outcome = Some(Outcome::Complete);
                Ok(())
            }
            "content_block_start" => self.block_start(value),
            "content_block_delta" => self.block_delta(value),
            "content_block_stop" => self.block_stop(value),
            "message_delta" => self.message_delta(value),
            _ => Err("an unknown event"),
        }
    }

    fn message_start(&mut self, message: &Value) -> Verdict {
        self.started = true;
        must(message["id"].as_str().is_some_and(|id| !id.is_empty()), "no id")?;
        must(message["model"].is_string(), "no model")?;
        must(message["type"] == "message" && message["role"] == "assistant", "no message")?;
        must(message["content"] == json!([]), "content at the start")?;
        must(message.get("stop_reason") == Some(&Value::Null), "stop_reason must be null")?;
        must(message.get("stop_sequence") == Some(&Value::Null), "stop_sequence must be null")?;
        must(message["usage"]["input_tokens"].is_u64(), "no input_tokens")?;
        must(message["usage"]["output_tokens"].is_u64(), "no output_tokens")
    }

    fn block_start(&mut self, value: &Value) -> Verdict {
        must(self.open.is_none(), "a block inside of a block")?;
        must(value["index"] == self.blocks, "indices must be contiguous")?;
        self.blocks += 1;
        let block = &value["content_block"];
        let kind = block["type"].as_str().ok_or("a block without a type")?;
        match kind {
            "text" => must(block["text"] == "", "text must begin empty")?,
            "thinking" => {
                must(block["thinking"] == "", "thinking must begin empty")?;
                must(block["signature"].is_string(), "thinking needs a signature member")?;
            }
            "redacted_thinking" => must(block["data"].is_string(), "no data")?,
            "tool_use" => {
                let id = block["id"].as_str().unwrap_or_default();
                let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                must(!id.is_empty() && id.chars().all(fits), "a bad id")?;
                must(block["name"].is_string(), "a tool without a name")?;
                must(block["input"] == json!({}), "input must begin empty")?;
            }
            _ => {}
        }
        let sealed = kind == "thinking" && block["signature"] != "";
        self.open = Some(Open { kind: kind.to_owned(), shown: sealed, sealed });
        Ok(())
    }

    fn block_delta(&mut self, value: &Value) -> Verdict {
        let open = self.open.as_mut().ok_or("a delta outside of a block")?;
        must(value["index"] == self.blocks - 1, "a delta of another block")?;
        let delta = &value["delta"];
        let member = match (open.kind.as_str(), delta["type"].as_str().ok_or("no delta type")?) {
            ("text", "text_delta") => "text",
            ("text", "citations_delta") => {
                open.shown = true;
                return must(delta["citation"].is_object(), "no citation");
            }
            ("thinking", "thinking_delta") => {
                must(!open.sealed, "thinking behind its signature")?;
                "thinking"
            }
            ("thinking", "signature_delta") => {
                must(!open.sealed, "two signatures")?;
                open.sealed = true;
                "signature"
            }
            ("tool_use", "input_json_delta") => "partial_json",
            ("text" | "thinking" | "redacted_thinking" | "tool_use", _) => {
                return Err("a delta that its block cannot have");
            }
            _ => return Ok(()),
        };
        let text = delta[member].as_str().ok_or("a delta without its text")?;
        let first_of_tool = open.kind == "tool_use" && !open.shown;
        must(text.is_empty() == first_of_tool, "only a tool's first delta is empty")?;
        open.shown = true;
        Ok(())
    }

    fn block_stop(&mut self, value: &Value) -> Verdict {
        let open = self.open.take().ok_or("no block to stop")?;
        must(value["index"] == self.blocks - 1, "the stop of another block")?;
        must(open.shown || !matches!(&*open.kind, "text" | "thinking" | "tool_use"), "empty block")
    }

    fn message_delta(&mut self, value: &Value) -> Verdict {
        must(self.open.is_none(), "message_delta inside of a block")?;
        self.stopped = true;
        must(value["delta"]["stop_reason"].is_string(), "no stop_reason")?;
        must(value["delta"].get("stop_sequence").is_some(), "no stop_sequence")?;
        must(value["usage"]["output_tokens"].is_u64(), "no output_tokens")
    }
}

#[test]
fn refuses_what_breaks_clients() {
    let start = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":0}}}"#;
    let text =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let late =
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#;
    let words =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#;
    let thought = r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a"}}"#;
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}"#;
    let end = r#"{"type":"message_stop"}"#;
    let fault = r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#;
    for (events, good) in [
        (vec![start, text, words, stop, delta, end], true),
        (vec![start, text, words, fault], true),
        (vec![fault], true),
        (vec![start, delta, end], true),
        (vec![text, words, stop, delta, end], false),
        (vec![start, start, delta, end], false),
        (vec![start, text, stop, delta, end], false),
        (vec![start, late, stop, delta, end], false),
        (vec![start, text, text, words, stop, delta, end], false),
        (vec![start, text, thought, stop, delta, end], false),
        (vec![start, text, words, delta, end], false),
        (vec![start, text, words, stop, delta], false),
        (vec![start, text, words, stop, end], false),
        (vec![start, delta, delta, end], false),
        (vec![start, fault, end], false),
    ] {
        let lines = events.iter().map(|data| {
            let value: Value = serde_json::from_str(data).unwrap();
            format!("event: {}\ndata: {data}\n\n", value["type"].as_str().unwrap())
        });
        let stream: String = lines.collect();
        assert_eq!(check(stream.as_bytes()).is_ok(), good, "{stream}");
    }
    assert!(check(b"data: {\"type\":\"ping\"}\n\n").is_err());
}
