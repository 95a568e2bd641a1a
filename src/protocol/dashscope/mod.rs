//! DashScope, native: `POST /api/v1/services/aigc/text-generation/generation`, and
//! `…/multimodal-generation/generation` for models that see and hear.
//!
//! What is read and written: requests (`model`, `input`, `parameters`), answers (`output`,
//! `usage`, `request_id`), streams, errors. Sources: the vendor's reference, its SDK for Python
//! (`dashscope` 2.0.2), and recordings of SDKs of several languages.
//!
//! What is special here:
//! - A stream is asked for by a header (`X-DashScope-SSE: enable`), not in the body.
//! - Each event of a stream repeats all that was said so far, unless the request has
//!   `incremental_output: true`. Some models cannot do otherwise, so the reader finds out which of
//!   the two an upstream does; see [`stream::Reader`].
//! - `result_format: text`, and a bare `prompt`, put the words into `output.text`.
//! - At the multimodal endpoint the content of a message is a list.
//!
//! Within the protocol a round trip is equal in meaning: members not understood stay in
//! [`Rest`](super::model::Rest), and [`Spelling`](super::model::Spelling) says which form stood
//! there.
//!
//! ```
//! use tower_llm_gateway::protocol::dashscope::request;
//! use tower_llm_gateway::protocol::model::Role;
//!
//! let request = request::read(
//!     r#"{"model":"qwen-plus","input":{"prompt":"Hello"},"parameters":{"top_k":5}}"#,
//! )?;
//! assert_eq!(request.turns[0].role, Role::User);
//! assert!(request.layout.text_only);
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

pub mod fault;
pub mod request;
pub mod response;
pub mod stream;

mod content;
mod finish;
mod message;
mod search;
mod tokens;
mod wire;

pub use search::MAX_PAGES;

#[cfg(test)]
mod tests;
