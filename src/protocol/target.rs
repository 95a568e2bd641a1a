//! What a writer is told beside the hub.

use super::dialect::SharedDialect;
use super::model::Effort;
use super::restore::Restore;
use super::{Layout, Protocol, VendorTag};

/// Default for [`Target::default_max_tokens`].
pub const DEFAULT_MAX_TOKENS: u64 = 4096;

/// Default for [`Answer::max_accumulated`]: 16 MiB.
pub const DEFAULT_MAX_ACCUMULATED: usize = 16 << 20;

/// What the model behind a request needs beyond its protocol. [`Profiles`](super::profile::Profiles)
/// know it by the model's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// Messages demands `max_tokens`; this is sent where the caller set none. Default
    /// [`DEFAULT_MAX_TOKENS`].
    pub default_max_tokens: u64,
    /// Most tokens that the model can write; a request for more asks for these. Default no limit.
    pub max_output_tokens: Option<u64>,
    /// Chat: send `max_tokens` instead of `max_completion_tokens`, as many clones of the
    /// protocol know only the old name. Default false.
    pub legacy_max_tokens: bool,
    /// The model thinks, and can be told how much. Else nothing about it is sent. Default true.
    pub thinks: bool,
    /// Thinking budgets in tokens for the efforts minimal, low, medium, high, xhigh, max, where
    /// one protocol has words and the other tokens. Default 1024, 1024, 8192, 24576, 32768, 65536.
    pub budgets: [u64; 6],
    /// Whether the model is told how much to think in tokens or in words. Default in tokens.
    pub thinking: ThinkingScale,
    /// The least and the highest budget that the model takes, beside none at all. Default any.
    pub budget_range: (u64, u64),
    /// The least and the highest effort that the model knows. One that knows `none` is taken to
    /// know no `minimal`, as none does. Default minimal to max.
    pub efforts: (Effort, Effort),
    /// The model can be told not to think at all. Default true.
    pub can_stop_thinking: bool,
    /// It thinks only in a stream: a caller that wants none gets the whole answer of one. Default
    /// false.
    pub thinks_only_streaming: bool,
    /// Whether temperature, top-p, top-k, penalties, a bias of tokens and their probabilities are
    /// taken. Default always.
    pub sampling: Accepts,
    /// Temperature and top-p exclude each other. Default false.
    pub temperature_or_top_p: bool,
    /// Stop sequences are taken. Default true.
    pub stop_sequences: bool,
    /// Whether a tool call can be forced. Default always; Messages never takes both a budget for
    /// thinking and a forced call, whatever stands here.
    pub forced_tools: Accepts,
    /// Gemini: send schemas as JSON Schema (`parametersJsonSchema`, `responseJsonSchema`), not in
    /// the subset of OpenAPI. Default true.
    pub json_schema: bool,
    /// Gemini: calls of a history whose signature is not known get the documented stand-in, as the
    /// models from version 3 on refuse a call without. Default false.
    pub stand_in_signatures: bool,
    /// Gemini: media of a tool's result stand inside of its response. Else beside it. Default
    /// false; models from version 3 on take it.
    pub media_in_results: bool,
    /// Chat and Responses: tools of free text (`custom`) are taken. Else they go as functions of one
    /// string, and so they do to any other protocol. Default true.
    pub custom_tools: bool,
    /// Chat: ids of calls must be nine letters or digits (Mistral). Default false.
    pub short_call_ids: bool,
    /// DashScope: the model answers at `multimodal-generation`, also for words alone. Default
    /// false: only requests with media go there.
    pub multimodal_endpoint: bool,
}

/// In which terms a model is told how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThinkingScale {
    /// A budget (Messages `thinking.budget_tokens`, Gemini `thinkingBudget`, DashScope
    /// `thinking_budget`).
    Tokens,
    /// An effort (Messages `thinking.type: adaptive` with `output_config.effort`, Gemini
    /// `thinkingLevel`, DashScope `reasoning_effort`).
    Words,
}

/// When a model takes a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accepts {
    /// Always.
    Always,
    /// Only while it does not think.
    NotThinking,
    /// Never.
    Never,
}

