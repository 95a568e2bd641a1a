//! What must survive a translation, read out of plain JSON. Knows nothing of the crate but the
//! names of the protocols.

mod anthropic;
mod dashscope;
mod gemini;
mod openai_chat;
mod openai_responses;

use serde_json::{Value, json};
use tower_llm_gateway::protocol::Protocol;

/// What an answer says.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Essence {
    text: String,
    reasoning: String,
    /// Name and arguments.
    calls: Vec<(String, Value)>,
    /// `end`, `length`, `filter`, `tool` or `error`.
    stop: &'static str,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Essence {
    pub(crate) fn of_response(protocol: Protocol, value: &Value) -> Self {
        let mut essence = match protocol {
            Protocol::Anthropic => anthropic::answer(value),
            Protocol::OpenAiChat => openai_chat::answer(value),
            Protocol::OpenAiResponses => openai_responses::answer(value),
            Protocol::Gemini => gemini::answer(value),
            _ => dashscope::answer(value),
        };
        if essence.stop == "end" && !essence.calls.is_empty() {
            essence.stop = "tool";
        }
        // Paragraphs of thinking are parted in one protocol and joined in another.
        essence.reasoning.retain(|c| !c.is_whitespace());
        essence
    }

    /// The model failed: there is no answer to carry.
    pub(crate) fn failed(&self) -> bool {
        self.stop == "error"
    }

    /// A filter took what was said, and `to` may say that only as an error.
    pub(crate) fn may_fail(&self, to: Protocol) -> bool {
        self.stop == "filter" && to == Protocol::DashScope
    }

    /// Whether `found`, in protocol `to`, says the same.
    pub(crate) fn same(&self, found: &Self, to: Protocol) -> Result<(), String> {
        let (mut expected, mut found) = (self.clone(), found.clone());
        // Some protocols must count; a source that does not leaves nothing to compare with.
        if expected.input_tokens.is_none() {
            (found.input_tokens, found.output_tokens) = (None, None);
        }
        // Where arguments are objects, a model's broken JSON becomes an object around it or goes.
        let objects = matches!(to, Protocol::Anthropic | Protocol::Gemini);
        if objects && expected.calls.iter().any(|(_, input)| !input.is_object()) {
            for calls in [&mut expected.calls, &mut found.calls] {
                calls.retain(|(_, input)| input.is_object() && input.get("input").is_none());
            }
            found.stop = expected.stop;
        }
        // Free text stands as it is where a call has only text.
        if to == Protocol::DashScope {
            for (_, input) in &mut expected.calls {
                if let Some(text) = input.get("input").filter(|text| text.is_string()) {
                    *input = text.clone();
                }
            }
        }
        // The words of a refusal stand in the text of some, beside it in others; DashScope has no
        // other word for it.
        if expected.stop == "filter" {
            expected.text.clone_from(&found.text);
            if to == Protocol::DashScope {
                expected.stop = found.stop;
            }
        }
        if expected == found {
            return Ok(());
        }
        Err(format!("expected {expected:?}\n  found    {found:?}"))
    }
}

/// A conversation, flattened to what each side says.
#[derive(Debug, Default, PartialEq)]
struct Conversation {
    system: String,
    /// Who and what: `user`, `assistant`, `call` or `result`.
    said: Vec<(&'static str, String)>,
    /// The first of the data, or the URL.
    media: Vec<String>,
    tools: Vec<String>,
    choice: String,
}

impl Conversation {
    fn say(&mut self, who: &'static str, text: impl Into<String>) {
        self.said.push((who, text.into()));
    }

    fn call(&mut self, name: &Value, input: &Value) {
        let name = name.as_str().unwrap_or_default();
        self.said.push(("call", format!("{name}{}", arguments(input))));
    }

    fn result(&mut self, text: &str) {
        self.said.push(("result", unwrapped(text)));
    }

