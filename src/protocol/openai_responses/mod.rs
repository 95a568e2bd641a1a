//! OpenAI Responses: `POST /v1/responses`.
//!
//! What is read and written: requests, answers, streams of semantic events, errors. Sources: the
//! published OpenAPI description of the API, its official SDKs, and recordings, of other servers
//! that speak the protocol too. Readers take what these leave out or change; writers give all that
//! OpenAI's own SDKs demand.
//!
//! An answer is a list of items. Texts and refusals of a message are parts of the hub one by one,
//! thinking is one part with its summaries joined, a call is a call, and what the vendor's own tools
//! did stays whole. The first part of an item keeps the item's own members
//! ([`Rest::source`](super::model::Rest::source)), so that within the protocol it comes back as it
//! was; to another protocol its id is no loss.
//!
//! ```
//! use tower_llm_gateway::protocol::model::Content;
//! use tower_llm_gateway::protocol::openai_responses::response;
//!
//! let answer = response::read(
//!     r#"{"id":"resp_1","object":"response","status":"completed","model":"gpt-5","output":[
//!         {"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gAAA"},
//!         {"id":"fc_1","type":"function_call","call_id":"call_1","name":"now","arguments":"{}"}]}"#,
//! )?;
//! let parts = &answer.candidates[0].parts;
//! assert!(matches!(parts[0].content, Content::Reasoning { text: None, .. }));
//! assert!(matches!(&parts[1].content, Content::ToolCall(call) if call.name == "now"));
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

pub mod count;
pub mod fault;
pub mod request;
pub mod response;
pub mod stream;

mod content;
mod envelope;
mod finish;
mod item_writer;
mod items;
mod namespaces;
mod output;
mod parts_writer;
mod reasoning;
mod tokens;

#[cfg(test)]
mod tests;
