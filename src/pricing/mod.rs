//! What tokens cost.
//!
//! A [`PriceTable`] knows the prices of models by their names and turns a
//! [`Usage`](crate::protocol::model::Usage) into a [`Cost`]. What it does not know it does not
//! guess: a model without a price, or a price that lacks a member that was used, costs
//! [`None`], never 0.
//!
//! ```
//! use tower_llm_gateway::pricing::PriceTable;
//! use tower_llm_gateway::protocol::model::Usage;
//!
//! let prices = PriceTable::default()
//!     .with_json(r#"{"house-model": {"input": 0.5, "output": 1.5}, "local/*": {"input": 0, "output": 0}}"#)?;
//! let usage = Usage { input: 1_000, output: 2_000, ..Usage::default() };
//! assert_eq!(prices.cost("house-model", &usage).unwrap().to_string(), "$0.003500");
//! assert_eq!(prices.cost("local/any", &usage).unwrap().nanos(), 0);
//! assert_eq!(prices.cost("gpt-4o-mini-2024-07-18", &usage).unwrap().to_string(), "$0.001350");
//! assert_eq!(prices.cost("nobody-knows", &usage), None);
//! # Ok::<(), tower_llm_gateway::pricing::PriceError>(())
//! ```
//!
//! # Shape
//!
//! A JSON object with a member for each model. Prices are USD for a million tokens, exact to a
//! billionth:
//!
//! ```json
//! {
//!   "_": "names that begin with _ are comments",
//!   "a-model": {
//!     "input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75, "cache_write_1h": 6,
//!     "above": { "input_tokens": 200000, "input": 6, "output": 22.5 }
//!   },
//!   "a-family-*": { "input": 1, "output": 2, "reasoning": 3 }
//! }
//! ```
//!
//! | Member | Tokens | Where it is absent |
//! |---|---|---|
//! | `input` | input that no cache had a part in | unknown |
//! | `output` | output without thinking | unknown |
//! | `cache_read` | input read from a prompt cache | unknown |
//! | `cache_write` | input written to a prompt cache for some minutes | unknown |
//! | `cache_write_1h` | input written to a prompt cache for an hour | unknown |
//! | `reasoning` | thinking, where the source tells it apart | the price of `output` |
//! | `above` | the prices of a whole request with more than `input_tokens` of input, caches included; a member it does not name costs as below | the same at any length |
//!
//! A later table replaces the whole entry of a model: an empty object makes its price unknown.
//!
//! # Names
//!
//! The first of these that is in the table:
//! 1. the name as it is, then without what stands before its first `/`, its second, … (`models/`,
//!    `anthropic/`);
//! 2. the same without a date at its end (`-20250929`, `@20250929`, `-2025-09-29`) or `-latest`;
//! 3. the longest entry that ends in `*` and whose beginning is that of the name.
//!
//! # Limits
//!
//! | What | Limit |
//! |---|---|
//! | models of a table | [`MAX_PRICES`] |
//! | length of a model's name, in bytes | [`MAX_NAME`] |
//! | USD for a million tokens | [`Rate::MAX`] |
//!
//! # The embedded table
//!
//! [`PriceTable::default`] is small, and holds list prices in USD for text, without batches,
//! priority or regions, as of 2026-11-21. They follow the vendors' pages
//! (`platform.claude.com/docs/en/about-claude/pricing`, `developers.openai.com/api/docs/pricing`,
//! `ai.google.dev/gemini-api/docs/pricing`), and only models are in it whose prices several sources
//! agree on. Prices change: bring your own table for anything that matters.

mod cost;
mod error;
mod file;
mod price;
mod table;
#[cfg(test)]
mod tests;

pub use cost::Cost;
pub use error::PriceError;
pub use price::{Above, Price, Rate, Rates};
pub use table::{MAX_NAME, MAX_PRICES, PriceTable};
