//! A request.

use super::{
    CacheMark, Effort, Instruction, Logprobs, OutputFormat, Reasoning, ReasoningMode, Rest,
    Sampling, ServerState, Show, Spelling, Tool, ToolChoice, ToolGroup, Turn,
};
use crate::protocol::json::{Cursor, JsonError, JsonStr, Number, Raw};
use crate::protocol::report::Anchor;
use crate::protocol::{Layout, Protocol};

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
    /// Which of the tools were declared together, and where (Responses).
    pub tool_groups: Vec<ToolGroup<'a>>,
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
    /// Members not understood of the object that holds settings (Messages `output_config`,
    /// Responses `text`, Gemini `generationConfig`, DashScope `parameters`).
    pub settings_rest: Rest<'a>,
    /// Members not understood of the object that holds the conversation (DashScope `input`). Its
    /// source is the conversation itself where that was no list of items (Responses).
    pub input_rest: Rest<'a>,
    /// How the answer is to be laid out.
    pub layout: Layout,
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

    /// The member in which its protocol says how much to think.
    #[must_use]
    pub fn thinking_member(&self) -> &'static str {
        match self.origin {
            Protocol::Anthropic => "thinking",
            Protocol::OpenAiChat => "reasoning_effort",
            Protocol::OpenAiResponses => "reasoning",
            Protocol::Gemini => "generationConfig",
            Protocol::DashScope => "parameters",
        }
    }

    /// What of the thinking the caller is to see. Messages, Chat and DashScope show it to whoever
    /// asks a model to think and says no more; callers of the others say so themselves.
    pub(crate) fn show(&self) -> Option<Show> {
        let Reasoning { mode, effort, budget, show, .. } = &self.reasoning;
        let unasked =
            matches!(self.origin, Protocol::Anthropic | Protocol::OpenAiChat | Protocol::DashScope);
        let asked = mode.is_some() || effort.is_some() || budget.is_some();
        let off = *mode == Some(ReasoningMode::Off)
            || *effort == Some(Effort::None)
            || budget.as_ref().and_then(Number::as_u64) == Some(0);
        show.or((unasked && asked && !off).then_some(Show::Summary))
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
            tool_groups: Vec::new(),
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
            settings_rest: Rest::default(),
            input_rest: Rest::default(),
            layout: Layout::default(),
            rest: Rest::default(),
            anchors: Vec::new(),
        }
    }
}
