use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// One request, written down when its answer ended, whichever way. What is not known is `None`.
///
/// Names and texts come from callers and upstreams: whoever fills the row cuts and redacts them.
/// Nothing in it is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestRow {
    /// Given by the store; grows with every row.
    pub id: u64,
    /// No other request has it, whichever process wrote it; its attempts have it too. Whoever fills
    /// the row makes it.
    pub uid: String,
    /// The id that logs, events and spans name too. Where the caller brought it, it may repeat.
    pub request_id: String,
    /// When it arrived, unix ms.
    pub time: u64,
    /// Who called.
    pub principal: Option<String>,
    /// `POST`.
    pub method: Cow<'static, str>,
    /// Without its query.
    pub path: String,
    /// By [`Protocol::as_str`](crate::protocol::Protocol::as_str).
    pub client_protocol: Option<Cow<'static, str>>,
    /// What was asked: `generate`, `count_tokens` and others.
    pub operation: Option<Cow<'static, str>>,
    /// The model that the caller asked for.
    pub model: Option<String>,
    /// What the caller was answered with; `None` where it left before.
    pub status: Option<u16>,
    /// Whether the status is below 400 and nothing went wrong, also not inside a stream that began
    /// with 200. It stays true where only the caller left in the middle, which `fault` tells.
    pub success: bool,
    /// What went wrong, by [`FaultKind::as_str`](crate::protocol::model::FaultKind::as_str).
    pub fault: Option<Cow<'static, str>>,
    /// How it ended: `whole`, `broken`, `refused` or `left`.
    pub end: Cow<'static, str>,
    /// Calls to upstreams.
    pub attempts: u32,
    /// From its arrival to the head of the answer, ms.
    pub headers_ms: Option<u64>,
    /// From its arrival to the first event of a stream that means something, ms.
    pub first_event_ms: Option<u64>,
    /// From its arrival to the end of the answer, ms.
    pub total_ms: u64,
    /// Of the request's body.
    pub bytes_in: u64,
    /// Of the answer's body.
    pub bytes_out: u64,
    /// Tokens of the prompt that were neither read from nor written to a cache.
    pub input_tokens: Option<u64>,
    /// Tokens read from the vendor's prompt cache.
    pub cache_read_tokens: Option<u64>,
    /// Tokens written to the vendor's prompt cache.
    pub cache_write_tokens: Option<u64>,
    /// Tokens of the answer without thinking; all of them where the vendor does not tell them apart.
    pub output_tokens: Option<u64>,
    /// Tokens of thinking.
    pub reasoning_tokens: Option<u64>,
    /// What it cost, in billionths of a US dollar.
    pub cost_nanos: Option<u64>,
    /// Why it failed, in words.
    pub error: Option<String>,
    /// The request's body, where bodies are asked for.
    pub request_body: Option<BodyText>,
    /// The answer's body, where bodies are asked for.
    pub response_body: Option<BodyText>,
}

/// One call to an upstream, whether it went well or not. What is not known is `None`.
///
/// Nothing in it is secret: a key is shown masked, and told apart by its fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AttemptRow {
    /// Given by the store; grows with every row.
    pub id: u64,
    /// [`RequestRow::uid`] of the request that it was made for.
    pub uid: String,
    /// [`RequestRow::request_id`] of it.
    pub request_id: String,
    /// Which attempt of its request; 1 for the first.
    pub number: u32,
    /// When it began, unix ms; when the request arrived, where that is not known.
    pub time: u64,
    /// Who called.
    pub principal: Option<String>,
    /// Which channel.
    pub channel: Option<String>,
    /// Which key, by its [fingerprint](crate::secret::Secret::fingerprint).
    pub key_id: Option<String>,
    /// Which key, [masked](crate::secret::Secret::masked).
    pub key: Option<String>,
    /// By [`Protocol::as_str`](crate::protocol::Protocol::as_str).
    pub upstream_protocol: Option<Cow<'static, str>>,
    /// The model that the upstream was asked for.
    pub model: Option<String>,
    /// How the upstream answered.
    pub status: Option<u16>,
    /// Whether the status is below 400, nothing went wrong, also not inside a stream that began with
    /// 200, nobody left, and no other attempt was faster.
    pub success: bool,
    /// What went wrong, by [`FaultKind::as_str`](crate::protocol::model::FaultKind::as_str).
    pub fault: Option<Cow<'static, str>>,
    /// Whether another attempt was faster, and this one was dropped.
    pub outrun: bool,
    /// From its beginning until its status or its fault was known, ms: for a stream, not to its end.
    pub duration_ms: Option<u64>,
}

/// A body that was asked to be kept, redacted and cut. `Debug` shows its length alone: what people
/// say to models has no place in a log.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BodyText(pub String);

impl fmt::Debug for BodyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyText({} bytes)", self.0.len())
    }
}

/// Rows that are kept together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogBatch {
    /// Requests, in the order in which they ended.
    pub requests: Vec<RequestRow>,
    /// Their attempts, in their order.
    pub attempts: Vec<AttemptRow>,
}

impl LogBatch {
    /// How many rows there are of both kinds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len() + self.attempts.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
