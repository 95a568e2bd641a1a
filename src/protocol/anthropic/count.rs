//! `POST /v1/messages/count_tokens`.
//!
//! Source: <https://docs.claude.com/en/api/messages-count-tokens>.

use bytes::BytesMut;

use crate::protocol::json::{ObjectWriter, Raw};

/// Members of a request that a count may have.
pub const MEMBERS: &[&str] = &[
    "cache_control",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// The count in an answer.
#[must_use]
pub fn read_answer(text: &str) -> Option<u64> {
    Raw::parse(text).ok()?.member("input_tokens")?.as_u64()
}

/// Writes an answer.
pub fn write_answer(tokens: u64, out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.u64("input_tokens", tokens);
    object.end();
}
