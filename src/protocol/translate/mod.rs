//! One reader and one writer joined: requests, answers, errors and streams from any protocol to
//! any other. Nowhere is there a function for one pair.
//!
//! ```
//! use tower_llm_gateway::protocol::Protocol::{Anthropic, OpenAiChat};
//! use tower_llm_gateway::protocol::translate::{RequestOptions, request};
//!
//! let body = br#"{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
//! let translated = request(Anthropic, OpenAiChat, body, &RequestOptions::default())?;
//! assert_eq!(
//!     translated.body,
//!     r#"{"model":"claude","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":9}"#
//! );
//! assert!(translated.report.is_empty());
//! # Ok::<(), tower_llm_gateway::protocol::translate::TranslateError>(())
//! ```

mod answer;
mod codec;
mod count;
mod framing;
mod losses;
mod models;
mod prepare;
mod request;
mod seals;
mod stream;
mod synthesize;
#[cfg(test)]
mod tests;

pub(super) use answer::read_error;
pub use answer::{TranslatedAnswer, TranslatedError, error, response, response_as_stream};
pub use count::{CountRequest, count_answer, count_request, estimate, estimate_count, write_count};
pub use models::{MAX_MODELS, models_answer, models_endpoint, write_models};
pub use prepare::MAX_CACHE_MARKS;
pub use request::{
    KnownCall, OpenedRequest, RequestOptions, TranslatedRequest, open_envelopes, request,
};
pub use seals::{Deposit, MAX_DEPOSIT};
pub use stream::{Folder, StreamFacts, Transcoder};
pub use synthesize::{Synthesis, Synthesizer};

use std::fmt;

use super::Protocol;
use super::json::JsonError;
use super::model::FaultKind;
use super::report::Loss;

/// Why a document was not translated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TranslateError {
    /// It is no UTF-8.
    NotUtf8,
    /// It is no JSON, or not of its protocol's shape.
    Malformed(JsonError),
    /// This protocol has no such question: it counts no prompts, or lists no models.
    Unsupported(Protocol),
    /// Something would be lost that the mode does not allow to be lost.
    Refused(Loss),
    /// An answer to a question for a count holds none.
    NoCount,
    /// The upstream failed inside an answer that began as a success; what it said about it.
    Failed(FaultKind, String),
}

impl fmt::Display for TranslateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("body is not valid UTF-8"),
            Self::Malformed(error) => write!(f, "{error}"),
            Self::Unsupported(protocol) => write!(f, "cannot translate {protocol}"),
            Self::Refused(loss) => write!(f, "{}: {}", loss.pointer, loss.reason),
            Self::NoCount => f.write_str("the upstream's answer holds no count"),
            Self::Failed(_, message) => f.write_str(message),
        }
    }
}

impl std::error::Error for TranslateError {}

impl From<JsonError> for TranslateError {
    fn from(error: JsonError) -> Self {
        Self::Malformed(error)
    }
}

fn utf8(body: &[u8]) -> Result<&str, TranslateError> {
    std::str::from_utf8(body).map_err(|_| TranslateError::NotUtf8)
}
