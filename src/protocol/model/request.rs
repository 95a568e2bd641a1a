//! A request, its turns and their parts.

use super::Rest;
use crate::protocol::Protocol;
use crate::protocol::json::{Cursor, JsonError, JsonStr, Number, Raw};
use crate::protocol::report::Anchor;

/// One request for an answer.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The protocol whose reader made it.
    pub origin: Protocol,
    /// The model asked for; empty where the protocol has it in the path.
    pub model: JsonStr<'a>,
    /// System and developer texts, in their order.
    pub instructions: Vec<Instruction<'a>>,
    /// The conversation.
    pub turns: Vec<Turn<'a>>,
    /// The tools that may be called.
    pub tools: Vec<Tool<'a>>,
    /// Whether and which tool must be called.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether several tools may be called in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// The form that the answer must have.
    pub output: Option<OutputFormat<'a>>,
    /// Most tokens of the answer, thinking included.
    pub max_output_tokens: Option<Number<'a>>,
    /// How the next token is chosen, and where to stop.
    pub sampling: Sampling<'a>,
    /// How much to think, and what to show of it.
    pub reasoning: Reasoning<'a>,
    /// Whether token probabilities are wanted.
    pub logprobs: Logprobs<'a>,
    /// Whether the answer is to be streamed.
    pub stream: Option<bool>,
    /// Whether a stream must end with the usage (Chat: `stream_options.include_usage`).
    pub include_usage: Option<bool>,
    /// What the vendor is to keep or to recall.
    pub state: ServerState<'a>,
    /// The end user (`metadata.user_id`, `safety_identifier`, `user`).
    pub end_user: Option<JsonStr<'a>>,
    /// The caller's own labels, an object; without the end user.
    pub metadata: Option<Raw<'a>>,
    /// Service tier, in the words of its origin.
    pub service_tier: Option<JsonStr<'a>>,
    /// How long the answer should be (`low`, `medium`, `high`).
    pub verbosity: Option<JsonStr<'a>>,
    /// Routes requests with the same prefix to the same cache (`prompt_cache_key`).
    pub cache_key: Option<JsonStr<'a>>,
    /// A cache mark on the request itself (Messages, top level).
    pub cache: Option<CacheMark<'a>>,
    /// Safety settings, in the form of their origin.
    pub safety: Option<Raw<'a>>,
    /// Which of two spellings the source used.
    pub spelling: Spelling,
    /// Members not understood of the object around the output format (Messages `output_config`,
    /// Responses `text`).
    pub output_rest: Rest<'a>,
    /// Members not understood.
    pub rest: Rest<'a>,
    /// Where the members and messages began in the source.
    pub anchors: Vec<Anchor<'a>>,
}

impl<'a> Request<'a> {
    /// Remembers where the value before the cursor stands: a member, or an item of it.
    ///
    /// # Errors
    /// Where no value begins.
    pub fn anchor(
        &mut self,
        member: &JsonStr<'a>,
        item: Option<usize>,
        cursor: &mut Cursor<'a>,
    ) -> Result<(), JsonError> {
        cursor.kind()?;
        let anchor = Anchor { offset: cursor.offset(), member: member.clone(), item };
        self.anchors.push(anchor);
        Ok(())
    }

    /// An empty request as `origin` would have it.
    #[must_use]
    pub fn new(origin: Protocol) -> Self {
        Self {
            origin,
            model: JsonStr::default(),
            instructions: Vec::new(),
            turns: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            parallel_tool_calls: None,
            output: None,
            max_output_tokens: None,
            sampling: Sampling::default(),
            reasoning: Reasoning::default(),
            logprobs: Logprobs::default(),
            stream: None,
            include_usage: None,
            state: ServerState::default(),
            end_user: None,
            metadata: None,
            service_tier: None,
            verbosity: None,
            cache_key: None,
            cache: None,
            safety: None,
            spelling: Spelling::default(),
            output_rest: Rest::default(),
            rest: Rest::default(),
            anchors: Vec::new(),
        }
    }
}

/// Which of two equivalent spellings a source used. Only the writer of the same protocol looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spelling(u16);

impl Spelling {
    /// Chat `max_tokens` for `max_completion_tokens`.
    pub const LEGACY_MAX_TOKENS: Self = Self(1);
    /// `stop` as a bare string.
    pub const PLAIN_STOP: Self = Self(1 << 1);
    /// Chat and Responses `user` for `safety_identifier`.
    pub const LEGACY_USER: Self = Self(1 << 2);
    /// Messages `output_format` for `output_config.format`.
    pub const BETA_FORMAT: Self = Self(1 << 3);
    /// Chat `functions`, `function_call` for `tools`, `tool_calls`.
    pub const LEGACY_FUNCTIONS: Self = Self(1 << 4);
    /// A tool choice that stood as an object where a string would do, or the reverse.
    pub const OBJECT_CHOICE: Self = Self(1 << 5);
    /// Reasoning text in `reasoning` for `reasoning_content` (Chat dialects).
    pub const REASONING_MEMBER: Self = Self(1 << 6);
    /// A URL or data stood as a bare string where an object is usual.
    pub const PLAIN_URL: Self = Self(1 << 7);
    /// An empty list stood where the member could have been absent (`tools`, a result's content).
    pub const EMPTY_LIST: Self = Self(1 << 8);
    /// Reasoning stood in `reasoning_details` (Chat dialects).
    pub const REASONING_DETAILS: Self = Self(1 << 9);
    /// A refusal stood in the list of content, not in a member of its own (Chat).
    pub const REFUSAL_PART: Self = Self(1 << 10);
    /// The content of an answer was a bare string (Chat).
    pub const PLAIN_CONTENT: Self = Self(1 << 11);

