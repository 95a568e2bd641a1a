//! Folds a stream into the message that it tells, over plain JSON values.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sse::Decoder;

/// A stream in sum.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Folded {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) choices: BTreeMap<u64, Choice>,
    /// Prompt, completion, cached, thinking.
    pub(super) usage: Option<[u64; 4]>,
    pub(super) error: Option<String>,
}

/// One of its messages.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Choice {
    pub(super) content: String,
    pub(super) reasoning: String,
    pub(super) refusal: String,
    /// Id, name, arguments, by index.
    pub(super) calls: BTreeMap<u64, [String; 3]>,
    pub(super) logprobs: Vec<Value>,
    pub(super) annotations: Vec<Value>,
    pub(super) finish: String,
}

pub(super) fn fold(bytes: &[u8]) -> Folded {
    let mut folded = Folded::default();
    let mut decoder = Decoder::new();
    let mut data = Vec::new();
    decoder.push(bytes, &mut |event| data.push(event.data.to_owned())).unwrap();
    decoder.finish(&mut |event| data.push(event.data.to_owned())).unwrap();
    for data in data.iter().filter(|data| !data.starts_with("[DONE]")) {
        folded.chunk(&serde_json::from_str(data).unwrap());
    }
    folded
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Folded {
    fn chunk(&mut self, chunk: &Value) {
        if let Some(error) = chunk.get("error") {
            self.error = Some(text(&error["message"]).to_owned());
        }
        let choices = chunk["choices"].as_array().map_or(&[][..], Vec::as_slice);
        if self.id.is_empty() && !choices.is_empty() {
            self.id = text(&chunk["id"]).to_owned();
            self.model = text(&chunk["model"]).to_owned();
        }
        for choice in choices {
            let at = choice["index"].as_u64().unwrap_or(0);
            self.choices.entry(at).or_default().add(choice);
        }
        let usage = &chunk["usage"];
        if usage.is_object() {
            let count = |value: &Value| value.as_u64().unwrap_or(0);
            let prompt = count(&usage["prompt_tokens"]);
            self.usage = Some([
                prompt,
                count(&usage["completion_tokens"]),
                // xAI counts more cached tokens than there were.
                count(&usage["prompt_tokens_details"]["cached_tokens"]).min(prompt),
                count(&usage["completion_tokens_details"]["reasoning_tokens"]),
            ]);
        }
    }
}

impl Choice {
    fn add(&mut self, choice: &Value) {
        if !self.finish.is_empty() {
            return;
        }
        let delta = &choice["delta"];
        self.content += text(&delta["content"]);
        self.refusal += text(&delta["refusal"]);
        self.reasoning += ["reasoning_content", "reasoning"]
            .map(|name| text(&delta[name]))
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default();
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let [id, name, arguments] =
                self.calls.entry(call["index"].as_u64().unwrap_or(0)).or_default();
            if id.is_empty() {
                *id += text(&call["id"]);
            }
            *name += text(&call["function"]["name"]);
            *arguments += text(&call["function"]["arguments"]);
        }
        self.annotations.extend(delta["annotations"].as_array().into_iter().flatten().cloned());
        let logprobs = choice["logprobs"]["content"].as_array();
        self.logprobs.extend(logprobs.into_iter().flatten().cloned());
        self.finish = text(&choice["finish_reason"]).to_owned();
    }
}
