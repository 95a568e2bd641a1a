//! Requests.
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::protocol::openai_chat::request;
//! use tower_llm_gateway::protocol::report::Reporter;
//! use tower_llm_gateway::protocol::{Target, anthropic};
//!
//! let text = r#"{"model":"m","max_tokens":64,"top_k":5,"messages":[{"role":"user","content":"Hi"}]}"#;
//! let (mut report, mut out) = (Reporter::new(text), BytesMut::new());
//! request::write(&anthropic::request::read(text)?, &Target::default(), &mut report, &mut out);
//! assert_eq!(
//!     out,
//!     r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":64}"#
//! );
//! assert_eq!(report.finish().losses()[0].pointer, "/top_k");
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

mod dialect;
mod messages;
mod read;
mod settings;
mod tools;
mod write;

pub use read::read;
pub use write::write;
