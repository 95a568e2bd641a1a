//! Which requests we know, and what they want.

use std::borrow::Cow;

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use super::Protocol;

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
    /// Anything else that only this protocol has: embeddings, files, batches and the like.
    Other,
}

impl Operation {
    /// The name in stats and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::CountTokens => "count_tokens",
            Self::Models => "models",
            Self::Other => "other",
        }
    }
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
    /// Recognises a request by method, path and headers; `None` for one of no protocol, which no
    /// layer touches. The body is not looked at. A prefix before the version segment is allowed, so that
    /// an app may nest the gateway.
    ///
    /// ```
    /// use http::{HeaderMap, Method};
    /// use tower_llm_gateway::protocol::{Operation, Protocol, Route};
    ///
    /// let route = Route::detect(&Method::POST, "/v1/messages", &HeaderMap::new()).unwrap();
    /// assert_eq!((route.protocol, route.operation), (Protocol::Anthropic, Operation::Generate));
    /// assert!(Route::detect(&Method::POST, "/v1/people", &HeaderMap::new()).is_none());
    /// ```
    #[must_use]
    pub fn detect(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        // Whoever is behind us may decode a path before it looks: so must a policy.
        let is_plain = memchr::memchr(b'%', path.as_bytes()).is_none();
        let mut segments = segments_from_end(path).map(|segment| match is_plain {
            true => Cow::Borrowed(segment),
            false => percent_decode_str(segment).decode_utf8_lossy(),
        });
        let last = segments.next()?;
        let (before, third) = (segments.next(), segments.next());
        let (last, before, third) = (&*last, before.as_deref(), third.as_deref());
        let versioned =
            |segment: Option<&str>| segment.is_none_or(|s| s.is_empty() || is_version(s));
        let route = |protocol, operation| Some(Self { protocol, operation });
        if *method == Method::GET {
            let listing = (last == "models" && versioned(before))
                || (before == Some("models") && versioned(third));
            let protocol = models_protocol(path, headers);
            if listing || (protocol == Protocol::OpenAiChat && is_below_models(path)) {
                return route(protocol, Operation::Models);
            }
        }
        let known = (*method == Method::POST).then(|| posted(last, before, versioned)).flatten();
        let (protocol, operation) =
            known.or_else(|| Some((other(path, last, headers)?, Operation::Other)))?;
        route(protocol, operation)
    }
}

/// The segments of a path, the last one first.
fn segments_from_end(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    // As `rsplit`, which is slow: a route is looked for by each layer.
    std::iter::from_fn(move || {
        let path = rest?;
        let (before, segment) = match memchr::memrchr(b'/', path.as_bytes()) {
            Some(at) => (Some(&path[..at]), &path[at + 1..]),
            None => (None, path),
        };
        rest = before;
        Some(segment)
    })
}

/// What is asked for by a POST, by the last two segments of its path.
fn posted(
    last: &str,
    before: Option<&str>,
    versioned: impl Fn(Option<&str>) -> bool,
) -> Option<(Protocol, Operation)> {
    use Operation::{CountTokens, Generate};
    match (last, before) {
        ("messages", before) if versioned(before) => Some((Protocol::Anthropic, Generate)),
        ("count_tokens", Some("messages")) => Some((Protocol::Anthropic, CountTokens)),
        ("completions", Some("chat")) => Some((Protocol::OpenAiChat, Generate)),
        ("responses", before) if versioned(before) => Some((Protocol::OpenAiResponses, Generate)),
        ("input_tokens", Some("responses")) => Some((Protocol::OpenAiResponses, CountTokens)),
        ("generation", Some("text-generation" | "multimodal-generation")) => {
            Some((Protocol::DashScope, Generate))
        }
        (last, Some("models" | "tunedModels")) => match last.rsplit_once(':')?.1 {
            "generateContent" | "streamGenerateContent" => Some((Protocol::Gemini, Generate)),
            "countTokens" => Some((Protocol::Gemini, CountTokens)),
            _ => None,
        },
        _ => None,
    }
}

