use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

/// Media type of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";

/// Media type of JSON.
pub const JSON: &str = "application/json";

/// What says something of the bytes of a body.
const OF_THE_BODY: [HeaderName; 8] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ETAG,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
];

/// Drops the headers that no longer hold once a body has changed: a stale `content-length` cuts
/// it off in silence, a stale digest makes an honest receiver refuse it.
pub fn drop_body_headers(headers: &mut HeaderMap) {
    for name in &OF_THE_BODY {
        headers.remove(name);
    }
}

/// The body has changed and is so many bytes long now: drops the headers that no longer hold, and
/// says the new length where one was said.
pub fn change_body(headers: &mut HeaderMap, length: usize) {
    let had_length = headers.contains_key(header::CONTENT_LENGTH);
    drop_body_headers(headers);
    // Without one the body is framed otherwise, and two framings would contradict each other.
    if had_length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Whether a body is compressed or otherwise encoded, and so cannot be read as it is.
#[must_use]
pub fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
    })
}

/// The media type without its parameters; empty where there is none or it is no text. The two
/// that a model answers in come in lower case.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> &str {
    const KNOWN: [&str; 2] = [EVENT_STREAM, JSON];
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return "" };
    // As a rule it stands there so.
    if let Some(known) = KNOWN.into_iter().find(|known| value.as_bytes() == known.as_bytes()) {
        return known;
    }
    let value = value.to_str().unwrap_or_default();
    let end = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
    let value = value[..end].trim_ascii();
    KNOWN.into_iter().find(|known| value.eq_ignore_ascii_case(known)).unwrap_or(value)
}

/// Whether a body is a stream of server-sent events.
#[must_use]
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    media_type(headers) == EVENT_STREAM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_body_says_its_length_where_the_old_one_did() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, HeaderValue::from_static("old"));
        change_body(&mut headers, 7);
        assert!(headers.is_empty());
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
        change_body(&mut headers, 7);
        assert_eq!(headers[header::CONTENT_LENGTH], "7");
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn only_a_real_encoding_counts() {
        for (value, encoded) in [
            ("gzip", true),
            ("identity", false),
            (" Identity ", false),
            ("", false),
            ("br, identity", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(is_encoded(&headers), encoded, "{value}");
            drop_body_headers(&mut headers);
            assert!(headers.is_empty());
        }
        assert!(!is_encoded(&HeaderMap::new()));
    }

    #[test]
    fn media_types_lose_their_parameters() {
        for (value, expected) in [
            ("text/event-stream", EVENT_STREAM),
            ("Text/Event-Stream; charset=utf-8", EVENT_STREAM),
            (" application/JSON ;x", JSON),
            ("text/html", "text/html"),
            ("", ""),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(media_type(&headers), expected, "{value}");
            assert_eq!(is_event_stream(&headers), expected == EVENT_STREAM, "{value}");
        }
        assert_eq!(media_type(&HeaderMap::new()), "");
    }
}
