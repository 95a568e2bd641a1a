//! A finished answer.

use super::{Part, Rest, Spelling, Usage};
use crate::protocol::Protocol;
use crate::protocol::json::{JsonStr, Number, Raw};

/// One finished answer.
#[derive(Debug, Clone)]
pub struct Response<'a> {
    /// The protocol whose reader made it.
    pub origin: Protocol,
    /// Its id; empty where there was none.
    pub id: JsonStr<'a>,
    /// The model that answered; empty where there was none.
    pub model: JsonStr<'a>,
    /// Unix seconds.
    pub created: Option<Number<'a>>,
    /// Usually one.
    pub candidates: Vec<Candidate<'a>>,
    /// Tokens.
    pub usage: Option<Usage<'a>>,
    /// Members not understood.
    pub rest: Rest<'a>,
}

/// One of the answers.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// From 0.
    pub index: u32,
    /// In their order.
    pub parts: Vec<Part<'a>>,
    /// Why it ended; `None` where the source does not say.
    pub stop: Option<Stop<'a>>,
    /// Token probabilities in the form of their origin.
    pub logprobs: Option<Raw<'a>>,
    /// Which of two spellings the source used.
    pub spelling: Spelling,
    /// Members of the message that were not understood (Chat).
    pub message_rest: Rest<'a>,
    /// Members of the candidate that were not understood.
    pub rest: Rest<'a>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop<'a> {
    /// In the hub's words.
    pub reason: StopReason,
    /// In the words of its origin.
    pub word: Option<JsonStr<'a>>,
    /// The stop sequence that was met.
    pub sequence: Option<JsonStr<'a>>,
    /// More about it (Messages `stop_details`), as it stood.
    pub details: Option<Raw<'a>>,
}

impl<'a> Stop<'a> {
    /// A reason without further facts.
    #[must_use]
    pub fn new(reason: StopReason) -> Self {
        Self { reason, word: None, sequence: None, details: None }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The model was done.
    End,
    /// The token limit was met.
    MaxTokens,
    /// A stop sequence was met.
    StopSequence,
    /// The model waits for tool results.
    ToolUse,
    /// The model refused.
    Refusal,
    /// A filter cut it off.
    ContentFilter,
    /// A long turn was paused; send it back to go on (Messages).
    Pause,
    /// The context window is full.
    ContextWindow,
    /// The model failed (malformed calls and the like).
    Error,
    /// A word yet unknown; see [`Stop::word`].
    Other,
}
