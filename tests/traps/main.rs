//! What goes wrong in other gateways, each as a test that asks whether it goes wrong here: one test
//! per trap, named after it, through [`ProviderTranslateLayer`](tower_llm_gateway::ProviderTranslateLayer)
//! around an upstream that is a function. What comes out is read by readers of their own, strict and
//! without a line of the crate.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod ask;
mod listen;
mod speak;
mod streaming;
mod translation;
mod wire;
