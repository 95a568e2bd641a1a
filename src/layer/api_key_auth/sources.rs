//! Where keys are found, and how they are taken away. Pure.

use http::Request;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use http::uri::Uri;

use crate::secret::{Secret, query};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// A place for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySource {
    /// `x-api-key`, as Messages has it.
    XApiKey,
    /// `Authorization: Bearer`, in any case.
    Bearer,
    /// The whole value of `Authorization`.
    RawAuthorization,
    /// `x-goog-api-key`, as Gemini has it.
    XGoogApiKey,
    /// `api-key`, as Azure has it.
    ApiKey,
    /// The parameter `key` of the query, percent-decoded; a `+` is a plus.
    Query,
}

impl KeySource {
    /// In the order in which they count.
    const ALL: [Self; 6] = [
        Self::XApiKey,
        Self::Bearer,
        Self::RawAuthorization,
        Self::XGoogApiKey,
        Self::ApiKey,
        Self::Query,
    ];

    fn header(self) -> Option<HeaderName> {
        match self {
            Self::XApiKey => Some(X_API_KEY),
            Self::Bearer | Self::RawAuthorization => Some(AUTHORIZATION),
            Self::XGoogApiKey => Some(X_GOOG_API_KEY),
            Self::ApiKey => Some(API_KEY),
            Self::Query => None,
        }
    }

    /// The first key there that is not empty.
    fn read(self, headers: &HeaderMap, uri: &Uri) -> Option<Secret> {
        let Some(name) = self.header() else {
            return query::find_key(uri);
        };
        let values = headers.get_all(name).iter();
        let texts = values.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
        let mut keys = texts.filter_map(|text| match self {
            Self::Bearer => bearer(text),
            _ => Some(text.trim()),
        });
        keys.find(|key| !key.is_empty()).map(Secret::from)
    }
}

/// The places that are looked at. Default: all but [`KeySource::RawAuthorization`].
///
/// ```
/// use tower_llm_gateway::layer::api_key_auth::{KeySource, KeySources};
///
/// let headers_only = KeySources::default().without(KeySource::Query);
/// let dashboard = KeySources::none().with(KeySource::Bearer);
/// assert_ne!(headers_only, dashboard);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySources([bool; KeySource::ALL.len()]);

impl KeySources {
    /// Nowhere.
    #[must_use]
    pub fn none() -> Self {
        Self([false; KeySource::ALL.len()])
    }

    /// Here too.
    #[must_use]
    pub fn with(mut self, source: KeySource) -> Self {
        self.0[source as usize] = true;
        self
    }

    /// Not here.
    #[must_use]
    pub fn without(mut self, source: KeySource) -> Self {
        self.0[source as usize] = false;
        self
    }

    fn iter(self) -> impl Iterator<Item = KeySource> {
        KeySource::ALL.into_iter().filter(move |source| self.0[*source as usize])
    }

    /// The key that counts.
    pub(super) fn find<B>(self, request: &Request<B>) -> Option<Secret> {
        self.iter().find_map(|source| source.read(request.headers(), request.uri()))
    }

    /// Removes every key, also those that did not count.
    pub(super) fn strip<B>(self, request: &mut Request<B>) {
        for source in self.iter() {
            match source.header() {
                Some(name) => {
                    request.headers_mut().remove(name);
                }
                None => query::strip_keys(request.uri_mut()),
            }
        }
    }
}

impl Default for KeySources {
    fn default() -> Self {
        Self([true; KeySource::ALL.len()]).without(KeySource::RawAuthorization)
    }
}

fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[(&str, &str)], uri: &str) -> Request<()> {
        let add = |builder: http::request::Builder, (name, value): &(&str, &str)| {
            builder.header(*name, *value)
        };
        lines.iter().fold(Request::get(uri), add).body(()).unwrap()
    }

    fn found(sources: KeySources, request: &Request<()>) -> Option<String> {
        sources.find(request).map(|key| key.expose().to_owned())
    }

    #[test]
    fn keys_are_found_in_order() {
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
        let rows: [Row<'_>; 17] = [
            (&[], "/", None),
            (&[("x-api-key", "a"), ("authorization", "Bearer b")], "/?key=e", Some("a")),
            (&[("authorization", "Bearer b"), ("x-goog-api-key", "c")], "/?key=e", Some("b")),
            (&[("x-goog-api-key", "c"), ("api-key", "d")], "/?key=e", Some("c")),
            (&[("api-key", "d")], "/?key=e", Some("d")),
            (&[], "/?x=1&key=e&key=f", Some("e")),
            (&[("x-api-key", ""), ("authorization", "bEaReR   b")], "/", Some("b")),
            (&[("x-api-key", ""), ("x-api-key", "a")], "/", Some("a")),
            (&[("authorization", "Basic b")], "/", None),
            (&[("authorization", "raw")], "/", None),
            (&[("authorization", "Bearer")], "/", None),
            (&[("authorization", "Bearer ")], "/?key=", None),
            (&[("authorization", "Bearerb")], "/", None),
            (&[], "/?key=a%2Fb%3d+%", Some("a/b=+%")),
            (&[], "/?k%65y=e", Some("e")),
            (&[], "/?keys=e&Key=e&xkey=e", None),
            (&[], "/?key=%ff", None),
        ];
        for (lines, uri, expected) in rows {
            let found = found(KeySources::default(), &request(lines, uri));
            assert_eq!(found.as_deref(), expected, "{lines:?} {uri}");
        }
    }

    #[test]
    fn each_source_can_be_switched() {
        let all = [
            (KeySource::XApiKey, ("x-api-key", "k"), "/"),
            (KeySource::Bearer, ("authorization", "Bearer k"), "/"),
            (KeySource::RawAuthorization, ("authorization", "k"), "/"),
            (KeySource::XGoogApiKey, ("x-goog-api-key", "k"), "/"),
            (KeySource::ApiKey, ("api-key", "k"), "/"),
            (KeySource::Query, ("accept", "*/*"), "/?key=k"),
        ];
        for (source, line, uri) in all {
            let only = KeySources::none().with(source);
            let mut request = request(&[line], uri);
            assert_eq!(found(only, &request).as_deref(), Some("k"), "{source:?}");
            assert_eq!(found(only.without(source), &request), None, "{source:?}");

            let forms =
                |r: &Request<()>| r.headers().len() + usize::from(r.uri().query().is_some());
            let before = forms(&request);
            KeySources::none().strip(&mut request);
            assert_eq!(forms(&request), before, "{source:?}");
            only.strip(&mut request);
            assert_eq!(forms(&request), before - 1, "{source:?}");
        }
    }

    #[test]
    fn every_form_is_stripped() {
        let lines = [
            ("x-api-key", "a"),
            ("x-api-key", "b"),
            ("authorization", "Basic c"),
            ("x-goog-api-key", "d"),
            ("api-key", "e"),
            ("x-kept", "f"),
        ];
        let mut request = request(&lines, "/p?key=g");
        KeySources::default().strip(&mut request);
        assert_eq!(request.headers().iter().map(|(name, _)| name).collect::<Vec<_>>(), ["x-kept"]);
        assert_eq!(request.uri(), "/p");
    }

    #[test]
    fn what_is_no_text_is_no_key() {
        let mut request = Request::new(());
        let value = http::HeaderValue::from_bytes(b"\xff").unwrap();
        request.headers_mut().insert("x-api-key", value);
        assert!(KeySources::default().find(&request).is_none());
    }

    proptest::proptest! {
        #[test]
        fn stripping_leaves_no_key_and_all_the_others(
            parameters in proptest::collection::vec("(key|k%65y|keys|a)(=[a-z%2]{0,3})?", 0..6),
        ) {
            let mut request = request(&[], &format!("/p?{}", parameters.join("&")));
            KeySources::default().strip(&mut request);
            proptest::prop_assert!(found(KeySources::default(), &request).is_none());
            let is_key = |parameter: &&String| {
                matches!(parameter.split('=').next(), Some("key" | "k%65y"))
            };
            let others: Vec<_> = parameters.iter().filter(|p| !is_key(p)).cloned().collect();
            proptest::prop_assert_eq!(request.uri().query().unwrap_or(""), others.join("&"));
        }
    }
}
