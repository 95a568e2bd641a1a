//! The grammar of what a stream writer has written.

use serde_json::Value;
use serde_json::value::RawValue;
use tower_llm_gateway::protocol::{Layout, Protocol};
use tower_llm_gateway::sse::Decoder;

struct Event {
    name: String,
    data: String,
}

impl Event {
    /// A member of the data, however large its numbers are.
    fn member(&self, name: &str) -> Option<Box<RawValue>> {
        let members: std::collections::BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&self.data).ok()?;
        members.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// Every event is JSON, and the last one alone says that it is the last; true when it is an error.
pub fn ends_once(protocol: Protocol, layout: Layout, output: &[u8]) -> Result<bool, String> {
    let text = std::str::from_utf8(output).map_err(|error| error.to_string())?;
    let events = if protocol == Protocol::Gemini && layout.json_array {
        array(text)?
    } else {
        decode(protocol, text)?
    };
    let ends: Vec<_> = events.iter().map(|event| end(protocol, event)).collect();
    let (last, before) = ends.split_last().ok_or("nothing was written")?;
    // Each of several candidates has an end of its own there, and an error may follow.
    let may_repeat = protocol == Protocol::DashScope;
    let at = before.iter().position(|end| end.is_some() && (!may_repeat || *end == Some(true)));
    if let Some(at) = at.filter(|_| protocol != Protocol::OpenAiChat) {
        return Err(format!("event {at} of {} ends the stream", ends.len()));
    }
    let failed = last.ok_or("the last event does not end the stream")?;
    match protocol {
        Protocol::OpenAiChat => chat(&ends),
        Protocol::OpenAiResponses => {
            numbered(&events)?;
            Ok(failed)
        }
        _ => Ok(failed),
    }
}

/// In Chat an error stands before the mark that ends all.
fn chat(ends: &[Option<bool>]) -> Result<bool, String> {
    let marks = ends.iter().filter(|end| **end == Some(false)).count();
    let errors = ends.iter().filter(|end| **end == Some(true)).count();
    if marks != 1 || errors > 1 || ends.last() != Some(&Some(false)) {
        return Err(format!("{marks} ends, {errors} errors"));
    }
    if errors == 1 && ends.iter().rev().nth(1) != Some(&Some(true)) {
        return Err("something follows the error".to_owned());
    }
    Ok(errors == 1)
}

fn numbered(events: &[Event]) -> Result<(), String> {
    for (number, event) in events.iter().enumerate() {
        let found = event.member("sequence_number").map(|raw| raw.get().to_owned());
        if found.as_deref() != Some(number.to_string().as_str()) {
            return Err(format!("event {number} is numbered {found:?}"));
        }
    }
    Ok(())
}

fn decode(protocol: Protocol, text: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    let mut decoder = Decoder::new();
    let mut on_event = |event: tower_llm_gateway::sse::Event<'_>| {
        events.push(Event { name: event.name.to_owned(), data: event.data.to_owned() });
    };
    decoder.push(text.as_bytes(), &mut on_event).map_err(|error| error.to_string())?;
    if !decoder.at_boundary() {
        return Err("the last event is not complete".to_owned());
    }
    for event in &events {
        is_json(protocol, event)?;
    }
    Ok(events)
}

fn is_json(protocol: Protocol, event: &Event) -> Result<(), String> {
    if protocol == Protocol::OpenAiChat && event.data == "[DONE]" {
        return Ok(());
    }
    let json: Result<&RawValue, _> = serde_json::from_str(&event.data);
    json.map_err(|error| format!("{error}: {}", event.data))?;
    if matches!(protocol, Protocol::Anthropic | Protocol::OpenAiResponses) {
        let kind = event.member("type");
        let kind = kind.as_ref().and_then(|kind| serde_json::from_str::<String>(kind.get()).ok());
        if kind.as_deref() != Some(event.name.as_str()) {
            return Err(format!("event {} of type {kind:?}", event.name));
        }
    }
    Ok(())
}

fn array(text: &str) -> Result<Vec<Event>, String> {
    let items: Vec<Box<RawValue>> =
        serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?;
    let event = |item: Box<RawValue>| Event { name: String::new(), data: item.get().to_owned() };
    Ok(items.into_iter().map(event).collect())
}

/// Whether an event ends a stream, and whether as a failure.
fn end(protocol: Protocol, event: &Event) -> Option<bool> {
    match protocol {
        Protocol::Anthropic => match event.name.as_str() {
            "message_stop" => Some(false),
            "error" => Some(true),
            _ => None,
        },
        Protocol::OpenAiChat => match event.data.as_str() {
            "[DONE]" => Some(false),
            _ => event.member("error").filter(|error| error.get() != "null").map(|_| true),
        },
        // An error is followed by the answer that failed.
        Protocol::OpenAiResponses => match event.name.as_str() {
            "response.completed" | "response.incomplete" => Some(false),
            "response.failed" => Some(true),
            _ => None,
        },
        // Nothing but the last piece has the counts, unless it is an error.
        Protocol::Gemini => match event.member("error") {
            Some(_) => Some(true),
            None => event.member("usageMetadata").map(|_| false),
        },
        _ if event.name == "error" => Some(true),
        _ => dashscope_finish(event).then_some(false),
    }
}

fn dashscope_finish(event: &Event) -> bool {
    let output = event.member("output").map(|raw| raw.get().to_owned()).unwrap_or_default();
    let output: Value = serde_json::from_str(&output).unwrap_or_default();
    let finishes =
        |value: &Value| value["finish_reason"].as_str().is_some_and(|reason| reason != "null");
    finishes(&output) || output["choices"].as_array().is_some_and(|all| all.iter().any(finishes))
}
