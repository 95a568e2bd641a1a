//! What a writer is told beside the hub.

use super::Protocol;

/// Default for [`Target::default_max_tokens`].
pub const DEFAULT_MAX_TOKENS: u64 = 4096;

/// Default for [`Answer::max_accumulated`]: 16 MiB.
pub const DEFAULT_MAX_ACCUMULATED: usize = 16 << 20;

/// What the model behind a request needs beyond its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// Messages demands `max_tokens`; this is sent where the caller set none. Default
    /// [`DEFAULT_MAX_TOKENS`].
    pub default_max_tokens: u64,
    /// Chat: send `max_tokens` instead of `max_completion_tokens`, as many clones of the
    /// protocol know only the old name. Default false.
    pub legacy_max_tokens: bool,
    /// Thinking budgets in tokens for the efforts minimal, low, medium, high, xhigh, max, where
    /// one protocol has words and the other tokens. Default 1024, 1024, 8192, 24576, 32768, 65536.
    pub budgets: [u64; 6],
    /// Messages: ask for thinking with `thinking.type: adaptive` and `output_config.effort`
    /// rather than with a token budget. The newest models refuse budgets. Default false.
    pub adaptive_thinking: bool,
}

impl Target {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        default_max_tokens: DEFAULT_MAX_TOKENS,
        legacy_max_tokens: false,
        budgets: [1024, 1024, 8192, 24576, 32768, 65536],
        adaptive_thinking: false,
    };
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
    /// Unix seconds.
    pub created: u64,
    /// Makes ids where the upstream gave none.
    pub ids: Ids,
    /// The protocol that the upstream speaks. The stream writer of the same one puts back what
    /// only it understands (unknown members, its own usage object); `None` puts back nothing.
    pub origin: Option<Protocol>,
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
            created,
            ids: Ids::new(seed),
            origin: None,
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

    /// `prefix` and 24 hexadecimal digits.
    pub fn make(&mut self, prefix: &str) -> String {
        let count = self.next;
        self.next += 1;
        format!("{prefix}{:016x}{count:08x}", self.seed)
    }
}