impl Target {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        default_max_tokens: DEFAULT_MAX_TOKENS,
        max_output_tokens: None,
        legacy_max_tokens: false,
        thinks: true,
        budgets: [1024, 1024, 8192, 24576, 32768, 65536],
        thinking: ThinkingScale::Tokens,
        budget_range: (1, u64::MAX),
        efforts: (Effort::Minimal, Effort::Max),
        can_stop_thinking: true,
        thinks_only_streaming: false,
        sampling: Accepts::Always,
        temperature_or_top_p: false,
        stop_sequences: true,
        forced_tools: Accepts::Always,
        json_schema: true,
        stand_in_signatures: false,
        media_in_results: false,
        custom_tools: true,
        short_call_ids: false,
        multimodal_endpoint: false,
    };

    /// The budget of an effort.
    #[must_use]
    pub fn budget_of(&self, effort: Effort) -> u64 {
        let [minimal, low, medium, high, xhigh, max] = self.budgets;
        match effort {
            Effort::None => 0,
            Effort::Minimal => minimal,
            Effort::Low => low,
            Effort::Medium => medium,
            Effort::High => high,
            Effort::XHigh => xhigh,
            Effort::Max => max,
        }
    }

    /// The least effort, from low on, whose budget holds so many tokens.
    #[must_use]
    pub fn effort_of(&self, budget: u64) -> Effort {
        let [_, low, medium, high, xhigh, _] = self.budgets;
        match budget {
            n if n <= low => Effort::Low,
            n if n <= medium => Effort::Medium,
            n if n <= high => Effort::High,
            n if n <= xhigh => Effort::XHigh,
            _ => Effort::Max,
        }
    }
}

impl Default for Target {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the writer of an answer is told: facts of the request, and what only the host can know.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The model that the caller asked for; written where the upstream names none.
    pub model: String,
    /// The caller wants the usage at the end of a stream (Chat `include_usage`).
    pub include_usage: bool,
    /// How the caller wants the answer laid out.
    pub layout: Layout,
    /// Members of the request that the answer repeats (Responses): a JSON object, or empty.
    pub echo: String,
    /// What was changed in the request.
    pub restore: Restore,
    /// The upstream's own way of speaking its protocol.
    pub dialect: Option<SharedDialect>,
    /// Unix seconds.
    pub created: u64,
    /// Makes ids where the upstream gave none.
    pub ids: Ids,
    /// The protocol that the upstream speaks. The stream writer of the same one puts back what
    /// only it understands (unknown members, its own usage object); `None` puts back nothing.
    pub origin: Option<Protocol>,
    /// Whose answer it is: its seals are marked with it, for them to go back to no one else.
    pub vendor: VendorTag,
    /// Most bytes that a stream writer may hold back or repeat. Default
    /// [`DEFAULT_MAX_ACCUMULATED`].
    pub max_accumulated: usize,
}

impl Answer {
    /// Facts for one answer. The same arguments give the same bytes.
    #[must_use]
    pub fn new(model: impl Into<String>, created: u64, seed: u64) -> Self {
        Self {
            model: model.into(),
            include_usage: false,
            layout: Layout::default(),
            echo: String::new(),
            restore: Restore::default(),
            dialect: None,
            created,
            ids: Ids::new(seed),
            origin: None,
            vendor: VendorTag::default(),
            max_accumulated: DEFAULT_MAX_ACCUMULATED,
        }
    }
}

/// Makes ids for one answer: unique by the seed, repeatable for tests.
#[derive(Debug, Clone, PartialEq)]
pub struct Ids {
    seed: u64,
    next: u64,
}

impl Ids {
    /// The seed comes from the host's randomness.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, next: 0 }
    }

    /// Another maker of ids, which makes none that this one does.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        // An odd constant: from one seed it makes as many others as there are.
        let seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add(self.next);
        self.next += 1;
        Self::new(seed)
    }

    /// `prefix` and 24 hexadecimal digits.
    pub fn make(&mut self, prefix: &str) -> String {
        let count = self.next;
        self.next += 1;
        format!("{prefix}{:016x}{count:08x}", self.seed)
    }
}
