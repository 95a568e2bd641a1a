use bytes::BytesMut;

use crate::protocol::json::{Cursor, ObjectWriter};

/// What an answer repeats of its request.
const ECHOED: &[&str] = &[
    "background",
    "conversation",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// The members of a request that its answer repeats, as they stood, in a JSON object; empty where
/// the text is no request.
///
/// Decoders demand some of them (`instructions`, `tools`, `tool_choice`, `parallel_tool_calls`,
/// `temperature`, `top_p`, `metadata`); the writer of the answer gives those that are missing
/// here their defaults. The groups of tools that stood in the conversation (`additional_tools`)
/// are added under `additional_tools`: no answer repeats them, but a call of one of their tools
/// is given its namespace back.
///
/// ```
/// use tower_llm_gateway::protocol::openai_responses::request::echo;
///
/// let text = r#"{"model":"m","input":"Hi","temperature":0.5,"tools":[]}"#;
/// assert_eq!(echo(text), r#"{"temperature":0.5,"tools":[]}"#);
/// ```
#[must_use]
pub fn echo(text: &str) -> String {
    let mut out = BytesMut::new();
    let mut object = ObjectWriter::begin(&mut out);
    let mut groups = Vec::new();
    let walked = Cursor::new(text).object(|key, c| {
        let name = key.decode();
        match &*name {
            "input" if c.kind()? == crate::protocol::json::Kind::Array => c.array(|_, c| {
                let added = c.peek_str("type").is_some_and(|kind| kind == "additional_tools");
                let raw = c.raw()?;
                groups.extend(added.then_some(raw));
                Ok(())
            })?,
            name if ECHOED.contains(&name) => object.raw(name, &c.raw()?),
            _ => drop(c.raw()?),
        }
        Ok(())
    });
    if !groups.is_empty() {
        object.array("additional_tools", |list| {
            for group in &groups {
                list.item().extend_from_slice(group.as_str().as_bytes());
            }
        });
    }
    object.end();
    match walked {
        Ok(()) => String::from_utf8(out.into()).unwrap_or_default(),
        Err(_) => String::new(),
    }
}
