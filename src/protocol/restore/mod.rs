//! Gives an answer what its request had to give up: names of tools, tools of free text.
//!
//! A request that goes to another protocol may have to rename a tool or to wrap free text into a
//! JSON object. What was changed stands in a [`Restore`], which changes the answer back: a
//! finished one, or the events of a stream. A request that needed no such thing leaves an empty
//! one, which costs nothing.
//!
//! ```
//! use tower_llm_gateway::protocol::Answer;
//! use tower_llm_gateway::protocol::Protocol::{Anthropic, OpenAiChat};
//! use tower_llm_gateway::protocol::translate::{RequestOptions, request, response};
//!
//! // Messages takes no dot in the name of a tool.
//! let asked = br#"{"model":"m","messages":[{"role":"user","content":"Hi"}],
//!     "tools":[{"type":"function","function":{"name":"files.read"}}]}"#;
//! let asked = request(OpenAiChat, Anthropic, asked, &RequestOptions::default())?;
//! let sent = std::str::from_utf8(&asked.body).unwrap();
//! assert!(sent.contains(r#""name":"files_read_"#));
//!
//! // The caller reads the name that it gave.
//! let at = sent.find("files_read_").unwrap();
//! let said = format!(
//!     r#"{{"content":[{{"type":"tool_use","id":"t","name":"{}","input":{{}}}}]}}"#,
//!     &sent[at..at + "files_read_".len() + 8],
//! );
//! let mut answer = Answer::new("m", 0, 0);
//! answer.restore = asked.restore;
//! let said = response(Anthropic, OpenAiChat, said.as_bytes(), answer)?;
//! assert!(std::str::from_utf8(&said.body).unwrap().contains(r#""name":"files.read""#));
//! # Ok::<(), tower_llm_gateway::protocol::translate::TranslateError>(())
//! ```

#[cfg(test)]
mod tests;
mod unwrap;

use std::collections::{HashMap, HashSet};

use super::Ids;
use super::json::JsonStr;
use super::model::{
    Content, Delta, PartStart, Response, StreamEvent, ToolArguments, ToolCall, ToolCallKind,
};
use unwrap::Unwrap;

pub use unwrap::MAX_HELD_INPUT;

/// What was changed in a request, and is to be changed back in its answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restore {
    /// Names of tools, from those that the upstream knows to the caller's.
    names: HashMap<String, String>,
    /// Tools of free text, by the names that the upstream knows.
    wrapped: HashSet<String>,
    /// Makes ids for calls that come without one.
    ids: Option<Ids>,
    /// Calls of wrapped tools in a stream.
    open: Vec<(u32, Unwrap)>,
}

impl Restore {
    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.wrapped.is_empty()
    }

    /// The upstream knows the caller's tool under another name.
    pub(crate) fn rename(&mut self, caller: String, upstream: String) {
        self.names.insert(upstream, caller);
    }

    /// The upstream takes for a function what is a tool of free text.
    pub(crate) fn wrap(&mut self, upstream: String) {
        self.wrapped.insert(upstream);
    }

    /// Gives calls that come without an id one of these.
    pub(crate) fn with_ids(&mut self, ids: Ids) {
        self.ids = Some(ids);
    }

    /// Changes a finished answer back.
    pub fn response(&mut self, response: &mut Response<'_>) {
        for part in response.candidates.iter_mut().flat_map(|candidate| &mut candidate.parts) {
            if let Content::ToolCall(call) = &mut part.content {
                self.call(call);
            }
        }
    }

    fn call(&mut self, call: &mut ToolCall<'_>) {
        if call.id.is_empty() {
            call.id = self.new_id().unwrap_or_default();
        }
        if call.kind == ToolCallKind::Function && self.is_wrapped(&call.name) {
            call.kind = ToolCallKind::Custom;
            call.arguments = ToolArguments::Text(unwrap::text(&call.arguments).into_owned());
        }
        if let Some(name) = self.caller_name(&call.name) {
            call.name = name.into_owned();
        }
    }

    /// Changes an event of a streamed answer back.
    pub fn event(&mut self, event: StreamEvent<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        match event {
            StreamEvent::PartStart { index, candidate, part, rest } => {
                let PartStart::ToolCall { id, name, kind, seal, cache } = part else {
                    return sink(StreamEvent::PartStart { index, candidate, part, rest });
                };
                let id = if id.is_empty() { self.new_id().unwrap_or_default() } else { id };
                let mut kind = kind;
                if kind == ToolCallKind::Function && self.is_wrapped(&name) {
                    kind = ToolCallKind::Custom;
                    self.open.push((index, Unwrap::default()));
                }
                let name = self.caller_name(&name).unwrap_or(name);
                let part = PartStart::ToolCall { id, name, kind, seal, cache };
                sink(StreamEvent::PartStart { index, candidate, part, rest });
            }
            StreamEvent::Delta { index, delta: Delta::Arguments(piece) } => {
                let mut pass = |text: JsonStr<'_>| {
                    sink(StreamEvent::Delta { index, delta: Delta::Arguments(text) });
                };
                let held: usize = self.open.iter().map(|(_, open)| open.held()).sum();
                match self.open.iter_mut().find(|(open, _)| *open == index) {
                    Some((_, open)) => open.push(&piece, held, &mut pass),
                    None => pass(piece),
                }
            }
            StreamEvent::PartStop { index } => {
                if let Some(at) = self.open.iter().position(|(open, _)| *open == index) {
                    self.open.swap_remove(at).1.finish(&mut |text| {
                        sink(StreamEvent::Delta { index, delta: Delta::Arguments(text) });
                    });
                }
                sink(StreamEvent::PartStop { index });
            }
            event => sink(event),
        }
    }

    fn new_id(&mut self) -> Option<JsonStr<'static>> {
        self.ids.as_mut().map(|ids| JsonStr::from_plain(ids.make("call_")))
    }

    fn is_wrapped(&self, name: &JsonStr<'_>) -> bool {
        !self.wrapped.is_empty() && self.wrapped.contains(&*name.decode())
    }

    fn caller_name(&self, name: &JsonStr<'_>) -> Option<JsonStr<'static>> {
        if self.names.is_empty() {
            return None;
        }
        self.names.get(&*name.decode()).map(|caller| JsonStr::from_plain(caller.clone()))
    }
}
