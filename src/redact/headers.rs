//! Headers, by an allow-list.

use std::borrow::Cow;
use std::fmt;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use serde::{Serialize, Serializer};

use super::cut::cut;
use super::{HIDDEN, cover, text, url};
use crate::secret::names::{Named, named};

/// Most characters of a value that are shown.
pub const MAX_HEADER: usize = 256;

/// Headers whose values are shown, sorted.
const SHOWN: [&str; 59] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "access-control-allow-origin",
    "age",
    "allow",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "cache-control",
    "cf-cache-status",
    "cf-ray",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "expect",
    "expires",
    "host",
    "keep-alive",
    "last-modified",
    "max-forwards",
    "openai-beta",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "origin",
    "pragma",
    "priority",
    "range",
    "ratelimit",
    "ratelimit-policy",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "server",
    "server-timing",
    "strict-transport-security",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "x-accel-buffering",
    "x-app",
    "x-dashscope-async",
    "x-dashscope-sse",
    "x-envoy-upstream-service-time",
    "x-goog-api-client",
    "x-request-id",
    "x-should-retry",
    "x-translation-report",
];

/// Beginnings of names whose values are shown: what is left of limits, what an SDK is.
const SHOWN_PREFIXES: [&str; 5] =
    ["anthropic-ratelimit-", "ratelimit-", "x-ratelimit-", "x-rate-limit-", "x-stainless-"];

/// Headers whose values are URLs.
const URLS: [&str; 3] = ["content-location", "location", "referer"];

/// The fields as they may be shown. Made at no cost: whoever prints it pays.
///
/// `Debug` and `Serialize` write a map of names to values, to a list of them where there are
/// several.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use tower_llm_gateway::redact;
///
/// let mut headers = HeaderMap::new();
/// headers.append("x-api-key", HeaderValue::from_static("sk-1234567890abcdef"));
/// headers.append("cookie", HeaderValue::from_static("session=1"));
/// headers.append("x-mine", HeaderValue::from_static("whatever it is"));
/// headers.append("accept", HeaderValue::from_static("text/html"));
/// headers.append("accept", HeaderValue::from_static("application/json"));
/// let shown = serde_json::to_value(redact::headers(&headers)).unwrap();
/// assert_eq!(shown, serde_json::json!({
///     "x-api-key": "sk-12345***bcdef",
///     "cookie": "***",
///     "x-mine": "***",
///     "accept": ["text/html", "application/json"],
/// }));
/// ```
#[must_use]
pub fn headers(headers: &HeaderMap) -> Headers<'_> {
    Headers(headers)
}

/// What [`headers`] makes.
#[derive(Clone, Copy)]
pub struct Headers<'h>(&'h HeaderMap);

impl<'h> Headers<'h> {
    /// Every field with what may be shown of it, in the order of the map.
    pub fn iter(&self) -> impl Iterator<Item = (&'h str, Cow<'h, str>)> + use<'h> {
        self.0.iter().map(|(name, value)| (name.as_str(), header(name, value)))
    }

    fn groups(&self) -> impl Iterator<Item = (&'h str, Values<'h>)> + use<'h> {
        let headers = self.0;
        headers.keys().map(move |name| (name.as_str(), Values { headers, name }))
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.groups()).finish()
    }
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.groups())
    }
}

/// The values of one name.
struct Values<'h> {
    headers: &'h HeaderMap,
    name: &'h HeaderName,
}

impl<'h> Values<'h> {
    fn iter(&self) -> impl Iterator<Item = Cow<'h, str>> + use<'h> {
        let name = self.name;
        self.headers.get_all(name).iter().map(move |value| header(name, value))
    }

    fn one(&self) -> Option<Cow<'h, str>> {
        let mut values = self.iter();
        values.next().filter(|_| values.next().is_none())
    }
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.one() {
            Some(value) => value.fmt(f),
            None => f.debug_list().entries(self.iter()).finish(),
        }
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.one() {
            Some(value) => serializer.serialize_str(&value),
            None => serializer.collect_seq(self.iter()),
        }
    }
}

/// What may be shown of one value: at most [`MAX_HEADER`] characters.
///
/// ```
/// use http::HeaderValue;
/// use http::header::{AUTHORIZATION, USER_AGENT};
/// use tower_llm_gateway::redact;
///
/// let value = HeaderValue::from_static("Bearer sk-1234567890abcdef");
/// assert_eq!(redact::header(&AUTHORIZATION, &value), "Bearer sk-12345***bcdef");
/// let value = HeaderValue::from_static("claude-cli/2.0");
/// assert_eq!(redact::header(&USER_AGENT, &value), "claude-cli/2.0");
/// ```
#[must_use]
pub fn header<'v>(name: &HeaderName, value: &'v HeaderValue) -> Cow<'v, str> {
    let name = name.as_str();
    if value.is_empty() {
        return Cow::Borrowed("");
    }
    if is_credential(name) {
        return value.to_str().map_or(Cow::Borrowed(HIDDEN), |value| credential(name, value));
    }
    if value.is_sensitive() {
        return Cow::Borrowed(HIDDEN);
    }
    let Ok(value) = value.to_str() else { return Cow::Borrowed(HIDDEN) };
    if URLS.contains(&name) {
        cut(url(value), MAX_HEADER)
    } else if SHOWN.binary_search(&name).is_ok()
        || SHOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    {
        cut(text(value), MAX_HEADER)
    } else {
        Cow::Borrowed(HIDDEN)
    }
}

