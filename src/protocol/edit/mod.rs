//! Edits of a request where it stands: the model, the stream flag, the system prompt.
//!
//! [`Outline`] walks the top level of a body once and remembers where the members are. An edit
//! then replaces those bytes and copies all others as they were, in their order: nothing is
//! decoded or written anew. (One exception: [`SystemEdit::ClaudeCode`] strips insignificant white
//! space, because the upstreams that it is for want it so.)
//!
//! ```
//! use http::Uri;
//! use tower_llm_gateway::protocol::Protocol;
//! use tower_llm_gateway::protocol::edit::{Edited, Outline};
//!
//! let mut uri = Uri::from_static("/v1/messages");
//! let outline = Outline::read(Protocol::Anthropic, br#"{ "model": "a", "n": 1.0 }"#)?;
//! let edited = outline.set_model(&mut uri, "b")?;
//! assert_eq!(edited, Edited::Changed(r#"{ "model": "b", "n": 1.0 }"#.into()));
//! # Ok::<(), tower_llm_gateway::protocol::edit::EditError>(())
//! ```
//!
//! A key that stands twice at an edited place is refused ([`EditError::Duplicate`]): parsers
//! differ in which one they take, so a policy could look at one value and the model see the other.

mod claude_code;
mod content;
mod input_item;
mod outline;
mod path;
mod splice;
mod stateful;
mod system;

pub use claude_code::CLAUDE_CODE_KEYWORD;
pub use input_item::InputItem;
pub use outline::{Facts, Outline};
pub use path::{gemini_model, set_gemini_model, set_gemini_stream};
pub use stateful::{MAX_INPUT_ITEMS, OwnedResponse, ResponseOwner, StatefulRequest};
pub use system::{MAX_SYSTEM_PLACES, SystemEdit};

use std::fmt;

use bytes::Bytes;

use super::json::JsonError;

/// What an edit did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Edited {
    /// Nothing: the body is as it should be.
    Unchanged,
    /// The body is this now.
    Changed(Bytes),
}

/// Why a body was not edited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditError {
    /// It is no JSON object in UTF-8.
    NotJson(JsonError),
    /// This member stands twice.
    Duplicate(&'static str),
    /// This member is missing, or has a form that its protocol does not have.
    Shape(&'static str),
    /// This list has too many items.
    TooMany(&'static str),
    /// The model's name cannot stand in a path.
    UnsafeModel,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(error) => write!(f, "request body is not a JSON object: {error}"),
            Self::Duplicate(name) => write!(f, "member `{name}` stands twice"),
            Self::Shape(name) => write!(f, "member `{name}` is missing or malformed"),
            Self::TooMany(name) => write!(f, "member `{name}` has too many items"),
            Self::UnsafeModel => f.write_str("model name cannot stand in a path"),
        }
    }
}

impl std::error::Error for EditError {}

impl From<JsonError> for EditError {
    fn from(error: JsonError) -> Self {
        Self::NotJson(error)
    }
}

#[cfg(test)]
mod tests;
