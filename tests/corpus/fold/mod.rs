//! Folds a stream into the message it makes, the way the official SDKs do, and checks the grammar
//! that they rely on. Knows nothing of the crate.

mod anthropic;
mod dashscope;
mod gemini;
mod openai_chat;
mod openai_responses;

use serde_json::Value;
use tower_llm_gateway::protocol::Protocol;

pub(crate) struct Folded {
    pub(crate) message: Value,
    /// It ended in an error event.
    pub(crate) failed: bool,
}

/// Name and data of each event.
fn events(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string())?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut events = Vec::new();
    for block in text.split("\n\n") {
        let (mut name, mut data) = (String::new(), Vec::new());
        for line in block.lines() {
            if let Some(value) = line.strip_prefix("event:") {
                value.trim().clone_into(&mut name);
            } else if let Some(value) = line.strip_prefix("data:") {
                data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
            }
        }
        if !data.is_empty() {
            events.push((name, data.join("\n")));
        }
    }
    Ok(events)
}

/// Folds a stream; `snapshots`: each event of DashScope repeats all that was said.
pub(crate) fn fold(protocol: Protocol, bytes: &[u8], snapshots: bool) -> Result<Folded, String> {
    let events = events(bytes)?;
    match protocol {
        Protocol::Anthropic => anthropic::fold(&events),
        Protocol::OpenAiChat => openai_chat::fold(&events),
        Protocol::OpenAiResponses => openai_responses::fold(&events),
        Protocol::Gemini => gemini::fold(&events),
        _ => dashscope::fold(&events, snapshots),
    }
}

fn parse(data: &str) -> Result<Value, String> {
    serde_json::from_str(data).map_err(|e| format!("{e}: {data}"))
}

/// Adds to the text at `place`.
fn append(place: &mut Value, more: &Value) {
    if let Some(more) = more.as_str() {
        let text = place.as_str().unwrap_or_default().to_owned();
        *place = Value::String(text + more);
    }
}
