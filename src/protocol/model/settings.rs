//! How to answer: form, sampling, thinking, state.

use super::Rest;
use crate::protocol::json::{JsonStr, Number, Raw};

/// The form that the answer must have.
#[derive(Debug, Clone)]
pub enum OutputFormat<'a> {
    /// Words.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of a schema.
    JsonSchema {
        /// Name of the schema (Chat, Responses).
        name: Option<JsonStr<'a>>,
        /// The schema.
        schema: Option<Raw<'a>>,
        /// Hold the model to it.
        strict: Option<bool>,
        /// What it is for.
        description: Option<JsonStr<'a>>,
        /// Members not understood.
        rest: Rest<'a>,
    },
    /// A form yet unknown.
    Other(Raw<'a>),
}

/// How the next token is chosen, and where to stop.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Sampling<'a> {
    pub temperature: Option<Number<'a>>,
    pub top_p: Option<Number<'a>>,
    pub top_k: Option<Number<'a>>,
    pub seed: Option<Number<'a>>,
    pub frequency_penalty: Option<Number<'a>>,
    pub presence_penalty: Option<Number<'a>>,
    pub repetition_penalty: Option<Number<'a>>,
    /// How many answers (`n`, `candidateCount`).
    pub candidates: Option<Number<'a>>,
    pub logit_bias: Option<Raw<'a>>,
    /// Stop sequences; `None` where the member was absent.
    pub stop: Option<Vec<JsonStr<'a>>>,
}

/// How much to think.
#[derive(Debug, Clone, Default)]
pub struct Reasoning<'a> {
    /// Whether to think.
    pub mode: Option<ReasoningMode>,
    /// How hard, in words.
    pub effort: Option<Effort>,
    /// How hard, in tokens.
    pub budget: Option<Number<'a>>,
    /// What to show.
    pub show: Option<Show>,
    /// Members not understood.
    pub rest: Rest<'a>,
}

/// Whether to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningMode {
    /// Not at all.
    Off,
    /// Yes, within the budget.
    On,
    /// As the model sees fit.
    Adaptive,
}

/// How hard to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// The word that Messages, Chat and Responses use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The effort of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max]
            .into_iter()
            .find(|effort| effort.as_str() == word)
    }
}

/// What of the thinking to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Nothing.
    Hidden,
    /// A summary.
    Summary,
    /// All.
    Full,
}

/// Whether token probabilities are wanted.
#[derive(Debug, Clone, Default)]
pub struct Logprobs<'a> {
    /// Asked for.
    pub enabled: Option<bool>,
    /// How many alternatives.
    pub top: Option<Number<'a>>,
}

/// What the vendor is to keep or to recall.
#[derive(Debug, Clone, Default)]
pub struct ServerState<'a> {
    /// Keep the answer.
    pub store: Option<bool>,
    /// Continue this answer (Responses).
    pub previous_response_id: Option<JsonStr<'a>>,
    /// Continue this conversation (Responses).
    pub conversation: Option<Raw<'a>>,
    /// A cached prefix (Gemini).
    pub cached_content: Option<JsonStr<'a>>,
}
