//! Requests: `generateContent` and `streamGenerateContent`, of the Gemini API and of Vertex.
//!
//! The model and the wish for a stream stand in the path; [`read_head`] and [`endpoint`] are for
//! those. Members are read in camel case and in snake case.
//!
//! What came from Gemini is written back as it stood: the conversation from the hub, where each
//! part that has another form there keeps itself, and tools and settings as a whole. What came
//! from elsewhere is brought under the rules of Gemini: instructions in `systemInstruction`, turns
//! joined where they are one side's, all results of a batch of calls in one content right behind it.
//!
//! A picture or document at a URL goes as `fileData`. Files of the vendor, its storage (`gs://`)
//! and YouTube are always taken; whether a model fetches any other URL depends on the model, so
//! that is reported as [`Degrade`](crate::protocol::report::Severity::Degrade), and a model that
//! does not answers with an error. What is no URL at all is
//! [`Fatal`](crate::protocol::report::Severity::Fatal).
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::protocol::Target;
//! use tower_llm_gateway::protocol::gemini::request;
//! use tower_llm_gateway::protocol::report::Reporter;
//!
//! let body = r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}"#;
//! let request = request::read(body)?;
//! let (mut report, mut out) = (Reporter::new(body), BytesMut::new());
//! request::write(&request, &Target::default(), &mut report, &mut out);
//! assert_eq!(out, body);
//! assert!(report.finish().is_empty());
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

mod head;
mod history;
mod losses;
mod read;
mod settings;
mod thinking;
mod tools;
mod write;

pub use head::{endpoint, read_head};
pub use read::read;
pub use write::write;
