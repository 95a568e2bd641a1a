//! Which fragment belongs to which tool call.

use super::chunk::CallDelta;
use crate::protocol::model::{Seal, ToolCallKind};
use crate::protocol::openai_chat::calls::thought_signature;
use crate::protocol::stream_reader::{Broken, Step};

/// Most tool calls of one stream. A stream with more fails.
pub const MAX_TOOL_CALLS: usize = 1024;

/// Most bytes of id and arguments that wait for the name of their tool. A stream with more fails.
pub const MAX_HELD: usize = 64 << 10;

/// The calls of a stream, of all its candidates.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    candidate: usize,
    /// Its index on the wire.
    index: Option<u64>,
    /// Escaped.
    pub(super) id: String,
    pub(super) kind: ToolCallKind,
    pub(super) seal: Option<Seal<'static>>,
    /// The part, once the name is known.
    pub(super) part: Option<u32>,
    /// Arguments that came before the name, escaped.
    pub(super) held: String,
}

impl Calls {
    /// The calls of a candidate.
    pub(super) fn of_candidate(&self, at: usize) -> impl Iterator<Item = &Call> {
        self.0.iter().filter(move |call| call.candidate == at)
    }

    /// The call that a fragment belongs to, a new one where it is none yet.
    pub(super) fn of(&mut self, at: usize, delta: &CallDelta<'_>) -> Result<&mut Call, Broken> {
        let slot = match self.find(at, delta) {
            Some(slot) => slot,
            None if self.0.len() == MAX_TOOL_CALLS => {
                return Err(Broken("the upstream sent too many tool calls"));
            }
            None => {
                self.0.push(Call::new(at, delta));
                self.0.len() - 1
            }
        };
        Ok(&mut self.0[slot])
    }

    /// By the index; without one by the id; a fragment with neither, or with an id that came late,
    /// goes on with the last call unless it names a tool.
    fn find(&self, at: usize, delta: &CallDelta<'_>) -> Option<usize> {
        let last = |belongs: &dyn Fn(&Call) -> bool| {
            self.0.iter().rposition(|call| call.candidate == at && belongs(call))
        };
        let id = delta.id.escaped();
        let (has_id, has_name) = (!id.is_empty(), !delta.name.is_empty());
        let found = match delta.index {
            Some(index) => last(&|call| call.index == Some(index)),
            None => last(&|call| has_id && call.id == id).or_else(|| last(&|_| !has_name)),
        };
        // Some vendors give every call the index 0: another id with a name is another call.
        let is_other = |call: &Call| {
            has_id && has_name && call.part.is_some() && !call.id.is_empty() && call.id != id
        };
        found.filter(|slot| !is_other(&self.0[*slot]))
    }
}

impl Call {
    fn new(candidate: usize, delta: &CallDelta<'_>) -> Self {
        Self {
            candidate,
            index: delta.index,
            id: String::new(),
            kind: delta.kind,
            seal: None,
            part: None,
            held: String::new(),
        }
    }

    /// Keeps what a fragment says before the part begins.
    pub(super) fn hold(&mut self, delta: &CallDelta<'_>) -> Step {
        if self.id.is_empty() {
            self.id.push_str(delta.id.escaped());
        }
        if let Some(Seal { vendor, kind, data }) = delta.extra.as_ref().and_then(thought_signature)
        {
            self.seal = Some(Seal { vendor, kind, data: data.into_owned() });
        }
        self.held.push_str(delta.arguments.escaped());
        let waits = delta.name.is_empty() && self.id.len() + self.held.len() > MAX_HELD;
        if waits { Err(Broken("a tool call came without its name")) } else { Ok(()) }
    }
}
