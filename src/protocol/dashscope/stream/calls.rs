//! Which fragment belongs to which tool call.

use super::chunk::CallPiece;
use super::growth::Growth;
use crate::protocol::stream_reader::{Broken, Step};

/// Most tool calls of one stream. A stream with more fails.
pub const MAX_TOOL_CALLS: usize = 1024;

/// Most bytes of id and arguments that wait for the name of their tool. A stream with more fails.
pub const MAX_HELD: usize = 64 << 10;

/// The calls of a stream, of all its candidates.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Calls(pub(super) Vec<Call>);

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) candidate: usize,
    /// Its index on the wire.
    index: Option<u64>,
    /// Escaped.
    pub(super) id: String,
    /// The part, once the name is known.
    pub(super) part: Option<u32>,
    /// Arguments that came before the name, escaped.
    pub(super) held: String,
    pub(super) arguments: Growth,
}

impl Calls {
    /// The call that a fragment belongs to, a new one where it is none yet.
    pub(super) fn of(&mut self, at: usize, piece: &CallPiece<'_>) -> Result<&mut Call, Broken> {
        let slot = match self.find(at, piece) {
            Some(slot) => slot,
            None if self.0.len() == MAX_TOOL_CALLS => {
                return Err(Broken("the upstream sent too many tool calls"));
            }
            None => {
                self.0.push(Call {
                    candidate: at,
                    index: piece.index,
                    id: String::new(),
                    part: None,
                    held: String::new(),
                    arguments: Growth::default(),
                });
                self.0.len() - 1
            }
        };
        Ok(&mut self.0[slot])
    }

    /// By the index, as the id is empty in later fragments; without an index by the id; a fragment
    /// with neither goes on with the last call unless it names a tool.
    fn find(&self, at: usize, piece: &CallPiece<'_>) -> Option<usize> {
        let last = |belongs: &dyn Fn(&Call) -> bool| {
            self.0.iter().rposition(|call| call.candidate == at && belongs(call))
        };
        let id = piece.id.escaped();
        let (has_id, has_name) = (!id.is_empty(), !piece.name.is_empty());
        // Some vendors give every call the same index: another id with a name is another call.
        let is_same = |call: &Call| !has_id || !has_name || call.id.is_empty() || call.id == id;
        match piece.index {
            Some(index) => last(&|call| call.index == Some(index) && is_same(call)),
            None => last(&|call| has_id && call.id == id)
                .or_else(|| last(&|call| !has_name && is_same(call))),
        }
    }
}

impl Call {
    /// Keeps what a fragment says before the part begins.
    pub(super) fn hold(&mut self, piece: &CallPiece<'_>) -> Step {
        if self.id.is_empty() {
            self.id.push_str(piece.id.escaped());
        }
        let waits = piece.name.is_empty() && self.id.len() + self.held.len() > MAX_HELD;
        if waits { Err(Broken("a tool call came without its name")) } else { Ok(()) }
    }
}
