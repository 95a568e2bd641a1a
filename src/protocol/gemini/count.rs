//! `POST /v1beta/models/{model}:countTokens`.
//!
//! Source: <https://ai.google.dev/api/tokens>. A bare `contents` counts no system text and no
//! tools; a whole request goes into `generateContentRequest`.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::protocol::Endpoint;
use crate::protocol::json::{JsonError, ObjectWriter, Raw};

/// Members of a request that a count may have.
pub const MEMBERS: &[&str] =
    &["contents", "generationConfig", "systemInstruction", "toolConfig", "tools"];

/// The request to be counted: that in `generateContentRequest`, or the body itself.
///
/// # Errors
/// When it is no JSON.
pub fn unwrap(text: &str) -> Result<Cow<'_, str>, JsonError> {
    let body = Raw::parse(text)?;
    let inner = ["generateContentRequest", "generate_content_request"]
        .into_iter()
        .find_map(|name| body.member(name).map(Raw::into_owned));
    Ok(inner.map_or(Cow::Borrowed(text), |inner| Cow::Owned(inner.as_str().to_owned())))
}

/// Puts a request, which must name its model here too, into its wrapper.
pub fn wrap(model: &str, request: &str, out: &mut BytesMut) {
    let name = if model.contains('/') { model.to_owned() } else { format!("models/{model}") };
    let mut object = ObjectWriter::begin(out);
    object.object("generateContentRequest", |inner| {
        inner.plain("model", &name);
        let members = Raw::parse(request).ok();
        let mut cursor = members.as_ref().map(Raw::cursor);
        if let Some(cursor) = &mut cursor {
            // It was written by us a moment ago.
            let _ = cursor.object(|key, c| {
                let value = c.raw()?;
                if key != "model" {
                    inner.raw(key.escaped(), &value);
                }
                Ok(())
            });
        }
    });
    object.end();
}

/// Where a count is asked for, by where the request itself would go.
#[must_use]
pub fn endpoint(request: &Endpoint) -> Endpoint {
    let model = request.path.rsplit_once(':').map_or(&*request.path, |(model, _)| model);
    Endpoint::new(format!("{model}:countTokens"))
}

/// The count in an answer.
#[must_use]
pub fn read_answer(text: &str) -> Option<u64> {
    Raw::parse(text).ok()?.member("totalTokens")?.as_u64()
}

/// Writes an answer.
pub fn write_answer(tokens: u64, out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.u64("totalTokens", tokens);
    object.array("promptTokensDetails", |items| {
        items.object(|detail| {
            detail.plain("modality", "TEXT");
            detail.u64("tokenCount", tokens);
        });
    });
    object.end();
}