/// Whose endpoint this is, where it is one that no other protocol has. Counted from the version
/// segment on, so that an app's own paths are not taken for a vendor's.
fn other(path: &str, last: &str, headers: &HeaderMap) -> Option<Protocol> {
    const OPENAI: [&str; 14] = [
        "assistants",
        "audio",
        "batches",
        "chat",
        "completions",
        "containers",
        "embeddings",
        "evals",
        "fine_tuning",
        "images",
        "moderations",
        "realtime",
        "threads",
        "vector_stores",
    ];
    let model_action = last.contains(':') && path.contains("odels/");
    let mut segments = path.split('/').skip_while(|segment| !is_version(segment));
    let version = segments.next()?;
    let first = segments.next()?;
    match (first, segments.next()) {
        ("messages", Some("batches")) | ("complete", None) => Some(Protocol::Anthropic),
        ("files" | "skills", _) if headers.contains_key("anthropic-version") => {
            Some(Protocol::Anthropic)
        }
        ("responses", Some(_)) | ("conversations", _) => Some(Protocol::OpenAiResponses),
        ("services", Some("aigc" | "embeddings" | "rerank" | "audio")) => Some(Protocol::DashScope),
        ("tokenizer", None) => Some(Protocol::DashScope),
        ("tasks", Some(_)) => Some(Protocol::DashScope),
        _ if model_action => Some(Protocol::Gemini),
        ("cachedContents" | "corpora" | "tunedModels" | "operations", _) => Some(Protocol::Gemini),
        ("files", _) if version.starts_with("v1beta") || headers.contains_key("x-goog-api-key") => {
            Some(Protocol::Gemini)
        }
        (first, _) if OPENAI.contains(&first) => Some(Protocol::OpenAiChat),
        ("files" | "uploads", _) => Some(Protocol::OpenAiChat),
        _ => None,
    }
}

/// The model lists of three vendors share one path; their SDKs differ by header.
fn models_protocol(path: &str, headers: &HeaderMap) -> Protocol {
    if path.split('/').any(|segment| segment.starts_with("v1beta")) {
        Protocol::Gemini
    } else if headers.contains_key("anthropic-version") {
        Protocol::Anthropic
    } else if headers.contains_key("x-goog-api-key") {
        Protocol::Gemini
    } else {
        Protocol::OpenAiChat
    }
}

/// Whether a path goes on behind `/v1/models/`: names of models in OpenAI's form may hold slashes.
fn is_below_models(path: &str) -> bool {
    let mut segments = path.split('/').skip_while(|segment| !is_version(segment)).skip(1);
    segments.next() == Some("models") && segments.next().is_some()
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
            ("POST", "/v1/threads/t/messages", Some((OpenAiChat, Other))),
            ("POST", "/v1/messages/count_tokens", Some((Anthropic, CountTokens))),
            ("POST", "/v1/messages/batches", Some((Anthropic, Other))),
            ("POST", "/v1/chat/completions", Some((OpenAiChat, Generate))),
            ("POST", "/chat/completions", Some((OpenAiChat, Generate))),
            ("POST", "/v1/completions", Some((OpenAiChat, Other))),
            ("POST", "/v1/embeddings", Some((OpenAiChat, Other))),
            ("POST", "/v1/files", Some((OpenAiChat, Other))),
            ("POST", "/v1/users", None),
            ("POST", "/files", None),
            ("GET", "/api/v1/tasks/t", Some((DashScope, Other))),
            ("GET", "/api/v1/tasks", None),
            ("POST", "/api/v1/tokenizer", Some((DashScope, Other))),
            ("POST", "/v1/responses", Some((OpenAiResponses, Generate))),
            ("GET", "/v1/responses/r", Some((OpenAiResponses, Other))),
            ("POST", "/v1beta/models/g:generateContent", Some((Gemini, Generate))),
            ("POST", "/v1/models/g:streamGenerateContent", Some((Gemini, Generate))),
            ("POST", "/v1beta/models/g:countTokens", Some((Gemini, CountTokens))),
            ("POST", "/v1beta/models/g:embedContent", Some((Gemini, Other))),
            ("POST", "/v1beta/cachedContents", Some((Gemini, Other))),
            ("GET", "/v1beta/models", Some((Gemini, Models))),
            ("GET", "/v1beta/models/g", Some((Gemini, Models))),
            (
                "POST",
                "/api/v1/services/aigc/text-generation/generation",
                Some((DashScope, Generate)),
            ),
            ("GET", "/v1/models", Some((OpenAiChat, Models))),
            ("GET", "/v1/models/gpt-5", Some((OpenAiChat, Models))),
            ("GET", "/v1/models/org/name", Some((OpenAiChat, Models))),
            ("GET", "/v1/models/accounts/a/models/m", Some((OpenAiChat, Models))),
            ("GET", "/v1beta/models/g/operations/o", None),
            ("DELETE", "/v1/models/org/name", None),
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
}
