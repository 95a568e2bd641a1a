//! An answer on its way.
//!
//! ```text
//! Start ( PartStart Delta* PartStop | Logprobs | Ping )* Stop Usage? End
//! ```
//!
//! Parts have an `index` that counts up over the whole stream and is never used twice. Parts of
//! one candidate may overlap (parallel tool calls of Chat): the writer of a protocol that cannot
//! say so puts them in a row. `Usage` may come at any time and is cumulative: the last one counts.
//! `Error` may come at any time and ends the stream; so does `End`, and nothing follows either.

use super::{ApiError, CacheMark, JsonStr, Media, Raw, Rest, Seal, Stop, ToolCallKind, Usage};

/// One step of a streamed answer.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent<'a> {
    /// The answer begins. Exactly once, first.
    Start {
        /// Its id; empty where there was none.
        id: JsonStr<'a>,
        /// The model that answers; empty where there was none.
        model: JsonStr<'a>,
        /// Unix seconds.
        created: Option<u64>,
        /// What is known of the usage so far.
        usage: Option<Usage<'a>>,
        /// Members not understood.
        rest: Rest<'a>,
    },
    /// A part begins.
    PartStart {
        /// Its index in the stream.
        index: u32,
        /// Which candidate it belongs to; 0 where there is one.
        candidate: u32,
        /// What it is.
        part: PartStart<'a>,
        /// A cache mark or members not understood.
        rest: Rest<'a>,
    },
    /// More of a part.
    Delta {
        /// The part.
        index: u32,
        /// The piece.
        delta: Delta<'a>,
    },
    /// A part is complete.
    PartStop {
        /// The part.
        index: u32,
    },
    /// Token probabilities, in the form of their origin.
    Logprobs {
        /// Which candidate.
        candidate: u32,
        /// As they stood.
        raw: Raw<'a>,
    },
    /// A candidate is complete.
    Stop {
        /// Which.
        candidate: u32,
        /// Why.
        stop: Stop<'a>,
        /// Members not understood.
        rest: Rest<'a>,
    },
    /// Tokens so far.
    Usage(Usage<'a>),
    /// Nothing, to keep the line open.
    Ping,
    /// The answer failed. Last.
    Error(ApiError<'a>),
    /// The answer is complete. Last.
    End,
}

/// What a streamed part is.
#[derive(Debug, Clone, PartialEq)]
pub enum PartStart<'a> {
    /// Words.
    Text {
        /// Cite mark as it stood (`citations: []`).
        citations: Option<Raw<'a>>,
    },
    /// A refusal in words.
    Refusal,
    /// Thinking. A seal that is known at once comes here (redacted), else as a delta.
    Reasoning {
        /// Known at once.
        seal: Option<Seal<'a>>,
    },
    /// A tool call; its arguments follow as deltas.
    ToolCall {
        /// Pairs it with its result; empty where the protocol gave none.
        id: JsonStr<'a>,
        /// The tool.
        name: JsonStr<'a>,
        /// What kind of tool.
        kind: ToolCallKind,
        /// A seal on the call (Gemini).
        seal: Option<Seal<'a>>,
        /// A cache mark.
        cache: Option<CacheMark<'a>>,
    },
    /// An image or sound that the model made, whole (Gemini).
    Media(Media<'a>),
    /// Anything else, whole as it began.
    Other {
        /// Its `type`.
        kind: JsonStr<'a>,
        /// As it stood.
        raw: Raw<'a>,
    },
}

/// A piece of a part. Pieces may cut characters of the decoded text apart, never an escape.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta<'a> {
    /// Words (of a text or a refusal).
    Text(JsonStr<'a>),
    /// Readable thinking.
    Reasoning(JsonStr<'a>),
    /// Text of the arguments.
    Arguments(JsonStr<'a>),
    /// The seal of the part; it comes last.
    Seal(Seal<'a>),
    /// A citation in the form of its origin.
    Citation(Raw<'a>),
    /// A piece yet unknown, as it stood.
    Other(Raw<'a>),
}