/// Names of credentials, in any header that anybody makes up.
fn is_credential(name: &str) -> bool {
    named(name) == Some(Named::Always)
}

/// The scheme, and the ends of what follows it.
fn credential(name: &str, value: &str) -> Cow<'static, str> {
    const SCHEMES: [&str; 3] = ["bearer", "basic", "token"];
    if name.ends_with("cookie") {
        return Cow::Borrowed(HIDDEN);
    }
    let scheme = value
        .split_once(' ')
        .filter(|(scheme, _)| SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)));
    match scheme {
        // The ends of a password in base64 are a part of it.
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("basic") => {
            format!("{scheme} {HIDDEN}").into()
        }
        Some((scheme, rest)) => format!("{scheme} {}", cover(rest.trim())).into(),
        None => cover(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &'static str, value: &'static str) -> String {
        header(&HeaderName::from_static(name), &HeaderValue::from_static(value)).into_owned()
    }

    #[test]
    fn the_lists_are_sorted() {
        assert!(SHOWN.is_sorted());
        assert!(SHOWN.iter().all(|name| !is_credential(name)));
    }

    #[test]
    fn credentials_are_masked() {
        for (name, value, expected) in [
            ("authorization", "Bearer sk-1234567890abcdef", "Bearer sk-12345***bcdef"),
            ("authorization", "bearer  sk-1234567890abcdef", "bearer sk-12345***bcdef"),
            ("authorization", "Bearer short", "Bearer ***"),
            ("authorization", "Basic dXNlcjpwYXNzd29yZC10aGF0LWlzLWxvbmc=", "Basic ***"),
            ("authorization", "sk-1234567890abcdef", "sk-12345***bcdef"),
            ("authorization", "Bearer", "***"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/x, Signature=f",
                "***",
            ),
            ("proxy-authorization", "Basic dXNlcjpwYXNz", "Basic ***"),
            ("x-api-key", "sk-ant-api03-1234567890", "sk-ant-a***67890"),
            ("x-api-key", "only-seventeen-ch", "***"),
            ("x-goog-api-key", "AIzaSyA1234567890abcdefghijklmnopqrstuv", "AIzaSyA1***rstuv"),
            ("api-key", "0123456789abcdef0123456789abcdef", "01234567***bcdef"),
            ("ocp-apim-subscription-key", "0123456789abcdef", "***"),
            ("x-amz-security-token", "a b c d e f g h i j k l m n", "***"),
            ("cookie", "a=sk-1234567890abcdef; b=c", "***"),
            ("set-cookie", "__cf_bm=1234567890123456789; path=/", "***"),
            ("x-my-client-secret", "1", "***"),
            ("authorization", "", ""),
        ] {
            assert_eq!(shown(name, value), expected, "{name}: {value}");
        }
    }

    #[test]
    fn only_the_allowed_are_shown() {
        for (name, value, expected) in [
            ("content-type", "application/json", "application/json"),
            ("anthropic-ratelimit-tokens-remaining", "80", "80"),
            ("x-ratelimit-reset-requests", "1s", "1s"),
            ("x-stainless-lang", "js", "js"),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("openai-organization", "org-1", "***"),
            ("x-forwarded-for", "10.0.0.1", "***"),
            ("x-anything", "text", "***"),
            ("location", "https://u:p@h/?key=k&a=b", "https://***@h/?key=***&a=b"),
            ("user-agent", "curl sk-1234567890abcdef", "curl sk-12345***bcdef"),
        ] {
            assert_eq!(shown(name, value), expected, "{name}: {value}");
        }
    }

    #[test]
    fn what_is_marked_sensitive_is_hidden() {
        let mut value = HeaderValue::from_static("application/json");
        value.set_sensitive(true);
        assert_eq!(header(&http::header::CONTENT_TYPE, &value), "***");
    }

    #[test]
    fn values_are_bounded_and_may_be_no_text() {
        let long = HeaderValue::from_str(&"a".repeat(MAX_HEADER + 1)).unwrap();
        let expected = format!("{}...", "a".repeat(MAX_HEADER));
        assert_eq!(header(&http::header::USER_AGENT, &long), expected);
        let bytes = HeaderValue::from_bytes(b"\xff\xfe").unwrap();
        assert_eq!(header(&http::header::USER_AGENT, &bytes), "***");
    }

    #[test]
    fn several_values_stay_several() {
        let mut map = HeaderMap::new();
        map.append("vary", HeaderValue::from_static("a"));
        map.append("vary", HeaderValue::from_static("b"));
        map.append("set-cookie", HeaderValue::from_static("c=1"));
        map.append("set-cookie", HeaderValue::from_static("d=1"));
        let shown = headers(&map);
        assert_eq!(format!("{shown:?}"), r#"{"vary": ["a", "b"], "set-cookie": ["***", "***"]}"#);
        assert_eq!(shown.iter().count(), 4);
    }
}
