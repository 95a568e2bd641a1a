use bytes::BytesMut;

use crate::protocol::json::{Cursor, ObjectWriter};
use crate::protocol::model::{GroupPlace, Request, ToolGroup};
use crate::protocol::report::Anchor;

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

/// The members of a request that its answer repeats, as they stood, in a JSON object. `text` is
/// what `request` was read from: it is not walked again.
///
/// Decoders demand some of them (`instructions`, `tools`, `tool_choice`, `parallel_tool_calls`,
/// `temperature`, `top_p`, `metadata`); the writer of the answer gives those that are missing
/// here their defaults. The groups of tools that stood in the conversation (`additional_tools`)
/// are added under `additional_tools`: no answer repeats them, but a call of one of their tools
/// is given its namespace back.
///
/// ```
/// use tower_llm_gateway::protocol::openai_responses::request::{echo, read};
///
/// let text = r#"{"model":"m","input":"Hi","temperature":0.5,"tools":[]}"#;
/// assert_eq!(echo(&read(text)?, text), r#"{"temperature":0.5,"tools":[]}"#);
/// # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
/// ```
#[must_use]
pub fn echo(request: &Request<'_>, text: &str) -> String {
    let mut out = BytesMut::new();
    let mut object = ObjectWriter::begin(&mut out);
    for Anchor { offset, member, .. } in request.anchors.iter().filter(|it| it.item.is_none()) {
        let name = member.decode();
        let value = text.get(*offset..).filter(|_| ECHOED.contains(&&*name));
        if let Some(value) = value.and_then(|value| Cursor::new(value).raw().ok()) {
            object.raw(&name, &value);
        }
    }
    let in_conversation =
        |group: &&ToolGroup<'_>| matches!(group.place, GroupPlace::Messages { .. });
    let mut groups = request.tool_groups.iter().filter(in_conversation).peekable();
    if groups.peek().is_some() {
        object.array("additional_tools", |list| {
            for group in groups {
                list.item().extend_from_slice(group.raw.as_str().as_bytes());
            }
        });
    }
    object.end();
    String::from_utf8(out.into()).unwrap_or_default()
}
