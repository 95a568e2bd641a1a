//! Where each protocol keeps what observers want to know: one tree of member names per protocol,
//! for whole answers, stream events and errors alike.

use crate::protocol::Protocol;

/// Members of an object that are looked at.
pub(super) type Members = &'static [(&'static str, Node)];

/// What is looked at in a value.
#[derive(Debug)]
pub(super) enum Node {
    /// The value itself.
    Leaf(Field),
    /// Members of an object.
    Object(Members),
    /// Each item of an array.
    List(&'static Node),
    /// Members of an object, or the value itself where it is none.
    Either(Field, Members),
}

impl Node {
    pub(super) fn field(&self) -> Option<Field> {
        match self {
            Self::Leaf(field) | Self::Either(field, _) => Some(*field),
            Self::Object(_) | Self::List(_) => None,
        }
    }
}

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Name of the model.
    Model,
    /// The `type` of a stream event or of a whole answer.
    EventType,
    /// The `type` of a Messages block that begins.
    BlockType,
    /// The `type` of a Responses item or of a part of it.
    ItemType,
    /// Why the answer ended.
    Stop,
    /// Responses: how far the answer is.
    Status,
    /// Responses: why it is incomplete.
    IncompleteReason,
    /// Gemini: why the prompt was refused.
    BlockReason,
    /// Something of the answer, meaningful when not empty.
    Content,
    /// Tool calls, meaningful when not empty.
    Tool,
    /// An error by word or number.
    ErrorCode,
    /// An error in a sentence.
    ErrorMessage,
    /// As `ErrorCode`, where only another member tells that this is an error.
    FlatCode,
    /// As `ErrorMessage`, where only another member tells that this is an error.
    FlatMessage,
    /// Tokens.
    Tokens(Count),
}

impl Field {
    /// Whether the text matters, not only that there is one.
    pub(super) fn wants_text(self) -> bool {
        !matches!(self, Self::Content | Self::Tool)
    }
}

/// Counts of tokens as the protocols report them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Messages: without the cached part. Others: with it.
    Input,
    /// Gemini: prompts of tools, beside `Input`.
    ToolInput,
    CacheRead,
    CacheWrite,
    CacheWrite1h,
    /// Gemini: without thinking. Others: with it.
    Output,
    Reasoning,
    /// Chat and its kin: all of it.
    Total,
}

/// What is looked at in the answers of a protocol.
pub(super) fn root(protocol: Protocol) -> &'static Node {
    match protocol {
        Protocol::Anthropic => &ANTHROPIC,
        Protocol::OpenAiChat => &OPENAI_CHAT,
        Protocol::OpenAiResponses => &OPENAI_RESPONSES,
        Protocol::Gemini => &GEMINI,
        Protocol::DashScope => &DASHSCOPE,
    }
}

use Field::Tokens;
use Node::{Either, Leaf, List, Object};

const ERROR: Node = Either(
    Field::ErrorMessage,
    &[
        ("type", Leaf(Field::ErrorCode)),
        ("code", Leaf(Field::ErrorCode)),
        ("status", Leaf(Field::ErrorCode)),
        ("message", Leaf(Field::ErrorMessage)),
        // Gemini says API_KEY_INVALID only here.
        ("details", List(&Object(&[("reason", Leaf(Field::ErrorCode))]))),
    ],
);

static ANTHROPIC: Node = Object(&[
    ("type", Leaf(Field::EventType)),
    ("model", Leaf(Field::Model)),
    ("content", Leaf(Field::Content)),
    ("stop_reason", Leaf(Field::Stop)),
    ("usage", ANTHROPIC_USAGE),
    ("error", ERROR),
    ("message", Object(&[("model", Leaf(Field::Model)), ("usage", ANTHROPIC_USAGE)])),
    (
        "content_block",
        Object(&[
            ("type", Leaf(Field::BlockType)),
            ("text", Leaf(Field::Content)),
            ("thinking", Leaf(Field::Content)),
        ]),
    ),
    (
        "delta",
        Object(&[
            ("text", Leaf(Field::Content)),
            ("thinking", Leaf(Field::Content)),
            ("partial_json", Leaf(Field::Content)),
            ("citation", Leaf(Field::Content)),
            ("content", Leaf(Field::Content)),
            ("stop_reason", Leaf(Field::Stop)),
        ]),
    ),
]);

const ANTHROPIC_USAGE: Node = Object(&[
    ("input_tokens", Leaf(Tokens(Count::Input))),
    ("cache_read_input_tokens", Leaf(Tokens(Count::CacheRead))),
    ("cache_creation_input_tokens", Leaf(Tokens(Count::CacheWrite))),
    ("cache_creation", Object(&[("ephemeral_1h_input_tokens", Leaf(Tokens(Count::CacheWrite1h)))])),
    ("output_tokens", Leaf(Tokens(Count::Output))),
    ("output_tokens_details", Object(&[("thinking_tokens", Leaf(Tokens(Count::Reasoning)))])),
]);

static OPENAI_CHAT: Node = Object(&[
    ("model", Leaf(Field::Model)),
    ("usage", OPENAI_USAGE),
    ("error", ERROR),
    (
        "choices",
        List(&Object(&[
            ("finish_reason", Leaf(Field::Stop)),
            ("delta", CHAT_MESSAGE),
            ("message", CHAT_MESSAGE),
        ])),
    ),
    // Groq's place for the usage of a stream.
    ("x_groq", Object(&[("usage", OPENAI_USAGE)])),
]);

