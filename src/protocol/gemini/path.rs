//! What stands in the path: `/v1beta/models/{model}:{action}`.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but what RFC 3986, section 2.3, leaves unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The action that answers with one document.
pub(in crate::protocol) const GENERATE: &str = "generateContent";
/// The action that answers with a stream.
pub(in crate::protocol) const STREAM: &str = "streamGenerateContent";

/// Models that a user has tuned stand in a collection of their own.
const TUNED: &str = "tunedModels";

/// A path of Gemini or Vertex, cut into its parts, still percent-encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) struct ModelPath<'p> {
    /// All before the model, with the slash.
    pub(in crate::protocol) before: &'p str,
    /// `models` or `tunedModels`.
    pub(in crate::protocol) collection: &'p str,
    pub(in crate::protocol) model: &'p str,
    pub(in crate::protocol) action: &'p str,
}

impl<'p> ModelPath<'p> {
    /// `None` for a path that names no model and action.
    pub(in crate::protocol) fn parse(path: &'p str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let slash = path.rfind('/')?;
        let collection = path[..slash].rsplit('/').next()?;
        if collection != "models" && collection != TUNED {
            return None;
        }
        let (before, last) = path.split_at(slash + 1);
        let (model, action) = last.rsplit_once(':')?;
        Some(Self { before, collection, model, action })
    }

    /// The model, percent-decoded.
    pub(in crate::protocol) fn decoded_model(&self) -> Cow<'p, str> {
        percent_decode_str(self.model).decode_utf8_lossy()
    }

    pub(in crate::protocol) fn streams(&self) -> bool {
        self.action == STREAM
    }

    /// The model as [`model_path`] understands it: a tuned one with its collection.
    pub(super) fn named_model(&self) -> Cow<'p, str> {
        let model = self.decoded_model();
        if self.collection == TUNED { Cow::Owned(format!("{TUNED}/{model}")) } else { model }
    }
}

/// A name that is safe as one segment of a path.
pub(in crate::protocol) fn encoded(model: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(model, RESERVED)
}

/// Whether the query asks for server-sent events.
pub(super) fn wants_events(query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        matches!(&*percent_decode_str(name).decode_utf8_lossy(), "alt" | "$alt") && value == "sse"
    })
}

/// The path of an action on a model. A name may bring its collection (`models/x`,
/// `tunedModels/x`, `publishers/google/models/x`); whatever else is in it stays one segment.
pub(super) fn model_path(model: &str, action: &str) -> String {
    let model = model.strip_prefix('/').unwrap_or(model);
    if let Some(tuned) = model.strip_prefix("tunedModels/") {
        return format!("/v1beta/{TUNED}/{}:{action}", encoded(tuned));
    }
    let model = ["publishers/google/models/", "models/"]
        .iter()
        .find_map(|prefix| model.strip_prefix(prefix))
        .unwrap_or(model);
    format!("/v1beta/models/{}:{action}", encoded(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_in_paths() {
        for (path, model, streams) in [
            ("/v1beta/models/gemini-2.5-pro:generateContent", Some("gemini-2.5-pro"), false),
            ("/v1/models/a%20b%2Fc:streamGenerateContent", Some("a b/c"), true),
            ("/v1beta/tunedModels/x:generateContent", Some("tunedModels/x"), false),
            (
                "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent/",
                Some("m"),
                true,
            ),
            ("/v1beta/models/a:b:generateContent", Some("a:b"), false),
            ("/v1beta/models", None, false),
            ("/v1beta/models/a", None, false),
            ("/v1beta/files/a:generateContent", None, false),
            ("", None, false),
        ] {
            let parsed = ModelPath::parse(path);
            assert_eq!(parsed.map(|path| path.named_model()).as_deref(), model, "{path}");
            assert_eq!(parsed.is_some_and(|path| path.streams()), streams, "{path}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_segment() {
        for (model, path) in [
            ("gemini-2.5-pro", "/v1beta/models/gemini-2.5-pro:x"),
            ("models/a", "/v1beta/models/a:x"),
            ("/models/a", "/v1beta/models/a:x"),
            ("tunedModels/a", "/v1beta/tunedModels/a:x"),
            ("publishers/google/models/a", "/v1beta/models/a:x"),
            ("models/models/a", "/v1beta/models/models%2Fa:x"),
            ("../a", "/v1beta/models/..%2Fa:x"),
            ("a?b#c%d:e/f\\g", "/v1beta/models/a%3Fb%23c%25d%3Ae%2Ff%5Cg:x"),
            ("a\r\nb ü", "/v1beta/models/a%0D%0Ab%20%C3%BC:x"),
            ("", "/v1beta/models/:x"),
        ] {
            assert_eq!(model_path(model, "x"), path, "{model:?}");
            let path = model_path(model, GENERATE);
            let parsed = ModelPath::parse(&path).unwrap();
            assert_eq!(parsed.action, GENERATE, "{model:?}");
            assert!(model.ends_with(&*parsed.decoded_model()), "{model:?}");
        }
    }

    #[test]
    fn events_are_asked_for_in_the_query() {
        for (query, wanted) in [
            (None, false),
            (Some(""), false),
            (Some("alt=sse"), true),
            (Some("key=1&alt=sse"), true),
            (Some("%24alt=sse"), true),
            (Some("alt=json"), false),
            (Some("salt=sse"), false),
            (Some("alt"), false),
        ] {
            assert_eq!(wants_events(query), wanted, "{query:?}");
        }
    }
}
