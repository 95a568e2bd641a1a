//! What the conventions call things.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use opentelemetry::StringValue;

use crate::protocol::model::StopReason;
use crate::protocol::{Operation, Protocol, Route};

/// How many models have series of their own; the others are counted as [`OTHER`].
pub const MAX_MODELS: usize = 256;

/// How many names of providers have series of their own, beside those of the protocols; the others
/// are counted as [`OTHER`].
pub const MAX_PROVIDERS: usize = 64;

/// The conventions' word for what has no series of its own.
pub const OTHER: &str = "_OTHER";

/// `gen_ai.operation.name` of a request; `None` where no model is asked anything: lists of models,
/// files, batches, and paths of no protocol. `count_tokens` is a word of ours.
pub(super) fn operation(route: Route, path: &str) -> Option<&'static str> {
    match route.operation {
        Operation::Generate => Some(generation(route.protocol)),
        Operation::CountTokens => Some("count_tokens"),
        Operation::Models => None,
        Operation::Other => special(path),
    }
}

/// `gen_ai.operation.name` of an answer of a model.
fn generation(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Gemini => "generate_content",
        Protocol::Anthropic
        | Protocol::OpenAiChat
        | Protocol::OpenAiResponses
        | Protocol::DashScope => "chat",
    }
}

/// The operation `operation` of a caller as an upstream of another protocol has it.
pub(super) fn operation_at(protocol: Protocol, operation: &'static str) -> &'static str {
    match operation {
        "chat" | "generate_content" => generation(protocol),
        same => same,
    }
}

fn special(path: &str) -> Option<&'static str> {
    let path = path.trim_end_matches('/');
    let last = path.rsplit(['/', ':']).next()?;
    match last {
        "embeddings" | "embedContent" | "batchEmbedContents" => Some("embeddings"),
        _ if path.contains("/services/embeddings/") => Some("embeddings"),
        "completions" | "complete" => Some("text_completion"),
        _ => None,
    }
}

/// `gen_ai.provider.name`: as the upstream is named, else whose protocol is spoken, which need not be
/// whose models answer.
pub(super) fn provider(named: Option<&Arc<str>>, protocol: Protocol) -> StringValue {
    named.map_or_else(|| owner(protocol).into(), |name| name.clone().into())
}

/// Whose protocol it is. The conventions know no name for DashScope; `dashscope` is what its other
/// instrumentations say.
pub(super) fn owner(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Anthropic => "anthropic",
        Protocol::OpenAiChat | Protocol::OpenAiResponses => "openai",
        Protocol::Gemini => "gcp.gemini",
        Protocol::DashScope => "dashscope",
    }
}

/// `gen_ai.response.finish_reasons`, one for all protocols.
pub(super) fn finish_reason(stop: &StopReason) -> &'static str {
    match stop {
        StopReason::End | StopReason::StopSequence => "stop",
        StopReason::MaxTokens | StopReason::ContextWindow => "length",
        StopReason::ToolUse => "tool_call",
        StopReason::Refusal | StopReason::ContentFilter => "content_filter",
        StopReason::Pause => "pause",
        StopReason::Error => "error",
        StopReason::Other => "other",
    }
}

/// `http.request.method`: callers may invent methods, the standard's alone are told apart.
pub(super) fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

/// The names that have series of their own. One gets a place once a request for it went well:
/// callers cannot fill it with inventions.
#[derive(Debug)]
pub(super) struct Names {
    known: Mutex<HashSet<Arc<str>>>,
    most: usize,
}

impl Names {
    /// At most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { known: Mutex::default(), most }
    }

    /// What to count under: the name, or [`OTHER`].
    pub(super) fn bounded(&self, name: &Arc<str>, succeeded: bool) -> StringValue {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded && known.len() < self.most {
            known.insert(name.clone());
        }
        known.get(name).map_or_else(|| OTHER.into(), |known| known.clone().into())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn operations() {
        let rows = [
            ("/v1/messages", Some("chat")),
            ("/v1/messages/count_tokens", Some("count_tokens")),
            ("/v1/messages/batches", None),
            ("/v1/chat/completions", Some("chat")),
            ("/v1/completions", Some("text_completion")),
            ("/v1/complete", Some("text_completion")),
            ("/v1/embeddings", Some("embeddings")),
            ("/v1/embeddings/", Some("embeddings")),
            ("/v1/responses", Some("chat")),
            ("/v1/files", None),
            ("/v1beta/models/g:generateContent", Some("generate_content")),
            ("/v1beta/models/g:streamGenerateContent", Some("generate_content")),
            ("/v1beta/models/g:batchEmbedContents", Some("embeddings")),
            ("/v1beta/models/g:predict", None),
            ("/api/v1/services/aigc/text-generation/generation", Some("chat")),
            ("/api/v1/services/embeddings/text-embedding/text-embedding", Some("embeddings")),
            ("/api/v1/services/rerank/text-rerank/text-rerank", None),
        ];
        for (path, expected) in rows {
            let route = Route::detect(&Method::POST, path, &HeaderMap::new()).unwrap();
            assert_eq!(operation(route, path), expected, "{path}");
        }
        let models = Route::detect(&Method::GET, "/v1/models", &HeaderMap::new()).unwrap();
        assert_eq!(operation(models, "/v1/models"), None);
        assert_eq!(operation_at(Protocol::Gemini, "chat"), "generate_content");
        assert_eq!(operation_at(Protocol::Anthropic, "generate_content"), "chat");
        assert_eq!(operation_at(Protocol::Gemini, "embeddings"), "embeddings");
    }

    #[test]
    fn methods_of_the_standard_have_names() {
        assert_eq!(method(&Method::PATCH), "PATCH");
        assert_eq!(method(&"BREW".parse().unwrap()), OTHER);
    }

    #[test]
    fn names_are_bounded_and_come_in_by_success() {
        let names = Names::new(MAX_MODELS);
        let bounded = |name: &str, succeeded| names.bounded(&name.into(), succeeded).to_string();
        assert_eq!(bounded("invented", false), OTHER);
        assert_eq!(bounded("m", true), "m");
        assert_eq!(bounded("m", false), "m");
        for index in 1..MAX_MODELS {
            let name = format!("m{index}");
            assert_eq!(bounded(&name, true), name);
        }
        assert_eq!(bounded("one too many", true), OTHER);
        assert_eq!(bounded("m", true), "m");
    }
}
