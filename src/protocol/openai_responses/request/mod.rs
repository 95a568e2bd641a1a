//! Requests.
//!
//! What came from Responses is written back as it stood. What came from elsewhere becomes items:
//! words a message, a call and its result one item each, in their order.
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::protocol::openai_responses::request;
//! use tower_llm_gateway::protocol::report::Reporter;
//! use tower_llm_gateway::protocol::{Target, anthropic};
//!
//! let text = r#"{"model":"m","max_tokens":64,"system":"Be brief.","top_k":5,
//!     "messages":[{"role":"user","content":"Hi"}]}"#;
//! let (mut report, mut out) = (Reporter::new(text), BytesMut::new());
//! request::write(&anthropic::request::read(text)?, &Target::default(), &mut report, &mut out);
//! assert_eq!(
//!     out,
//!     r#"{"model":"m","instructions":"Be brief.","input":[{"type":"message","role":"user","#.to_owned()
//!         + r#""content":[{"type":"input_text","text":"Hi"}]}],"max_output_tokens":64,"store":false}"#
//! );
//! assert_eq!(report.finish().losses()[0].pointer, "/top_k");
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

mod echo;
mod foreign;
mod history;
mod losses;
mod messages;
mod native;
mod read;
mod settings;
mod strict;
#[cfg(test)]
mod tests;
mod tool_writer;
mod tools;
mod write;

pub use echo::echo;
pub use read::read;
pub use write::write;
