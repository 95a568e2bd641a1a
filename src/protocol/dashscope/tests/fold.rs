//! Folds a stream into the message that it tells, over plain JSON values.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sse::Decoder;

/// A stream in sum.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Folded {
    pub(super) id: String,
    pub(super) choices: BTreeMap<u64, Choice>,
    pub(super) usage: Option<Value>,
    pub(super) error: Option<(String, String)>,
}

/// One of its messages.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Choice {
    pub(super) content: String,
    pub(super) reasoning: String,
    pub(super) signature: String,
    pub(super) media: Vec<Value>,
    /// Id, name, arguments, by index.
    pub(super) calls: BTreeMap<u64, [String; 3]>,
    pub(super) finish: String,
}

/// Folds a stream of pieces, or of snapshots.
pub(super) fn fold(bytes: &[u8], snapshots: bool) -> Folded {
    let mut folded = Folded::default();
    let mut decoder = Decoder::new();
    let mut data = Vec::new();
    decoder.push(bytes, &mut |event| data.push(event.data.to_owned())).unwrap();
    decoder.finish(&mut |event| data.push(event.data.to_owned())).unwrap();
    for data in &data {
        folded.event(&serde_json::from_str(data).unwrap(), snapshots);
    }
    folded
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Folded {
    fn event(&mut self, event: &Value, snapshots: bool) {
        text(&event["request_id"]).clone_into(&mut self.id);
        if let Some(code) = event["code"].as_str() {
            self.error = Some((code.to_owned(), text(&event["message"]).to_owned()));
            return;
        }
        self.usage = Some(event["usage"].clone());
        let output = &event["output"];
        if output["choices"].is_null() {
            let choice = self.choices.entry(0).or_default();
            if snapshots {
                choice.content.clear();
            }
            choice.content += text(&output["text"]);
            text(&output["finish_reason"]).clone_into(&mut choice.finish);
        }
        for (position, value) in (0..).zip(output["choices"].as_array().into_iter().flatten()) {
            let index = value["index"].as_u64().unwrap_or(position);
            let choice = self.choices.entry(index).or_default();
            if snapshots {
                *choice = Choice::default();
            }
            choice.add(value);
        }
    }
}

impl Choice {
    fn add(&mut self, choice: &Value) {
        let message = &choice["message"];
        self.content += text(&message["content"]);
        for item in message["content"].as_array().into_iter().flatten() {
            match item["text"].as_str() {
                Some(text) => self.content += text,
                None => self.media.push(item.clone()),
            }
        }
        self.reasoning += text(&message["reasoning_content"]);
        self.signature += text(&message["reasoning_signature"]);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let [id, name, arguments] =
                self.calls.entry(call["index"].as_u64().unwrap_or(0)).or_default();
            *id += text(&call["id"]);
            *name += text(&call["function"]["name"]);
            *arguments += text(&call["function"]["arguments"]);
        }
        text(&choice["finish_reason"]).clone_into(&mut self.finish);
    }
}
