//! What the wire formats mean. Sans-IO: bytes in, bytes out, no clock, no randomness of its own.
//!
//! ```text
//! wire bytes --reader--> model (the hub) --writer--> wire bytes
//! ```
//!
//! Each protocol has a folder with a reader and a writer for requests, responses, streams and
//! errors. [`translate`] joins one reader and one writer; [`edit`] changes one member of a request
//! in place; [`scan`] picks a few members out of a large document as it passes.

pub mod anthropic;
pub mod dashscope;
pub mod edit;
pub mod fold;
pub mod gemini;
pub mod json;
pub mod model;
pub mod openai_chat;
pub mod openai_responses;
pub mod play;
pub mod refusal;
pub mod report;
pub mod restore;
pub mod scan;
pub mod translate;

mod data_url;
mod endpoint;
mod openai_error;
mod target;
mod transcode;

pub use endpoint::{Endpoint, Head, Layout};
pub use target::{
    Accepts, Answer, DEFAULT_MAX_ACCUMULATED, DEFAULT_MAX_TOKENS, Ids, Target, ThinkingScale,
};
pub use transcode::Transcode;

use std::fmt;
use std::str::FromStr;

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

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

/// What a request wants of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// An answer of the model.
    Generate,
    /// The size of a prompt.
    CountTokens,
    /// Which models there are, or one of them.
    Models,
}

/// A request that we know: its protocol and what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// The protocol that the caller speaks.
    pub protocol: Protocol,
    /// What it wants.
    pub operation: Operation,
}

impl Route {
    /// Recognises a request by method, path and headers; `None` for any other, which no layer
    /// touches. The body is not looked at. A prefix before the version segment is allowed, so that
    /// an app may nest the gateway.
    ///
    /// ```
    /// use http::{HeaderMap, Method};
    /// use tower_llm_gateway::protocol::{Operation, Protocol, Route};
    ///
    /// let route = Route::detect(&Method::POST, "/v1/messages", &HeaderMap::new()).unwrap();
    /// assert_eq!((route.protocol, route.operation), (Protocol::Anthropic, Operation::Generate));
    /// assert!(Route::detect(&Method::POST, "/v1/threads/t/messages", &HeaderMap::new()).is_none());
    /// ```
    #[must_use]
    pub fn detect(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        // Whoever is behind us may decode a path before it looks: so must a policy.
        let mut segments =
            path.rsplit('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy());
        let last = segments.next()?;
        let (before, third) = (segments.next(), segments.next());
        let (last, before, third) = (&*last, before.as_deref(), third.as_deref());
        let versioned =
            |segment: Option<&str>| segment.is_none_or(|s| s.is_empty() || is_version(s));
        let route = |protocol, operation| Some(Self { protocol, operation });
        if *method == Method::GET {
            let listing = (last == "models" && versioned(before))
                || (before == Some("models") && versioned(third));
            return if listing { route(models_protocol(headers), Operation::Models) } else { None };
        }
        if *method != Method::POST {
            return None;
        }
        match (last, before) {
            ("messages", before) if versioned(before) => {
                route(Protocol::Anthropic, Operation::Generate)
            }
            ("count_tokens", Some("messages")) => {
                route(Protocol::Anthropic, Operation::CountTokens)
            }
            ("completions", Some("chat")) => route(Protocol::OpenAiChat, Operation::Generate),
            ("responses", before) if versioned(before) => {
                route(Protocol::OpenAiResponses, Operation::Generate)
            }
            ("input_tokens", Some("responses")) => {
                route(Protocol::OpenAiResponses, Operation::CountTokens)
            }
            ("generation", Some("text-generation" | "multimodal-generation")) => {
                route(Protocol::DashScope, Operation::Generate)
            }
            (last, Some("models" | "tunedModels")) => match last.rsplit_once(':')?.1 {
                "generateContent" | "streamGenerateContent" => {
                    route(Protocol::Gemini, Operation::Generate)
                }
                "countTokens" => route(Protocol::Gemini, Operation::CountTokens),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The model lists of three vendors share one path; their SDKs differ by header.
fn models_protocol(headers: &HeaderMap) -> Protocol {
    if headers.contains_key("anthropic-version") {
        Protocol::Anthropic
    } else if headers.contains_key("x-goog-api-key") {
        Protocol::Gemini
    } else {
        Protocol::OpenAiChat
    }
}

/// Whether a path segment is a version: `v1`, `v1beta`, `v2`.
#[must_use]
pub fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('v') else { return false };
    let letters = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    letters.len() < rest.len() && letters.bytes().all(|b| b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        use Operation::*;
        use Protocol::*;
        let rows = [
            ("POST", "/v1/messages", Some((Anthropic, Generate))),
            ("POST", "/v1/messages/", Some((Anthropic, Generate))),
            ("POST", "/v1/%6dessages", Some((Anthropic, Generate))),
            ("POST", "/v1/a%2Fmessages", None),
            ("POST", "/llm/v1/messages", Some((Anthropic, Generate))),
            ("POST", "/messages", Some((Anthropic, Generate))),
            ("GET", "/v1/messages", None),
            ("POST", "/v1/threads/t/messages", None),
            ("POST", "/v1/messages/count_tokens", Some((Anthropic, CountTokens))),
            ("POST", "/v1/messages/batches", None),
            ("POST", "/v1/chat/completions", Some((OpenAiChat, Generate))),
            ("POST", "/chat/completions", Some((OpenAiChat, Generate))),
            ("POST", "/v1/completions", None),
            ("POST", "/v1/responses", Some((OpenAiResponses, Generate))),
            ("GET", "/v1/responses/r", None),
            ("POST", "/v1beta/models/g:generateContent", Some((Gemini, Generate))),
            ("POST", "/v1/models/g:streamGenerateContent", Some((Gemini, Generate))),
            ("POST", "/v1beta/models/g:countTokens", Some((Gemini, CountTokens))),
            ("POST", "/v1beta/models/g:embedContent", None),
            (
                "POST",
                "/api/v1/services/aigc/text-generation/generation",
                Some((DashScope, Generate)),
            ),
            ("GET", "/v1/models", Some((OpenAiChat, Models))),
            ("GET", "/v1/models/gpt-5", Some((OpenAiChat, Models))),
            ("GET", "/health", None),
            ("POST", "/", None),
            ("POST", "", None),
        ];
        for (method, path, expected) in rows {
            let found = Route::detect(&method.parse().unwrap(), path, &HeaderMap::new());
            assert_eq!(found.map(|r| (r.protocol, r.operation)), expected, "{method} {path}");
        }
    }

    #[test]
    fn model_lists_go_by_header() {
        for (name, protocol) in [
            ("anthropic-version", Protocol::Anthropic),
            ("x-goog-api-key", Protocol::Gemini),
            ("authorization", Protocol::OpenAiChat),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, http::HeaderValue::from_static("x"));
            let route = Route::detect(&Method::GET, "/v1/models", &headers).unwrap();
            assert_eq!(route.protocol, protocol);
        }
    }

    #[test]
    fn versions() {
        for (segment, is) in [
            ("v1", true),
            ("v1beta", true),
            ("v12", true),
            ("v", false),
            ("vx", false),
            ("1", false),
            ("v1Beta", false),
            ("v1.1", false),
        ] {
            assert_eq!(is_version(segment), is, "{segment}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.as_str().parse(), Ok(protocol));
        }
        assert!("smtp".parse::<Protocol>().is_err());
    }
}
