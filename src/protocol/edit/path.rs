//! What Gemini keeps in the path: `/v1beta/models/{model}:{action}`.

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;

use super::EditError;
use crate::protocol::gemini::path::{GENERATE, ModelPath, STREAM, encoded};

/// The model that a Gemini path names, percent-decoded; `None` for any other path.
///
/// ```
/// use tower_llm_gateway::protocol::edit::gemini_model;
///
/// assert_eq!(gemini_model("/v1beta/models/gemini-2.5-pro:generateContent").unwrap(), "gemini-2.5-pro");
/// assert!(gemini_model("/v1/messages").is_none());
/// ```
#[must_use]
pub fn gemini_model(path: &str) -> Option<Cow<'_, str>> {
    ModelPath::parse(path).map(|path| path.decoded_model())
}

/// Whether a Gemini path asks for a stream.
pub(super) fn gemini_streams(path: &str) -> bool {
    ModelPath::parse(path).is_some_and(|path| path.streams())
}

/// Names another model in a Gemini path. Query and action stay.
///
/// # Errors
/// [`EditError::UnsafeModel`] for a name that is empty or holds `/`, `\`, `..` or a control
/// character; [`EditError::Shape`] when the path is none of Gemini's. Other characters outside
/// RFC 3986's unreserved ones are percent-encoded.
pub fn set_gemini_model(uri: &mut Uri, model: &str) -> Result<(), EditError> {
    let unsafe_name = model.is_empty()
        || model.contains("..")
        || model.contains(|c: char| c == '/' || c == '\\' || c.is_control());
    if unsafe_name {
        return Err(EditError::UnsafeModel);
    }
    let ModelPath { before, action, .. } = parts(uri)?;
    let path = format!("{before}{}:{action}", encoded(model));
    let query = uri.query().map(str::to_owned);
    set_path(uri, path, query.as_deref())
}

/// Asks for a stream (`streamGenerateContent?alt=sse`) or for one document (`generateContent`).
///
/// # Errors
/// [`EditError::Shape`] when the path is none of Gemini's.
pub fn set_gemini_stream(uri: &mut Uri, stream: bool) -> Result<(), EditError> {
    let ModelPath { before, model, action, .. } = parts(uri)?;
    if action != GENERATE && action != STREAM {
        return Err(EditError::Shape("path"));
    }
    let path = format!("{before}{model}:{}", if stream { STREAM } else { GENERATE });
    let others = uri.query().unwrap_or_default().split('&');
    let mut query: Vec<&str> =
        others.filter(|pair| !pair.is_empty() && !pair.starts_with("alt=")).collect();
    if stream {
        query.push("alt=sse");
    }
    let query = query.join("&");
    set_path(uri, path, (!query.is_empty()).then_some(query.as_str()))
}

fn parts(uri: &Uri) -> Result<ModelPath<'_>, EditError> {
    ModelPath::parse(uri.path()).ok_or(EditError::Shape("path"))
}

fn set_path(uri: &mut Uri, mut path: String, query: Option<&str>) -> Result<(), EditError> {
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    let path = PathAndQuery::try_from(path).map_err(|_| EditError::UnsafeModel)?;
    parts.path_and_query = Some(path);
    *uri = Uri::from_parts(parts).map_err(|_| EditError::UnsafeModel)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_set_in_the_path_alone() {
        let mut uri =
            Uri::from_static("https://h/x/v1beta/models/a:streamGenerateContent?alt=sse&k=%2F");
        set_gemini_model(&mut uri, "b c%").unwrap();
        assert_eq!(uri, "https://h/x/v1beta/models/b%20c%25:streamGenerateContent?alt=sse&k=%2F");
        assert_eq!(gemini_model(uri.path()).unwrap(), "b c%");
    }

    #[test]
    fn unsafe_names_are_refused() {
        for name in ["", "a/b", "..", "a..b", "a\\b", "a\nb", "\0"] {
            let mut uri = Uri::from_static("/v1beta/models/a:generateContent");
            assert_eq!(set_gemini_model(&mut uri, name), Err(EditError::UnsafeModel), "{name:?}");
            assert_eq!(uri, "/v1beta/models/a:generateContent");
        }
        for name in ["a?b", "a#b", "a:b", "ключ"] {
            let mut uri = Uri::from_static("/v1beta/models/a:generateContent?q");
            set_gemini_model(&mut uri, name).unwrap();
            assert_eq!(gemini_model(uri.path()).unwrap(), name);
            assert_eq!(uri.query(), Some("q"));
        }
    }

    #[test]
    fn the_stream_flag_is_an_action() {
        let rows = [
            ("/v1/models/a:generateContent", true, "/v1/models/a:streamGenerateContent?alt=sse"),
            (
                "/v1/models/a:generateContent?k=1",
                true,
                "/v1/models/a:streamGenerateContent?k=1&alt=sse",
            ),
            ("/v1/models/a:streamGenerateContent?alt=sse", false, "/v1/models/a:generateContent"),
            (
                "/v1/models/a:streamGenerateContent?alt=json&k=1",
                true,
                "/v1/models/a:streamGenerateContent?k=1&alt=sse",
            ),
        ];
        for (before, stream, after) in rows {
            let mut uri: Uri = before.parse().unwrap();
            set_gemini_stream(&mut uri, stream).unwrap();
            assert_eq!(uri, after);
            assert_eq!(gemini_streams(uri.path()), stream);
        }
        let mut uri = Uri::from_static("/v1/models/a:countTokens");
        assert_eq!(set_gemini_stream(&mut uri, true), Err(EditError::Shape("path")));
    }
}
