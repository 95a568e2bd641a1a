//! Seals into deposits, for callers whose protocol has no slot for them.

use std::fmt;

use bytes::Bytes;

use super::entry::{Entry, Insert, Words, units_of};
use crate::protocol::json::JsonStr;
use crate::protocol::model::{Content, Delta, Part, PartStart, Seal, StreamEvent};
use crate::protocol::seal::Home;

/// Most bytes of thinking, seals and ids of one turn that are kept: 256 KiB. Beyond it the turn is
/// not kept.
pub const MAX_DEPOSIT: usize = 256 << 10;

/// Most candidates of an answer that are looked at.
const MAX_CANDIDATES: usize = 16;

/// Most parts of a stream that may be open at once; those beyond it are not kept.
const MAX_OPEN_PARTS: usize = 1024;

/// What a caller's protocol cannot carry, to be found again when the caller names the call.
///
/// Whoever has it can continue the conversation in the vendor's eyes: it is kept per caller, and
/// its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deposit {
    /// The call that it goes with.
    pub call_id: String,
    /// Thinking and seals of the turn, in a form of our own.
    pub value: Bytes,
}

impl fmt::Debug for Deposit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deposit({}, {} bytes)", self.call_id, self.value.len())
    }
}

/// Gathers the seals of one answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Keeper {
    from: Home,
    turns: Vec<Gathered>,
    open: Vec<Open>,
    deposits: Vec<Deposit>,
}

/// What one candidate said so far.
#[derive(Debug, Clone, Default, PartialEq)]
struct Gathered {
    candidate: u32,
    units: usize,
    thoughts: Vec<Thought>,
    words: Vec<Words<'static>>,
    calls: Vec<(JsonStr<'static>, Option<Seal<'static>>)>,
    bytes: usize,
}

/// Thinking, or an empty text; kept if there comes a seal.
#[derive(Debug, Clone, PartialEq)]
struct Thought {
    calls: usize,
    at: usize,
    silent: bool,
    text: String,
    seal: Option<Seal<'static>>,
}

/// A part of the stream.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Open {
    index: u32,
    candidate: u32,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// Which thought.
    Thinking(usize),
    /// Where it began.
    Words(usize),
    /// Which call.
    Call(usize),
}

impl Keeper {
    pub(super) fn new(from: Home) -> Self {
        Self { from, turns: Vec::new(), open: Vec::new(), deposits: Vec::new() }
    }

    pub(super) fn take_deposits(&mut self) -> Vec<Deposit> {
        std::mem::take(&mut self.deposits)
    }

    /// Looks at the parts of a finished answer.
    pub(super) fn parts(&mut self, candidate: u32, parts: &[Part<'_>]) {
        let Some(turn) = self.turn(candidate) else { return };
        for part in parts {
            turn.part(part);
        }
        self.settle(candidate);
    }

    /// Looks at an event.
    pub(super) fn event(&mut self, event: &StreamEvent<'_>) {
        match event {
            StreamEvent::PartStart { index, candidate, part, .. } => {
                let Some(turn) = self.turn(*candidate) else { return };
                let what = turn.start(part);
                if let Some(what) = what.filter(|_| self.open.len() < MAX_OPEN_PARTS) {
                    self.open.push(Open { index: *index, candidate: *candidate, what });
                }
            }
            StreamEvent::Delta { index, delta } => {
                let open = self.open.iter().rfind(|open| open.index == *index);
                let Some(Open { candidate, what, .. }) = open.copied() else { return };
                if let Some(turn) = self.turn(candidate) {
                    turn.delta(what, delta);
                }
            }
            StreamEvent::PartStop { index } => self.open.retain(|open| open.index != *index),
            StreamEvent::Stop { candidate, .. } => self.settle(*candidate),
            StreamEvent::End => {
                let rest: Vec<_> = self.turns.iter().map(|turn| turn.candidate).collect();
                rest.into_iter().for_each(|candidate| self.settle(candidate));
            }
            _ => {}
        }
    }

    fn turn(&mut self, candidate: u32) -> Option<&mut Gathered> {
        let at = self.turns.iter().position(|turn| turn.candidate == candidate);
        let at = match at {
            Some(at) => at,
            None if self.turns.len() < MAX_CANDIDATES => {
                self.turns.push(Gathered { candidate, ..Gathered::default() });
                self.turns.len() - 1
            }
            None => return None,
        };
        self.turns.get_mut(at)
    }

    /// The turn is complete.
    fn settle(&mut self, candidate: u32) {
        self.open.retain(|open| open.candidate != candidate);
        if let Some(at) = self.turns.iter().position(|turn| turn.candidate == candidate) {
            let turn = self.turns.remove(at);
            turn.deposit(self.from, &mut self.deposits);
        }
    }
}

impl Gathered {
    /// Counts bytes; true while there are not too many.
    fn grow(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let fits = self.bytes <= MAX_DEPOSIT;
        if !fits {
            self.thoughts = Vec::new();
            self.words = Vec::new();
            self.calls = Vec::new();
        }
        fits
    }

