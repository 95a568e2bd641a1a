//! Tools: declared, chosen, called, answered.

use std::borrow::Cow;

use super::{CacheMark, Part, Rest, Seal, Spelling};
use crate::protocol::json::{JsonStr, Kind, Raw};

/// A tool that may be called.
#[derive(Debug, Clone)]
pub struct Tool<'a> {
    /// Its name; empty for an unnamed server tool.
    pub name: JsonStr<'a>,
    /// What kind.
    pub kind: ToolKind<'a>,
    /// When to use it.
    pub description: Option<JsonStr<'a>>,
    /// Hold the model to the schema.
    pub strict: Option<bool>,
    /// The prompt cache may cut behind this tool.
    pub cache: Option<CacheMark<'a>>,
    /// Members not understood (of the inner `function` object where there is one).
    pub rest: Rest<'a>,
    /// Members not understood of the object around it (Chat).
    pub outer_rest: Rest<'a>,
    /// Which of two spellings the source used.
    pub spelling: Spelling,
}

/// Kinds of tool declarations.
#[derive(Debug, Clone)]
pub enum ToolKind<'a> {
    /// Takes a JSON object; the schema as it stood, `None` where there was none.
    Function {
        /// JSON Schema of the input.
        schema: Option<Raw<'a>>,
        /// The `type` that stood beside it (Messages `custom`), where one stood.
        type_name: Option<JsonStr<'a>>,
    },
    /// Takes free text (`custom`); its format as it stood.
    Custom {
        /// Grammar or text, in the form of its origin.
        format: Option<Raw<'a>>,
    },
    /// Run by the vendor, whole as it stood.
    Server {
        /// Its `type`.
        kind: JsonStr<'a>,
        /// The declaration as it stood.
        raw: Raw<'a>,
    },
}

/// Tools that were declared together: under one name (Responses `namespace`) or in the midst of
/// the conversation (`additional_tools`).
///
/// They are in [`Request::tools`](super::Request::tools) too, one by one, marked
/// [`Spelling::IN_GROUP`]; that is where other protocols find them. Names are unique only within
/// their namespace, so that there they have it in front: `namespace__name`.
#[derive(Debug, Clone)]
pub struct ToolGroup<'a> {
    /// Where the group stood.
    pub place: GroupPlace,
    /// The group as it stood.
    pub raw: Raw<'a>,
}

/// Where a group of tools stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupPlace {
    /// Among the tools, behind so many that are in no group.
    Tools(usize),
    /// Among the messages, behind so many turns and instructions.
    Messages {
        /// Turns before it.
        turns: usize,
        /// Instructions before it, without those at the top.
        instructions: usize,
    },
}

/// Whether and which tool must be called.
#[derive(Debug, Clone)]
pub enum ToolChoice<'a> {
    /// The model decides.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Tool(JsonStr<'a>),
    /// One of these (`allowed_tools`).
    Allowed {
        /// At least one must be called.
        required: bool,
        /// Names of the function tools.
        names: Vec<JsonStr<'a>>,
        /// As it stood.
        raw: Raw<'a>,
    },
    /// A form yet unknown.
    Other(Raw<'a>),
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall<'a> {
    /// Pairs it with its result; empty where the protocol gave none.
    pub id: JsonStr<'a>,
    /// The tool.
    pub name: JsonStr<'a>,
    /// What it is called with.
    pub arguments: ToolArguments<'a>,
    /// What kind of tool.
    pub kind: ToolCallKind,
    /// A seal on the call (Gemini).
    pub seal: Option<Seal<'a>>,
    /// Id of the item itself (Responses `fc_…`).
    pub item_id: Option<JsonStr<'a>>,
    /// Which of two spellings the source used.
    pub spelling: Spelling,
}

/// Kinds of tools that the caller runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolCallKind {
    /// Takes a JSON object.
    Function,
    /// Takes free text.
    Custom,
}

/// The input of a tool, in the form in which it came.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolArguments<'a> {
    /// A JSON value (Messages, Gemini).
    Json(Raw<'a>),
    /// JSON inside a string, or free text for a custom tool (Chat, Responses, DashScope).
    /// It may be cut or invalid: models write it.
    Text(JsonStr<'a>),
}

impl<'a> ToolArguments<'a> {
    /// The arguments as a JSON object: empty text is `{}`; `None` where the text is none.
    #[must_use]
    pub fn to_object(&self) -> Option<Raw<'_>> {
        let raw = match self {
            Self::Json(raw) => raw.borrow(),
            Self::Text(text) => {
                let text = text.decode();
                if text.trim().is_empty() {
                    return Some(Raw::literal("{}"));
                }
                match text {
                    Cow::Borrowed(text) => Raw::parse(text).ok()?,
                    Cow::Owned(text) => Raw::parse_owned(text).ok()?,
                }
            }
        };
        (raw.kind() == Kind::Object).then_some(raw)
    }
}

/// The answer of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult<'a> {
    /// Id of the call.
    pub call_id: JsonStr<'a>,
    /// Name of the tool, where the protocol says it.
    pub name: Option<JsonStr<'a>>,
    /// Texts and media; empty where the source had no content.
    pub parts: Vec<Part<'a>>,
    /// The content was a bare string.
    pub plain: bool,
    /// The tool failed.
    pub is_error: Option<bool>,
    /// What kind of tool.
    pub kind: ToolCallKind,
    /// Which of two spellings the source used.
    pub spelling: Spelling,
}
