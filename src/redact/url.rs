//! URLs: what stands before the host, and in the query.

use std::borrow::Cow;
use std::fmt;

use http::Uri;
use memchr::memmem;

use super::{HIDDEN, text};
use crate::secret::names::named;

/// A URL of any kind, whole or from its path on, without its secrets; all else byte for byte.
///
/// Replaced are the name and password before the host, and the values of parameters whose name is
/// a secret's. Names are compared percent-decoded and without case; a fragment counts as a query.
/// What has the form of a vendor's key is masked anywhere.
///
/// ```
/// use tower_llm_gateway::redact::url;
///
/// assert_eq!(url("/v1beta/models?k%65y=1&alt=sse"), "/v1beta/models?k%65y=***&alt=sse");
/// assert_eq!(
///     url("postgres://gateway:pass/word@db:5432/log?sslmode=require&password=x"),
///     "postgres://***@db:5432/log?sslmode=require&password=***",
/// );
/// ```
#[must_use]
pub fn url(url: &str) -> Cow<'_, str> {
    // First, as a password that is not encoded may hold what ends a path or a parameter.
    match without_userinfo(url) {
        Cow::Borrowed(url) => path_and_query(url),
        Cow::Owned(url) => Cow::Owned(path_and_query(&url).into_owned()),
    }
}

/// Without the names and passwords before hosts, also of URLs that stand within this one.
fn without_userinfo(url: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut done = 0;
    for at in memmem::find_iter(url.as_bytes(), "://") {
        let Some(range) = text::userinfo(url, at).filter(|range| range.start >= done) else {
            continue;
        };
        shown.push_str(&url[done..range.start]);
        shown.push_str(HIDDEN);
        done = range.end;
    }
    if done == 0 {
        return Cow::Borrowed(url);
    }
    shown.push_str(&url[done..]);
    Cow::Owned(shown)
}

fn path_and_query(url: &str) -> Cow<'_, str> {
    let path = memchr::memchr2(b'?', b'#', url.as_bytes()).unwrap_or(url.len());
    match (text(&url[..path]), parameters(&url[path..])) {
        (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(url),
        (path, query) => Cow::Owned(format!("{path}{query}")),
    }
}

/// A query alone, with or without its `?`.
///
/// ```
/// assert_eq!(tower_llm_gateway::redact::query("a=b&api_key=k"), "a=b&api_key=***");
/// ```
#[must_use]
pub fn query(query: &str) -> Cow<'_, str> {
    parameters(query)
}

/// A `Uri` as [`url`] shows it. Made at no cost: whoever prints it pays.
///
/// ```
/// use tower_llm_gateway::redact;
///
/// let uri: http::Uri = "https://h/v1/models?key=AIza1".parse().unwrap();
/// assert_eq!(redact::uri(&uri).to_string(), "https://h/v1/models?key=***");
/// ```
#[must_use]
pub fn uri(uri: &Uri) -> DisplayUri<'_> {
    DisplayUri(uri)
}

/// What [`uri`] makes.
#[derive(Clone, Copy)]
pub struct DisplayUri<'u>(&'u Uri);

impl fmt::Display for DisplayUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&url(&self.0.to_string()))
    }
}

impl fmt::Debug for DisplayUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Parameters between `?`, `&` and `#`.
fn parameters(query: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut changed = false;
    for piece in query.split_inclusive(['?', '&', '#']) {
        let end = piece.trim_end_matches(['?', '&', '#']).len();
        let (given, separator) = piece.split_at(end);
        let parameter = parameter(given);
        changed |= parameter != given;
        shown.push_str(&parameter);
        shown.push_str(separator);
    }
    if changed { Cow::Owned(shown) } else { Cow::Borrowed(query) }
}

fn parameter(given: &str) -> Cow<'_, str> {
    if let Some(hidden) = without_value(given) {
        return Cow::Owned(hidden);
    }
    match text(given) {
        // What is masked now may have held the `=` that seemed to end the name.
        Cow::Owned(shown) => Cow::Owned(without_value(&shown).unwrap_or(shown)),
        same @ Cow::Borrowed(_) => same,
    }
}

/// The parameter with its value hidden, if its name is a secret's.
fn without_value(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=')?;
    named(name).filter(|_| !value.is_empty())?;
    Some(format!("{name}={HIDDEN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_and_the_rest_stays() {
        for (given, expected) in [
            ("", ""),
            ("/", "/"),
            ("/p?a=%2f&key=k&b=+%zz&&c", "/p?a=%2f&key=***&b=+%zz&&c"),
            (
                "/p?KEY=k&Api_Key=l&apikey=m&access_token=n",
                "/p?KEY=***&Api_Key=***&apikey=***&access_token=***",
            ),
            (
                "/p?token=t&auth=a&sig=s&signature=s&code=c",
                "/p?token=***&auth=***&sig=***&signature=***&code=***",
            ),
            ("/p?%6b%65%79=k", "/p?%6b%65%79=***"),
            ("/p?key=&key", "/p?key=&key"),
            ("/p?key=a,b;c'd&e=f", "/p?key=***&e=f"),
            ("/p?key=a=b", "/p?key=***"),
            ("/p?keys_of=1&monkey=2&max_tokens=3", "/p?keys_of=1&monkey=2&max_tokens=3"),
            (
                "https://h:1/p?X-Amz-Signature=f&X-Amz-Date=d&X-Amz-Credential=c&X-Amz-Security-Token=t",
                "https://h:1/p?X-Amz-Signature=***&X-Amz-Date=d&X-Amz-Credential=***&X-Amz-Security-Token=***",
            ),
            ("https://h/#access_token=t&state=s", "https://h/#access_token=***&state=s"),
            ("https://user:pass@h/p", "https://***@h/p"),
            ("https://user@h", "https://***@h"),
            ("socks5h://u:p@1.2.3.4:1080", "socks5h://***@1.2.3.4:1080"),
            ("redis://:p@h/0", "redis://***@h/0"),
            ("postgres://u:p#a?b/c@h/db?sslmode=require", "postgres://***@h/db?sslmode=require"),
            ("postgres://u:p/w@d@h/x@y", "postgres://***@h/x@y"),
            ("/p?next=postgres://u:p/w?a&b@h/db&c=d", "/p?next=postgres://***@h/db&c=d"),
            ("https://h/@scope/p@1", "https://h/@scope/p@1"),
            ("https://[::1]:80/@a", "https://[::1]:80/@a"),
            ("https://h/v1/sk-1234567890abcdef/x", "https://h/v1/sk-12345***bcdef/x"),
            (
                "/p?next=https%3A%2F%2Fh%3Fkey%3Dk%26a%3Db",
                "/p?next=https%3A%2F%2Fh%3Fkey%3D***%26a%3Db",
            ),
            ("/p?%3Fkey%3Da=b\"x, signature=s", "/p?%3Fkey%3D***\"x, signature=***"),
            ("ws://h/?q=ключ&key=ключ", "ws://h/?q=ключ&key=***"),
        ] {
            assert_eq!(url(given), expected);
            assert_eq!(url(expected), expected, "again");
        }
    }

    #[test]
    fn what_holds_no_secret_is_borrowed() {
        assert!(matches!(url("https://h/v1/messages?beta=true"), Cow::Borrowed(_)));
        assert!(matches!(query("?a=b&key=***"), Cow::Borrowed(_)));
    }
}
