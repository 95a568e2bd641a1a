//! `POST /v1/responses/input_tokens`.
//!
//! Source: <https://platform.openai.com/docs/api-reference/responses/input-tokens>.

use bytes::BytesMut;

use crate::protocol::json::{ObjectWriter, Raw};

/// Members of a request that a count may have.
pub const MEMBERS: &[&str] = &[
    "conversation",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];

/// The count in an answer.
#[must_use]
pub fn read_answer(text: &str) -> Option<u64> {
    Raw::parse(text).ok()?.member("input_tokens")?.as_u64()
}

/// Writes an answer.
pub fn write_answer(tokens: u64, out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.plain("object", "response.input_tokens");
    object.u64("input_tokens", tokens);
    object.end();
}
