//! The items of a stream that is read: what was said of them.

use super::said::Said;
use crate::protocol::json::Raw;
use crate::protocol::model::ToolCallKind;
use crate::protocol::openai_responses::output::{Body, Form};

/// Most items of one stream, and most parts of one item. A stream with more fails.
pub const MAX_ITEMS: usize = 4096;

/// An item.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    /// Its `output_index`. Ids are no key: some servers change them with every event.
    pub(super) index: Option<u64>,
    pub(super) shape: Shape,
    /// Its end was read.
    pub(super) done: bool,
    /// What is kept of the item as it began, until its first part begins.
    pub(super) begun: Option<Raw<'static>>,
    pub(super) pieces: Vec<Piece>,
}

/// What an item is, as far as events tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Message,
    Reasoning,
    Call(ToolCallKind),
    Other,
}

impl Shape {
    pub(super) fn of(body: &Body<'_>) -> Self {
        match body {
            Body::Message(_) => Self::Message,
            Body::Reasoning(_) => Self::Reasoning,
            Body::Call(call) => Self::Call(call.kind),
            Body::Other(_) => Self::Other,
        }
    }
}

/// A part of a message, a text of thinking, or the arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    pub(super) place: u64,
    pub(super) kind: Kind,
    /// Its part in the hub, once that began. Texts of thinking share one.
    pub(super) part: Option<u32>,
    pub(super) said: Said,
    pub(super) closed: bool,
    /// How many annotations were given.
    pub(super) annotations: usize,
    /// Token probabilities were given.
    pub(super) logprobs: bool,
}

/// Kinds of pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Refusal,
    Summary,
    Thinking,
    Arguments,
}

impl Kind {
    pub(super) fn of(form: Form) -> Option<Self> {
        match form {
            Form::Text => Some(Self::Text),
            Form::Refusal => Some(Self::Refusal),
            Form::Other => None,
        }
    }
}

impl Piece {
    pub(super) fn new(place: u64, kind: Kind) -> Self {
        Self {
            place,
            kind,
            part: None,
            said: Said::default(),
            closed: false,
            annotations: 0,
            logprobs: false,
        }
    }
}