    fn medium(&mut self, data_or_url: &str) {
        let data = data_or_url.split_once(";base64,").map_or(data_or_url, |(_, data)| data);
        // Base64 comes in two alphabets.
        let usual = |c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        };
        let is_url = data.contains("://");
        let first = data.chars().take(64);
        self.media.push(if is_url { first.collect() } else { first.map(usual).collect() });
    }

    fn canonical(mut self) -> Self {
        self.system.retain(|c| !c.is_whitespace());
        for (_, text) in &mut self.said {
            text.retain(|c| !c.is_whitespace());
        }
        self.said.retain(|(_, text)| !text.is_empty());
        // One turn of several messages, or several of one: what counts is who says what, in order.
        let mut merged: Vec<(&'static str, String)> = Vec::new();
        for (who, text) in self.said {
            match merged.last_mut() {
                Some((last, all)) if *last == who && ["user", "assistant"].contains(&who) => {
                    all.push_str(&text);
                }
                _ => merged.push((who, text)),
            }
        }
        self.said = merged;
        self
    }
}

fn conversation(protocol: Protocol, value: &Value) -> Conversation {
    match protocol {
        Protocol::Anthropic => anthropic::conversation(value),
        Protocol::OpenAiChat => openai_chat::conversation(value),
        Protocol::OpenAiResponses => openai_responses::conversation(value),
        Protocol::Gemini => gemini::conversation(value),
        _ => dashscope::conversation(value),
    }
    .canonical()
}

/// Whether `written` says what `source` does. What it leaves out must be in the report, which
/// `lost` looks into by a word.
pub(crate) fn same_request(
    from: Protocol,
    source: &Value,
    to: Protocol,
    written: &Value,
    losses: usize,
) -> Result<(), String> {
    let (mut expected, found) = (conversation(from, source), conversation(to, written));
    let missing = expected.media.iter().filter(|medium| !found.media.contains(medium)).count();
    if missing > 0 && losses >= missing {
        expected.media.retain(|medium| found.media.contains(medium));
    }
    // Media of results follow the whole batch where a result is only text.
    let (mut media, mut expected_media) =
        (found.media.clone(), std::mem::take(&mut expected.media));
    media.sort();
    expected_media.sort();
    // Where a message must be, and there is none, the system text is it.
    if found.system.is_empty() && expected.said.is_empty() && !expected.system.is_empty() {
        let system = std::mem::take(&mut expected.system);
        expected.said.push(("user", system));
    }
    // A tool must be called, and there is one.
    if expected.choice == "required" && [found.choice.clone()] == *found.tools {
        expected.choice.clone_from(&found.choice);
    }
    if expected.choice != found.choice && losses > 0 {
        expected.choice.clone_from(&found.choice);
    }
    let found = Conversation { media: Vec::new(), ..found };
    if expected != found || media != expected_media {
        return Err(format!(
            "expected {expected:?} {expected_media:?}\n  found    {found:?} {media:?}"
        ));
    }
    if to == Protocol::Anthropic && !written["max_tokens"].is_u64() {
        return Err("no max_tokens".to_owned());
    }
    Ok(())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings<'a>(values: &'a Value, member: &'a str) -> impl Iterator<Item = &'a str> {
    list(values).filter_map(move |item| item[member].as_str())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Arguments as JSON where they are, else as the text they are; nothing is an empty object.
fn arguments(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::String(text) if text.trim().is_empty() => json!({}),
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        _ => value.clone(),
    }
}

/// The text of a tool's result without the object that some protocols must put around it.
fn unwrapped(text: &str) -> String {
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text) else {
        return serde_json::from_str::<Value>(text)
            .map_or_else(|_| text.to_owned(), |value| value.to_string());
    };
    let mut members = object.iter();
    match (members.next(), members.next()) {
        (Some((name, inner)), None) if ["output", "result", "error"].contains(&name.as_str()) => {
            match inner {
                Value::String(text) => unwrapped(text),
                inner => inner.to_string(),
            }
        }
        _ => Value::Object(object).to_string(),
    }
}
