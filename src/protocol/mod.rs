//! What the wire formats mean. Sans-IO: bytes in, bytes out, no clock, no randomness of its own.
//!
//! ```text
//! wire bytes --reader--> model (the hub) --writer--> wire bytes
//! ```
//!
//! Each protocol has a folder with a reader and a writer for requests, responses, streams and
//! errors. [`translate`] joins one reader and one writer; [`edit`] changes one member of a request
//! in place; [`scan`] picks a few members out of a large document as it passes; [`classify`] says
//! whose fault a failure is.

pub mod anthropic;
pub mod classify;
pub mod dashscope;
pub mod dialect;
pub mod edit;
pub mod fold;
pub mod gemini;
pub mod json;
pub mod model;
pub mod openai_chat;
pub mod openai_responses;
pub mod play;
pub mod profile;
pub mod refusal;
pub mod report;
pub mod restore;
pub mod scan;
pub(crate) mod seal;
pub mod translate;

mod call_id;
mod citation;
mod data_url;
mod endpoint;
mod openai_error;
mod response_format;
pub(crate) mod retry_after;
mod retry_info;
mod route;
mod sampling;
mod stream_reader;
mod target;
mod transcode;
mod wire;

pub use endpoint::{Endpoint, Head, Layout};
pub use retry_after::MAX_RETRY_AFTER;
pub use route::{Operation, Route, is_version};
pub use seal::VendorTag;
pub use target::{
    Accepts, Answer, DEFAULT_MAX_ACCUMULATED, DEFAULT_MAX_TOKENS, Ids, Target, ThinkingScale,
};
pub use transcode::Transcode;

use std::fmt;
use std::str::FromStr;

/// The protocols that are spoken on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Anthropic Messages: `POST /v1/messages`.
    Anthropic,
    /// OpenAI Chat Completions: `POST /v1/chat/completions`.
    OpenAiChat,
    /// OpenAI Responses: `POST /v1/responses`.
    OpenAiResponses,
    /// Gemini: `POST /v1beta/models/{model}:generateContent`.
    Gemini,
    /// DashScope: `POST /api/v1/services/aigc/text-generation/generation`.
    DashScope,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Anthropic, Self::OpenAiChat, Self::OpenAiResponses, Self::Gemini, Self::DashScope];

    /// The name in configuration, stats and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiResponses => "openai-responses",
            Self::Gemini => "gemini",
            Self::DashScope => "dashscope",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no protocol's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownProtocol(());

impl fmt::Display for UnknownProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "unknown protocol, expected one of anthropic, openai-chat, openai-responses, gemini, dashscope",
        )
    }
}

impl std::error::Error for UnknownProtocol {}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    /// Reads a name, ignoring case. `claude`, `openai` and `responses`, the service types of
    /// other gateways, are taken too.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_lowercase().as_str() {
            "anthropic" | "claude" => Ok(Self::Anthropic),
            "openai-chat" | "openai" => Ok(Self::OpenAiChat),
            "openai-responses" | "responses" => Ok(Self::OpenAiResponses),
            "gemini" => Ok(Self::Gemini),
            "dashscope" => Ok(Self::DashScope),
            _ => Err(UnknownProtocol(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.as_str().parse(), Ok(protocol));
        }
        assert!("smtp".parse::<Protocol>().is_err());
    }
}