const CHAT_MESSAGE: Node = Object(&[
    ("content", Leaf(Field::Content)),
    ("refusal", Leaf(Field::Content)),
    ("reasoning_content", Leaf(Field::Content)),
    ("reasoning", Leaf(Field::Content)),
    ("reasoning_details", Leaf(Field::Content)),
    ("audio", Leaf(Field::Content)),
    ("tool_calls", Leaf(Field::Tool)),
    ("function_call", Leaf(Field::Tool)),
]);

const INPUT_DETAILS: Node = Object(&[
    ("cached_tokens", Leaf(Tokens(Count::CacheRead))),
    ("cache_write_tokens", Leaf(Tokens(Count::CacheWrite))),
    ("cache_creation_input_tokens", Leaf(Tokens(Count::CacheWrite))),
]);

const OUTPUT_DETAILS: Node = Object(&[("reasoning_tokens", Leaf(Tokens(Count::Reasoning)))]);

/// Chat, Responses and DashScope count alike under different names.
const OPENAI_USAGE: Node = Object(&[
    ("prompt_tokens", Leaf(Tokens(Count::Input))),
    ("input_tokens", Leaf(Tokens(Count::Input))),
    ("prompt_tokens_details", INPUT_DETAILS),
    ("input_tokens_details", INPUT_DETAILS),
    // DeepSeek's and DashScope's flat forms.
    ("prompt_cache_hit_tokens", Leaf(Tokens(Count::CacheRead))),
    ("cached_tokens", Leaf(Tokens(Count::CacheRead))),
    ("completion_tokens", Leaf(Tokens(Count::Output))),
    ("output_tokens", Leaf(Tokens(Count::Output))),
    ("total_tokens", Leaf(Tokens(Count::Total))),
    ("completion_tokens_details", OUTPUT_DETAILS),
    ("output_tokens_details", OUTPUT_DETAILS),
]);

static OPENAI_RESPONSES: Node = Object(&[
    ("type", Leaf(Field::EventType)),
    ("model", Leaf(Field::Model)),
    ("status", Leaf(Field::Status)),
    ("incomplete_details", INCOMPLETE),
    ("usage", OPENAI_USAGE),
    ("error", ERROR),
    ("output", RESPONSES_OUTPUT),
    (
        "response",
        Object(&[
            ("model", Leaf(Field::Model)),
            ("status", Leaf(Field::Status)),
            ("incomplete_details", INCOMPLETE),
            ("usage", OPENAI_USAGE),
            ("error", ERROR),
            ("output", RESPONSES_OUTPUT),
        ]),
    ),
    ("item", RESPONSES_ITEM),
    // The error event is flat.
    ("code", Leaf(Field::FlatCode)),
    ("message", Leaf(Field::FlatMessage)),
]);

const INCOMPLETE: Node = Object(&[("reason", Leaf(Field::IncompleteReason))]);

const RESPONSES_OUTPUT: Node = List(&RESPONSES_ITEM);

const RESPONSES_ITEM: Node = Object(&[
    ("type", Leaf(Field::ItemType)),
    ("content", List(&Object(&[("type", Leaf(Field::ItemType))]))),
]);

static GEMINI: Node = Object(&[
    ("modelVersion", Leaf(Field::Model)),
    ("usageMetadata", GEMINI_USAGE),
    ("error", ERROR),
    ("promptFeedback", Object(&[("blockReason", Leaf(Field::BlockReason))])),
    (
        "candidates",
        List(&Object(&[
            ("finishReason", Leaf(Field::Stop)),
            ("content", Object(&[("parts", List(&GEMINI_PART))])),
        ])),
    ),
]);

const GEMINI_PART: Node = Object(&[
    ("text", Leaf(Field::Content)),
    ("functionCall", Leaf(Field::Tool)),
    ("inlineData", Leaf(Field::Content)),
    ("executableCode", Leaf(Field::Content)),
    ("codeExecutionResult", Leaf(Field::Content)),
]);

const GEMINI_USAGE: Node = Object(&[
    ("promptTokenCount", Leaf(Tokens(Count::Input))),
    ("toolUsePromptTokenCount", Leaf(Tokens(Count::ToolInput))),
    ("cachedContentTokenCount", Leaf(Tokens(Count::CacheRead))),
    ("candidatesTokenCount", Leaf(Tokens(Count::Output))),
    ("thoughtsTokenCount", Leaf(Tokens(Count::Reasoning))),
]);

static DASHSCOPE: Node = Object(&[
    ("model", Leaf(Field::Model)),
    ("usage", OPENAI_USAGE),
    (
        "output",
        Object(&[
            ("text", Leaf(Field::Content)),
            ("finish_reason", Leaf(Field::Stop)),
            (
                "choices",
                List(&Object(&[("finish_reason", Leaf(Field::Stop)), ("message", CHAT_MESSAGE)])),
            ),
        ]),
    ),
    ("code", Leaf(Field::ErrorCode)),
    ("message", Leaf(Field::ErrorMessage)),
]);