    /// Adds a mark.
    pub fn set(&mut self, mark: Self) {
        self.0 |= mark.0;
    }

    /// Whether the mark is set.
    #[must_use]
    pub fn has(self, mark: Self) -> bool {
        self.0 & mark.0 == mark.0
    }
}

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
    /// Members of the message that were not understood.
    pub rest: Rest<'a>,
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
            rest: Rest::default(),
        }
    }
}

/// One piece of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Part<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// The prompt cache may cut behind this part.
    pub cache: Option<CacheMark<'a>>,
    /// Members not understood.
    pub rest: Rest<'a>,
}

impl<'a> Part<'a> {
    /// A part without mark or further members.
    #[must_use]
    pub fn new(content: Content<'a>) -> Self {
        Self { content, cache: None, rest: Rest::default() }
    }

    /// A text without citations.
    #[must_use]
    pub fn text(text: JsonStr<'a>) -> Self {
        Self::new(Content::Text { text, citations: None })
    }
}

/// A cache mark as it stood: `{"type":"ephemeral","ttl":"1h"}`.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheMark<'a>(pub Raw<'a>);

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<'a> {
    /// Words.
    Text {
        /// The words.
        text: JsonStr<'a>,
        /// Citations or annotations in the form of their origin, an array.
        citations: Option<Raw<'a>>,
    },
    /// The model's refusal in words.
    Refusal(JsonStr<'a>),
    /// An image, a document, a sound.
    Media(Media<'a>),
    /// The model's thinking.
    Reasoning {
        /// The readable thinking or its summary; `None` where there is only a seal.
        text: Option<JsonStr<'a>>,
        /// What proves or carries it.
        seal: Option<Seal<'a>>,
        /// Id of the item (Responses).
        id: Option<JsonStr<'a>>,
    },
    /// The model calls a tool.
    ToolCall(ToolCall<'a>),
    /// What the tool answered.
    ToolResult(ToolResult<'a>),
    /// Anything else, whole: server tools and blocks yet unknown.
    Other {
        /// Its `type`.
        kind: JsonStr<'a>,
        /// The block as it stood.
        raw: Raw<'a>,
    },
}

/// An image, a document, a sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Media<'a> {
    /// Which of them.
    pub kind: MediaKind,
    /// Where its bytes are.
    pub source: MediaSource<'a>,
    /// How closely to look (`low`, `high`, `auto`).
    pub detail: Option<JsonStr<'a>>,
    /// File name or title.
    pub title: Option<JsonStr<'a>>,
    /// What the document is about (Messages).
    pub context: Option<JsonStr<'a>>,
    /// Whether to cite it, in the form of its origin.
    pub citations: Option<Raw<'a>>,
    /// Which of two spellings the source used.
    pub spelling: Spelling,
}

/// Kinds of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A PDF or text document.
    Document,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

/// Where the bytes of a medium are.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaSource<'a> {
    /// In the request.
    Base64 {
        /// Media type, such as `image/png`; an audio format where the protocol has only that.
        media_type: JsonStr<'a>,
        /// Base64.
        data: JsonStr<'a>,
    },
    /// At a URL that the vendor fetches.
    Url(JsonStr<'a>),
    /// At the vendor, uploaded before.
    File(JsonStr<'a>),
    /// A document of plain text.
    Text {
        /// Media type, `text/plain`.
        media_type: JsonStr<'a>,
        /// The text.
        data: JsonStr<'a>,
    },
    /// A document made of parts.
    Parts {
        /// Its parts.
        parts: Vec<Part<'a>>,
        /// It was a bare string.
        plain: bool,
    },
    /// A form yet unknown, as it stood.
    Other(Raw<'a>),
}

/// Something that only its maker can read, and only unaltered.
#[derive(Debug, Clone, PartialEq)]
pub struct Seal<'a> {
    /// Who made it: it goes back to no one else.
    pub vendor: Vendor,
    /// Which kind.
    pub kind: SealKind,
    /// The opaque text.
    pub data: JsonStr<'a>,
}

/// Makers of seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Vendor {
    Anthropic,
    OpenAi,
    Gemini,
    DashScope,
    /// A Chat dialect that does not say.
    Unknown,
}

/// Kinds of seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealKind {
    /// Signs the readable thinking beside it (Messages `signature`).
    Signature,
    /// Stands for thinking that is not shown (Messages `redacted_thinking`).
    Redacted,
    /// Encrypted thinking beside a summary (Responses `encrypted_content`).
    Encrypted,
    /// Gemini `thoughtSignature`.
    ThoughtSignature,
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
        use crate::protocol::json::Kind;
        let raw = match self {
            Self::Json(raw) => raw.borrow(),
            Self::Text(text) => {
                let text = text.decode();
                if text.trim().is_empty() {
                    return Some(Raw::literal("{}"));
                }
                match text {
                    std::borrow::Cow::Borrowed(text) => Raw::parse(text).ok()?,
                    std::borrow::Cow::Owned(text) => Raw::parse_owned(text).ok()?,
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
