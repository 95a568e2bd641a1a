//! Gemini: `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`.
//!
//! Sources: the API reference at <https://ai.google.dev/api/generate-content>, that of Vertex AI,
//! the official SDKs (`google-genai`, `@google/genai`, `go-genai`), and recorded traffic.
//!
//! ```
//! use tower_llm_gateway::protocol::gemini::response;
//!
//! let body = r#"{"candidates":[{"content":{"parts":[{"text":"Hello"}],"role":"model"},
//!     "finishReason":"STOP"}],"modelVersion":"gemini-2.5-flash","responseId":"r"}"#;
//! let answer = response::read(body)?;
//! assert_eq!(answer.model, "gemini-2.5-flash");
//! assert_eq!(answer.candidates[0].parts.len(), 1);
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

pub mod array;
pub mod count;
pub mod fault;
pub mod models;
pub mod request;
pub mod response;
pub mod stream;

pub(in crate::protocol) mod path;

mod chunk;
mod finish;
mod media;
mod names;
mod part_writer;
mod parts;
mod schema;
mod tokens;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
