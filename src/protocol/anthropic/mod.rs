//! Anthropic Messages: `POST /v1/messages`, as JSON and as a stream of events.
//!
//! Sources: the API reference at <https://docs.claude.com/en/api/messages> and
//! <https://docs.claude.com/en/docs/build-with-claude/streaming>, the official SDKs
//! (`anthropic-sdk-python`), and recorded traffic.
//!
//! ```
//! use tower_llm_gateway::protocol::anthropic::request;
//! use tower_llm_gateway::protocol::model::Role;
//!
//! let body = r#"{"model":"claude-haiku-4-5","max_tokens":64,
//!     "messages":[{"role":"user","content":"Hello"}]}"#;
//! let request = request::read(body)?;
//! assert_eq!(request.model, "claude-haiku-4-5");
//! assert_eq!(request.turns[0].role, Role::User);
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

pub mod count;
pub mod fault;
pub mod models;
pub mod request;
pub mod response;
pub mod stream;

mod blank;
mod blocks;
mod parts;
mod usage;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
