//! Marks of equivalent spellings.

/// Which of two equivalent spellings a source used. Only the writer of the same protocol looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spelling(u32);

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
    /// A tool call stood without its arguments (Messages `input`, Chat `function`).
    pub const NO_ARGUMENTS: Self = Self(1 << 12);
    /// A tool call stood without its `type` (Chat).
    pub const NO_TYPE: Self = Self(1 << 13);
    /// A tool call stood without its id (Chat).
    pub const NO_ID: Self = Self(1 << 14);
    /// A candidate stood without its index (Chat).
    pub const NO_INDEX: Self = Self(1 << 15);
    /// A call was demanded by the word `any` (Chat dialects).
    pub const ANY_CHOICE: Self = Self(1 << 18);
    /// A candidate stood without its message: Azure leaves it out where its filter took it.
    pub const NO_MESSAGE: Self = Self(1 << 17);
    /// The message of an answer stood without its role (Chat).
    pub const NO_ROLE: Self = Self(1 << 16);
    /// A tool stood in a [`ToolGroup`](super::ToolGroup), which says it whole (Responses).
    pub const IN_GROUP: Self = Self(1 << 24);
    /// `include` asked for encrypted thinking (Responses).
    pub const ENCRYPTED_THINKING: Self = Self(1 << 25);
    /// A tool choice named its tool in an inner object, as Chat has it (Responses).
    pub const NESTED_CHOICE: Self = Self(1 << 26);

    /// `result_format` stood there (DashScope).
    pub const RESULT_FORMAT: Self = Self(1 << 24);
    /// `incremental_output` stood there (DashScope).
    pub const INCREMENTAL_OUTPUT: Self = Self(1 << 25);
    /// A turn stood in `input.prompt` (DashScope).
    pub const PROMPT: Self = Self(1 << 26);
    /// A turn stood in `input.history` (DashScope).
    pub const HISTORY: Self = Self(1 << 27);
    /// A turn is to be continued: `partial` (DashScope).
    pub const PARTIAL: Self = Self(1 << 28);
    /// An answer stood in `output.text` for `output.choices` (DashScope).
    pub const TEXT_OUTPUT: Self = Self(1 << 29);

    /// Adds a mark.
    pub fn set(&mut self, mark: Self) {
        self.0 |= mark.0;
    }

    /// Takes a mark away.
    pub fn clear(&mut self, mark: Self) {
        self.0 &= !mark.0;
    }

    /// Whether the mark is set.
    #[must_use]
    pub fn has(self, mark: Self) -> bool {
        self.0 & mark.0 == mark.0
    }
}