    fn think(&mut self, silent: bool, seal: Option<&Seal<'_>>) -> Option<usize> {
        let seal = seal.filter(|seal| !seal.data.is_empty());
        let size = seal.map_or(0, |seal| seal.data.escaped().len());
        if !self.grow(size_of::<Thought>() + size) {
            return None;
        }
        let seal = seal.map(|seal| seal.clone().into_owned());
        let (calls, at) = (self.calls.len(), self.units);
        self.thoughts.push(Thought { calls, at, silent, text: String::new(), seal });
        Some(self.thoughts.len() - 1)
    }

    fn call(&mut self, id: &JsonStr<'_>, seal: Option<&Seal<'_>>) -> Option<usize> {
        let seal = seal.filter(|seal| !seal.data.is_empty());
        let size = seal.map_or(0, |seal| seal.data.escaped().len());
        if !self.grow(64 + id.escaped().len() + size) {
            return None;
        }
        self.calls.push((id.clone().into_owned(), seal.map(|seal| seal.clone().into_owned())));
        Some(self.calls.len() - 1)
    }

    fn start(&mut self, part: &PartStart<'_>) -> Option<What> {
        match part {
            PartStart::Reasoning { seal } => self.think(false, seal.as_ref()).map(What::Thinking),
            PartStart::Text { .. } => Some(What::Words(self.units)),
            PartStart::ToolCall { id, seal, .. } => self.call(id, seal.as_ref()).map(What::Call),
            _ => None,
        }
    }

    fn delta(&mut self, what: What, delta: &Delta<'_>) {
        match (what, delta) {
            (What::Words(_), Delta::Text(text)) => self.units += units_of(text),
            (What::Thinking(at), Delta::Reasoning(text)) => {
                // Nothing is left to grow once there is too much.
                self.grow(text.escaped().len());
                if let Some(thought) = self.thoughts.get_mut(at) {
                    thought.text.push_str(text.escaped());
                }
            }
            (_, Delta::Seal(seal)) => self.seal(what, seal),
            _ => {}
        }
    }

    fn seal(&mut self, what: What, seal: &Seal<'_>) {
        if seal.data.is_empty() || !self.grow(seal.data.escaped().len()) {
            return;
        }
        let seal = seal.clone().into_owned();
        match what {
            What::Thinking(at) => {
                if let Some(thought) = self.thoughts.get_mut(at) {
                    thought.seal = Some(seal);
                }
            }
            What::Words(from) if from == self.units => {
                self.think(true, Some(&seal));
            }
            What::Words(from) => {
                if self.grow(size_of::<Words<'_>>()) {
                    self.words.push(Words { from, to: self.units, seal });
                }
            }
            What::Call(at) => {
                if let Some(call) = self.calls.get_mut(at) {
                    call.1 = Some(seal);
                }
            }
        }
    }

    /// A part that is whole.
    fn part(&mut self, part: &Part<'_>) {
        let what = match &part.content {
            Content::Text { text, .. } => {
                let from = self.units;
                self.units += units_of(text);
                Some(What::Words(from))
            }
            Content::Reasoning { text, seal, .. } => {
                let what = self.think(false, seal.as_ref()).map(What::Thinking);
                if let (Some(what), Some(text)) = (what, text) {
                    self.delta(what, &Delta::Reasoning(text.borrow()));
                }
                what
            }
            Content::ToolCall(call) => self.call(&call.id, call.seal.as_ref()).map(What::Call),
            _ => None,
        };
        if let (Some(what), Some(seal)) = (what, &part.seal) {
            self.seal(what, seal);
        }
    }

    /// The first call is given all that belongs to the turn; of the others only their own seals.
    fn deposit(self, from: Home, deposits: &mut Vec<Deposit>) {
        let Self { units, thoughts, words, calls, bytes, .. } = self;
        if bytes > MAX_DEPOSIT {
            return;
        }
        let inserts = thoughts.into_iter().filter_map(|thought| {
            let Thought { calls, at, silent, text, seal } = thought;
            let text = (!text.is_empty()).then(|| JsonStr::from_escaped(text));
            Some(Insert { calls, at, silent, text, seal: seal? })
        });
        let mut entry = Entry { units, inserts: inserts.collect(), words, calls: Vec::new() };
        for (id, seal) in calls {
            let mut entry = std::mem::take(&mut entry);
            let call_id = id.decode().into_owned();
            entry.calls.extend(seal.map(|seal| (id, seal)));
            if !call_id.is_empty() && !entry.is_empty() {
                let value = entry.write(from);
                deposits.extend(value.map(|value| Deposit { call_id, value }));
            }
        }
    }
}
