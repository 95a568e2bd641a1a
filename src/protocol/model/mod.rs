//! The hub: what a conversation with a model is, whatever protocol carries it.
//!
//! A reader turns wire bytes into these types, a writer turns them into wire bytes; nobody
//! translates one protocol into another directly. Three rules make a round trip within one
//! protocol lossless and a trip to another honest:
//!
//! 1. Every node keeps the members that its reader did not understand (including `null`s of
//!    known ones) in [`Rest`]; the writer of the same protocol puts them back, any other names
//!    them in the report.
//! 2. What only its maker can read (signatures, encrypted reasoning) is a [`Seal`] with its vendor.
//! 3. An unknown type is no error: it stays whole in [`Content::Other`].
//!
//! Everything borrows from the document. Texts are escaped slices ([`JsonStr`]), numbers are
//! their text, schemas and inputs are [`Raw`].

mod fault;
mod models;
mod owned;
mod part;
mod request;
mod response;
mod settings;
mod spelling;
mod stream;
mod tool;
mod turn;
mod usage;

pub use fault::{ApiError, Fault, FaultKind, FaultOrigin};
pub use models::ModelInfo;
pub use part::{CacheMark, Content, Media, MediaKind, MediaSource, Part, Seal, SealKind, Vendor};
pub use request::Request;
pub use response::{Candidate, Response, Stop, StopReason};
pub use settings::{
    Effort, Logprobs, OutputFormat, Reasoning, ReasoningMode, Sampling, ServerState, Show,
};
pub use spelling::Spelling;
pub use stream::{Delta, PartStart, StreamEvent};
pub use tool::{
    GroupPlace, Tool, ToolArguments, ToolCall, ToolCallKind, ToolChoice, ToolGroup, ToolKind,
    ToolResult,
};
pub use turn::{Instruction, Place, Role, Turn, TurnMessage};
pub use usage::Usage;

use super::json::{JsonStr, ObjectWriter, Raw};

/// Members that the reader did not understand, as they stood, in their order.
///
/// A known member whose value is `null` is here too, so that it is written back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rest<'a>(pub Vec<(JsonStr<'a>, Raw<'a>)>, Option<Raw<'a>>);

impl<'a> Rest<'a> {
    /// These members.
    #[must_use]
    pub fn new(members: Vec<(JsonStr<'a>, Raw<'a>)>) -> Self {
        Self(members, None)
    }

    /// The whole node as it stood, where what was read from it would be written in another form:
    /// other names of members, another language of schemas. The writer of the same protocol puts
    /// it back in place of the node; to any other it is no loss.
    #[must_use]
    pub fn source(&self) -> Option<&Raw<'a>> {
        self.1.as_ref()
    }

    /// Keeps the whole node as it stood.
    pub fn keep_source(&mut self, node: Raw<'a>) {
        self.1 = Some(node);
    }

    /// Keeps a member.
    pub fn keep(&mut self, key: JsonStr<'a>, value: Raw<'a>) {
        self.0.push((key, value));
    }

    /// How many bytes it keeps.
    pub(crate) fn held(&self) -> usize {
        let members = self.0.iter().map(|(key, raw)| key.escaped().len() + raw.as_str().len());
        members.sum::<usize>() + self.1.as_ref().map_or(0, |node| node.as_str().len())
    }

    /// Puts the members back.
    pub fn write(&self, object: &mut ObjectWriter<'_>) {
        for (key, value) in &self.0 {
            object.raw(key.escaped(), value);
        }
    }

    /// The member `name`; the last one where a name stands twice.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Raw<'a>> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}
