//! What a request says outside of its body.
//!
//! Gemini names the model and the action in the path, DashScope asks for a stream by a header.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// What a request said outside of its body. `Debug` shows no more than the path.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The path, percent-encoded as it came.
    pub path: &'a str,
    /// The query, as it came.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The path, percent-encoded.
    pub path: Cow<'static, str>,
    /// The query.
    pub query: Option<&'static str>,
    /// Headers that it must have.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Endpoint {
    /// A path alone.
    #[must_use]
    pub fn new(path: impl Into<Cow<'static, str>>) -> Self {
        Self { path: path.into(), query: None, headers: Vec::new() }
    }
}

/// How an answer is laid out, where a protocol lets its caller choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// Gemini: a stream is one JSON array in pieces, not server-sent events (no `alt=sse`).
    pub json_array: bool,
    /// DashScope: each event of a stream repeats all that was said (no `incremental_output`).
    pub snapshots: bool,
    /// DashScope: the words stand in `output.text`, not in `output.choices` (`result_format`).
    pub text_only: bool,
    /// DashScope: the content of a message is a list (`multimodal-generation`).
    pub content_list: bool,
}
