//! Tokens spent.

use crate::protocol::json::Raw;

/// Tokens spent, counted so that no token is in two fields.
///
/// The protocols nest them differently: Messages reports cached input beside `input_tokens`, Chat
/// inside `prompt_tokens`; readers split, writers add up again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage<'a> {
    /// Input that was neither read from nor written to a cache.
    pub input: u64,
    /// Input read from a prompt cache.
    pub cache_read: u64,
    /// Input written to a prompt cache, whatever its lifetime.
    pub cache_write: u64,
    /// Of `cache_write`, what is kept for one hour.
    pub cache_write_1h: u64,
    /// Output without thinking. All of it where the source does not tell them apart.
    pub output: u64,
    /// Thinking.
    pub reasoning: u64,
    /// The source's own object. A writer of the same protocol puts it back.
    pub raw: Option<Raw<'a>>,
}

impl Usage<'_> {
    /// All input tokens.
    #[must_use]
    pub fn input_total(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// All output tokens.
    #[must_use]
    pub fn output_total(&self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }

    /// The counts alone, without the source's object.
    #[must_use]
    pub fn counts(&self) -> Usage<'static> {
        Usage {
            input: self.input,
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            cache_write_1h: self.cache_write_1h,
            output: self.output,
            reasoning: self.reasoning,
            raw: None,
        }
    }
}
