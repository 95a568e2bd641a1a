//! Requests: `model`, `input`, `parameters`.
//!
//! ```
//! use bytes::BytesMut;
//! use tower_llm_gateway::protocol::Target;
//! use tower_llm_gateway::protocol::dashscope::request;
//! use tower_llm_gateway::protocol::report::Reporter;
//!
//! let text = r#"{"model":"qwen-plus","input":{"messages":[{"role":"user","content":"Hi"}]}}"#;
//! let request = request::read(text)?;
//! let mut out = BytesMut::new();
//! request::write(&request, &Target::default(), &mut Reporter::new(text), &mut out);
//! assert_eq!(out, text);
//! # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
//! ```

mod foreign;
mod messages;
mod own;
mod parameters;
mod read;
mod thinking;
mod tools;

pub use read::read;

use bytes::BytesMut;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::protocol::json::ObjectWriter;
use crate::protocol::model::{Content, MediaKind, MediaSource, Part, Request};
use crate::protocol::report::Reporter;
use crate::protocol::{Endpoint, Head, Protocol, Target};

const TEXT_GENERATION: &str = "/api/v1/services/aigc/text-generation/generation";
const MULTIMODAL_GENERATION: &str = "/api/v1/services/aigc/multimodal-generation/generation";
const SSE: HeaderName = HeaderName::from_static("x-dashscope-sse");

/// Reads what stands outside of the body: a header asks for a stream, the path tells the form of
/// the answer's content.
pub fn read_head<'a>(request: &mut Request<'a>, head: &Head<'a>) {
    request.stream = Some(streams(head.headers));
    if head.path.contains("/multimodal-generation/") {
        request.layout.content_list = true;
        request.layout.text_only = false;
    } else if head.path.contains("/text-generation/") {
        request.layout.content_list = false;
    }
}

fn streams(headers: &HeaderMap) -> bool {
    let holds = |name: &HeaderName, word: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.to_ascii_lowercase().contains(word)
    };
    holds(&SSE, "enable") || holds(&ACCEPT, "text/event-stream")
}

/// Writes a request.
///
/// A request that came from DashScope is written as it was. Of a request of another protocol:
/// - System and developer texts become system messages where they stood.
/// - Tool results become tool messages; their media follow in a user message after the last one.
/// - Texts of a user are joined with an empty line, those of an assistant without a separator. Where
///   media go along, or a cache mark stands anywhere, all content is a list.
/// - Documents of text go as text; media that DashScope does not take are fatal.
/// - Several calls in one turn are asked for by name, as DashScope makes only one unasked.
/// - An effort becomes a budget by [`Target::budget_of`]; thinking turned off is said so.
/// - A conversation that ends with the assistant is to be continued (`partial`) where the source's
///   protocol means it so.
/// - Everything else that DashScope cannot say is reported.
pub fn write(
    request: &Request<'_>,
    target: &Target,
    report: &mut Reporter<'_>,
    out: &mut BytesMut,
) {
    let mut object = ObjectWriter::begin(out);
    if request.origin == Protocol::DashScope {
        own::write(request, &mut object);
    } else {
        object.str("model", &request.model);
        foreign::write(request, target, report, &mut object);
    }
    object.end();
}

/// Where a request goes: models that see and hear, and whatever [`Target::multimodal_endpoint`]
/// names, have a path of their own.
#[must_use]
pub fn endpoint(request: &Request<'_>, target: &Target) -> Endpoint {
    let path = if is_multimodal(request, target) { MULTIMODAL_GENERATION } else { TEXT_GENERATION };
    let mut endpoint = Endpoint::new(path);
    // The vendor also streams to whom accepts a stream, whatever else he asks for.
    let stream = request.stream == Some(true);
    let accept = if stream { "text/event-stream" } else { "application/json" };
    endpoint.headers.push((ACCEPT, HeaderValue::from_static(accept)));
    if stream {
        endpoint.headers.push((SSE, HeaderValue::from_static("enable")));
    }
    endpoint
}

/// Whether the request goes to the multimodal endpoint, where content is always a list.
fn is_multimodal(request: &Request<'_>, target: &Target) -> bool {
    if request.origin == Protocol::DashScope {
        return request.layout.content_list;
    }
    let told = request.instructions.iter().flat_map(|it| &it.parts);
    let said = request.turns.iter().flat_map(|turn| &turn.parts);
    target.multimodal_endpoint || told.chain(said).any(has_media)
}

/// Whether a part holds a medium that DashScope takes.
fn has_media(part: &Part<'_>) -> bool {
    match &part.content {
        Content::Media(media) => match (media.kind, &media.source) {
            (MediaKind::Document, MediaSource::Parts { parts, .. }) => parts.iter().any(has_media),
            (MediaKind::Document, _) => false,
            (_, MediaSource::Url(_) | MediaSource::Base64 { .. }) => true,
            (kind, source) => {
                kind == MediaKind::Video && matches!(source, MediaSource::Parts { .. })
            }
        },
        Content::ToolResult(result) => result.parts.iter().any(has_media),
        _ => false,
    }
}
