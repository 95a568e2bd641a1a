//! The layers, one folder each, all of the same shape.

#[macro_use]
mod macros;

pub mod api_key_auth;
pub mod catch_error;
pub mod hop_by_hop;
pub mod provider_translate;
pub mod stats;
pub mod system_prompt;
