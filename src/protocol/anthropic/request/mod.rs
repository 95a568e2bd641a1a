//! Requests: `POST /v1/messages` and its `count_tokens`.
//!
//! What came from Messages is written back as it stood. What came from elsewhere is brought under
//! the rules of Messages: instructions lead in `system`, turns alternate, tool results stand right
//! behind their calls, `max_tokens` is there, thinking fits into it.
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::protocol::Target;
//! use tower_llm_gateway::protocol::anthropic::request;
//! use tower_llm_gateway::protocol::report::Reporter;
//!
//! let body = r#"{"model":"m","max_tokens":8,"messages":[{"role":"user","content":"Hi"}]}"#;
//! let request = request::read(body)?;
//! let (mut report, mut out) = (Reporter::new(body), BytesMut::new());
//! request::write(&request, &Target::default(), &mut report, &mut out);
//! assert_eq!(out, r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":8}"#);
//! assert!(report.finish().is_empty());
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

mod foreign;
mod history;
mod losses;
mod native;
mod read;
mod thinking;
mod write;

pub use read::read;
pub use write::write;
