//! A key in the query of a URI, as Gemini takes it: `?key=`.

use http::uri::{PathAndQuery, Uri};
use percent_encoding::percent_decode_str;

use super::Secret;
use super::names::KEY_PARAMETER;

/// The first key that is not empty, percent-decoded; a `+` is a plus.
pub(crate) fn find_key(uri: &Uri) -> Option<Secret> {
    parameters(uri).filter_map(key_parameter).find(|key| !key.expose().is_empty())
}

/// Removes every key. The other parameters stay byte for byte.
pub(crate) fn strip_keys(uri: &mut Uri) {
    if !parameters(uri).any(|parameter| key_parameter(parameter).is_some()) {
        return;
    }
    let others: Vec<_> = parameters(uri).filter(|other| key_parameter(other).is_none()).collect();
    let path = uri.path();
    let rest = match others.as_slice() {
        [] => path.to_owned(),
        others => format!("{path}?{}", others.join("&")),
    };
    let mut parts = std::mem::take(uri).into_parts();
    // A part of a valid path and query is valid; were it not, the key would still be gone.
    parts.path_and_query = Some(rest.parse().unwrap_or_else(|_| PathAndQuery::from_static("/")));
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

fn parameters(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().into_iter().flat_map(|query| query.split('&'))
}

/// The value of a parameter, if it is a key. The name may be encoded too: whoever is inside would
/// decode it.
fn key_parameter(parameter: &str) -> Option<Secret> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    if !percent_decode_str(name).eq(KEY_PARAMETER.bytes()) {
        return None;
    }
    // What is no text is nobody's key, but it is one.
    Some(Secret::new(percent_decode_str(value).decode_utf8().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_parameters_stay_byte_for_byte() {
        for (uri, expected) in [
            ("/p?a=%2f&key=k&b=+%zz&&c", "/p?a=%2f&b=+%zz&&c"),
            ("/p?key=k&a", "/p?a"),
            ("/p?a&key=k", "/p?a"),
            ("/p?key", "/p"),
            ("/p?key=k&KEY=l&%6bey=m&key=", "/p?KEY=l"),
            ("/p?", "/p?"),
            ("/p?keys=k", "/p?keys=k"),
            ("https://h:1/p?key=k&x=y", "https://h:1/p?x=y"),
        ] {
            let mut uri: Uri = uri.parse().unwrap();
            strip_keys(&mut uri);
            assert_eq!(uri.to_string(), expected);
        }
    }
}
