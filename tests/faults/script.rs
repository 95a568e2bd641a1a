//! What an upstream says, in the bytes of its protocol.

use std::fmt::Write;

use serde_json::{Value, json};
use tower_llm_gateway::protocol::Protocol;

use crate::vendor::{Script, Step};

/// What the model says, in pieces.
pub(crate) const WORDS: [&str; 2] = ["Good ", "morning"];

const LAST_CHUNK: &str = "0\r\n\r\n";
const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// How an upstream is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) protocol: Protocol,
    pub(crate) stream: bool,
}

impl Asked {
    fn is_chat(self) -> bool {
        self.protocol == Protocol::OpenAiChat
    }

    /// A whole answer.
    pub(crate) fn answers(self) -> Script {
        if !self.stream {
            return document(200, &self.good_json());
        }
        let mut script = self.begins(self.events(&WORDS).len());
        script.push(Step::Send(LAST_CHUNK.to_owned()));
        script
    }

    /// A whole stream with these words.
    pub(crate) fn streams(self, words: &[&str]) -> Script {
        let mut script = stream(&self.events(words));
        script.push(Step::Send(LAST_CHUNK.to_owned()));
        script
    }

    /// A refusal in the words of the protocol.
    pub(crate) fn refuses(self, status: u16, kind: &str, code: &str, message: &str) -> Script {
        document(status, &self.error(kind, code, message).to_string())
    }

    /// Headers and the first half of a document.
    pub(crate) fn half_document(self) -> Script {
        let whole = self.good_json();
        let head = head(200, &format!("content-length: {}\r\n", whole.len()));
        vec![Step::Send(head + &whole[..whole.len() / 2])]
    }

    /// The first half of a document, which says that it is whole.
    pub(crate) fn cut_document(self) -> Script {
        let whole = self.good_json();
        document(200, &whole[..whole.len() / 2])
    }

    /// The first `count` events of an answer.
    pub(crate) fn begins(self, count: usize) -> Script {
        stream(&self.events(&WORDS)[..count])
    }

    /// What stands in a stream before its first content.
    pub(crate) fn opens(self) -> Script {
        self.begins(if self.is_chat() { 1 } else { 2 })
    }

    /// A stream up to and with its first content.
    pub(crate) fn speaks(self) -> Script {
        self.begins(if self.is_chat() { 2 } else { 3 })
    }

    /// A stream that has spoken and then breaks off within an event.
    pub(crate) fn stammers(self) -> Script {
        let mut script = self.speaks();
        script.push(chunk("data: {\"type\":\"conte"));
        script
    }

    /// An error within a stream, or instead of an answer.
    pub(crate) fn fails(self) -> Script {
        let error = self.error("overloaded_error", "overloaded", "Overloaded");
        if !self.stream {
            return document(200, &error.to_string());
        }
        vec![chunk(&self.event(&error)), Step::Send(LAST_CHUNK.to_owned())]
    }

    /// The head of a stream, and nothing in it.
    pub(crate) fn nothing() -> Script {
        vec![Step::Send(STREAM_HEAD.to_owned())]
    }

    /// Says that it is encoded, and is not.
    pub(crate) fn garbage(self) -> Script {
        let kind = if self.stream { "text/event-stream" } else { "application/json" };
        vec![
            Step::Send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: gzip\r\n\
                 content-length: 8\r\n\r\n"
            )),
            Step::Bytes(b"\x1f\x8b\x08\x00garb"),
        ]
    }

    fn good_json(self) -> String {
        let text = WORDS.concat();
        let document = if self.is_chat() {
            json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{
                    "index": 0, "finish_reason": "stop", "logprobs": null,
                    "message": {"role": "assistant", "content": text, "refusal": null},
                }],
                "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
            })
        } else {
            json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {"input_tokens": 5, "output_tokens": 2},
            })
        };
        document.to_string()
    }

    fn error(self, kind: &str, code: &str, message: &str) -> Value {
        if self.is_chat() {
            json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
        } else {
            json!({"type": "error", "error": {"type": kind, "message": message}})
        }
    }

    fn events(self, words: &[&str]) -> Vec<String> {
        let events = if self.is_chat() { chat_events(words) } else { messages_events(words) };
        let mut events: Vec<_> = events.iter().map(|event| self.event(event)).collect();
        if self.is_chat() {
            events.push("data: [DONE]\n\n".to_owned());
        }
        events
    }

    fn event(self, data: &Value) -> String {
        let mut text = String::new();
        if !self.is_chat() {
            writeln!(text, "event: {}", data["type"].as_str().unwrap()).unwrap();
        }
        text + &format!("data: {data}\n\n")
    }
}

/// A whole answer that is one JSON document.
fn document(status: u16, body: &str) -> Script {
    let head = head(status, &format!("content-length: {}\r\n", body.len()));
    vec![Step::Send(head + body)]
}

fn head(status: u16, more: &str) -> String {
    format!("HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n{more}\r\n")
}

/// A stream, open to what follows.
fn stream(events: &[String]) -> Script {
    let mut script = Asked::nothing();
    script.extend(events.iter().map(|event| chunk(event)));
    script
}

fn chunk(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()))
}

fn messages_events(words: &[&str]) -> Vec<Value> {
    let mut events = vec![
        json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 5, "output_tokens": 1},
        }}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}),
    ];
    events.extend(words.iter().map(|word| {
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": word}})
    }));
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn",
            "stop_sequence": null}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ]);
    events
}

fn chat_events(words: &[&str]) -> Vec<Value> {
    let chunk = |delta: Value, finish: Option<&str>| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), None)];
    events.extend(words.iter().map(|word| chunk(json!({"content": word}), None)));
    events.push(chunk(json!({}), Some("stop")));
    events
}
