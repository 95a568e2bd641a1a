//! What stands outside of the body: the model and the action in the path, the layout in the query.

use crate::protocol::gemini::path::{GENERATE, ModelPath, STREAM, model_path, wants_events};
use crate::protocol::json::JsonStr;
use crate::protocol::model::Request;
use crate::protocol::{Endpoint, Head, Target};

/// Reads the model and the wish for a stream. A path that is none of Gemini's changes nothing.
///
/// ```
/// use http::HeaderMap;
/// use tower_llm_gateway::protocol::Head;
/// use tower_llm_gateway::protocol::gemini::request;
///
/// let mut request = request::read("{}")?;
/// let path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent";
/// let head = Head { path, query: Some("alt=sse"), headers: &HeaderMap::new() };
/// request::read_head(&mut request, &head);
/// assert_eq!(request.model, "gemini-2.5-pro");
/// assert_eq!(request.stream, Some(true));
/// assert!(!request.layout.json_array);
/// # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
/// ```
pub fn read_head<'a>(request: &mut Request<'a>, head: &Head<'a>) {
    let Some(path) = ModelPath::parse(head.path) else { return };
    request.model = JsonStr::from_plain(path.named_model());
    request.stream = Some(path.streams());
    request.layout.json_array = path.streams() && !wants_events(head.query);
}

/// Where a request goes.
#[must_use]
pub fn endpoint(request: &Request<'_>, _target: &Target) -> Endpoint {
    let streams = request.stream == Some(true);
    let path = model_path(&request.model.decode(), if streams { STREAM } else { GENERATE });
    Endpoint { query: streams.then_some("alt=sse"), ..Endpoint::new(path) }
}
