//! Who said what: instructions and turns.

use std::ops::Range;

use super::{Part, Rest, Spelling};
use crate::protocol::json::{JsonStr, Raw};

/// A system or developer text.
#[derive(Debug, Clone)]
pub struct Instruction<'a> {
    /// Whether it stood as a developer message (Chat, Responses).
    pub developer: bool,
    /// Where it stood.
    pub place: Place,
    /// Its texts.
    pub parts: Vec<Part<'a>>,
    /// It was a bare string, not a list of parts.
    pub plain: bool,
    /// Name of the author (Chat).
    pub name: Option<JsonStr<'a>>,
    /// Members not understood.
    pub rest: Rest<'a>,
}

/// Where an instruction stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a member of its own (`system`, `instructions`, `systemInstruction`).
    Top,
    /// Among the messages, before the turn of this index; 0 leads the conversation.
    Before(usize),
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The caller's side: words, media, tool results.
    User,
    /// The model: words, thinking, tool calls.
    Assistant,
}

/// What one side says. Adjacent tool results are one user turn.
#[derive(Debug, Clone)]
pub struct Turn<'a> {
    /// Who speaks.
    pub role: Role,
    /// In their order.
    pub parts: Vec<Part<'a>>,
    /// The content was a bare string, not a list of parts.
    pub plain: bool,
    /// Name of the author (Chat).
    pub name: Option<JsonStr<'a>>,
    /// Which of two spellings the source used.
    pub spelling: Spelling,
    /// The messages among its items, where a turn is made of items (Responses).
    pub messages: Vec<TurnMessage<'a>>,
    /// Members of the message that were not understood.
    pub rest: Rest<'a>,
}

/// A message that is one of several items of a turn. Only the writer of the same protocol looks:
/// to any other, the parts say it all.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnMessage<'a> {
    /// Its parts among those of the turn; empty where it has none.
    pub parts: Range<usize>,
    /// The message as it stood.
    pub raw: Raw<'a>,
}

impl<'a> Turn<'a> {
    /// A turn without parts.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            parts: Vec::new(),
            plain: false,
            name: None,
            spelling: Spelling::default(),
            messages: Vec::new(),
            rest: Rest::default(),
        }
    }
}
