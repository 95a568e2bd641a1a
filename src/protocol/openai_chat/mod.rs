//! OpenAI Chat Completions: `POST /v1/chat/completions`.
//!
//! What is read and written: requests, answers, streams of `chat.completion.chunk`, errors.
//! Sources: the published OpenAPI description of the API, its official SDKs, and recordings of
//! other vendors that speak the protocol in their own dialects (`reasoning_content`,
//! `reasoning_details`, missing tool indices and so on). Readers take all dialects; writers speak
//! OpenAI's, with `reasoning_content` for readable thinking.
//!
//! Within the protocol a round trip is equal in meaning: members not understood stay in
//! [`Rest`](super::model::Rest), and where the protocol has two spellings
//! [`Spelling`](super::model::Spelling) says which one stood there. What an answer or a request of
//! another protocol has beyond Chat is named in the report.
//!
//! ```
//! use tower_llm_gateway::protocol::model::Role;
//! use tower_llm_gateway::protocol::openai_chat::request;
//!
//! let request = request::read(
//!     r#"{"model":"gpt-5","messages":[
//!         {"role":"developer","content":"Be brief."},
//!         {"role":"user","content":"Hello"}]}"#,
//! )?;
//! assert_eq!(request.model, "gpt-5");
//! assert_eq!(request.instructions.len(), 1);
//! assert_eq!(request.turns[0].role, Role::User);
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

pub mod fault;
pub mod models;
pub mod request;
pub mod response;
pub mod stream;

mod calls;
mod content;
mod finish;
mod message;
mod reasoning;
mod tokens;

#[cfg(test)]
pub(crate) mod tests;
